/* SPDX-License-Identifier: MIT */
/* Calls that come from the daemon itself. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/varlink_private.h"

static varlink_fn find(const struct varlink_interface *interface, const char *method)
{
	const struct varlink_method *m = interface->methods;

	while (strcmp(m->name, method) != 0)
		m++;
	return m->fn;
}

char *varlink_ask(struct varlink *v, const char *method, json_t *parameters)
{
	struct varlink_call call = {
		.v = v,
		.fd = -1,
		.peer = {.uid = UINT32_MAX},
		.sees_all = true,
	};
	char *text = NULL;

	list_init(&call.link);
	if (parameters && buffer_init(&call.out, v->quota, geteuid()) == 0) {
		find(v->interface, method)(&call, parameters, v->userdata);
		if (call.out.n > 0 && !call.broken)
			text = strdup(call.out.text);
	}
	buffer_deinit(&call.out);
	json_decref(parameters);
	return text;
}

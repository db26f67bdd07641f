/* SPDX-License-Identifier: MIT */
#include "client/ctl/trace.h"

#include <string.h>

#include "client/ctl/call.h"
#include "client/ctl/field.h"

/* Spans among the keys that end in _us; all others are instants. */
static bool is_span(const char *key)
{
	return strcmp(key, "stop_us") == 0 || strcmp(key, "predicted_pause_us") == 0;
}

static void make_absolute(json_t *pause, int64_t now_us)
{
	const char *key;
	json_t *value;
	void *next;

	json_object_foreach_safe(pause, next, key, value)
	{
		size_t n = strlen(key);

		if (n > 3 && strcmp(key + n - 3, "_us") == 0 && json_is_integer(value) &&
		    !is_span(key))
			json_object_set_new(
				pause, key,
				json_integer(now_us + json_integer_value(value)));
	}
}

static json_t *parameters(const struct ctl *ctl, long seconds, json_t *after)
{
	json_t *object = json_object();

	if (seconds > 0)
		json_object_set_new(object, "seconds", json_integer(seconds));
	if (ctl->service != NULL)
		json_object_set_new(object, "service", json_string(ctl->service));
	if (after != NULL)
		json_object_set(object, "after", after);
	return object;
}

int trace_past(const struct ctl *ctl, long seconds, json_t **ret)
{
	json_t *all = json_array(), *page = NULL, *pause, *after = NULL;
	struct call *call;
	int status = call_open(ctl, &call);
	size_t i;

	if (status != CTL_OK) {
		json_decref(all);
		return status;
	}
	do {
		json_t *now = NULL;

		status = call_method(call, "ListPauses", parameters(ctl, seconds, after),
				     &now);
		if (status != CTL_OK)
			break;
		json_decref(page);
		page = now;
		json_array_foreach(json_object_get(page, "pauses"), i, pause)
		{
			make_absolute(pause, field_int(page, "now_us", 0));
			json_array_append(all, pause);
		}
		after = json_object_get(page, "next");
	} while (json_is_integer(after) && i > 0);
	call_close(call);
	if (status == CTL_OK) {
		json_object_set(page, "pauses", all);
		*ret = json_incref(page);
	}
	json_decref(page);
	json_decref(all);
	return status;
}

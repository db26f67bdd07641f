/* SPDX-License-Identifier: MIT */
#include "client/ctl/show.h"

#include <stdlib.h>

#include "client/ctl/call.h"
#include "client/ctl/field.h"

/* status: of the call; the reply, if it has come, is stolen. */
static int finish(const struct ctl *ctl, int status, json_t *reply, show_fn put)
{
	if (status != CTL_OK)
		return status;
	if (!ctl_print_json(ctl, reply) && put != NULL)
		put(&ctl->screen, reply);
	json_decref(reply);
	return CTL_OK;
}

/* Of what was typed only UTF-8 can be sent. */
static int add_text(json_t *parameters, const char *key, const char *text,
		    const char *where)
{
	if (json_object_set_new(parameters, key, json_string(text)) == 0)
		return CTL_OK;
	json_decref(parameters);
	return ctl_complain(CTL_USAGE, "%s: %s is not UTF-8", where, text);
}

int show_answer(const struct ctl *ctl, const char *method, show_fn put)
{
	json_t *reply = NULL;
	int status = call_once(ctl, method, NULL, &reply);

	return finish(ctl, status, reply, put);
}

int show_of(const struct ctl *ctl, const char *method, const char *key, show_fn put)
{
	json_t *parameters = json_object(), *reply = NULL;
	int status = add_text(parameters, key, ctl->args[0], ctl->verb->name);

	if (status == CTL_OK)
		status = call_once(ctl, method, parameters, &reply);
	return finish(ctl, status, reply, put);
}

int show_pages(const struct ctl *ctl, const char *method, const char *key, show_fn put)
{
	json_t *reply = NULL;
	int status = call_once_list(ctl, method, json_object(), key, &reply);

	return finish(ctl, status, reply, put);
}

static void put_table(const struct ctl *ctl, const struct listing *listing,
		      const json_t *list)
{
	struct table *table = table_new(listing->columns, listing->n_columns);
	const json_t **sorted;
	size_t n;

	sorted = field_sorted(list, listing->hurts, &n);
	for (size_t i = 0; i < n; i++)
		listing->put_row(table, sorted[i]);
	if (n > 0)
		table_print(table, &ctl->screen, stdout);
	else if (ctl->service != NULL)
		screen_line(&ctl->screen, TONE_PLAIN, "no %s in service %s", listing->key,
			    ctl->service);
	else
		puts(listing->nothing);
	if (listing->put_more != NULL)
		listing->put_more(&ctl->screen, sorted, n);
	table_free(table);
	free(sorted);
}

int show_list(const struct ctl *ctl, const struct listing *listing)
{
	json_t *parameters = json_object(), *reply;
	int status = CTL_OK;

	if (ctl->service != NULL)
		status = add_text(parameters, "service", ctl->service, "--service");
	if (status == CTL_OK)
		status = call_once_list(ctl, listing->method, parameters, listing->key,
					&reply);
	if (status != CTL_OK)
		return status;
	if (!ctl_print_json(ctl, reply))
		put_table(ctl, listing, json_object_get(reply, listing->key));
	json_decref(reply);
	return CTL_OK;
}

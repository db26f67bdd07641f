/* SPDX-License-Identifier: MIT */
#include "client/ctl/show.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl/call.h"
#include "client/ctl/field.h"

#define ROWS_BESIDES 3 /* titles, what is left out, the shell's next line */

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

/* Only what was asked for stays in the list. */
static void filter(const struct ctl *ctl, const struct listing *listing, json_t *list)
{
	const char *state = ctl->value[OPTION_STATE];
	size_t i = 0;

	while (i < json_array_size(list)) {
		const json_t *row = json_array_get(list, i);

		if ((state != NULL && strcmp(field_text(row, "state"), state) != 0) ||
		    (listing->named != NULL && ctl->service != NULL &&
		     strcmp(field_text(row, listing->named), ctl->service) != 0))
			json_array_remove(list, i);
		else
			i++;
	}
}

static void put_nothing(const struct ctl *ctl, const struct listing *listing)
{
	const char *state = ctl->value[OPTION_STATE];

	if (ctl->service == NULL && state == NULL)
		puts(listing->nothing);
	else
		screen_line(&ctl->screen, TONE_PLAIN, "no %s%s%s%s%s", listing->key,
			    ctl->service == NULL     ? ""
			    : listing->named != NULL ? " called "
						     : " in service ",
			    ctl->service != NULL ? ctl->service : "",
			    state != NULL ? " in state " : "",
			    state != NULL ? state : "");
}

/* Those that hurt least are left out: of what does not fit on the terminal, or by --lines. */
static size_t shown_of(const struct ctl *ctl, size_t n, long lines)
{
	size_t room = ctl->screen.rows;

	if (lines >= 0)
		return lines == 0 || (size_t)lines > n ? n : (size_t)lines;
	if (room < ROWS_BESIDES + 1 ||
	    n <= room - 2) /* titles, and the shell's next line */
		return n;
	return room - ROWS_BESIDES;
}

static void put_table(const struct ctl *ctl, const struct listing *listing,
		      const json_t *list, long lines)
{
	struct table *table = table_new(listing->columns, listing->n_columns);
	const json_t **sorted;
	size_t n, shown;

	sorted = field_sorted(list, listing->hurts, &n);
	shown = shown_of(ctl, n, lines);
	for (size_t i = 0; i < shown; i++)
		listing->put_row(table, sorted[i]);
	if (n > 0)
		table_print(table, &ctl->screen, stdout);
	else
		put_nothing(ctl, listing);
	if (shown < n)
		screen_line(&ctl->screen, TONE_DIM,
			    "%zu more; --lines=0 shows all of them", n - shown);
	if (listing->put_more != NULL)
		listing->put_more(&ctl->screen, sorted, shown);
	table_free(table);
	free(sorted);
}

int show_list(const struct ctl *ctl, const struct listing *listing)
{
	json_t *parameters = json_object(), *reply;
	long lines = -1;
	int status = ctl_number(ctl, OPTION_LINES, 0, INT_MAX, &lines);

	if (status != CTL_OK) {
		json_decref(parameters);
		return status;
	}
	if (ctl->service != NULL && listing->named == NULL)
		status = add_text(parameters, "service", ctl->service, "--service");
	if (status == CTL_OK)
		status = call_once_list(ctl, listing->method, parameters, listing->key,
					&reply);
	if (status != CTL_OK)
		return status;
	filter(ctl, listing, json_object_get(reply, listing->key));
	if (!ctl_print_json(ctl, reply))
		put_table(ctl, listing, json_object_get(reply, listing->key), lines);
	json_decref(reply);
	return CTL_OK;
}

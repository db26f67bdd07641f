/* SPDX-License-Identifier: MIT */
/*
 * rtgcctl trace --format=html: the pause timeline as one file that needs nothing else. What is past
 * comes from the daemon, or from event logs: one, or two to compare.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl/call.h"
#include "client/ctl/trace.h"
#include "client/ctl/trace_page.h" /* made of daemon/web/ */

#define LOG_VERSION 2 /* of rtgcd-events(5), the newest that is known */

/* ---- Event logs ------------------------------------------------------------------------ */

/* What a timeline is drawn from. */
static bool is_shown(const json_t *line)
{
	static const char *const shown[] = {"join",   "leave",	"report",   "begin",
					    "end",    "config", "announce", "open",
					    "revoke", "close"};
	const char *type = json_string_value(json_object_get(line, "event"));

	if (type == NULL)
		type = json_string_value(json_object_get(line, "action"));
	for (size_t i = 0; type != NULL && i < sizeof(shown) / sizeof(*shown); i++)
		if (strcmp(type, shown[i]) == 0)
			return true;
	return false;
}

static bool is_header(const json_t *line)
{
	const char *format = json_string_value(json_object_get(line, "format"));
	json_int_t version = json_integer_value(json_object_get(line, "version"));

	return format != NULL && strcmp(format, "rtgcd-events") == 0 && version >= 1 &&
	       version <= LOG_VERSION;
}

/* *header: NULL until it was read. */
static int take_line(const char *path, unsigned long number, const char *text,
		     json_t **header, json_t *events)
{
	json_t *line = json_loads(text, 0, NULL);
	int status = CTL_OK;

	if (!json_is_object(line) || (*header == NULL && !is_header(line)))
		status = ctl_complain(CTL_FAILED, "%s:%lu: %s", path, number,
				      *header == NULL ? "not an event log that is known"
						      : "not an event");
	else if (*header == NULL)
		*header = json_incref(line);
	else if (is_shown(line))
		json_array_append(events, line);
	json_decref(line);
	return status;
}

static int take_lines(const char *path, FILE *file, json_t **header, json_t *events)
{
	unsigned long number = 0;
	int status = CTL_OK;
	char *text = NULL;
	size_t room = 0;

	while (status == CTL_OK && getline(&text, &room, file) >= 0)
		status = take_line(path, ++number, text, header, events);
	free(text);
	if (status == CTL_OK && ferror(file))
		status = ctl_complain(CTL_FAILED, "%s: %s", path, strerror(errno));
	if (status == CTL_OK && *header == NULL)
		status = ctl_complain(CTL_FAILED, "%s: it is empty", path);
	return status;
}

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL && slash[1] != '\0' ? slash + 1 : path;
}

static int add_log(json_t *runs, const char *path)
{
	json_t *header = NULL, *events = json_array();
	FILE *file = fopen(path, "re");
	int status;

	if (file == NULL) {
		json_decref(events);
		return ctl_complain(CTL_FAILED, "%s: %s", path, strerror(errno));
	}
	status = take_lines(path, file, &header, events);
	fclose(file);
	if (status == CTL_OK &&
	    json_array_append_new(
		    runs, json_pack("{s:s, s:O, s:O}", "name", name_of(path), "header",
				    header, "events", events)) < 0)
		status = ctl_complain(CTL_FAILED, "%s: its name is not UTF-8", path);
	json_decref(header);
	json_decref(events);
	return status;
}

/* ---- The daemon ------------------------------------------------------------------------- */

static int add_daemon(const struct ctl *ctl, json_t *runs, long seconds)
{
	json_t *pages = NULL, *services = NULL;
	int status = trace_pages(ctl, seconds, &pages);

	if (status == CTL_OK)
		status = call_once_list(ctl, "ListServices", json_object(), "services",
					&services);
	if (status == CTL_OK)
		json_array_append_new(
			runs,
			json_pack("{s:s, s:O, s:O}", "name", "rtgcd", "pages", pages,
				  "services", json_object_get(services, "services")));
	json_decref(services);
	json_decref(pages);
	return status;
}

/* ---- The file --------------------------------------------------------------------------- */

/* No markup comes of it: JSON has < within strings only. */
static int write_json(const char *text, size_t size, void *userdata)
{
	for (size_t i = 0; i < size; i++) {
		if (text[i] == '<')
			fputs("\\u003c", stdout);
		else
			putchar((unsigned char)text[i]);
	}
	return 0;
}

static int write_file(json_t *runs)
{
	json_t *record = json_pack("{s:O}", "runs", runs);
	int r;

	fwrite(trace_before, 1, sizeof(trace_before), stdout);
	r = json_dump_callback(record, write_json, NULL, JSON_COMPACT);
	fwrite(trace_after, 1, sizeof(trace_after), stdout);
	json_decref(record);
	if (r != 0 || fflush(stdout) != 0 || ferror(stdout))
		return ctl_complain(CTL_FAILED, "cannot write the output");
	return CTL_OK;
}

int trace_html(const struct ctl *ctl, long seconds)
{
	json_t *runs = json_array();
	int status = CTL_OK;

	if (ctl->args[0] == NULL)
		status = add_daemon(ctl, runs, seconds);
	for (char **path = ctl->args; status == CTL_OK && *path != NULL; path++)
		status = add_log(runs, *path);
	if (status == CTL_OK)
		status = write_file(runs);
	json_decref(runs);
	return status;
}

/* SPDX-License-Identifier: MIT */
/* Lines of the event log: one table a kind of line serves writing and reading. */
#include "daemon/eventlog.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/eventlog_lines.h"

#define AT_MOST (UINT64_MAX / 4) /* an instant of a line: far from any overflow */
/* ---- Writing -------------------------------------------------------------------------- */

static const struct eventlog_line *line_of(const struct eventlog_line *lines, int type)
{
	while (lines->name && lines->type != type)
		lines++;
	return lines->name ? lines : NULL;
}

static json_t *write_service(const struct core_service_config *service)
{
	json_t *object = json_object();

	eventlog_fields_write(eventlog_service, service, &object);
	return object;
}

static void write_config(const struct core_config *config, json_t **object)
{
	json_t *services = json_array();

	eventlog_fields_write(eventlog_config, config, object);
	eventlog_put(object, "defaults", write_service(&config->defaults));
	for (size_t i = 0; i < config->n_services; i++)
		eventlog_append(&services, write_service(&config->services[i]));
	eventlog_put(object, "services", services);
}

json_t *eventlog_write_header(const struct eventlog_header *header)
{
	json_t *object = json_pack("{s:s, s:i}", "format", EVENTLOG_FORMAT, "version",
				   EVENTLOG_VERSION);

	eventlog_fields_write(eventlog_header_fields, header, &object);
	eventlog_put(&object, "clock", json_string("monotonic"));
	eventlog_put(&object, "at_ns", json_integer((json_int_t)header->at));
	write_config(&header->config, &object);
	return object;
}

bool eventlog_tells(enum action_type type)
{
	return line_of(eventlog_actions, type) != NULL;
}

static void write_line(const struct eventlog_line *line, const char *what, uint64_t heap,
		       const void *base, json_t **object)
{
	eventlog_put(object, what, json_string(line->name));
	eventlog_put(object, "heap", json_integer((json_int_t)heap));
	eventlog_fields_write(line->fields, base, object);
}

json_t *eventlog_write(const struct eventlog_entry *entry)
{
	json_t *object = json_pack("{s:I}", "at_ns", (json_int_t)entry->at);

	switch (entry->type) {
	case EVENTLOG_EVENT:
		write_line(line_of(eventlog_events, entry->event.type), "event",
			   entry->event.heap, &entry->event, &object);
		break;
	case EVENTLOG_ACTION:
		write_line(line_of(eventlog_actions, entry->action.action.type), "action",
			   entry->action.action.heap, &entry->action, &object);
		break;
	case EVENTLOG_CONFIG:
		eventlog_put(&object, "event", json_string("config"));
		write_config(&entry->config, &object);
		break;
	}
	if (entry->snapshot)
		eventlog_put(&object, "snapshot", json_true());
	return object;
}

/* ---- Reading -------------------------------------------------------------------------- */

static int bad(struct eventlog_reader *reader, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int bad(struct eventlog_reader *reader, const char *format, ...)
{
	int n = snprintf(reader->error, sizeof(reader->error),
			 "line %lu: ", reader->line);
	va_list ap;

	va_start(ap, format);
	vsnprintf(reader->error + n, sizeof(reader->error) - (size_t)n, format, ap);
	va_end(ap);
	return -EINVAL;
}

static int read_fields(struct eventlog_reader *reader,
		       const struct eventlog_field *fields, const json_t *object,
		       void *base)
{
	const char *wanted;
	const struct eventlog_field *f =
		eventlog_fields_read(fields, object, base, &wanted);

	if (!f)
		return 0;
	if (!json_object_get(object, f->key))
		return bad(reader, "\"%s\" is missing", f->key);
	return bad(reader, "\"%s\" is not %s", f->key, wanted);
}

static int read_services(struct eventlog_reader *reader, const json_t *list,
			 struct core_service_config **ret)
{
	size_t n = json_array_size(list);
	struct core_service_config *services = calloc(n + 1, sizeof(*services));
	int r = 0;

	if (!services)
		return -ENOMEM;
	for (size_t i = 0; i < n && r == 0; i++) {
		r = read_fields(reader, eventlog_service, json_array_get(list, i),
				&services[i]);
		if (r == 0 && !services[i].name[0])
			r = bad(reader, "\"services\": one has no name");
	}
	if (r < 0) {
		free(services);
		return r;
	}
	*ret = services;
	return 0;
}

static int read_config(struct eventlog_reader *reader, const json_t *object,
		       struct core_config *ret)
{
	const json_t *defaults = json_object_get(object, "defaults");
	const json_t *list = json_object_get(object, "services");
	struct core_service_config *services = NULL;
	int r = read_fields(reader, eventlog_config, object, ret);

	if (r == 0 && !json_is_object(defaults))
		r = bad(reader, "\"defaults\" is not an object");
	if (r == 0 && !json_is_array(list))
		r = bad(reader, "\"services\" is not an array");
	if (r == 0)
		r = read_fields(reader, eventlog_service, defaults, &ret->defaults);
	if (r == 0)
		r = read_services(reader, list, &services);
	if (r < 0)
		return r;
	ret->services = services;
	ret->n_services = json_array_size(list);
	return 0;
}

static int read_at(struct eventlog_reader *reader, const json_t *object)
{
	const json_t *at = json_object_get(object, "at_ns");
	json_int_t value = json_integer_value(at);

	if (!at)
		return bad(reader, "\"at_ns\" is missing");
	if (!json_is_integer(at) || value < 0 || (uint64_t)value > AT_MOST)
		return bad(reader, "\"at_ns\" is not an instant");
	if ((nsec_t)value < reader->at)
		return bad(reader, "\"at_ns\" is before that of an earlier line");
	reader->at = (nsec_t)value;
	return 0;
}

static int parse(struct eventlog_reader *reader, const char *line, size_t size,
		 json_t **ret)
{
	json_error_t error;
	json_t *object = json_loadb(line, size, JSON_REJECT_DUPLICATES, &error);

	reader->line++;
	if (!object && json_error_code(&error) == json_error_out_of_memory)
		return -ENOMEM;
	if (!object)
		return bad(reader, "not JSON (column %d)", error.column);
	if (!json_is_object(object)) {
		json_decref(object);
		return bad(reader, "not an object");
	}
	*ret = object;
	return 0;
}

static int check_format(struct eventlog_reader *reader, const json_t *object)
{
	const char *format = json_string_value(json_object_get(object, "format"));
	const char *clock = json_string_value(json_object_get(object, "clock"));
	const json_t *version = json_object_get(object, "version");

	if (!format || strcmp(format, EVENTLOG_FORMAT) != 0)
		return bad(reader, "\"format\" is not \"" EVENTLOG_FORMAT "\"");
	if (!json_is_integer(version) || json_integer_value(version) < 1)
		return bad(reader, "\"version\" is not a number from 1");
	if (json_integer_value(version) > EVENTLOG_VERSION)
		return bad(reader,
			   "\"version\" is %lld, and this program reads up to %d: it "
			   "takes a newer one",
			   (long long)json_integer_value(version), EVENTLOG_VERSION);
	if (!clock || strcmp(clock, "monotonic") != 0)
		return bad(reader, "\"clock\" is not \"monotonic\"");
	return 0;
}

int eventlog_read_header(struct eventlog_reader *reader, const char *line, size_t size,
			 struct eventlog_header *ret)
{
	struct eventlog_header header = {0};
	json_t *object;
	int r = parse(reader, line, size, &object);

	if (r < 0)
		return r;
	r = check_format(reader, object);
	if (r == 0)
		r = read_at(reader, object);
	if (r == 0)
		r = read_fields(reader, eventlog_header_fields, object, &header);
	if (r == 0)
		r = read_config(reader, object, &header.config);
	json_decref(object);
	if (r < 0)
		return r;
	header.at = reader->at;
	*ret = header;
	return 0;
}

/* An event or action of that name, with its heap. */
static int read_line(struct eventlog_reader *reader, const struct eventlog_line *lines,
		     const char *what, const json_t *object, void *base,
		     const struct eventlog_line **ret, uint64_t *ret_heap)
{
	const char *name = json_string_value(json_object_get(object, what));
	const json_t *heap = json_object_get(object, "heap");

	while (lines->name && (!name || strcmp(lines->name, name) != 0))
		lines++;
	if (!lines->name)
		return bad(reader, "\"%s\" is none that is known", what);
	if (!json_is_integer(heap) || json_integer_value(heap) <= 0)
		return bad(reader, heap ? "\"heap\" is not a heap's number"
					: "\"heap\" is missing");
	*ret = lines;
	*ret_heap = (uint64_t)json_integer_value(heap);
	return read_fields(reader, lines->fields, object, base);
}

static int read_entry(struct eventlog_reader *reader, const json_t *object,
		      struct eventlog_entry *entry)
{
	const char *event = json_string_value(json_object_get(object, "event"));
	const struct eventlog_line *line = NULL;
	uint64_t heap;
	int r;

	if (json_object_get(object, "action")) {
		entry->type = EVENTLOG_ACTION;
		r = read_line(reader, eventlog_actions, "action", object, &entry->action,
			      &line, &heap);
		if (r == 0) {
			entry->action.action.type = (enum action_type)line->type;
			entry->action.action.heap = heap;
		}
		return r;
	}
	if (event && strcmp(event, "config") == 0) {
		entry->type = EVENTLOG_CONFIG;
		return read_config(reader, object, &entry->config);
	}
	entry->type = EVENTLOG_EVENT;
	r = read_line(reader, eventlog_events, "event", object, &entry->event, &line,
		      &heap);
	if (r == 0) {
		entry->event.type = (enum event_type)line->type;
		entry->event.heap = heap;
	}
	return r;
}

int eventlog_read(struct eventlog_reader *reader, const char *line, size_t size,
		  struct eventlog_entry *ret)
{
	struct eventlog_entry entry = {0};
	json_t *object;
	int r = parse(reader, line, size, &object);

	if (r < 0)
		return r;
	r = read_at(reader, object);
	if (r == 0)
		r = read_entry(reader, object, &entry);
	entry.at = reader->at;
	entry.snapshot = json_is_true(json_object_get(object, "snapshot"));
	json_decref(object);
	if (r == 0)
		*ret = entry;
	return r;
}

void eventlog_header_deinit(struct eventlog_header *header)
{
	free((struct core_service_config *)header->config.services);
	header->config.services = NULL;
}

void eventlog_entry_deinit(struct eventlog_entry *entry)
{
	if (entry->type == EVENTLOG_CONFIG)
		free((struct core_service_config *)entry->config.services);
}

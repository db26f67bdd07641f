/* SPDX-License-Identifier: MIT */
/* Members of a struct <-> keys of a JSON object, by a table. */
#ifndef RTGCD_EVENTLOG_FIELDS_H
#define RTGCD_EVENTLOG_FIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum eventlog_field_type {
	EVENTLOG_NOTHING,
	EVENTLOG_AMOUNT,  /* uint64_t; beyond JSON's own range a string of digits */
	EVENTLOG_INSTANT, /* nsec_t; null: NSEC_NEVER */
	EVENTLOG_U32,
	EVENTLOG_I32,
	EVENTLOG_U16,
	EVENTLOG_COUNT,	   /* unsigned, 1 … 65536 */
	EVENTLOG_PERMILLE, /* unsigned, up to 1000 */
	EVENTLOG_FLAG,	   /* uint8_t, 0 or 1 */
	EVENTLOG_BOOL,
	EVENTLOG_UNIT, /* these four: uint8_t, by name */
	EVENTLOG_KIND,
	EVENTLOG_CAUSE,
	EVENTLOG_DECLINE,
	EVENTLOG_KINDS,	 /* uint8_t, one bit a kind: a list of names */
	EVENTLOG_POLICY, /* these: an enum, by name */
	EVENTLOG_DRAIN,
	EVENTLOG_REASON,   /* keys of a later version: REASON_NONE */
	EVENTLOG_NAME,	   /* char[WIRE_NAME_MAX] */
	EVENTLOG_OPTIONAL, /* may be empty */
	EVENTLOG_RUNTIME,  /* char[WIRE_RUNTIME_MAX], may be empty */
	EVENTLOG_RIVALS,   /* char[CORE_RIVALS_MAX][WIRE_NAME_MAX]: a list of names */
};

struct eventlog_field {
	const char *key; /* NULL ends a table */
	enum eventlog_field_type type;
	size_t offset;
	bool later; /* logs of earlier versions do not have it: 0 */
};

#define EVENTLOG_FIELD(type, key, object, member)                     \
	{                                                             \
		key, EVENTLOG_##type, offsetof(object, member), false \
	}

#define EVENTLOG_LATER_FIELD(type, key, object, member)              \
	{                                                            \
		key, EVENTLOG_##type, offsetof(object, member), true \
	}

/* The value is stolen. The whole becomes NULL when the value is, as it is when memory has run out. */
void eventlog_put(json_t **object, const char *key, json_t *value);
void eventlog_append(json_t **list, json_t *value);
void eventlog_fields_write(const struct eventlog_field *fields, const void *base,
			   json_t **object);
/*
 * Returns the first field that is missing or wrong, and what it should be; NULL: all are
 * there. base may be filled in part.
 */
const struct eventlog_field *eventlog_fields_read(const struct eventlog_field *fields,
						  const json_t *object, void *base,
						  const char **ret_wanted);

#endif

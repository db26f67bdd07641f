/* SPDX-License-Identifier: MIT */
#include "daemon/eventlog_fields.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "client/wire/names.h"
#include "daemon/core/supervisor.h"

#define COUNT_MOST 65536

static const char *const declines[] = {
	[WIRE_DECLINE_LATE] = "late",
	[WIRE_DECLINE_UNFIT] = "unfit",
	[WIRE_DECLINE_APP] = "app",
};
static const char *const drains[] = {
	[DRAIN_NONE] = "none",
	[DRAIN_CLIENT] = "client",
	[DRAIN_EXTERNAL] = "external",
};

static const char *decline_name(unsigned value)
{
	return value < WIRE_DECLINES ? declines[value] : NULL;
}

static const char *drain_name(unsigned value)
{
	return value < sizeof(drains) / sizeof(*drains) ? drains[value] : NULL;
}

static const char *policy_name(unsigned value)
{
	return value <= POLICY_OBSERVE ? core_policy_name((enum core_policy)value) : NULL;
}

static const char *reason_name(unsigned value)
{
	return value < REASON_COUNT ? reason_key((enum reason)value) : NULL;
}

/* What a type's values are called; NULL: it has no names. */
static const char *(*names_of(enum eventlog_field_type type))(unsigned)
{
	switch (type) {
	case EVENTLOG_UNIT:
		return unit_name;
	case EVENTLOG_KIND:
	case EVENTLOG_KINDS:
		return kind_name;
	case EVENTLOG_CAUSE:
		return cause_name;
	case EVENTLOG_DECLINE:
		return decline_name;
	case EVENTLOG_POLICY:
		return policy_name;
	case EVENTLOG_DRAIN:
		return drain_name;
	case EVENTLOG_REASON:
		return reason_name;
	default:
		return NULL;
	}
}

/* ---- Writing -------------------------------------------------------------------------- */

void eventlog_put(json_t **object, const char *key, json_t *value)
{
	if (json_object_set_new(*object, key, value) == 0)
		return;
	json_decref(*object);
	*object = NULL;
}

void eventlog_append(json_t **list, json_t *value)
{
	if (json_array_append_new(*list, value) == 0)
		return;
	json_decref(*list);
	*list = NULL;
}

static json_t *amount(uint64_t value)
{
	char digits[24], *d = digits + sizeof(digits);

	if (value <= INT64_MAX)
		return json_integer((json_int_t)value);
	*--d = '\0';
	for (; value > 0; value /= 10)
		*--d = (char)('0' + value % 10);
	return json_string(d);
}

static json_t *kinds(unsigned mask)
{
	json_t *list = json_array();

	for (unsigned kind = 0; kind < WIRE_KINDS; kind++)
		if (mask & 1u << kind)
			eventlog_append(&list, json_string(kind_name(kind)));
	return list;
}

static json_t *rivals(const char (*names)[WIRE_NAME_MAX])
{
	json_t *list = json_array();

	for (size_t i = 0; i < CORE_RIVALS_MAX && names[i][0]; i++)
		eventlog_append(&list, json_string(names[i]));
	return list;
}

static json_t *show(enum eventlog_field_type type, const void *at)
{
	switch (type) {
	case EVENTLOG_AMOUNT:
		return amount(*(const uint64_t *)at);
	case EVENTLOG_INSTANT:
		return *(const nsec_t *)at == NSEC_NEVER ? json_null()
							 : amount(*(const nsec_t *)at);
	case EVENTLOG_U32:
		return json_integer(*(const uint32_t *)at);
	case EVENTLOG_I32:
		return json_integer(*(const int32_t *)at);
	case EVENTLOG_U16:
		return json_integer(*(const uint16_t *)at);
	case EVENTLOG_COUNT:
	case EVENTLOG_PERMILLE:
		return json_integer(*(const unsigned *)at);
	case EVENTLOG_FLAG:
		return json_boolean(*(const uint8_t *)at);
	case EVENTLOG_BOOL:
		return json_boolean(*(const bool *)at);
	case EVENTLOG_UNIT:
	case EVENTLOG_KIND:
	case EVENTLOG_CAUSE:
	case EVENTLOG_DECLINE:
		return json_string(names_of(type)(*(const uint8_t *)at));
	case EVENTLOG_KINDS:
		return kinds(*(const uint8_t *)at);
	case EVENTLOG_POLICY:
	case EVENTLOG_DRAIN:
	case EVENTLOG_REASON:
		return json_string(names_of(type)(*(const unsigned *)at));
	case EVENTLOG_NAME:
	case EVENTLOG_OPTIONAL:
	case EVENTLOG_RUNTIME:
		return json_string(at);
	case EVENTLOG_RIVALS:
		return rivals(at);
	case EVENTLOG_NOTHING:
		break;
	}
	return NULL;
}

void eventlog_fields_write(const struct eventlog_field *fields, const void *base,
			   json_t **object)
{
	for (; fields->key; fields++)
		eventlog_put(object, fields->key,
			     show(fields->type, (const char *)base + fields->offset));
}

/* ---- Reading -------------------------------------------------------------------------- */

static bool read_digits(const char *text, uint64_t *ret)
{
	uint64_t value = 0;

	if (!*text)
		return false;
	for (; *text; text++)
		if (*text < '0' || *text > '9' ||
		    __builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
			return false;
	*ret = value;
	return true;
}

static bool read_number(const json_t *value, int64_t least, uint64_t most, uint64_t *ret)
{
	json_int_t number = json_integer_value(value);
	uint64_t digits;

	if (json_is_string(value)) {
		if (!read_digits(json_string_value(value), &digits) || digits > most)
			return false;
		*ret = digits;
		return true;
	}
	if (!json_is_integer(value) || number < least ||
	    (number > 0 && (uint64_t)number > most))
		return false;
	*ret = (uint64_t)number;
	return true;
}

static bool read_name(enum eventlog_field_type type, const json_t *value, unsigned *ret)
{
	const char *(*name_of)(unsigned) = names_of(type);
	const char *text = json_string_value(value);

	for (unsigned i = 0; text && name_of(i); i++) {
		if (strcmp(name_of(i), text) == 0) {
			*ret = i;
			return true;
		}
	}
	return false;
}

static bool read_kinds(const json_t *list, uint8_t *ret)
{
	unsigned mask = 0, kind;

	if (!json_is_array(list))
		return false;
	for (size_t i = 0; i < json_array_size(list); i++) {
		if (!read_name(EVENTLOG_KIND, json_array_get(list, i), &kind))
			return false;
		mask |= 1u << kind;
	}
	*ret = (uint8_t)mask;
	return true;
}

static bool read_text(const json_t *value, size_t size, bool optional, char *ret)
{
	const char *text = json_string_value(value);

	return text && name_valid(text, size, optional) && name_copy(ret, size, text);
}

static bool read_rivals(const json_t *list, char (*ret)[WIRE_NAME_MAX])
{
	if (!json_is_array(list) || json_array_size(list) > CORE_RIVALS_MAX)
		return false;
	for (size_t i = 0; i < json_array_size(list); i++)
		if (!read_text(json_array_get(list, i), WIRE_NAME_MAX, false, ret[i]))
			return false;
	return true;
}

static const char *take_number(enum eventlog_field_type type, const json_t *value,
			       void *at)
{
	static const struct {
		int64_t least;
		uint64_t most;
		const char *wanted;
	} ranges[] = {
		[EVENTLOG_AMOUNT] = {0, UINT64_MAX, "an amount"},
		[EVENTLOG_INSTANT] = {0, UINT64_MAX, "an instant, or null"},
		[EVENTLOG_U32] = {0, UINT32_MAX, "a number of 32 bits"},
		[EVENTLOG_I32] = {INT32_MIN, INT32_MAX, "a number of 32 bits"},
		[EVENTLOG_U16] = {0, UINT16_MAX, "a number of 16 bits"},
		[EVENTLOG_COUNT] = {1, COUNT_MOST, "a number from 1 to 65536"},
		[EVENTLOG_PERMILLE] = {0, 1000, "a number from 0 to 1000"},
	};
	uint64_t number = NSEC_NEVER;

	if (!(type == EVENTLOG_INSTANT && json_is_null(value)) &&
	    !read_number(value, ranges[type].least, ranges[type].most, &number))
		return ranges[type].wanted;
	if (type == EVENTLOG_AMOUNT || type == EVENTLOG_INSTANT)
		*(uint64_t *)at = number;
	else if (type == EVENTLOG_U16)
		*(uint16_t *)at = (uint16_t)number;
	else
		*(uint32_t *)at = (uint32_t)number;
	return NULL;
}

static const char *take_name(enum eventlog_field_type type, const json_t *value, void *at)
{
	bool wide = type == EVENTLOG_POLICY || type == EVENTLOG_DRAIN ||
		    type == EVENTLOG_REASON;
	unsigned number = 0;

	if (!read_name(type, value, &number) &&
	    !(type == EVENTLOG_REASON && json_is_string(value)))
		return "one of its names";
	if (wide)
		*(unsigned *)at = number;
	else
		*(uint8_t *)at = (uint8_t)number;
	return NULL;
}

/* NULL, or what it should be. */
static const char *take(enum eventlog_field_type type, const json_t *value, void *at)
{
	switch (type) {
	case EVENTLOG_AMOUNT:
	case EVENTLOG_INSTANT:
	case EVENTLOG_U32:
	case EVENTLOG_I32:
	case EVENTLOG_U16:
	case EVENTLOG_COUNT:
	case EVENTLOG_PERMILLE:
		return take_number(type, value, at);
	case EVENTLOG_FLAG:
		*(uint8_t *)at = json_is_true(value);
		return json_is_boolean(value) ? NULL : "true or false";
	case EVENTLOG_BOOL:
		*(bool *)at = json_is_true(value);
		return json_is_boolean(value) ? NULL : "true or false";
	case EVENTLOG_UNIT:
	case EVENTLOG_KIND:
	case EVENTLOG_CAUSE:
	case EVENTLOG_DECLINE:
	case EVENTLOG_POLICY:
	case EVENTLOG_DRAIN:
	case EVENTLOG_REASON:
		return take_name(type, value, at);
	case EVENTLOG_KINDS:
		return read_kinds(value, at) ? NULL : "a list of kinds";
	case EVENTLOG_NAME:
	case EVENTLOG_OPTIONAL:
		return read_text(value, WIRE_NAME_MAX, type == EVENTLOG_OPTIONAL, at)
			       ? NULL
			       : "a name";
	case EVENTLOG_RUNTIME:
		return read_text(value, WIRE_RUNTIME_MAX, true, at) ? NULL : "a name";
	case EVENTLOG_RIVALS:
		return read_rivals(value, at) ? NULL : "a list of a few names";
	case EVENTLOG_NOTHING:
		break;
	}
	return NULL;
}

const struct eventlog_field *eventlog_fields_read(const struct eventlog_field *fields,
						  const json_t *object, void *base,
						  const char **ret_wanted)
{
	for (; fields->key; fields++) {
		const json_t *value = json_object_get(object, fields->key);
		const char *wanted = "there";

		if (!value && fields->later)
			continue;
		if (value)
			wanted = take(fields->type, value, (char *)base + fields->offset);
		if (wanted) {
			*ret_wanted = wanted;
			return fields;
		}
	}
	return NULL;
}

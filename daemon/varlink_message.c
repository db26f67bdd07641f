/* SPDX-License-Identifier: MIT */
#include "daemon/varlink_message.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MOST 16

/* jansson goes on when it lacks memory for a letter that it reads, or for a key that it writes. */
static bool out_of_memory;

static void *allocate(size_t size)
{
	void *block = malloc(size);

	if (!block)
		out_of_memory = true;
	return block;
}

void varlink_message_init(void)
{
	json_set_alloc_funcs(allocate, free);
}

static bool is_flag(const json_t *value)
{
	return !value || json_is_boolean(value) || json_is_null(value);
}

/* Nothing but what a call may have, each of its type. */
static bool is_call(json_t *call)
{
	json_t *parameters = json_object_get(call, "parameters"), *value;
	const char *key;

	if (!json_is_object(call) || !json_is_string(json_object_get(call, "method")) ||
	    !is_flag(json_object_get(call, "oneway")) ||
	    !is_flag(json_object_get(call, "more")))
		return false;
	if (parameters && !json_is_object(parameters) && !json_is_null(parameters))
		return false;
	json_object_foreach(call, key, value)
	{
		if (strcmp(key, "method") != 0 && strcmp(key, "parameters") != 0 &&
		    strcmp(key, "oneway") != 0 && strcmp(key, "more") != 0)
			return false;
	}
	return true;
}

/* The parser itself has no limit that protects us: brackets outside of strings. */
static bool too_deep(const char *text, size_t size)
{
	unsigned depth = 0;
	bool string = false;

	for (size_t i = 0; i < size; i++) {
		char c = text[i];

		if (string && c == '\\')
			i++;
		else if (c == '"')
			string = !string;
		else if (!string && (c == '{' || c == '[') && ++depth > DEPTH_MOST)
			return true;
		else if (!string && (c == '}' || c == ']') && depth > 0)
			depth--;
	}
	return false;
}

json_t *varlink_message_parse(const char *text, size_t size)
{
	json_t *call;

	if (too_deep(text, size))
		return NULL;
	out_of_memory = false;
	call = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
	if (!call || (is_call(call) && !out_of_memory))
		return call;
	json_decref(call);
	return NULL;
}

char *varlink_message_text(json_t *message)
{
	char *text;

	out_of_memory = false;
	text = message ? json_dumps(message, JSON_COMPACT) : NULL;
	json_decref(message);
	if (!out_of_memory)
		return text;
	free(text);
	return NULL;
}

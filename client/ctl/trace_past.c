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

int trace_pages(const struct ctl *ctl, long seconds, json_t **ret)
{
	json_t *parameters = json_pack("{s:s*}", "service", ctl->service);
	struct call *call;
	int status = call_open(ctl, &call);

	if (status != CTL_OK) {
		json_decref(parameters);
		return status;
	}
	if (seconds > 0)
		json_object_set_new(parameters, "seconds", json_integer(seconds));
	status = call_pages(call, "ListPauses", parameters, "pauses", ret);
	call_close(call);
	return status;
}

int trace_past(const struct ctl *ctl, long seconds, json_t **ret)
{
	json_t *pages, *page, *pause, *last, *all;
	int status = trace_pages(ctl, seconds, &pages);
	size_t i, j;

	if (status != CTL_OK)
		return status;
	all = json_array();
	json_array_foreach(pages, i, page)
	{
		json_array_foreach(json_object_get(page, "pauses"), j, pause)
		{
			make_absolute(pause, field_int(page, "now_us", 0));
			json_array_append(all, pause);
		}
	}
	last = json_array_get(pages, json_array_size(pages) - 1);
	json_object_set_new(last, "pauses", all);
	*ret = json_incref(last);
	json_decref(pages);
	return CTL_OK;
}

/* SPDX-License-Identifier: MIT */
#include "daemon/control_pauses.h"

#include <string.h>

#include "client/wire/names.h"

#include "daemon/control_show.h"
#include "daemon/history.h"
#include "daemon/hot.h"
#include "daemon/parameters.h"

#define PAGE_MOST    100
#define SECONDS_MOST (INT64_C(366) * 24 * 3600)

struct asked {
	int64_t after, limit, seconds, changed_after; /* seconds 0: all */
	const char *service;			      /* NULL: all */
};

static bool get_asked(struct varlink_call *call, json_t *parameters, struct asked *ret)
{
	static const char *const keys[] = {"service", "seconds", "changed_after",
					   "after",   "limit",	 NULL};

	*ret = (struct asked){.limit = PAGE_MOST};
	if (!parameters_known(call, parameters, keys) ||
	    !parameters_int(call, parameters, "seconds", 1, SECONDS_MOST,
			    &ret->seconds) ||
	    !parameters_int(call, parameters, "changed_after", 0, INT64_MAX,
			    &ret->changed_after) ||
	    !parameters_int(call, parameters, "after", 0, INT64_MAX, &ret->after) ||
	    !parameters_int(call, parameters, "limit", 1, INT64_MAX, &ret->limit) ||
	    !parameters_string(call, parameters, "service", &ret->service))
		return false;
	if (ret->limit > PAGE_MOST)
		ret->limit = PAGE_MOST;
	return true;
}

static bool is_running(const struct history_record *r)
{
	return r->begin != NSEC_NEVER && r->end == NSEC_NEVER;
}

static const char *state(const struct history_record *r)
{
	if (is_running(r))
		return "running";
	if (r->end != NSEC_NEVER)
		return "ended";
	if (r->over != NSEC_NEVER)
		return "unused";
	return r->opened ? "open" : "announced";
}

static const char *cause(const struct history_record *r)
{
	static const char *const names[] = {
		[WIRE_IN_WINDOW] = "window",
		[WIRE_FORCED] = "forced",
		[WIRE_UNCOORDINATED] = "uncoordinated",
	};

	return names[r->cause];
}

static bool overran(const struct history_record *r)
{
	if (r->kind == WIRE_SNAPSHOT || r->closes == NSEC_NEVER || r->begin == NSEC_NEVER)
		return false;
	return r->outcome == REASON_OVERRUN ||
	       (r->end != NSEC_NEVER && r->end > r->closes);
}

static json_t *amount_if(bool known, uint64_t value)
{
	return known ? show_amount(value) : json_null();
}

static json_t *span_if(nsec_t span)
{
	return span == NSEC_NEVER ? json_null() : show_span(span);
}

static json_t *show_pause(const struct history_record *r, nsec_t now)
{
	bool ended = r->end != NSEC_NEVER && r->outcome != REASON_LEFT;
	bool granted = r->announced != NSEC_NEVER;

	return json_pack(
		"{s:o, s:o, s:o, s:s, s:s, s:i, s:o, s:s, s:s, s:s, s:s, s:o, s:s?, s:s?,"
		" s:b, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o,"
		" s:o, s:o, s:o}",
		"id", show_amount(r->id), "changed", show_amount(r->changed), "heap",
		show_amount(r->who.heap), "heap_name", r->who.name, "service",
		r->who.service, "pid", (int)r->who.pid, "uid",
		json_integer((json_int_t)r->who.uid), "unit", unit_name(r->who.unit),
		"kind", kind_name(r->kind), "cause", cause(r), "state", state(r),
		"window", amount_if(r->window != 0, r->window), "reason",
		granted ? reason_key((enum reason)r->reason) : NULL, "outcome",
		r->over == NSEC_NEVER ? NULL : reason_key((enum reason)r->outcome),
		"over_limit", r->over_limit, "overrun", overran(r), "wanted_us",
		show_instant(r->wanted, now), "announced_us",
		show_instant(r->announced, now), "opens_us", show_instant(r->opens, now),
		"closes_us", show_instant(r->closes, now), "begin_us",
		show_instant(r->begin, now), "end_us", show_instant(r->end, now),
		"over_us", show_instant(r->over, now), "predicted_pause_us",
		span_if(r->predicted), "stop_us", span_if(r->stop), "used_before",
		show_amount(r->who.used), "budget", show_amount(r->who.budget),
		"latest_start_us", show_instant(r->who.latest_start, now), "used",
		amount_if(ended, r->used), "live", amount_if(ended, r->live), "freed",
		amount_if(ended, r->freed));
}

static bool is_asked_for(const struct asked *asked, const struct history_record *r,
			 nsec_t now)
{
	nsec_t since = nsec_sub(now, (nsec_t)asked->seconds * NSEC_PER_SEC);

	if (asked->service && strcmp(asked->service, r->who.service) != 0)
		return false;
	if (r->changed <= (uint64_t)asked->changed_after)
		return false;
	return !asked->seconds || r->over == NSEC_NEVER || is_running(r) ||
	       r->over >= since;
}

/* What leads to the next page; NULL: memory has run out. */
static json_t *again(const struct asked *asked, uint64_t next)
{
	json_t *parameters =
		json_pack("{s:o, s:I, s:I, s:s*}", "after", show_amount(next), "limit",
			  (json_int_t)asked->limit, "changed_after",
			  (json_int_t)asked->changed_after, "service", asked->service);

	if (asked->seconds && json_object_set_new(parameters, "seconds",
						  json_integer(asked->seconds)) < 0) {
		json_decref(parameters);
		return NULL;
	}
	return parameters;
}

static void reply(struct varlink_call *call, const struct control *control,
		  const struct asked *asked, json_t *list, uint64_t next)
{
	const struct history *history = hot_history(control->hot);
	json_t *more = NULL;

	if (next && varlink_wants_more(call)) {
		more = again(asked, next);
		if (!more) {
			json_decref(list);
			varlink_reply(call, NULL);
			return;
		}
	}
	varlink_reply_page(
		call,
		json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "pauses", list, "next",
			  next && !more ? show_amount(next) : json_null(), "now_us",
			  show_span(loop_now(control->loop)), "epoch",
			  show_amount(control->epoch), "changes",
			  show_amount(history_changes(history)), "dropped",
			  show_amount(history_dropped(history))),
		more);
}

void control_list_pauses(struct varlink_call *call, json_t *parameters, void *userdata)
{
	const struct control *control = userdata;
	const struct history *history = hot_history(control->hot);
	nsec_t now = loop_now(control->loop);
	const struct history_record *r;
	uint64_t last, next = 0;
	struct asked asked;
	json_t *list;

	if (!get_asked(call, parameters, &asked))
		return;
	list = json_array();
	last = (uint64_t)asked.after;
	for (r = history_after(history, last); r; r = history_next(history, r)) {
		if (!varlink_sees(call, r->who.uid) || !is_asked_for(&asked, r, now))
			continue;
		if (json_array_size(list) == (size_t)asked.limit) {
			next = last;
			break;
		}
		show_append(&list, show_pause(r, now));
		last = r->id;
	}
	reply(call, control, &asked, list, next);
}

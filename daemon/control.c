/* SPDX-License-Identifier: MIT */
#include "daemon/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/wire/names.h"
#include "daemon/advice.h"
#include "daemon/ask.h"
#include "daemon/config_show.h"
#include "daemon/interface.h"
#include "daemon/parameters.h"
#include "daemon/trace.h"

#define INTERFACE "io.rtgcd.Supervisor"
#define PAGE_MOST 100

/* ---- numbers --------------------------------------------------------------------------------- */

static json_t *amount(uint64_t value)
{
	return json_integer((json_int_t)(value > INT64_MAX ? INT64_MAX : value));
}

static json_t *span(nsec_t value)
{
	return amount(value / NSEC_PER_USEC);
}

static json_t *instant(nsec_t at, nsec_t now)
{
	if (at == NSEC_NEVER)
		return json_null();
	if (at < now)
		return json_integer(-(json_int_t)((now - at) / NSEC_PER_USEC));
	return span(at - now);
}

/* ---- parameters ------------------------------------------------------------------------------ */

struct page {
	uint64_t after;
	int64_t limit;
	const char *service; /* NULL: all */
};

static bool get_page(struct varlink_call *call, json_t *parameters, bool with_service,
		     struct page *ret)
{
	static const char *const keys[] = {"after", "limit", "service", NULL};
	static const char *const few[] = {"after", "limit", NULL};
	json_t *service = json_object_get(parameters, "service");
	int64_t after = 0, limit = PAGE_MOST;

	if (!parameters_known(call, parameters, with_service ? keys : few) ||
	    !parameters_int(call, parameters, "after", 0, INT64_MAX, &after) ||
	    !parameters_int(call, parameters, "limit", 1, INT64_MAX, &limit))
		return false;
	if (service && !json_is_string(service) && !json_is_null(service)) {
		varlink_invalid(call, "service");
		return false;
	}
	ret->after = (uint64_t)after;
	ret->limit = limit < PAGE_MOST ? limit : PAGE_MOST;
	ret->service = json_string_value(service);
	return true;
}

static bool no_parameters(struct varlink_call *call, json_t *parameters)
{
	static const char *const none[] = {NULL};

	return parameters_known(call, parameters, none);
}

/* next: where the next page begins; 0: this is the last one. */
static void reply_list(struct varlink_call *call, const struct page *page,
		       const char *key, json_t *list, uint64_t next)
{
	json_t *again = NULL;

	if (next && varlink_wants_more(call))
		again = json_pack("{s:o, s:I, s:s*}", "after", amount(next), "limit",
				  (json_int_t)page->limit, "service", page->service);
	varlink_reply_page(call,
			   json_pack("{s:o, s:o}", key, list, "next",
				     next && !again ? amount(next) : json_null()),
			   again);
}

/* ---- status ----------------------------------------------------------------------------------- */

static void get_status(struct varlink_call *call, json_t *parameters, void *userdata)
{
	struct control *control = userdata;
	nsec_t now = loop_now(control->loop);
	char advice[ADVICE_MAX];
	struct core_status s;

	if (!no_parameters(call, parameters))
		return;
	supervisor_status(control->core, &s);
	advice_write(&s.admission, POLICY_STAGGER, s.max_concurrent, advice);
	varlink_reply(
		call,
		json_pack("{s:s, s:i, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o,"
			  " s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:b, s:o, s:s}",
			  "version", PACKAGE_VERSION, "pid", (int)getpid(), "epoch",
			  amount(control->epoch), "uptime_us",
			  span(now - control->started), "mode", "normal", "heaps",
			  amount(s.heaps), "services", amount(s.services), "windows_open",
			  amount(s.windows_open), "windows_granted",
			  amount(s.windows_granted), "paused_now", amount(s.paused_now),
			  "paused_max", amount(s.paused_max), "max_concurrent",
			  amount(s.max_concurrent), "forced", amount(s.forced),
			  "uncoordinated", amount(s.uncoordinated), "overruns",
			  amount(s.overruns), "over_limit", amount(s.over_limit),
			  "decisions", amount(s.decisions), "decision_p99_us",
			  span(histogram_quantile(control->latency, 990)), "reload_ok",
			  control->reload_ok, "schedulable", s.admission.schedulable,
			  "needs_concurrent", amount(s.admission.needs_concurrent),
			  "advice", advice));
}

/* How good the predictions were: null before there was one. */
static json_t *show_accuracy(unsigned predictions, unsigned coverage, unsigned over)
{
	return json_pack("{s:o, s:o, s:o}", "predictions", amount(predictions),
			 "prediction_coverage_permille",
			 predictions ? amount(coverage) : json_null(),
			 "over_prediction_p50_permille",
			 predictions ? amount(over) : json_null());
}

/* ---- services ---------------------------------------------------------------------------------- */

static json_t *show_service(const struct core_service *s)
{
	const struct core_admission *a = &s->admission;
	char advice[ADVICE_MAX];
	json_t *object;

	advice_write(a, s->policy, s->max_concurrent, advice);
	object = json_pack(
		"{s:s, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o,"
		" s:o, s:b, s:o, s:s}",
		"name", s->name, "uid", amount(s->uid), "policy",
		core_policy_name(s->policy), "max_concurrent", amount(s->max_concurrent),
		"heaps", amount(s->heaps), "paused_now", amount(s->paused_now),
		"paused_max", amount(s->paused_max), "windows", amount(s->windows),
		"forced", amount(s->forced), "over_limit", amount(s->over_limit),
		"would_wait", amount(s->would_wait), "dropped_out",
		amount(s->dropped_out), "wait_p99_us", span(s->wait_p99),
		"utilization_permille", amount(s->utilization_permille), "load_permille",
		amount(a->load_permille), "schedulable", a->schedulable,
		"needs_concurrent", amount(a->needs_concurrent), "advice", advice);
	json_object_update_new(
		object, show_accuracy(s->predictions, s->prediction_coverage_permille,
				      s->over_prediction_p50_permille));
	return object;
}

/* They are counted: `after` is how many have been looked at. */
static void list_services(struct varlink_call *call, json_t *parameters, void *userdata)
{
	struct control *control = userdata;
	nsec_t now = loop_now(control->loop);
	json_t *list = json_array();
	struct core_service s;
	uint64_t next = 0;
	struct page page;

	if (!get_page(call, parameters, false, &page)) {
		json_decref(list);
		return;
	}
	for (uint64_t i = page.after;
	     i <= UINT32_MAX && supervisor_service(control->core, (unsigned)i, now, &s);
	     i++) {
		if (!varlink_sees(call, s.uid))
			continue;
		if (json_array_size(list) == (size_t)page.limit) {
			next = i;
			break;
		}
		json_array_append_new(list, show_service(&s));
	}
	reply_list(call, &page, "services", list, next);
}

/* ---- heaps -------------------------------------------------------------------------------------- */

static json_t *show_predicted(const struct core_heap *h, enum wire_kind kind)
{
	return h->predicted[kind] ? span(h->predicted[kind]) : json_null();
}

static json_t *show_kinds(const struct core_heap *h)
{
	return json_pack("{s:o, s:o, s:o}", "minor", show_predicted(h, WIRE_MINOR),
			 "major", show_predicted(h, WIRE_MAJOR), "snapshot",
			 show_predicted(h, WIRE_SNAPSHOT));
}

static json_t *show_collections(const struct core_heap *h)
{
	json_t *object = json_object();

	for (unsigned kind = 0; kind < WIRE_KINDS; kind++)
		json_object_set_new(object, kind_name(kind),
				    amount(h->collections[kind]));
	return object;
}

static json_t *show_heap(const struct core_heap *h, nsec_t now)
{
	json_t *object = json_pack(
		"{s:o, s:s, s:s, s:s, s:i, s:o, s:s, s:s, s:o, s:o, s:s, s:o, s:o, s:o,"
		" s:o, s:o, s:o, s:o, s:o}",
		"id", amount(h->id), "name", h->name, "service", h->service, "runtime",
		h->runtime, "pid", (int)h->pid, "uid", amount(h->uid), "state",
		core_state_name(h->state), "unit", unit_name(h->unit), "used",
		amount(h->used), "budget", amount(h->budget), "budget_from",
		core_budget_name(h->budget_from), "budget_bytes",
		h->budget_bytes ? amount(h->budget_bytes) : json_null(), "live",
		amount(h->live), "alloc_rate_per_s", amount(h->alloc_rate_per_s),
		"rss_bytes", amount(h->rss_bytes), "exhaustion_us",
		instant(h->exhaustion, now), "latest_start_us",
		instant(h->latest_start, now), "predicted_pause_us", show_kinds(h),
		"collections", show_collections(h));

	json_object_update_new(
		object,
		json_pack(
			"{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s}",
			"forced", amount(h->forced), "uncoordinated",
			amount(h->uncoordinated), "declined", amount(h->declined),
			"expired", amount(h->expired), "overruns", amount(h->overruns),
			"violations", amount(h->violations), "last_pause_us",
			span(h->last_pause), "pause_p50_us", span(h->pause_p50),
			"pause_p99_us", span(h->pause_p99), "pause_max_us",
			span(h->pause_max), "yield_last", amount(h->yield_last),
			"yield_per_s", amount(h->yield_per_s), "reason",
			reason_key(h->reason)));
	json_object_update_new(
		object, show_accuracy(h->predictions, h->prediction_coverage_permille,
				      h->over_prediction_p50_permille));
	return object;
}

static void list_heaps(struct varlink_call *call, json_t *parameters, void *userdata)
{
	struct control *control = userdata;
	nsec_t now = loop_now(control->loop);
	json_t *list = json_array();
	uint64_t last, next = 0;
	struct core_heap h;
	struct page page;

	if (!get_page(call, parameters, true, &page)) {
		json_decref(list);
		return;
	}
	last = page.after;
	for (uint64_t at = last; supervisor_heap_after(control->core, at, now, &h);
	     at = h.id) {
		if (!varlink_sees(call, h.uid) ||
		    (page.service && strcmp(page.service, h.service) != 0))
			continue;
		if (json_array_size(list) == (size_t)page.limit) {
			next = last;
			break;
		}
		json_array_append_new(list, show_heap(&h, now));
		last = h.id;
	}
	reply_list(call, &page, "heaps", list, next);
}

/* ---- windows ------------------------------------------------------------------------------------- */

static const char *window_state_name(const struct core_window *w)
{
	static const char *const names[] = {
		[WINDOW_ANNOUNCED] = "announced",
		[WINDOW_OPEN] = "open",
		[WINDOW_IN_USE] = "in_use",
	};

	return names[w->state];
}

static json_t *show_window(const struct core_window *w, nsec_t now)
{
	return json_pack(
		"{s:o, s:o, s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:o, s:o, s:o, s:o, s:s}",
		"id", amount(w->id), "heap", amount(w->heap), "heap_name", w->heap_name,
		"service", w->service, "kind", kind_name(w->kind), "state",
		window_state_name(w), "must", w->must, "over_limit", w->over_limit,
		"slot", w->slot, "opens_in_us", instant(w->opens, now), "closes_in_us",
		instant(w->closes, now), "predicted_pause_us", span(w->predicted),
		"since_us", span(nsec_sub(now, w->announced)), "reason",
		reason_key(w->reason));
}

static uint32_t uid_of(const struct control *control, uint64_t heap, nsec_t now)
{
	struct core_heap h;

	if (supervisor_heap_after(control->core, heap - 1, now, &h) && h.id == heap)
		return h.uid;
	return UINT32_MAX;
}

/* A heap has one window at most: pages go by heaps. */
static void list_windows(struct varlink_call *call, json_t *parameters, void *userdata)
{
	struct control *control = userdata;
	nsec_t now = loop_now(control->loop);
	json_t *list = json_array();
	uint64_t last, next = 0;
	struct core_window w;
	struct page page;

	if (!get_page(call, parameters, false, &page)) {
		json_decref(list);
		return;
	}
	last = page.after;
	for (uint64_t at = last; supervisor_window_after(control->core, at, &w);
	     at = w.heap) {
		if (!varlink_sees(call, uid_of(control, w.heap, now)))
			continue;
		if (json_array_size(list) == (size_t)page.limit) {
			next = last;
			break;
		}
		json_array_append_new(list, show_window(&w, now));
		last = w.heap;
	}
	reply_list(call, &page, "windows", list, next);
}

/* ---- explain -------------------------------------------------------------------------------------- */

static json_t *show_decision(const struct control *control, const struct core_decision *d,
			     nsec_t now)
{
	struct core_heap holder;
	bool held = d->holder &&
		    supervisor_heap_after(control->core, d->holder - 1, now, &holder) &&
		    holder.id == d->holder;

	return json_pack("{s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o,"
			 " s:o, s:s?}",
			 "ago_us", span(nsec_sub(now, d->at)), "reason",
			 reason_key(d->reason), "text", reason_sentence(d->reason),
			 "window", d->window ? amount(d->window) : json_null(), "used",
			 amount(d->used), "budget", amount(d->budget), "rate_per_s",
			 amount(d->rate_per_s), "exhaustion_us",
			 instant(d->exhaustion, d->at), "latest_start_us",
			 instant(d->latest_start, d->at), "contention_start_us",
			 instant(d->contention_start, d->at), "predicted_pause_us",
			 span(d->predicted), "slots_taken", amount(d->slots_taken),
			 "slots", amount(d->slots), "holder", held ? holder.name : NULL);
}

/* Digits are an id; failing that, they may be somebody's name. */
static unsigned find_heaps(struct varlink_call *call, const struct control *control,
			   const char *text, nsec_t now, struct core_heap *ret)
{
	struct core_heap h;
	unsigned n = 0;
	char *end;
	uint64_t id;

	errno = 0;
	id = strtoull(text, &end, 10);
	if (*text >= '0' && *text <= '9' && !*end && errno == 0 && id > 0 &&
	    supervisor_heap_after(control->core, id - 1, now, &h) && h.id == id &&
	    varlink_sees(call, h.uid)) {
		*ret = h;
		return 1;
	}
	for (id = 0; supervisor_heap_after(control->core, id, now, &h); id = h.id) {
		if (varlink_sees(call, h.uid) && strcmp(h.name, text) == 0) {
			*ret = h;
			n++;
		}
	}
	return n;
}

/* The heap that is meant; false: there was an error to answer. */
static bool get_heap(struct varlink_call *call, const struct control *control,
		     json_t *parameters, nsec_t now, struct core_heap *ret)
{
	const char *text = json_string_value(json_object_get(parameters, "heap"));
	unsigned n;

	if (!text) {
		varlink_invalid(call, "heap");
		return false;
	}
	n = find_heaps(call, control, text, now, ret);
	if (n != 1)
		varlink_error(call,
			      n ? INTERFACE ".AmbiguousHeap" : INTERFACE ".NoSuchHeap",
			      json_pack("{s:s}", "heap", text));
	return n == 1;
}

static void explain(struct varlink_call *call, json_t *parameters, void *userdata)
{
	static const char *const keys[] = {"heap", NULL};
	struct control *control = userdata;
	nsec_t now = loop_now(control->loop);
	struct core_decision decisions[CORE_DECISIONS];
	struct core_heap h;
	json_t *list;
	unsigned n;

	if (!parameters_known(call, parameters, keys) ||
	    !get_heap(call, control, parameters, now, &h))
		return;
	list = json_array();
	n = supervisor_explain(control->core, h.id, decisions);
	for (unsigned i = 0; i < n; i++)
		json_array_append_new(list, show_decision(control, &decisions[i], now));
	varlink_reply(call, json_pack("{s:o, s:o}", "heap", show_heap(&h, now),
				      "decisions", list));
}

static void heap_summary(struct varlink_call *call, json_t *parameters, void *userdata)
{
	static const char *const keys[] = {"heap", "limit", NULL};
	struct control *control = userdata;
	int64_t limit = 20;
	struct core_heap h;

	if (parameters_known(call, parameters, keys) &&
	    parameters_int(call, parameters, "limit", 0, ASK_ROWS_MOST, &limit) &&
	    get_heap(call, control, parameters, loop_now(control->loop), &h))
		asks_summary(control->asks, call, &h, (unsigned)limit);
}

/* ---- reload --------------------------------------------------------------------------------------- */

static void reload(struct varlink_call *call, json_t *parameters, void *userdata)
{
	struct control *control = userdata;
	char *error = NULL;

	if (!no_parameters(call, parameters))
		return;
	if (!varlink_may_change(call)) {
		varlink_error(call, "org.varlink.service.PermissionDenied", NULL);
		return;
	}
	if (control->reload(control->userdata, &error) < 0)
		varlink_error(
			call, INTERFACE ".ReloadFailed",
			json_pack("{s:s}", "message", error ? error : "out of memory"));
	else
		varlink_reply(call, NULL);
	free(error);
}

static json_t *show_setting(const struct config_shown *s)
{
	return json_pack("{s:o, s:s, s:s, s:s?, s:o}", "section",
			 *s->section ? json_string(s->section) : json_null(), "key",
			 s->key, "value", s->value, "file", s->file, "line",
			 s->file ? json_integer(s->line) : json_null());
}

static void get_config(struct varlink_call *call, json_t *parameters, void *userdata)
{
	struct control *control = userdata;
	struct config_shown shown;
	struct page page;
	uint64_t i, next = 0;
	json_t *list;

	if (!get_page(call, parameters, false, &page))
		return;
	if (!varlink_sees_all(call)) {
		varlink_error(call, "org.varlink.service.PermissionDenied", NULL);
		return;
	}
	list = json_array();
	for (i = page.after; config_show(*control->config, i, &shown); i++) {
		if (json_array_size(list) == (size_t)page.limit) {
			next = i;
			break;
		}
		json_array_append_new(list, show_setting(&shown));
	}
	reply_list(call, &page, "settings", list, next);
}

static void trace(struct varlink_call *call, json_t *parameters, void *userdata)
{
	struct control *control = userdata;

	trace_call(control->trace, call, parameters);
}

static const struct varlink_method methods[] = {
	{"GetStatus", get_status},     {"ListServices", list_services},
	{"ListHeaps", list_heaps},     {"ListWindows", list_windows},
	{"Explain", explain},	       {"Reload", reload},
	{"GetConfig", get_config},     {"Trace", trace},
	{"HeapSummary", heap_summary}, {NULL, NULL},
};

const struct varlink_interface control_interface = {
	.name = INTERFACE,
	.description = interface_description,
	.methods = methods,
};

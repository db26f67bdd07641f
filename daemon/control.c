/* SPDX-License-Identifier: MIT */
#include "daemon/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/ask.h"
#include "daemon/config_show.h"
#include "daemon/control_pauses.h"
#include "daemon/control_show.h"
#include "daemon/hot.h"
#include "daemon/interface.h"
#include "daemon/metrics_call.h"
#include "daemon/parameters.h"
#include "daemon/subscribe.h"
#include "daemon/trace.h"

#define INTERFACE "io.rtgcd.Supervisor"
#define PAGE_MOST 100

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
	int64_t after = 0, limit = PAGE_MOST;

	ret->service = NULL;
	if (!parameters_known(call, parameters, with_service ? keys : few) ||
	    !parameters_int(call, parameters, "after", 0, INT64_MAX, &after) ||
	    !parameters_int(call, parameters, "limit", 1, INT64_MAX, &limit) ||
	    !parameters_string(call, parameters, "service", &ret->service))
		return false;
	ret->after = (uint64_t)after;
	ret->limit = limit < PAGE_MOST ? limit : PAGE_MOST;
	return true;
}

static bool is_asked_for(const struct page *page, const char *service)
{
	return !page->service || strcmp(page->service, service) == 0;
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

	if (next && varlink_wants_more(call)) {
		again = json_pack("{s:o, s:I, s:s*}", "after", show_amount(next), "limit",
				  (json_int_t)page->limit, "service", page->service);
		if (!again) {
			json_decref(list);
			varlink_reply(call, NULL);
			return;
		}
	}
	varlink_reply_page(call,
			   json_pack("{s:o, s:o}", key, list, "next",
				     next && !again ? show_amount(next) : json_null()),
			   again);
}

/* ---- status ----------------------------------------------------------------------------------- */

static void get_status(struct varlink_call *call, json_t *parameters, void *userdata)
{
	struct control *control = userdata;
	nsec_t now = loop_now(control->loop);
	struct core_status s;

	if (!no_parameters(call, parameters))
		return;
	supervisor_status(control->core, &s);
	varlink_reply(call, show_status(control, &s, now));
}

/* ---- services ---------------------------------------------------------------------------------- */

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
		show_append(&list, show_service(&s));
	}
	reply_list(call, &page, "services", list, next);
}

/* ---- heaps -------------------------------------------------------------------------------------- */

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
		if (!varlink_sees(call, h.uid) || !is_asked_for(&page, h.service))
			continue;
		if (json_array_size(list) == (size_t)page.limit) {
			next = last;
			break;
		}
		show_append(&list, show_heap(&h, now));
		last = h.id;
	}
	reply_list(call, &page, "heaps", list, next);
}

/* ---- windows ------------------------------------------------------------------------------------- */

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

	if (!get_page(call, parameters, true, &page)) {
		json_decref(list);
		return;
	}
	last = page.after;
	for (uint64_t at = last; supervisor_window_after(control->core, at, &w);
	     at = w.heap) {
		if (!varlink_sees(call, uid_of(control, w.heap, now)) ||
		    !is_asked_for(&page, w.service))
			continue;
		if (json_array_size(list) == (size_t)page.limit) {
			next = last;
			break;
		}
		show_append(&list, show_window(&w, now));
		last = w.heap;
	}
	reply_list(call, &page, "windows", list, next);
}

/* ---- explain -------------------------------------------------------------------------------------- */

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
		show_append(&list, show_decision(control->core, &decisions[i], now));
	varlink_reply(call, json_pack("{s:o, s:o}", "heap", show_heap(&h, now),
				      "decisions", list));
}

/* ---- orders ------------------------------------------------------------------------------------- */

static bool may_change(struct varlink_call *call)
{
	if (varlink_may_change(call))
		return true;
	varlink_error(call, "org.varlink.service.PermissionDenied", json_object());
	return false;
}

/* Of every user's service of that name. */
static void hold_or_release(struct varlink_call *call, json_t *parameters, bool held,
			    const struct control *control)
{
	static const char *const keys[] = {"service", NULL};
	const char *name = json_string_value(json_object_get(parameters, "service"));
	bool found = false;
	struct core_heap h;

	if (!parameters_known(call, parameters, keys))
		return;
	if (!name) {
		varlink_invalid(call, "service");
		return;
	}
	if (!may_change(call))
		return;
	for (uint64_t id = 0;
	     supervisor_heap_after(control->core, id, loop_now(control->loop), &h);
	     id = h.id) {
		struct event event = {.type = EVENT_HOLD, .heap = h.id, .held = held};

		if (strcmp(h.service, name) != 0)
			continue;
		found = true;
		if (h.held != held)
			hot_order(control->hot, &event);
	}
	if (found)
		varlink_reply(call, json_object());
	else
		varlink_error(call, INTERFACE ".NoSuchService",
			      json_pack("{s:s}", "service", name));
}

static void hold(struct varlink_call *call, json_t *parameters, void *userdata)
{
	hold_or_release(call, parameters, true, userdata);
}

static void release(struct varlink_call *call, json_t *parameters, void *userdata)
{
	hold_or_release(call, parameters, false, userdata);
}

static void collect(struct varlink_call *call, json_t *parameters, void *userdata)
{
	static const char *const keys[] = {"heap", NULL};
	struct control *control = userdata;
	struct core_heap h;
	struct event event = {.type = EVENT_COLLECT};

	if (!parameters_known(call, parameters, keys) || !may_change(call) ||
	    !get_heap(call, control, parameters, loop_now(control->loop), &h))
		return;
	event.heap = h.id;
	if (hot_order(control->hot, &event) != 0)
		varlink_error(call, INTERFACE ".CannotCollect",
			      json_pack("{s:s}", "heap", h.name));
	else
		varlink_reply(call, json_pack("{s:o}", "heap", show_amount(h.id)));
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
	if (!may_change(call))
		return;
	if (control->reload(control->userdata, &error) < 0)
		varlink_error(
			call, INTERFACE ".ReloadFailed",
			json_pack("{s:s}", "message", error ? error : "out of memory"));
	else
		varlink_reply(call, json_object());
	free(error);
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
		varlink_error(call, "org.varlink.service.PermissionDenied",
			      json_object());
		return;
	}
	list = json_array();
	for (i = page.after; config_show(*control->config, i, &shown); i++) {
		if (json_array_size(list) == (size_t)page.limit) {
			next = i;
			break;
		}
		show_append(&list, show_setting(&shown));
	}
	reply_list(call, &page, "settings", list, next);
}

static void trace(struct varlink_call *call, json_t *parameters, void *userdata)
{
	struct control *control = userdata;

	trace_call(control->trace, call, parameters);
}

static void subscribe(struct varlink_call *call, json_t *parameters, void *userdata)
{
	struct control *control = userdata;

	subscribe_call(control->subscribers, call, parameters);
}

static void metrics(struct varlink_call *call, json_t *parameters, void *userdata)
{
	struct control *control = userdata;

	metrics_call(control->metrics, call, parameters);
}

static const struct varlink_method methods[] = {
	{"GetStatus", get_status},
	{"ListServices", list_services},
	{"ListHeaps", list_heaps},
	{"ListWindows", list_windows},
	{"ListPauses", control_list_pauses},
	{"Explain", explain},
	{"Reload", reload},
	{"GetConfig", get_config},
	{"Trace", trace},
	{"Subscribe", subscribe},
	{"HeapSummary", heap_summary},
	{"Metrics", metrics},
	{"Hold", hold},
	{"Release", release},
	{"Collect", collect},
	{NULL, NULL},
};

const struct varlink_interface control_interface = {
	.name = INTERFACE,
	.description = interface_description,
	.methods = methods,
};

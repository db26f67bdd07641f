/* SPDX-License-Identifier: MIT */
#include "daemon/control_show.h"

#include <unistd.h>

#include "client/wire/names.h"
#include "daemon/advice.h"
#include "daemon/core/quota.h"
#include "daemon/pressure.h"
#include "daemon/session.h"
#include "daemon/web.h"

/* ---- numbers --------------------------------------------------------------------------------- */

/* NULL in, NULL out: whoever makes the whole finds out at its end that memory has run out. */
static json_t *joined(json_t *object, json_t *more)
{
	if (json_object_update_new(object, more) == 0)
		return object;
	json_decref(object);
	return NULL;
}

void show_append(json_t **list, json_t *item)
{
	if (json_array_append_new(*list, item) == 0)
		return;
	json_decref(*list);
	*list = NULL;
}

json_t *show_amount(uint64_t value)
{
	return json_integer((json_int_t)(value > INT64_MAX ? INT64_MAX : value));
}

json_t *show_span(nsec_t value)
{
	return show_amount(value / NSEC_PER_USEC);
}

json_t *show_instant(nsec_t at, nsec_t now)
{
	if (at == NSEC_NEVER)
		return json_null();
	if (at < now)
		return json_integer(-(json_int_t)((now - at) / NSEC_PER_USEC));
	return show_span(at - now);
}

/* ---- the daemon ------------------------------------------------------------------------------- */

/* What others have of the daemon, and what they were refused. */
static json_t *show_quota(const struct control *control)
{
	const struct quota *quota = control->quota;
	json_t *refused = json_object();

	for (unsigned i = QUOTA_E_NONE + 1; i < QUOTA_E_COUNT; i++)
		refused = joined(
			refused,
			json_pack("{s:o}", quota_refusal_key((enum quota_refusal)i),
				  show_amount(
					  quota_refused(quota, (enum quota_refusal)i))));
	return json_pack(
		"{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "connections",
		show_amount(quota_charged(quota, QUOTA_CONNECTIONS)), "ungreeted",
		show_amount(quota_charged(quota, QUOTA_UNGREETED)), "callers",
		show_amount(quota_charged(quota, QUOTA_CALLERS)), "queued_bytes",
		show_amount(quota_charged(quota, QUOTA_BYTES)), "frames_coalesced",
		show_amount(control->sessions->coalesced), "requests_delayed",
		show_amount(varlink_delayed(control->varlink)), "refused", refused);
}

json_t *show_status(const struct control *control, const struct core_status *s,
		    nsec_t now)
{
	char advice[ADVICE_MAX];
	struct core_gates gates;
	int pressure = pressure_permille(control->pressure);
	json_t *object;

	supervisor_gates(control->core, &gates);
	advice_write(&s->admission, POLICY_STAGGER, s->max_concurrent, advice);
	object = json_pack(
		"{s:s, s:i, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o,"
		" s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:b, s:o, s:s}",
		"version", PACKAGE_VERSION, "pid", (int)getpid(), "epoch",
		show_amount(control->epoch), "uptime_us",
		show_span(now - control->started), "mode", gates.open ? "open" : "normal",
		"heaps", show_amount(s->heaps), "services", show_amount(s->services),
		"windows_open", show_amount(s->windows_open), "windows_granted",
		show_amount(s->windows_granted), "paused_now", show_amount(s->paused_now),
		"paused_max", show_amount(s->paused_max), "max_concurrent",
		show_amount(s->max_concurrent), "forced", show_amount(s->forced),
		"uncoordinated", show_amount(s->uncoordinated), "overruns",
		show_amount(s->overruns), "over_limit", show_amount(s->over_limit),
		"decisions", show_amount(s->decisions), "decision_p99_us",
		show_span(histogram_quantile(control->latency, 990)), "reload_ok",
		control->reload_ok, "schedulable", s->admission.schedulable,
		"needs_concurrent", show_amount(s->admission.needs_concurrent), "advice",
		advice);
	object = joined(
		object,
		json_pack("{s:o, s:o, s:o}", "gates_opened", show_amount(gates.opened),
			  "ungated", show_amount(gates.ungated), "pressure_permille",
			  pressure < 0 ? json_null() : json_integer(pressure)));
	object = joined(object, json_pack("{s:s?}", "http", web_address(control->web)));
	return joined(object, show_quota(control));
}

/* ---- services and heaps ------------------------------------------------------------------------ */

/* How good the predictions were: null before there was one. */
static json_t *show_accuracy(unsigned predictions, unsigned coverage, unsigned over)
{
	return json_pack("{s:o, s:o, s:o}", "predictions", show_amount(predictions),
			 "prediction_coverage_permille",
			 predictions ? show_amount(coverage) : json_null(),
			 "over_prediction_p50_permille",
			 predictions ? show_amount(over) : json_null());
}

json_t *show_service(const struct core_service *s)
{
	const struct core_admission *a = &s->admission;
	char advice[ADVICE_MAX];
	json_t *object;

	advice_write(a, s->policy, s->max_concurrent, advice);
	object = json_pack(
		"{s:s, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o,"
		" s:o, s:b, s:o, s:s, s:b}",
		"name", s->name, "uid", show_amount(s->uid), "policy",
		core_policy_name(s->policy), "max_concurrent",
		show_amount(s->max_concurrent), "heaps", show_amount(s->heaps),
		"paused_now", show_amount(s->paused_now), "paused_max",
		show_amount(s->paused_max), "windows", show_amount(s->windows), "forced",
		show_amount(s->forced), "over_limit", show_amount(s->over_limit),
		"would_wait", show_amount(s->would_wait), "dropped_out",
		show_amount(s->dropped_out), "wait_p99_us", show_span(s->wait_p99),
		"utilization_permille", show_amount(s->utilization_permille),
		"load_permille", show_amount(a->load_permille), "schedulable",
		a->schedulable, "needs_concurrent", show_amount(a->needs_concurrent),
		"advice", advice, "held", s->held);
	return joined(object,
		      show_accuracy(s->predictions, s->prediction_coverage_permille,
				    s->over_prediction_p50_permille));
}

static json_t *show_predicted(const struct core_heap *h, enum wire_kind kind)
{
	return h->predicted[kind] ? show_span(h->predicted[kind]) : json_null();
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
		object = joined(object, json_pack("{s:o}", kind_name(kind),
						  show_amount(h->collections[kind])));
	return object;
}

json_t *show_heap(const struct core_heap *h, nsec_t now)
{
	json_t *object = json_pack(
		"{s:o, s:s, s:s, s:s, s:i, s:o, s:s, s:s, s:o, s:o, s:s, s:o, s:o, s:o,"
		" s:o, s:o, s:o, s:o, s:o}",
		"id", show_amount(h->id), "name", h->name, "service", h->service,
		"runtime", h->runtime, "pid", (int)h->pid, "uid", show_amount(h->uid),
		"state", core_state_name(h->state), "unit", unit_name(h->unit), "used",
		show_amount(h->used), "budget", show_amount(h->budget), "budget_from",
		core_budget_name(h->budget_from), "budget_bytes",
		h->budget_bytes ? show_amount(h->budget_bytes) : json_null(), "live",
		show_amount(h->live), "alloc_rate_per_s",
		show_amount(h->alloc_rate_per_s), "rss_bytes", show_amount(h->rss_bytes),
		"exhaustion_us", show_instant(h->exhaustion, now), "latest_start_us",
		show_instant(h->latest_start, now), "predicted_pause_us", show_kinds(h),
		"collections", show_collections(h));

	object = joined(
		object,
		json_pack(
			"{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o,"
			" s:s}",
			"forced", show_amount(h->forced), "uncoordinated",
			show_amount(h->uncoordinated), "declined",
			show_amount(h->declined), "expired", show_amount(h->expired),
			"overruns", show_amount(h->overruns), "violations",
			show_amount(h->violations), "absurd", show_amount(h->absurd),
			"strikes", show_amount(h->strikes), "last_pause_us",
			show_span(h->last_pause), "pause_p50_us", show_span(h->pause_p50),
			"pause_p99_us", show_span(h->pause_p99), "pause_max_us",
			show_span(h->pause_max), "yield_last", show_amount(h->yield_last),
			"yield_per_s", show_amount(h->yield_per_s), "reason",
			reason_key(h->reason)));
	return joined(object,
		      show_accuracy(h->predictions, h->prediction_coverage_permille,
				    h->over_prediction_p50_permille));
}

/* ---- windows and decisions --------------------------------------------------------------------- */

static const char *window_state_name(const struct core_window *w)
{
	static const char *const names[] = {
		[WINDOW_ANNOUNCED] = "announced",
		[WINDOW_OPEN] = "open",
		[WINDOW_IN_USE] = "in_use",
	};

	return names[w->state];
}

json_t *show_window(const struct core_window *w, nsec_t now)
{
	return json_pack(
		"{s:o, s:o, s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:o, s:o, s:o, s:o, s:s}",
		"id", show_amount(w->id), "heap", show_amount(w->heap), "heap_name",
		w->heap_name, "service", w->service, "kind", kind_name(w->kind), "state",
		window_state_name(w), "must", w->must, "over_limit", w->over_limit,
		"slot", w->slot, "opens_in_us", show_instant(w->opens, now),
		"closes_in_us", show_instant(w->closes, now), "predicted_pause_us",
		show_span(w->predicted), "since_us",
		show_span(nsec_sub(now, w->announced)), "reason", reason_key(w->reason));
}

json_t *show_decision(const struct supervisor *core, const struct core_decision *d,
		      nsec_t now)
{
	struct core_heap holder;
	bool held = d->holder &&
		    supervisor_heap_after(core, d->holder - 1, now, &holder) &&
		    holder.id == d->holder;

	return json_pack("{s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o,"
			 " s:o, s:s?}",
			 "ago_us", show_span(nsec_sub(now, d->at)), "reason",
			 reason_key(d->reason), "text", reason_sentence(d->reason),
			 "window", d->window ? show_amount(d->window) : json_null(),
			 "used", show_amount(d->used), "budget", show_amount(d->budget),
			 "rate_per_s", show_amount(d->rate_per_s), "exhaustion_us",
			 show_instant(d->exhaustion, d->at), "latest_start_us",
			 show_instant(d->latest_start, d->at), "contention_start_us",
			 show_instant(d->contention_start, d->at), "predicted_pause_us",
			 show_span(d->predicted), "slots_taken",
			 show_amount(d->slots_taken), "slots", show_amount(d->slots),
			 "holder", held ? holder.name : NULL);
}

/* ---- configuration ----------------------------------------------------------------------------- */

json_t *show_setting(const struct config_shown *s)
{
	return json_pack("{s:o, s:s, s:s, s:s?, s:o}", "section",
			 *s->section ? json_string(s->section) : json_null(), "key",
			 s->key, "value", s->value, "file", s->file, "line",
			 s->file ? json_integer(s->line) : json_null());
}

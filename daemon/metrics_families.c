/* SPDX-License-Identifier: MIT */
/* What is told: rtgcd-metrics(7) has a line for each of these. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "client/wire/names.h"
#include "daemon/core/quota.h"
#include "daemon/metrics_private.h"
#include "daemon/pressure.h"
#include "daemon/session.h"

/* ---- values ---------------------------------------------------------------------------------- */

static double seconds(nsec_t span)
{
	return (double)span / NSEC_PER_SEC;
}

/* Until then; negative: it is past. NaN: it is not in sight. */
static double until(nsec_t at, nsec_t now)
{
	if (at == NSEC_NEVER)
		return NAN;
	return at < now ? -seconds(now - at) : seconds(at - now);
}

static double ratio(unsigned permille)
{
	return permille / 1000.0;
}

static double known(bool is, double value)
{
	return is ? value : NAN;
}

static const char *refusal_key(unsigned i)
{
	return quota_refusal_key((enum quota_refusal)(i + 1));
}

/* ---- families: type, name, (label, its values), help, value -------------------------------------- */

#define C METRIC_COUNTER
#define G METRIC_GAUGE

/* h: struct metrics_host; q: the quota */
#define HOST_FAMILIES(X)                                                                 \
	X(G, uptime_seconds, "Since the daemon started",                                 \
	  seconds(h->now - h->control->started))                                         \
	X(G, heaps, "Heaps that are connected, or may come back", h->status.heaps)       \
	X(G, services, "Services that have a heap", h->status.services)                  \
	X(G, services_omitted,                                                           \
	  "Services that are not told of one by one: there are too many",                \
	  h->services_omitted)                                                           \
	X(G, slots, "Pauses allowed at once on this host: MaxConcurrent",                \
	  h->status.max_concurrent)                                                      \
	X(G, slots_needed, "Slots with which no collection would be late",               \
	  h->status.admission.needs_concurrent)                                          \
	X(G, schedulable, "1: at the present rates and pauses no collection is late",    \
	  h->status.admission.schedulable)                                               \
	X(G, windows_open, "Windows announced, open or in use", h->status.windows_open)  \
	X(C, windows, "Windows that were opened", h->status.windows_granted)             \
	X(G, paused, "Heaps that pause now", h->status.paused_now)                       \
	X(G, paused_max, "Most heaps that ever paused at once", h->status.paused_max)    \
	X(C, forced, "Collections without a window, because a ceiling was reached",      \
	  h->status.forced)                                                              \
	X(C, uncoordinated, "Collections that runtimes ran on their own",                \
	  h->status.uncoordinated)                                                       \
	X(C, overruns, "Pauses that ended after their window", h->status.overruns)       \
	X(C, over_limit, "Windows that memory forced open beyond the slots",             \
	  h->status.over_limit)                                                          \
	X(C, decisions, "Decisions", h->status.decisions)                                \
	X(G, gates_open, "1: the daemon or the host is too slow to be waited for",       \
	  h->gates.open)                                                                 \
	X(C, gates_opened, "How often the gates have opened", h->gates.opened)           \
	X(C, ungated, "Windows that opened while the gates were open", h->gates.ungated) \
	X(G, pressure_ratio,                                                             \
	  "Of the last two seconds, all that had work to do stood still",                \
	  known(pressure_permille(h->control->pressure) >= 0,                            \
		ratio((unsigned)pressure_permille(h->control->pressure))))               \
	X(G, reload_ok, "0: the last reload was refused", h->control->reload_ok)         \
	X(G, connections, "Connections of clients", quota_charged(q, QUOTA_CONNECTIONS)) \
	X(G, ungreeted, "Those of them that have not said HELLO",                        \
	  quota_charged(q, QUOTA_UNGREETED))                                             \
	X(G, callers, "Connections of the control socket and over HTTP",                 \
	  quota_charged(q, QUOTA_CALLERS))                                               \
	X(G, queued_bytes, "What waits to be read by clients and callers",               \
	  quota_charged(q, QUOTA_BYTES))                                                 \
	X(C, frames_coalesced,                                                           \
	  "Frames whose place a newer one took, of clients that send too many",          \
	  h->control->sessions->coalesced)                                               \
	X(C, requests_delayed,                                                           \
	  "Answers that waited because their user had asked too much",                   \
	  varlink_delayed(h->control->varlink))

/* s: struct core_service */
#define SERVICE_FAMILIES(X)                                                             \
	X(G, service_heaps, NULL, 1, "Its heaps", s->heaps)                             \
	X(G, service_lost_heaps, NULL, 1, "Those of them whose connection is lost",     \
	  s->lost)                                                                      \
	X(G, service_slots, NULL, 1, "Its pauses allowed at once: MaxConcurrent",       \
	  s->max_concurrent)                                                            \
	X(G, service_slots_needed, NULL, 1,                                             \
	  "Slots with which none of its collections would be late",                     \
	  s->admission.needs_concurrent)                                                \
	X(G, service_schedulable, NULL, 1,                                              \
	  "1: at the present rates and pauses none of its collections is late",         \
	  s->admission.schedulable)                                                     \
	X(G, service_paused, NULL, 1, "Its heaps that pause now", s->paused_now)        \
	X(G, service_paused_max, NULL, 1, "Most of its heaps that ever paused at once", \
	  s->paused_max)                                                                \
	X(G, service_held, NULL, 1, "1: held back by an operator", s->held)             \
	X(C, service_windows, NULL, 1, "Windows that were opened for it", s->windows)   \
	X(C, service_forced, NULL, 1, "Its collections without a window", s->forced)    \
	X(C, service_over_limit, NULL, 1,                                               \
	  "Its windows that memory forced open beyond the slots", s->over_limit)        \
	X(C, service_would_wait, NULL, 1,                                               \
	  "Policy=observe: windows another policy had held back", s->would_wait)        \
	X(C, service_dropped_out, NULL, 1,                                              \
	  "Policy=together: members that missed their round", s->dropped_out)           \
	X(G, service_utilization_ratio, NULL, 1,                                        \
	  "Of its slots, in use since it is there", ratio(s->utilization_permille))     \
	X(G, service_load_ratio, NULL, 1,                                               \
	  "Of its slots, what the present rates and pauses ask for",                    \
	  ratio(s->admission.load_permille))                                            \
	X(G, service_fullest_ratio, NULL, 1,                                            \
	  "Of its budget, the most that one of its heaps has used",                     \
	  ratio(s->fullest_permille))                                                   \
	X(G, service_exhaustion_seconds, NULL, 1,                                       \
	  "Until the first of its heaps reaches its budget at the present rate",        \
	  until(s->exhaustion, now))                                                    \
	X(G, service_rss_bytes, NULL, 1,                                                \
	  "Resident memory of its processes, as they report it", s->rss_bytes)          \
	X(G, service_prediction_coverage_ratio, NULL, 1,                                \
	  "Of its pauses, those inside their prediction",                               \
	  known(s->predictions, ratio(s->prediction_coverage_permille)))                \
	X(G, service_over_prediction_ratio, NULL, 1,                                    \
	  "Predicted by actual pause, the median",                                      \
	  known(s->predictions, ratio(s->over_prediction_p50_permille)))

/* s: struct core_heap */
#define HEAP_FAMILIES(X)                                                                 \
	X(G, heap_used_bytes, NULL, 1, "What it has used, of a heap that counts bytes",  \
	  known(s->unit == WIRE_BYTES, (double)s->used))                                 \
	X(G, heap_used_objects, NULL, 1,                                                 \
	  "What it has used, of a heap that counts objects",                             \
	  known(s->unit == WIRE_OBJECTS, (double)s->used))                               \
	X(G, heap_budget_bytes, NULL, 1,                                                 \
	  "What it may reach, of a heap that counts bytes",                              \
	  known(s->unit == WIRE_BYTES && s->budget, (double)s->budget))                  \
	X(G, heap_budget_objects, NULL, 1,                                               \
	  "What it may reach, of a heap that counts objects",                            \
	  known(s->unit == WIRE_OBJECTS && s->budget, (double)s->budget))                \
	X(G, heap_full_ratio, NULL, 1, "Of its budget, used",                            \
	  known(s->budget, (double)s->used / (double)s->budget))                         \
	X(G, heap_rss_bytes, NULL, 1,                                                    \
	  "Resident memory of its process, as it reports it",                            \
	  known(s->rss_bytes, (double)s->rss_bytes))                                     \
	X(G, heap_allocation_rate, NULL, 1, "Bytes, or objects, a second",               \
	  s->alloc_rate_per_s)                                                           \
	X(G, heap_exhaustion_seconds, NULL, 1,                                           \
	  "Until its budget is reached at the present rate", until(s->exhaustion, now))  \
	X(G, heap_latest_start_seconds, NULL, 1, "Until it must begin to collect",       \
	  until(s->latest_start, now))                                                   \
	X(G, heap_predicted_pause_seconds, "kind", WIRE_KINDS,                           \
	  "What its next pause is expected to be",                                       \
	  known(s->predicted[i], seconds(s->predicted[i])))                              \
	X(G, heap_last_pause_seconds, NULL, 1, "Its last pause", seconds(s->last_pause)) \
	X(C, heap_collections, "kind", WIRE_KINDS, "Its collections", s->collections[i]) \
	X(C, heap_forced, NULL, 1, "Its collections without a window", s->forced)        \
	X(C, heap_uncoordinated, NULL, 1,                                                \
	  "Its collections that its runtime ran on its own", s->uncoordinated)           \
	X(C, heap_declined, NULL, 1,                                                     \
	  "Its collections declined as not worth their pause", s->declined)              \
	X(C, heap_overruns, NULL, 1, "Its pauses that ended after their window",         \
	  s->overruns)

struct family {
	enum metric_type type;
	const char *name, *help, *label;
	unsigned values; /* of the label */
	double (*value)(const void *row, unsigned i, nsec_t now);
};

#define SERVICE_VALUE(type, name, label, values, help, expression)          \
	static double value_##name(const void *row, unsigned i, nsec_t now) \
	{                                                                   \
		const struct core_service *s = row;                         \
                                                                            \
		return (double)(expression);                                \
	}
#define HEAP_VALUE(type, name, label, values, help, expression)             \
	static double value_##name(const void *row, unsigned i, nsec_t now) \
	{                                                                   \
		const struct core_heap *s = row;                            \
                                                                            \
		return (double)(expression);                                \
	}
#define FAMILY(type, name, label, values, help, expression) \
	{type, #name, help, label, values, value_##name},

SERVICE_FAMILIES(SERVICE_VALUE)
HEAP_FAMILIES(HEAP_VALUE)

static const struct family service_families[] = {SERVICE_FAMILIES(FAMILY)};
static const struct family heap_families[] = {HEAP_FAMILIES(FAMILY)};

#define N_SERVICE (sizeof(service_families) / sizeof(*service_families))
#define N_HEAP	  (sizeof(heap_families) / sizeof(*heap_families))

/* Behind the others of services. */
static const struct {
	const char *name, *help;
	size_t offset;
} service_tallies[] = {
	{"service_pause_seconds", "Its pauses, but those of minor collections",
	 offsetof(struct core_service, pauses)},
	{"service_wait_seconds", "How long its heaps wanted to collect before they began",
	 offsetof(struct core_service, waited)},
};

#define N_TALLIES (sizeof(service_tallies) / sizeof(*service_tallies))

/* ---- the daemon -------------------------------------------------------------------------------------- */

static void put(struct writer *w, enum metric_type type, const char *name,
		const char *help, double value)
{
	if (isnan(value))
		return;
	writer_family(w, type, name, help);
	writer_sample(w, type, name, "", value);
}

#define HOST_PUT(type, name, help, expression) \
	put(w, type, #name, help, (double)(expression));

void metrics_put_host(struct writer *w, const struct metrics_host *h)
{
	const struct quota *q = h->control->quota;
	char labels[64] = "";

	labels_add(labels, sizeof(labels), "version", PACKAGE_VERSION);
	writer_family(w, METRIC_INFO, "build", "The version of the daemon");
	writer_sample(w, METRIC_INFO, "build", labels, 1);
	HOST_FAMILIES(HOST_PUT)
	writer_family(w, METRIC_HISTOGRAM, "decision_seconds",
		      "From the wake-up to the last answer, in turns that had any");
	writer_histogram(w, "decision_seconds", h->control->latency);
	writer_family(w, C, "refused", "What was refused because a limit was reached");
	for (unsigned i = 0; i + 1 < QUOTA_E_COUNT; i++) {
		labels[0] = '\0';
		labels_add(labels, sizeof(labels), "reason", refusal_key(i));
		writer_sample(w, C, "refused", labels,
			      (double)quota_refused(q, (enum quota_refusal)(i + 1)));
	}
}

void metrics_put_heaps_omitted(struct writer *w, unsigned omitted)
{
	put(w, G, "heaps_omitted",
	    "Heaps that are not told of one by one: there are too many", omitted);
}

/* ---- services and heaps --------------------------------------------------------------------------------- */

static void add_number(char *labels, size_t size, const char *name, uint64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
	labels_add(labels, size, name, text);
}

void metrics_look_at_service(struct metrics_service *row)
{
	row->labels[0] = '\0';
	labels_add(row->labels, sizeof(row->labels), "service", row->s.name);
	add_number(row->labels, sizeof(row->labels), "uid", row->s.uid);
}

void metrics_look_at_heap(struct metrics_heap *row)
{
	row->labels[0] = '\0';
	labels_add(row->labels, sizeof(row->labels), "heap", row->h.name);
	add_number(row->labels, sizeof(row->labels), "id", row->h.id);
	labels_add(row->labels, sizeof(row->labels), "service", row->h.service);
	add_number(row->labels, sizeof(row->labels), "uid", row->h.uid);
}

static void put_row(struct writer *w, const struct family *f, const void *row,
		    const char *labels, nsec_t now)
{
	char more[HEAP_LABELS + 32];

	for (unsigned i = 0; i < f->values; i++) {
		snprintf(more, sizeof(more), "%s", labels);
		if (f->label)
			labels_add(more, sizeof(more), f->label, kind_name(i));
		writer_sample(w, f->type, f->name, more, f->value(row, i, now));
	}
}

bool metrics_begin_service(struct writer *w, size_t index)
{
	if (index >= N_SERVICE + N_TALLIES)
		return false;
	if (index < N_SERVICE)
		writer_family(w, service_families[index].type,
			      service_families[index].name, service_families[index].help);
	else
		writer_family(w, METRIC_HISTOGRAM,
			      service_tallies[index - N_SERVICE].name,
			      service_tallies[index - N_SERVICE].help);
	return true;
}

void metrics_put_service(struct writer *w, size_t index,
			 const struct metrics_service *row, nsec_t now)
{
	if (index < N_SERVICE)
		put_row(w, &service_families[index], &row->s, row->labels, now);
	else
		writer_tally(w, service_tallies[index - N_SERVICE].name, row->labels,
			     (const void *)((const char *)&row->s +
					    service_tallies[index - N_SERVICE].offset));
}

bool metrics_begin_heap(struct writer *w, size_t index)
{
	if (index >= N_HEAP)
		return false;
	writer_family(w, heap_families[index].type, heap_families[index].name,
		      heap_families[index].help);
	return true;
}

void metrics_put_heap(struct writer *w, size_t index, const struct metrics_heap *row,
		      nsec_t now)
{
	put_row(w, &heap_families[index], &row->h, row->labels, now);
}

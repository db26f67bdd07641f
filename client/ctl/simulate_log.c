/* SPDX-License-Identifier: MIT */
/* Reads an event log into what each of its heaps did, and counts what happened. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl/ctl.h"
#include "client/ctl/simulate.h"

void *sim_append(void *array_of_items, size_t *n, size_t *room, size_t item)
{
	void **array = array_of_items;
	char *bigger;

	if (*n == *room) {
		*room = *room > 0 ? *room * 2 : 16;
		bigger = ctl_alloc(*room * item);
		if (*n > 0)
			memcpy(bigger, *array, *n * item);
		free(*array);
		*array = bigger;
	}
	return (char *)*array + (*n)++ * item;
}

/* They are in order of their ids. NULL: it never joined. */
static struct sim_history *find(const struct sim_log *log, uint64_t heap)
{
	size_t low = 0, high = log->n_histories;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (log->histories[middle]->heap < heap)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == log->n_histories || log->histories[low]->heap != heap)
		return NULL;
	return log->histories[low];
}

static struct sim_item *add_item(struct sim_log *log, struct sim_history *h,
				 const struct eventlog_entry *entry)
{
	struct sim_item *item =
		sim_append(&log->items, &log->n_items, &log->room_items, sizeof(*item));

	*item = (struct sim_item){.at = entry->at, .history = h};
	return item;
}

/* ---- Events --------------------------------------------------------------------------- */

static nsec_t busy_at(const struct sim_history *h, nsec_t at)
{
	return nsec_sub(nsec_sub(at, h->joined), h->paused);
}

static bool add_heap(struct sim_log *log, const struct eventlog_entry *entry)
{
	uint64_t heap = entry->event.heap;
	struct sim_history *h;

	if (log->n_histories > 0 && log->histories[log->n_histories - 1]->heap >= heap)
		return false;
	h = ctl_alloc(sizeof(*h));
	*(struct sim_history **)sim_append(&log->histories, &log->n_histories,
					   &log->room_histories, sizeof(h)) = h;
	h->heap = heap;
	h->joined = entry->at;
	h->join = entry->event.join;
	h->announced = NSEC_NEVER;
	h->running = entry->snapshot && h->join.hello.prev_window != 0;
	add_item(log, h, entry)->event = entry->event;
	return true;
}

static void add_report(struct sim_history *h, const struct eventlog_entry *entry)
{
	const struct sim_report *before =
		h->n_reports > 0 ? &h->reports[h->n_reports - 1] : NULL;
	struct wire_report report = entry->event.report;
	nsec_t at = nsec_max(nsec_min(report.at, entry->at), h->joined), busy;
	struct sim_report *r;

	if (before) {
		if (report.allocated < before->report.allocated)
			report.allocated = before->report.allocated;
		at = nsec_max(at, before->at);
	}
	busy = busy_at(h, at);
	if (before)
		busy = nsec_max(busy, before->busy);
	r = sim_append(&h->reports, &h->n_reports, &h->room_reports, sizeof(*r));
	*r = (struct sim_report){.at = at, .busy = busy, .report = report};
}

static void add_begin(struct sim_log *log, struct sim_history *h,
		      const struct eventlog_entry *entry)
{
	const struct wire_begin *begin = &entry->event.begin;
	nsec_t at = nsec_min(begin->at, entry->at);

	if (entry->snapshot) {
		h->running = true;
		add_item(log, h, entry)->event = entry->event;
		return;
	}
	if (begin->cause != WIRE_IN_WINDOW || !h->open || begin->window != h->window)
		return;
	h->open = false;
	delays_add(&h->to_begin, SIM_BEGINS, nsec_sub(at, h->opens));
	if (h->wanted != NSEC_NEVER)
		figures_wait(&log->recorded, nsec_sub(at, h->wanted));
}

static void add_end(struct sim_log *log, struct sim_history *h,
		    const struct eventlog_entry *entry)
{
	struct sim_collection *c = sim_append(&h->collections, &h->n_collections,
					      &h->room_collections, sizeof(*c));
	nsec_t end = nsec_min(entry->event.end.end, entry->at);
	nsec_t begin = nsec_min(entry->event.end.begin, end), run = end - begin;

	/* A snapshot counts as the longest stop that it was to the program. */
	if (entry->event.end.stop)
		end = nsec_min(end, nsec_add(begin, entry->event.end.stop));
	*c = (struct sim_collection){
		.end = entry->event.end, .run = run, .busy = busy_at(h, begin)};
	c->end.begin = begin;
	c->end.end = end;
	c->end.stop = 0;
	h->paused += end - nsec_max(begin, nsec_min(h->joined, end));
	if (c->end.kind == WIRE_MINOR)
		return;
	figures_pause(&log->recorded, begin, end);
	log->recorded.forced += c->end.cause == WIRE_FORCED;
}

static void add_calm(struct sim_history *h, uint64_t window, enum sim_answer answer,
		     nsec_t at)
{
	if (window == h->window && h->announced != NSEC_NEVER)
		delays_add(&h->to_quiet, answer, nsec_sub(at, h->announced));
	h->announced = NSEC_NEVER;
}

static void add_decline(struct sim_history *h, const struct eventlog_entry *entry)
{
	if (h->open && entry->event.decline.window == h->window)
		delays_add(&h->to_begin, SIM_DECLINES, nsec_sub(entry->at, h->opens));
	h->open = false;
}

static void add_event(struct sim_log *log, struct sim_history *h,
		      const struct eventlog_entry *entry)
{
	const struct event *event = &entry->event;

	switch (event->type) {
	case EVENT_REPORT:
		add_report(h, entry);
		break;
	case EVENT_BEGIN:
		add_begin(log, h, entry);
		break;
	case EVENT_END:
		add_end(log, h, entry);
		break;
	case EVENT_DECLINE:
		add_decline(h, entry);
		break;
	case EVENT_QUIET:
		add_calm(h, event->quiet.window, SIM_QUIET, entry->at);
		break;
	case EVENT_DRAINED:
		add_calm(h, event->window, SIM_DRAINED, entry->at);
		break;
	case EVENT_UNDRAINABLE:
		add_calm(h, event->window, SIM_UNDRAINABLE, entry->at);
		break;
	case EVENT_IDLE:
	case EVENT_BUSY:
	case EVENT_DEADLINE:
	case EVENT_OFFER:
	case EVENT_LEAVE:
	case EVENT_LOST:
	case EVENT_HOLD:
	case EVENT_COLLECT:
		add_item(log, h, entry)->event = *event;
		break;
	case EVENT_JOIN:
		break;
	}
}

/* ---- Actions --------------------------------------------------------------------------- */

static void add_open(struct sim_log *log, struct sim_history *h,
		     const struct eventlog_entry *entry)
{
	const struct eventlog_action *a = &entry->action;

	/* Announced, and never at rest: the lead ran out. */
	if (h->announced != NSEC_NEVER && h->window == a->action.window.window)
		delays_add(&h->to_quiet, SIM_IGNORES, 0);
	h->announced = NSEC_NEVER;
	h->window = a->action.window.window;
	h->open = true;
	h->opens = nsec_max(a->action.window.opens, entry->at);
	h->wanted = a->wanted;
	log->recorded.windows++;
	log->recorded.over_limit += a->over_limit;
}

static void add_action(struct sim_log *log, struct sim_history *h,
		       const struct eventlog_entry *entry)
{
	const struct eventlog_action *a = &entry->action;

	switch (a->action.type) {
	case ACTION_ANNOUNCE:
		h->window = a->action.announce.window;
		h->announced = entry->at;
		h->open = false;
		break;
	case ACTION_OPEN:
		add_open(log, h, entry);
		break;
	default: /* REVOKE, CLOSE */
		if (h->open && a->reason == REASON_EXPIRED)
			delays_add(&h->to_begin, SIM_IGNORES, 0);
		h->open = false;
		h->announced = NSEC_NEVER;
	}
}

/* ---- The whole log ---------------------------------------------------------------------- */

static int add_entry(struct sim_log *log, struct eventlog_entry *entry,
		     const struct eventlog_reader *reader, const char *path)
{
	uint64_t heap = entry->type == EVENTLOG_ACTION ? entry->action.action.heap
						       : entry->event.heap;
	struct sim_history *h;

	log->end = entry->at;
	if (entry->type == EVENTLOG_CONFIG) {
		add_item(log, NULL, entry)->config = entry->config;
		return CTL_OK;
	}
	if (entry->type == EVENTLOG_EVENT && entry->event.type == EVENT_JOIN) {
		if (add_heap(log, entry))
			return CTL_OK;
		return ctl_complain(CTL_FAILED,
				    "%s: line %lu: \"heap\" is not above that of the "
				    "last join",
				    path, reader->line);
	}
	h = find(log, heap);
	if (!h)
		return ctl_complain(CTL_FAILED, "%s: line %lu: \"heap\" has never joined",
				    path, reader->line);
	if (entry->type == EVENTLOG_EVENT)
		add_event(log, h, entry);
	else
		add_action(log, h, entry);
	return CTL_OK;
}

static int complain_line(const char *path, int error,
			 const struct eventlog_reader *reader)
{
	return ctl_complain(CTL_FAILED, "%s: %s", path,
			    error == -EINVAL ? reader->error : strerror(-error));
}

static int read_lines(struct sim_log *log, const char *path, FILE *file)
{
	struct eventlog_reader reader = {0};
	struct eventlog_entry entry;
	char *line = NULL;
	size_t allocated = 0;
	ssize_t n;
	int r, status = CTL_OK;

	while (status == CTL_OK && (n = getline(&line, &allocated, file)) >= 0) {
		if (n > 0 && line[n - 1] == '\n')
			n--;
		if (reader.line == 0) {
			r = eventlog_read_header(&reader, line, (size_t)n, &log->header);
			log->end = log->header.at;
		} else {
			r = eventlog_read(&reader, line, (size_t)n, &entry);
			if (r == 0)
				status = add_entry(log, &entry, &reader, path);
		}
		if (r < 0)
			status = complain_line(path, r, &reader);
	}
	if (status == CTL_OK && ferror(file))
		status = ctl_complain(CTL_FAILED, "%s: %s", path, strerror(errno));
	else if (status == CTL_OK && reader.line == 0)
		status = ctl_complain(CTL_FAILED, "%s: is empty", path);
	log->lines = reader.line;
	free(line);
	return status;
}

static int by_cost(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* What a unit costs in the middle of all majors there are; 0: there is none. */
static double median_cost(const struct sim_log *log)
{
	double *costs = NULL, median = 0;
	size_t n = 0, room = 0;

	for (size_t i = 0; i < log->n_histories; i++) {
		const struct sim_history *h = log->histories[i];

		for (size_t k = 0; k < h->n_collections; k++) {
			const struct wire_end *end = &h->collections[k].end;
			double walked = (double)end->live + (double)end->freed;

			if (end->kind != WIRE_MAJOR || walked < 1)
				continue;
			*(double *)sim_append(&costs, &n, &room, sizeof(*costs)) =
				(double)(end->end - end->begin) / walked;
		}
	}
	if (n > 0) {
		qsort(costs, n, sizeof(*costs), by_cost);
		median = costs[n / 2];
	}
	free(costs);
	return median;
}

static void add_all(struct sim_delays *all, const struct sim_delays *own)
{
	for (size_t i = 0; i < own->n; i++)
		delays_add(all, own->list[i].answer, own->list[i].delay);
}

static void finish(struct sim_log *log)
{
	double cost = median_cost(log);

	for (size_t i = 0; i < log->n_histories; i++) {
		struct sim_history *h = log->histories[i];
		uint64_t window = h->join.hello.prev_window;

		h->cost = cost;
		/* What was running when the log began is known by how it ended. */
		h->running = h->running && h->n_collections > 0 &&
			     h->collections[0].end.window == window &&
			     h->collections[0].end.kind != WIRE_MINOR;
		if (!h->running)
			h->join.hello.prev_window = 0;
		history_finish(h);
		add_all(&log->to_begin, &h->to_begin);
		add_all(&log->to_quiet, &h->to_quiet);
	}
}

int sim_log_read(const char *path, struct sim_log **ret)
{
	struct sim_log *log = ctl_alloc(sizeof(*log));
	FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	int status;

	if (file == NULL) {
		free(log);
		return ctl_complain(CTL_FAILED, "%s: %s", path, strerror(errno));
	}
	status = read_lines(log, path, file);
	if (file != stdin)
		fclose(file);
	if (status != CTL_OK) {
		sim_log_free(log);
		return status;
	}
	finish(log);
	*ret = log;
	return CTL_OK;
}

static void history_free(struct sim_history *h)
{
	free(h->reports);
	free(h->collections);
	free(h->to_begin.list);
	free(h->to_quiet.list);
	free(h);
}

struct sim_log *sim_log_free(struct sim_log *log)
{
	if (log == NULL)
		return NULL;
	for (size_t i = 0; i < log->n_histories; i++)
		history_free(log->histories[i]);
	for (size_t i = 0; i < log->n_items; i++)
		free((struct core_service_config *)log->items[i].config.services);
	free(log->histories);
	free(log->items);
	free(log->to_begin.list);
	free(log->to_quiet.list);
	figures_deinit(&log->recorded);
	eventlog_header_deinit(&log->header);
	free(log);
	return NULL;
}

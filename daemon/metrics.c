/* SPDX-License-Identifier: MIT */
#include "daemon/metrics.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/metrics_private.h"

/* What is done in one turn. */
#define SERVICES_A_TURN 16
#define LOOKS_A_TURN	128 /* at heaps, also by way of their services */
#define BYTES_A_TURN	16384

static const char *const types[] = {
	[METRICS_PROMETHEUS] = "text/plain; version=0.0.4; charset=utf-8",
	[METRICS_OPENMETRICS] =
		"application/openmetrics-text; version=1.0.0; charset=utf-8",
};

/* One text on its way. */
struct work {
	struct metrics_want want;
	struct list waiters;
	bool looking;	  /* at services or heaps; then they are written */
	uint64_t next;	  /* service or heap to look at */
	size_t n, family; /* rows there are; family that is written */
	size_t row;	  /* of it, the next one */
	struct metrics_service *services;
	struct metrics_heap *heaps;
	struct metrics_host host;
	struct writer writer;
};

struct metrics {
	struct control *control;
	struct loop_timer timer;
	struct list queue; /* who waits for a work that has not begun */
	bool busy;
	struct work work;
};

/* ---- looking ------------------------------------------------------------------------------------ */

static void look_at_services(struct metrics *m)
{
	struct work *k = &m->work;
	unsigned looks = 0;

	for (unsigned i = 0; i < SERVICES_A_TURN && looks < LOOKS_A_TURN; i++) {
		struct metrics_service *row = &k->services[k->n];

		if (k->n == METRICS_SERVICES_MOST ||
		    !supervisor_service(m->control->core, (unsigned)k->next, k->host.now,
					&row->s)) {
			k->looking = false;
			return;
		}
		metrics_look_at_service(row);
		looks += row->s.heaps;
		k->next++;
		k->n++;
	}
}

static bool is_wanted(const struct work *k, const struct core_heap *h)
{
	return !*k->want.service || strcmp(k->want.service, h->service) == 0;
}

static void look_at_heaps(struct metrics *m)
{
	struct work *k = &m->work;

	for (unsigned i = 0; i < LOOKS_A_TURN; i++) {
		struct core_heap h;

		if (!supervisor_heap_after(m->control->core, k->next, k->host.now, &h)) {
			k->looking = false;
			return;
		}
		k->next = h.id;
		if (!is_wanted(k, &h))
			continue;
		if (k->n == METRICS_HEAPS_MOST) {
			k->host.heaps_omitted++;
			continue;
		}
		k->heaps[k->n].h = h;
		metrics_look_at_heap(&k->heaps[k->n++]);
	}
}

/* ---- writing -------------------------------------------------------------------------------------- */

static bool begin_family(struct work *k)
{
	return k->want.heaps ? metrics_begin_heap(&k->writer, k->family)
			     : metrics_begin_service(&k->writer, k->family);
}

static void put_row(struct work *k)
{
	if (k->want.heaps)
		metrics_put_heap(&k->writer, k->family, &k->heaps[k->row], k->host.now);
	else
		metrics_put_service(&k->writer, k->family, &k->services[k->row],
				    k->host.now);
}

/* true: that was all. */
static bool write_some(struct work *k)
{
	size_t before = k->writer.n;

	while (!k->writer.failed && k->writer.n - before < BYTES_A_TURN) {
		if (k->row == 0 && !begin_family(k))
			return true;
		if (k->row < k->n)
			put_row(k);
		if (++k->row < k->n)
			continue;
		k->row = 0;
		k->family++;
	}
	return k->writer.failed;
}

static void write_host(struct metrics *m)
{
	struct work *k = &m->work;
	struct metrics_host *host = &k->host;

	if (k->want.heaps) {
		metrics_put_heaps_omitted(&k->writer, host->heaps_omitted);
		return;
	}
	supervisor_status(m->control->core, &host->status);
	supervisor_gates(m->control->core, &host->gates);
	if (host->status.services > k->n)
		host->services_omitted = host->status.services - (unsigned)k->n;
	metrics_put_host(&k->writer, host);
}

/* ---- one text after the other ---------------------------------------------------------------------- */

static bool is_same(const struct metrics_want *a, const struct metrics_want *b)
{
	return a->format == b->format && a->heaps == b->heaps &&
	       strcmp(a->service, b->service) == 0;
}

static void begin(struct metrics *m)
{
	struct metrics_waiter *first =
		list_entry(m->queue.next, struct metrics_waiter, link);
	struct work *k = &m->work;

	*k = (struct work){.want = first->want, .looking = true};
	k->writer.format = first->want.format;
	k->host.control = m->control;
	k->host.now = loop_now(m->control->loop);
	list_init(&k->waiters);
	list_for_each_safe (link, next, &m->queue) {
		struct metrics_waiter *w = list_entry(link, struct metrics_waiter, link);

		if (!is_same(&w->want, &k->want))
			continue;
		list_unlink(link);
		list_append(&k->waiters, link);
	}
	if (k->want.heaps)
		k->heaps = calloc(METRICS_HEAPS_MOST, sizeof(*k->heaps));
	else
		k->services = calloc(METRICS_SERVICES_MOST, sizeof(*k->services));
	m->busy = true;
}

static struct metrics_text *make_text(struct work *k)
{
	struct metrics_text *t = k->writer.failed ? NULL : calloc(1, sizeof(*t));

	if (!t) {
		free(k->writer.data);
		return NULL;
	}
	t->refs = 1;
	t->type = types[k->want.format];
	t->data = k->writer.data;
	t->size = k->writer.n;
	return t;
}

static void finish(struct metrics *m)
{
	struct work *k = &m->work;
	struct metrics_text *t;

	writer_end(&k->writer);
	free(k->services);
	free(k->heaps);
	t = make_text(k);
	while (!list_empty(&k->waiters)) {
		struct metrics_waiter *w =
			list_entry(k->waiters.next, struct metrics_waiter, link);

		list_unlink(&w->link);
		w->done(w, t);
	}
	metrics_text_unref(t);
	m->busy = false;
}

/* true: that was all. */
static bool go_on(struct metrics *m)
{
	struct work *k = &m->work;

	if (!k->services && !k->heaps) {
		k->writer.failed = true;
		return true;
	}
	/* Nobody waits for it any more. */
	if (list_empty(&k->waiters))
		return true;
	if (!k->looking)
		return write_some(k);
	if (k->want.heaps)
		look_at_heaps(m);
	else
		look_at_services(m);
	if (!k->looking)
		write_host(m);
	return false;
}

static void on_timer(void *userdata, nsec_t now)
{
	struct metrics *m = userdata;

	if (!m->busy && !list_empty(&m->queue))
		begin(m);
	else if (m->busy && go_on(m))
		finish(m);
	if (m->busy || !list_empty(&m->queue))
		loop_timer_set(&m->timer, 0);
}

void metrics_ask(struct metrics *m, struct metrics_waiter *w)
{
	list_append(&m->queue, &w->link);
	loop_timer_set(&m->timer, 0);
}

void metrics_forget(struct metrics_waiter *w)
{
	list_unlink(&w->link);
}

struct metrics_text *metrics_text_ref(struct metrics_text *t)
{
	t->refs++;
	return t;
}

void metrics_text_unref(void *text)
{
	struct metrics_text *t = text;

	if (!t || --t->refs > 0)
		return;
	free(t->data);
	free(t);
}

/* ---- life ------------------------------------------------------------------------------------------- */

int metrics_new(struct control *control, struct metrics **ret)
{
	struct metrics *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return -ENOMEM;
	m->control = control;
	list_init(&m->queue);
	list_init(&m->work.waiters);
	r = loop_timer_init(control->loop, &m->timer, on_timer, m);
	if (r < 0) {
		free(m);
		return r;
	}
	*ret = m;
	return 0;
}

struct metrics *metrics_free(struct metrics *m)
{
	if (!m)
		return NULL;
	if (m->busy)
		finish(m);
	loop_timer_deinit(&m->timer);
	free(m);
	return NULL;
}

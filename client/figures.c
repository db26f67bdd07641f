/* SPDX-License-Identifier: MIT */
/* What the application tells: figures and marks. */
#include "client/client.h"

/* Long enough for the other writer's few stores; if it was preempted, this one is lost.
 */
#define WRITE_TRIES 1000

static uint64_t get(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static bool is_alone(const struct rtgc *r)
{
	return atomic_load_explicit(&r->alone, memory_order_relaxed);
}

static bool writing_begin(struct rtgc *r)
{
	for (int i = 0; i < WRITE_TRIES; i++)
		if (!atomic_exchange_explicit(&r->writing, true, memory_order_acquire))
			return true;
	return false;
}

static void writing_end(struct rtgc *r)
{
	atomic_store_explicit(&r->writing, false, memory_order_release);
}

void figures_write(struct rtgc *r, const struct wire_report *report)
{
	if (!writing_begin(r))
		return;
	page_telemetry_write(&r->mine, report);
	if (atomic_load_explicit(&r->shared, memory_order_relaxed))
		page_telemetry_write(&r->pages.heap->telemetry, report);
	writing_end(r);
}

bool figures_read(const struct rtgc *r, struct wire_report *ret)
{
	struct wire_report report;

	if (!page_telemetry_read(&r->mine, &report) || report.at == 0)
		return false;
	*ret = report;
	return true;
}

static void write_marks(struct rtgc *r)
{
	struct page_app *page = &r->pages.heap->app;
	uint64_t deadline, until;
	uint32_t mark;

	/* Again, if the application has changed its mind meanwhile. */
	do {
		mark = atomic_load(&r->marks.mark);
		deadline = atomic_load(&r->marks.deadline);
		until = atomic_load(&r->marks.idle_until);
		atomic_store(&page->idle_until, until);
		atomic_store(&page->deadline, deadline);
		atomic_store(&page->mark, mark);
	} while (mark != atomic_load(&r->marks.mark) ||
		 deadline != atomic_load(&r->marks.deadline) ||
		 until != atomic_load(&r->marks.idle_until));
}

bool figures_sync(struct rtgc *r)
{
	struct wire_report report;

	if (!atomic_load(&r->shared))
		return true;
	write_marks(r);
	/* A writer that was in the middle of it when the page was mapped finishes first.
	 */
	if (!writing_begin(r))
		return false;
	if (figures_read(r, &report))
		page_telemetry_write(&r->pages.heap->telemetry, &report);
	writing_end(r);
	return true;
}

/* Tells the daemon, or has the dispatcher do it when it is at work just now. */
static void tell(struct rtgc *r, uint32_t due)
{
	if (pthread_mutex_trylock(&r->lock) == 0) {
		session_tell(r, due);
		pthread_mutex_unlock(&r->lock);
		return;
	}
	atomic_fetch_or(&r->due, due);
	client_kick(r);
}

enum rtgc_verdict rtgc_publish(struct rtgc *r, const struct rtgc_figures *figures)
{
	const struct page_slot *slot = atomic_load(&r->slot);
	uint64_t directive = get(&slot->budget), ceiling;
	bool alone = is_alone(r), full;

	if (figures->budget)
		atomic_store_explicit(&r->guard.moved, figures->budget,
				      memory_order_relaxed);
	atomic_store_explicit(&r->guard.used, figures->used, memory_order_relaxed);
	figures_write(r, &(struct wire_report){
				 .at = rtgc_now(),
				 .used = figures->used,
				 .allocated = figures->allocated,
				 .live = figures->live,
				 .rss_bytes = figures->rss_bytes,
				 .budget = guard_reported_budget(&r->guard, directive),
				 .step = figures->step,
			 });
	ceiling = guard_ceiling(&r->guard, directive, alone);
	full = ceiling && figures->used >= ceiling;
	client_full(r, full);
	if (!alone && guard_crossed(&r->guard, figures->used, get(&slot->watermark)))
		tell(r, DUE_REPORT);
	return full ? RTGC_CEILING : RTGC_RUN;
}

/*
 * A mark is stored, then it is looked whether the daemon waits for it; the daemon says
 * that it waits, then looks at the mark. The fence makes sure that one of both sees it.
 */
static void tell_if_wanted(struct rtgc *r, uint32_t due)
{
	const struct page_slot *slot = atomic_load(&r->slot);

	atomic_thread_fence(memory_order_seq_cst);
	if (!is_alone(r) && atomic_load_explicit(&slot->want, memory_order_relaxed) &&
	    (atomic_load_explicit(&r->caps, memory_order_relaxed) & WIRE_CAP_MARKS))
		tell(r, due);
}

static void set_mark(struct rtgc *r, enum page_mark mark, uint64_t until)
{
	struct page_app *page = &r->pages.heap->app;

	atomic_store_explicit(&r->marks.idle_until, until, memory_order_relaxed);
	atomic_store_explicit(&r->marks.mark, mark, memory_order_release);
	if (atomic_load_explicit(&r->shared, memory_order_relaxed)) {
		atomic_store_explicit(&page->idle_until, until, memory_order_relaxed);
		atomic_store_explicit(&page->mark, mark, memory_order_release);
	}
	tell_if_wanted(r, DUE_MARK);
}

void rtgc_idle(struct rtgc *r, uint64_t until_ns)
{
	set_mark(r, PAGE_MARK_IDLE, until_ns);
}

void rtgc_busy(struct rtgc *r)
{
	set_mark(r, PAGE_MARK_BUSY, NSEC_NEVER);
}

void rtgc_deadline(struct rtgc *r, uint64_t at_ns)
{
	atomic_store_explicit(&r->marks.deadline, at_ns, memory_order_relaxed);
	if (atomic_load_explicit(&r->shared, memory_order_relaxed))
		atomic_store_explicit(&r->pages.heap->app.deadline, at_ns,
				      memory_order_relaxed);
	tell_if_wanted(r, DUE_DEADLINE);
}

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

static void set(_Atomic uint64_t *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_relaxed);
}

static bool is_alone(const struct rtgc *r)
{
	return atomic_load_explicit(&r->alone, memory_order_relaxed);
}

/* (One bit: compilers make two instructions of that.) */
static inline bool writing_try(struct rtgc *r)
{
	return !(atomic_fetch_or_explicit(&r->writing, 1, memory_order_acquire) & 1);
}

static bool writing_begin(struct rtgc *r)
{
	for (int i = 0; i < WRITE_TRIES; i++)
		if (writing_try(r))
			return true;
	return false;
}

static void writing_end(struct rtgc *r)
{
	atomic_store_explicit(&r->writing, 0, memory_order_release);
}

void figures_changed(struct rtgc *r)
{
	/* In this order: whoever sets it again looks at the other afterwards. */
	atomic_fetch_add(&r->changes, 1);
	atomic_store(&r->quick.below, 0);
}

/* What is written to a page while another one takes its place may be in neither. */
bool figures_write(struct rtgc *r, const struct wire_report *report)
{
	uint32_t moves;

	if (!writing_begin(r))
		return false;
	moves = atomic_load(&r->moves);
	page_telemetry_write(&r->pages.heap->telemetry, report);
	atomic_thread_fence(memory_order_seq_cst);
	if ((moves & 1) || atomic_load(&r->moves) != moves)
		page_telemetry_write(&r->between, report);
	writing_end(r);
	return true;
}

static void take_newer(const struct page_telemetry *line, struct wire_report *report)
{
	struct wire_report other;

	if (page_telemetry_read(line, &other) && other.at > report->at)
		*report = other;
}

/* Those of a page that was unmapped, while there are none in the one that took its place. */
bool figures_read(const struct rtgc *r, struct wire_report *ret)
{
	struct wire_report report;

	if (!page_telemetry_read(&r->pages.heap->telemetry, &report))
		report.at = 0;
	if (report.at == 0)
		take_newer(&r->kept, &report);
	take_newer(&r->between, &report);
	if (report.at == 0)
		return false;
	*ret = report;
	return true;
}

int figures_over_pages(struct rtgc *r, const int *fds, uint64_t epoch)
{
	struct wire_report report;
	int ret;

	atomic_fetch_add(&r->moves, 1);
	figures_changed(r);
	if (figures_read(r, &report))
		page_telemetry_write(&r->kept, &report);
	ret = fds ? pages_map(&r->pages, fds, epoch) : pages_blank(&r->pages);
	atomic_fetch_add(&r->moves, 1);
	figures_changed(r); /* the next ones are written with their instant */
	return ret;
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

void figures_tell(struct rtgc *r, uint32_t due)
{
	if (pthread_mutex_trylock(&r->lock) == 0) {
		session_tell(r, due);
		pthread_mutex_unlock(&r->lock);
		return;
	}
	atomic_fetch_or(&r->due, due);
	client_kick(r);
}

/*
 * The clock is read anew after so many of the processor's own ticks, which cost a tenth of it: within
 * a millisecond. Figures that are sent are of their instant to the nanosecond.
 */
#define TICKS_OF_A_READING (1u << 20)

static inline uint64_t ticks(void)
{
#ifdef __x86_64__
	return __builtin_ia32_rdtsc();
#else
	return rtgc_now();
#endif
}

/* Nothing has changed but the amounts, and nothing follows from those. (RSS is told when the clock is read.) */
static inline bool is_quick(const struct rtgc *r, const struct rtgc_figures *figures)
{
	const struct page_slot *slot =
		atomic_load_explicit(&r->slot, memory_order_relaxed);

	return figures->used < get(&r->quick.below) &&
	       figures->budget == r->quick.budget &&
	       atomic_load_explicit(&slot->seq, memory_order_relaxed) == r->quick.seq &&
	       ticks() - r->quick.ticks < TICKS_OF_A_READING;
}

/* From where on it must be looked closer, as things were when `changes` were counted. */
static void quicken(struct rtgc *r, const struct page_slot *slot, uint32_t changes,
		    uint64_t ceiling, bool alone)
{
	uint64_t below = ceiling ? ceiling : UINT64_MAX,
		 watermark = get(&slot->watermark);

	if (!alone && get(&r->guard.told) != watermark && watermark < below)
		below = watermark;
	atomic_store(&r->quick.below, below);
	if (atomic_load(&r->changes) != changes)
		atomic_store(&r->quick.below, 0);
}

/* (By itself: its registers would be saved on the quick way as well.) */
static enum rtgc_verdict __attribute__((noinline))
publish(struct rtgc *r, const struct rtgc_figures *figures)
{
	uint32_t changes = atomic_load(&r->changes);
	const struct page_slot *slot = atomic_load(&r->slot);
	uint32_t seq = atomic_load(&slot->seq);
	uint64_t directive = get(&slot->budget), ceiling;
	bool alone = is_alone(r), written, full;

	if (figures->budget)
		atomic_store_explicit(&r->guard.moved, figures->budget,
				      memory_order_relaxed);
	r->quick.budget = figures->budget;
	r->quick.seq = seq;
	r->quick.ticks = ticks();
	written = figures_write(
		r, &(struct wire_report){
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
	/* By what has come meanwhile: a daemon that was found just now has read what there was before. */
	slot = atomic_load(&r->slot);
	alone = is_alone(r);
	if (!alone && guard_crossed(&r->guard, figures->used, get(&slot->watermark)))
		figures_tell(r, DUE_REPORT);
	/* (One that is just being written is odd now, or not the same next time.) */
	if (written && !full && !(seq & 1))
		quicken(r, slot, changes, ceiling, alone);
	return full ? RTGC_CEILING : RTGC_RUN;
}

enum rtgc_verdict rtgc_publish(struct rtgc *r, const struct rtgc_figures *figures)
{
	struct page_telemetry *line = &r->pages.heap->telemetry;
	uint32_t odd;

	if (!is_quick(r, figures) || !writing_try(r))
		return publish(r, figures);
	odd = page_write_begin(&line->seq);
	set(&line->used, figures->used);
	set(&line->allocated, figures->allocated);
	set(&line->live, figures->live);
	set(&line->step, figures->step);
	page_write_end(&line->seq, odd);
	writing_end(r);
	return RTGC_RUN;
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
		figures_tell(r, due);
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

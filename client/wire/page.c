/* SPDX-License-Identifier: MIT */
#include "client/wire/page.h"

#include <string.h>

/*
 * Memory ordering, for every seqlock here. The data words are atomics with relaxed order,
 * so that a torn read is a stale value and never undefined behaviour.
 *
 *	writer: seq := odd (relaxed); release fence; data (relaxed); seq := even (release)
 *	reader: seq (acquire); data (relaxed); acquire fence; seq again (relaxed)
 *
 * A reader that saw any datum of a newer write therefore sees that write's odd seq too,
 * or a later one, and discards its copy.
 */

/*
 * How often a reader tries before it gives up. A writer that was preempted in mid-write
 * can stay so for long, and no reader may wait for it.
 */
#define TRIES 64

static inline uint64_t get(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static inline void set(_Atomic uint64_t *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_relaxed);
}

/* Returns the odd number. One left odd by a writer that died in mid-write stays so. */
static uint32_t write_begin(_Atomic uint32_t *seq)
{
	uint32_t odd = (atomic_load_explicit(seq, memory_order_relaxed) + 1) | 1;

	atomic_store_explicit(seq, odd, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	return odd;
}

static void write_end(_Atomic uint32_t *seq, uint32_t odd)
{
	atomic_store_explicit(seq, odd + 1, memory_order_release);
}

static uint32_t read_begin(const _Atomic uint32_t *seq)
{
	return atomic_load_explicit(seq, memory_order_acquire);
}

static bool read_consistent(const _Atomic uint32_t *seq, uint32_t before)
{
	atomic_thread_fence(memory_order_acquire);
	return !(before & 1) && atomic_load_explicit(seq, memory_order_relaxed) == before;
}

void page_header_init(struct page_header *header, uint16_t slots, uint64_t epoch)
{
	header->magic = WIRE_MAGIC;
	header->layout = PAGE_LAYOUT;
	header->slots = slots;
	set(&header->epoch, epoch);
	set(&header->heartbeat, 0);
	memset(header->reserved, 0, sizeof(header->reserved));
}

bool page_header_valid(const struct page_header *header, uint16_t slots)
{
	return header->magic == WIRE_MAGIC && header->layout == PAGE_LAYOUT &&
	       header->slots == slots;
}

/* The words of a slot that say which window it holds. Inside write_begin/_end. */
static void slot_store(struct page_slot *slot, enum page_state state,
		       const struct wire_window *window, bool drain)
{
	set(&slot->window, window->window);
	set(&slot->opens, window->opens);
	set(&slot->closes, window->closes);
	set(&slot->predicted, window->predicted);
	atomic_store_explicit(&slot->kind, window->kind, memory_order_relaxed);
	atomic_store_explicit(&slot->must, window->must, memory_order_relaxed);
	atomic_store_explicit(&slot->drain, drain, memory_order_relaxed);
	atomic_store_explicit(&slot->state, state, memory_order_relaxed);
}

static void slot_store_directive(struct page_slot *slot,
				 const struct wire_directive *directive)
{
	set(&slot->watermark, directive->watermark);
	set(&slot->budget, directive->budget);
	atomic_store_explicit(&slot->want, directive->want, memory_order_relaxed);
}

static const struct wire_window no_window;

void page_slot_reset(struct page_slot *slot)
{
	static const struct wire_directive none = {.watermark = UINT64_MAX};
	uint32_t odd = write_begin(&slot->seq);

	slot_store(slot, PAGE_NONE, &no_window, false);
	slot_store_directive(slot, &none);
	write_end(&slot->seq, odd);
}

void page_slot_announce(struct page_slot *slot, const struct wire_announce *announce)
{
	const struct wire_window window = {
		.window = announce->window,
		.opens = announce->opens_by,
		.closes = NSEC_NEVER,
		.predicted = announce->predicted,
		.kind = announce->kind,
	};
	uint32_t odd;

	assert(announce->window && announce->kind < WIRE_KINDS && announce->drain <= 1);
	odd = write_begin(&slot->seq);
	slot_store(slot, PAGE_ANNOUNCED, &window, announce->drain);
	write_end(&slot->seq, odd);
}

void page_slot_open(struct page_slot *slot, const struct wire_window *window)
{
	uint32_t odd;

	assert(window->window && window->kind < WIRE_KINDS && window->must <= 1);
	odd = write_begin(&slot->seq);
	slot_store(slot, PAGE_OPEN, window, false);
	write_end(&slot->seq, odd);
}

void page_slot_close(struct page_slot *slot)
{
	uint32_t odd = write_begin(&slot->seq);

	slot_store(slot, PAGE_NONE, &no_window, false);
	write_end(&slot->seq, odd);
}

void page_slot_direct(struct page_slot *slot, const struct wire_directive *directive)
{
	uint32_t odd;

	assert(directive->want <= 1);
	odd = write_begin(&slot->seq);
	slot_store_directive(slot, directive);
	write_end(&slot->seq, odd);
}

bool page_slot_read(const struct page_slot *slot, struct page_window *ret)
{
	for (int i = 0; i < TRIES; i++) {
		uint32_t seq = read_begin(&slot->seq);
		uint32_t state = atomic_load_explicit(&slot->state, memory_order_relaxed);
		uint64_t window = get(&slot->window), opens = get(&slot->opens);
		uint64_t closes = get(&slot->closes), predicted = get(&slot->predicted);
		uint64_t watermark = get(&slot->watermark), budget = get(&slot->budget);
		unsigned kind = atomic_load_explicit(&slot->kind, memory_order_relaxed);
		unsigned must = atomic_load_explicit(&slot->must, memory_order_relaxed);
		unsigned drain = atomic_load_explicit(&slot->drain, memory_order_relaxed);
		uint32_t want = atomic_load_explicit(&slot->want, memory_order_relaxed);

		if (!read_consistent(&slot->seq, seq))
			continue;
		if (state > PAGE_OPEN || (state != PAGE_NONE) != (window != 0) ||
		    kind >= WIRE_KINDS || must > 1 || drain > 1 || want > 1)
			return false;
		*ret = (struct page_window){
			.state = state,
			.window = {.window = window,
				   .opens = opens,
				   .closes = closes,
				   .predicted = predicted,
				   .kind = kind,
				   .must = must},
			.drain = drain,
			.watermark = watermark,
			.budget = budget,
			.want = want,
		};
		return true;
	}
	return false;
}

void page_telemetry_write(struct page_telemetry *line, const struct wire_report *report)
{
	uint32_t odd = write_begin(&line->seq);

	set(&line->at, report->at);
	set(&line->used, report->used);
	set(&line->allocated, report->allocated);
	set(&line->live, report->live);
	set(&line->rss_bytes, report->rss_bytes);
	set(&line->budget, report->budget);
	set(&line->step, report->step);
	write_end(&line->seq, odd);
}

bool page_telemetry_read(const struct page_telemetry *line, struct wire_report *ret)
{
	for (int i = 0; i < TRIES; i++) {
		uint32_t seq = read_begin(&line->seq);
		struct wire_report report = {
			.at = get(&line->at),
			.used = get(&line->used),
			.allocated = get(&line->allocated),
			.live = get(&line->live),
			.rss_bytes = get(&line->rss_bytes),
			.budget = get(&line->budget),
			.step = get(&line->step),
		};

		if (!read_consistent(&line->seq, seq))
			continue;
		*ret = report;
		return true;
	}
	return false;
}

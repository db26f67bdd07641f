/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/wire/page.h"

#define READS 2000000
/* So often must the reader have seen another value: else nothing was written meanwhile.
 */
#define CHANGES 10000

static struct window_page page;
static struct heap_page heap;

static const struct wire_window a_window = {
	.window = 7,
	.opens = 100,
	.closes = 300,
	.predicted = 50,
	.kind = WIRE_MAJOR,
	.must = 1,
};
static const struct wire_announce an_announcement = {
	.window = 7,
	.opens_by = 100,
	.predicted = 50,
	.kind = WIRE_SNAPSHOT,
	.drain = 1,
};
static const struct wire_directive a_directive = {
	.watermark = 4000,
	.report_by = 5000,
	.budget = 6000,
	.want = 1,
};

static int clear(void **state)
{
	memset(&page, 0, sizeof(page));
	memset(&heap, 0, sizeof(heap));
	page_slot_reset(&page.slot[0]);
	return 0;
}

static struct page_window read_slot(void)
{
	struct page_window copy;

	assert_true(page_slot_read(&page.slot[0], &copy));
	return copy;
}

static void test_header(void **state)
{
	struct page_header *h = &page.header;

	memset(h, 0x5a, sizeof(*h));
	assert_false(page_header_valid(h, PAGE_SLOTS));
	page_header_init(h, PAGE_SLOTS, 0x1122334455667788);
	assert_true(page_header_valid(h, PAGE_SLOTS));
	assert_false(page_header_valid(h, 0));
	assert_true(h->epoch == 0x1122334455667788);
	assert_true(h->heartbeat == 0);
	for (unsigned i = 0; i < sizeof(h->reserved); i++)
		assert_int_equal(h->reserved[i], 0);
	h->magic++;
	assert_false(page_header_valid(h, PAGE_SLOTS));
	page_header_init(h, 0, 1);
	assert_true(page_header_valid(h, 0));
	h->layout++;
	assert_false(page_header_valid(h, 0));
}

static void test_reset(void **state)
{
	struct page_window w = read_slot();

	assert_int_equal(w.state, PAGE_NONE);
	assert_int_equal(w.window.window, 0);
	assert_true(w.watermark == UINT64_MAX);
	assert_int_equal(w.budget, 0);
	assert_false(w.want);

	page_slot_open(&page.slot[0], &a_window);
	page_slot_direct(&page.slot[0], &a_directive);
	page_slot_reset(&page.slot[0]);
	w = read_slot();
	assert_int_equal(w.state, PAGE_NONE);
	assert_true(w.watermark == UINT64_MAX);
	assert_int_equal(w.budget, 0);
	assert_false(w.want);
}

static void test_announce_open_close(void **state)
{
	struct page_window w;

	page_slot_announce(&page.slot[0], &an_announcement);
	w = read_slot();
	assert_int_equal(w.state, PAGE_ANNOUNCED);
	assert_int_equal(w.window.window, 7);
	assert_int_equal(w.window.opens, 100);
	assert_true(w.window.closes == NSEC_NEVER);
	assert_int_equal(w.window.predicted, 50);
	assert_int_equal(w.window.kind, WIRE_SNAPSHOT);
	assert_int_equal(w.window.must, 0);
	assert_true(w.drain);

	page_slot_open(&page.slot[0], &a_window);
	w = read_slot();
	assert_int_equal(w.state, PAGE_OPEN);
	assert_int_equal(w.window.window, 7);
	assert_int_equal(w.window.opens, 100);
	assert_int_equal(w.window.closes, 300);
	assert_int_equal(w.window.predicted, 50);
	assert_int_equal(w.window.kind, WIRE_MAJOR);
	assert_int_equal(w.window.must, 1);
	assert_false(w.drain);

	page_slot_close(&page.slot[0]);
	w = read_slot();
	assert_int_equal(w.state, PAGE_NONE);
	assert_int_equal(w.window.window, 0);
	assert_int_equal(w.window.opens, 0);
	assert_int_equal(w.window.closes, 0);
}

/* Directives and windows come and go without disturbing each other, or the neighbours. */
static void test_directive_stays(void **state)
{
	struct page_window w;

	page_slot_reset(&page.slot[1]);
	page_slot_direct(&page.slot[0], &a_directive);
	page_slot_open(&page.slot[0], &a_window);
	w = read_slot();
	assert_int_equal(w.watermark, 4000);
	assert_int_equal(w.budget, 6000);
	assert_true(w.want);
	page_slot_direct(&page.slot[0],
			 &(struct wire_directive){.watermark = 1, .budget = 2});
	w = read_slot();
	assert_int_equal(w.state, PAGE_OPEN);
	assert_int_equal(w.window.window, 7);
	assert_int_equal(w.watermark, 1);
	assert_int_equal(w.budget, 2);
	assert_false(w.want);
	page_slot_close(&page.slot[0]);
	assert_int_equal(read_slot().watermark, 1);

	assert_true(page_slot_read(&page.slot[1], &w));
	assert_int_equal(w.state, PAGE_NONE);
	assert_true(w.watermark == UINT64_MAX);
}

static void assert_unreadable(void)
{
	struct page_window copy, before;

	memset(&copy, 0x5a, sizeof(copy));
	memcpy(&before, &copy, sizeof(copy));
	assert_false(page_slot_read(&page.slot[0], &copy));
	assert_memory_equal(&copy, &before, sizeof(copy));
	page_slot_reset(&page.slot[0]);
	assert_int_equal(read_slot().state, PAGE_NONE);
	page_slot_open(&page.slot[0], &a_window);
}

static void test_out_of_range(void **state)
{
	struct page_slot *slot = &page.slot[0];

	page_slot_open(slot, &a_window);
	slot->state = PAGE_OPEN + 1;
	assert_unreadable();
	slot->state = PAGE_NONE;
	assert_unreadable();
	slot->window = 0;
	assert_unreadable();
	slot->kind = WIRE_KINDS;
	assert_unreadable();
	slot->kind = 0x0101;
	assert_unreadable();
	slot->must = 2;
	assert_unreadable();
	slot->drain = 2;
	assert_unreadable();
	slot->want = 2;
	assert_unreadable();
	assert_int_equal(read_slot().state, PAGE_OPEN);
}

/* A writer that died in mid-write: nobody waits for it, and the next one mends it. */
static void test_writer_died(void **state)
{
	struct wire_report r = {.at = 1}, ret = {.at = 2};
	struct page_slot *slot = &page.slot[0];

	slot->seq |= 1;
	assert_unreadable();
	assert_int_equal(slot->seq & 1, 0);

	page_telemetry_write(&heap.telemetry, &r);
	heap.telemetry.seq |= 1;
	assert_false(page_telemetry_read(&heap.telemetry, &ret));
	assert_int_equal(ret.at, 2);
	page_telemetry_write(&heap.telemetry, &r);
	assert_true(page_telemetry_read(&heap.telemetry, &ret));
	assert_int_equal(ret.at, 1);
}

/* The numbers of a seqlock wrap around. */
static void test_seq_wraps(void **state)
{
	page.slot[0].seq = UINT32_MAX - 1;
	page_slot_open(&page.slot[0], &a_window);
	assert_int_equal(page.slot[0].seq, 0);
	assert_int_equal(read_slot().state, PAGE_OPEN);
	page.slot[0].seq = UINT32_MAX;
	page_slot_close(&page.slot[0]);
	assert_int_equal(page.slot[0].seq, 0);
	assert_int_equal(read_slot().state, PAGE_NONE);
}

static void test_telemetry(void **state)
{
	const struct wire_report r = {1, 2, 3, 4, 5, 6, UINT64_MAX};
	struct wire_report ret;

	assert_true(page_telemetry_read(&heap.telemetry, &ret));
	assert_int_equal(ret.at, 0);
	page_telemetry_write(&heap.telemetry, &r);
	assert_true(page_telemetry_read(&heap.telemetry, &ret));
	assert_memory_equal(&ret, &r, sizeof(r));
}

static atomic_bool stop;

/* On one CPU the two threads would otherwise meet once a time slice only. */
static void yield_each(uint64_t every, uint64_t n)
{
	if (n % every == 0)
		sched_yield();
}

/* Everything written follows from n, so that a reader can tell a mixture of two. */
static void *write_slots(void *arg)
{
	for (uint64_t n = 1; !atomic_load(&stop); n++) {
		const struct wire_announce announce = {
			.window = n,
			.opens_by = n * 3,
			.predicted = n * 7,
			.kind = n % WIRE_KINDS,
			.drain = n & 1,
		};
		const struct wire_window window = {
			.window = n,
			.opens = n * 3,
			.closes = n * 5,
			.predicted = n * 7,
			.kind = n % WIRE_KINDS,
			.must = n >> 1 & 1,
		};
		const struct wire_directive directive = {
			.watermark = n * 11,
			.budget = n * 13,
			.want = n & 1,
		};

		page_slot_announce(&page.slot[0], &announce);
		yield_each(61, 4 * n);
		page_slot_direct(&page.slot[0], &directive);
		yield_each(61, 4 * n + 1);
		page_slot_open(&page.slot[0], &window);
		yield_each(61, 4 * n + 2);
		page_slot_close(&page.slot[0]);
		yield_each(61, 4 * n + 3);
	}
	return NULL;
}

static bool slot_consistent(const struct page_window *w)
{
	const struct wire_window *v = &w->window;
	uint64_t n = v->window, m = w->budget / 13;
	bool directive =
		w->budget == m * 13 && w->watermark == m * 11 && w->want == (m & 1);

	switch (w->state) {
	case PAGE_NONE:
		return directive && n == 0 && v->opens == 0 && v->closes == 0 &&
		       v->predicted == 0 && v->kind == 0 && v->must == 0 && !w->drain;
	case PAGE_ANNOUNCED:
		return directive && v->opens == n * 3 && v->closes == NSEC_NEVER &&
		       v->predicted == n * 7 && v->kind == n % WIRE_KINDS &&
		       v->must == 0 && w->drain == (n & 1) && (m == n || m == n - 1);
	case PAGE_OPEN:
		return directive && v->opens == n * 3 && v->closes == n * 5 &&
		       v->predicted == n * 7 && v->kind == n % WIRE_KINDS &&
		       v->must == (n >> 1 & 1) && !w->drain && m == n;
	}
	return false;
}

static void test_torn_slot(void **state)
{
	unsigned reads = 0, changes = 0, seen[PAGE_OPEN + 1] = {0};
	uint64_t last = 0;
	pthread_t thread;

	/* What write_slots() would have written for 0. */
	page_slot_direct(&page.slot[0], &(struct wire_directive){.watermark = 0});
	atomic_store(&stop, false);
	assert_int_equal(pthread_create(&thread, NULL, write_slots, NULL), 0);
	while (reads < READS || changes < CHANGES || !seen[PAGE_ANNOUNCED] ||
	       !seen[PAGE_OPEN]) {
		struct page_window w;

		if (!page_slot_read(&page.slot[0], &w)) {
			sched_yield();
			continue;
		}
		if (!slot_consistent(&w)) {
			atomic_store(&stop, true);
			pthread_join(thread, NULL);
			fail_msg("a torn slot passed for a whole one, state %u", w.state);
		}
		yield_each(256, ++reads);
		seen[w.state]++;
		changes += w.budget != last;
		last = w.budget;
	}
	atomic_store(&stop, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void *write_telemetry(void *arg)
{
	for (uint64_t n = 1; !atomic_load(&stop); n++) {
		page_telemetry_write(&heap.telemetry,
				     &(struct wire_report){.at = n,
							   .used = n * 3,
							   .allocated = n * 5,
							   .live = n * 7,
							   .rss_bytes = n * 11,
							   .budget = n * 13,
							   .step = n * 17});
		yield_each(64, n);
	}
	return NULL;
}

static void test_torn_telemetry(void **state)
{
	unsigned reads = 0, changes = 0;
	uint64_t last = 0;
	pthread_t thread;

	atomic_store(&stop, false);
	assert_int_equal(pthread_create(&thread, NULL, write_telemetry, NULL), 0);
	while (reads < READS || changes < CHANGES) {
		struct wire_report r;

		if (!page_telemetry_read(&heap.telemetry, &r)) {
			sched_yield();
			continue;
		}
		if (r.used != r.at * 3 || r.allocated != r.at * 5 || r.live != r.at * 7 ||
		    r.rss_bytes != r.at * 11 || r.budget != r.at * 13 ||
		    r.step != r.at * 17 || r.at < last) {
			atomic_store(&stop, true);
			pthread_join(thread, NULL);
			fail_msg("a torn report passed for a whole one");
		}
		yield_each(256, ++reads);
		changes += r.at != last;
		last = r.at;
	}
	atomic_store(&stop, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_header, clear),
		cmocka_unit_test_setup(test_reset, clear),
		cmocka_unit_test_setup(test_announce_open_close, clear),
		cmocka_unit_test_setup(test_directive_stays, clear),
		cmocka_unit_test_setup(test_out_of_range, clear),
		cmocka_unit_test_setup(test_writer_died, clear),
		cmocka_unit_test_setup(test_seq_wraps, clear),
		cmocka_unit_test_setup(test_telemetry, clear),
		cmocka_unit_test_setup(test_torn_slot, clear),
		cmocka_unit_test_setup(test_torn_telemetry, clear),
	};

	return cmocka_run_group_tests_name("page", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * The shared pages, part of version 1 of the wire: two sealed 4 KiB memfds handed over
 * with WELCOME (SCM_RIGHTS: the window page, then the heap page).
 *
 *   window page  the daemon writes, clients map it read-only (F_SEAL_FUTURE_WRITE).
 *                Line 0 is the header with epoch and heartbeat; lines 1 … PAGE_SLOTS
 *                belong to one heap each. A page is shared by heaps of one uid only.
 *   heap page    one client writes, the daemon reads: telemetry and the application's
 *                mark.
 *
 * One cache line (64 bytes) a writer and purpose. A line with more than one word that
 * must be read together is a seqlock: the writer makes seq odd, writes, makes it even;
 * the reader copies and believes the copy only if seq was even and the same before and
 * after. Nothing in a page is trusted: the daemon checks ranges when it uses a copy.
 *
 * States of a slot (who moves it: the daemon, always):
 *
 *	NONE ──announce──▶ ANNOUNCED ──quiet, drained or lead over──▶ OPEN
 *	NONE ──nothing to drain──▶ OPEN
 *	OPEN ──end, expiry──▶ NONE
 *	ANNOUNCED or OPEN ──revoke──▶ NONE
 *
 * Pure: no clock, no system call. Threads: one writer a line; any number of readers.
 */
#ifndef RTGC_WIRE_PAGE_H
#define RTGC_WIRE_PAGE_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/wire/wire.h"

#define PAGE_SIZE_BYTES 4096
#define PAGE_LINE	64
#define PAGE_SLOTS	(PAGE_SIZE_BYTES / PAGE_LINE - 1)
#define PAGE_LAYOUT	1

enum page_state {
	PAGE_NONE = 0,
	PAGE_ANNOUNCED = 1,
	PAGE_OPEN = 2,
};

enum page_mark {	    /* what the application says of itself */
	PAGE_MARK_NONE = 0, /* nothing: it never marked */
	PAGE_MARK_BUSY = 1,
	PAGE_MARK_IDLE = 2,
};

struct page_header {	 /* line 0 of both pages */
	uint32_t magic;	 /* WIRE_MAGIC */
	uint16_t layout; /* PAGE_LAYOUT */
	uint16_t slots;	 /* window page: PAGE_SLOTS; heap page: 0 */
	_Atomic uint64_t epoch;
	_Atomic uint64_t heartbeat; /* window page: when the daemon's loop last turned */
	uint8_t reserved[PAGE_LINE - 24];
};

struct page_slot { /* a heap's line of the window page; writer: the daemon */
	_Atomic uint32_t seq;
	_Atomic uint32_t state; /* enum page_state, alone on the fast path */
	_Atomic uint64_t window, opens, closes, predicted;
	_Atomic uint64_t watermark, budget; /* struct wire_directive */
	_Atomic uint16_t kind;
	_Atomic uint8_t must, drain; /* drain: while ANNOUNCED; struct wire_announce */
	_Atomic uint32_t want;	     /* struct wire_directive; alone on the fast path */
};

struct page_telemetry { /* line 1 of the heap page; writer: the client */
	_Atomic uint32_t seq;
	uint32_t reserved;
	_Atomic uint64_t at, used, allocated, live, rss_bytes, budget,
		step; /* wire_report */
};

struct page_app { /* line 2 of the heap page; writer: the application's thread */
	_Atomic uint32_t mark; /* enum page_mark */
	uint32_t reserved0;
	_Atomic uint64_t deadline;   /* NSEC_NEVER = none */
	_Atomic uint64_t idle_until; /* NSEC_NEVER = not known */
	uint8_t reserved[PAGE_LINE - 24];
};

struct window_page {
	struct page_header header;
	struct page_slot slot[PAGE_SLOTS]; /* slot n of WELCOME is slot[n - 1] */
};

struct heap_page {
	struct page_header header;
	struct page_telemetry telemetry;
	struct page_app app;
	uint8_t reserved[PAGE_SIZE_BYTES - 3 * PAGE_LINE];
};

/* An atomic that takes a lock would take another one in each process. */
static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LLONG_LOCK_FREE == 2, "lock-free");
static_assert(sizeof(struct page_header) == PAGE_LINE, "line");
static_assert(sizeof(struct page_slot) == PAGE_LINE, "line");
static_assert(offsetof(struct page_slot, window) == 8, "offset");
static_assert(offsetof(struct page_slot, kind) == 56, "offset");
static_assert(offsetof(struct page_slot, drain) == 59, "offset");
static_assert(offsetof(struct page_slot, want) == 60, "offset");
static_assert(sizeof(struct page_telemetry) == PAGE_LINE, "line");
static_assert(offsetof(struct page_telemetry, at) == 8, "offset");
static_assert(sizeof(struct page_app) == PAGE_LINE, "line");
static_assert(sizeof(struct window_page) == PAGE_SIZE_BYTES, "page");
static_assert(sizeof(struct heap_page) == PAGE_SIZE_BYTES, "page");

struct page_window { /* a consistent copy of a slot */
	enum page_state state;
	/* While ANNOUNCED, opens is when it opens at the latest, closes NSEC_NEVER. */
	struct wire_window window;
	bool drain; /* while ANNOUNCED: become quiet and say so */
	uint64_t watermark, budget;
	bool want;
};

void page_header_init(struct page_header *header, uint16_t slots, uint64_t epoch);
bool page_header_valid(const struct page_header *header, uint16_t slots);

/* Writer's side of a slot: the daemon; without shared pages the library, on its own. */
void page_slot_reset(struct page_slot *slot);
void page_slot_announce(struct page_slot *slot, const struct wire_announce *announce);
void page_slot_open(struct page_slot *slot, const struct wire_window *window);
void page_slot_close(struct page_slot *slot);
void page_slot_direct(struct page_slot *slot, const struct wire_directive *directive);
/* Reader's side. false: torn or out of range after bounded tries, treat as PAGE_NONE. */
bool page_slot_read(const struct page_slot *slot, struct page_window *ret);

void page_telemetry_write(struct page_telemetry *line, const struct wire_report *report);
/* false: the writer was in the middle of it, bounded tries. Use what was known before. */
bool page_telemetry_read(const struct page_telemetry *line, struct wire_report *ret);

#endif

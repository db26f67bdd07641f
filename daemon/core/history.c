/* SPDX-License-Identifier: MIT */
#include "daemon/core/history.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/*
 * A record: its length, the reason, a bit for each number that differs (low byte first), then the
 * differences of those, seven bits a byte.
 */
#define NUMBERS	    12
#define HEAD	    4
#define RECORD_MOST (HEAD + NUMBERS * 10)

#define STEP	   RECORD_MOST /* the first room is for any record */
#define MOST_BYTES (3 * STEP)

struct numbers {
	uint64_t number[NUMBERS];
};

/* ---- a decision in numbers ------------------------------------------------------------------ */

static void to_numbers(const struct core_decision *d, struct numbers *ret)
{
	uint64_t latest = d->latest_start / NSEC_PER_USEC,
		 exhaustion = d->exhaustion / NSEC_PER_USEC;

	*ret = (struct numbers){{d->at / NSEC_PER_USEC, d->window, d->used, d->budget,
				 d->rate_per_s, exhaustion, latest - exhaustion,
				 d->contention_start / NSEC_PER_USEC - latest,
				 d->predicted / NSEC_PER_USEC, d->slots_taken, d->slots,
				 d->holder}};
}

static nsec_t to_nsec(uint64_t us)
{
	return us >= NSEC_NEVER / NSEC_PER_USEC ? NSEC_NEVER : us * NSEC_PER_USEC;
}

static void from_numbers(const struct numbers *n, struct core_decision *ret)
{
	const uint64_t *number = n->number;
	uint64_t latest = number[5] + number[6];

	ret->at = to_nsec(number[0]);
	ret->window = number[1];
	ret->used = number[2];
	ret->budget = number[3];
	ret->rate_per_s = number[4];
	ret->exhaustion = to_nsec(number[5]);
	ret->latest_start = to_nsec(latest);
	ret->contention_start = to_nsec(latest + number[7]);
	ret->predicted = to_nsec(number[8]);
	ret->slots_taken = (unsigned)number[9];
	ret->slots = (unsigned)number[10];
	ret->holder = number[11];
}

/* ---- records -------------------------------------------------------------------------------- */

/* Small ones either way become small: 0, -1, 1, -2 … */
static uint8_t *put(uint8_t *at, uint64_t difference)
{
	uint64_t value = difference << 1 ^ (difference >> 63 ? UINT64_MAX : 0);

	while (value > 0x7f) {
		*at++ = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	*at++ = (uint8_t)value;
	return at;
}

static uint64_t get(const uint8_t **at)
{
	uint64_t value = 0;
	unsigned shift = 0;

	do {
		value |= (uint64_t)(**at & 0x7f) << shift;
		shift += 7;
	} while (*(*at)++ & 0x80);
	return value >> 1 ^ (value & 1 ? UINT64_MAX : 0);
}

static size_t pack(const struct core_decision *d, const struct core_decision *behind,
		   uint8_t record[RECORD_MOST])
{
	uint8_t *at = record + HEAD;
	struct numbers a, b;
	unsigned differs = 0;

	to_numbers(d, &a);
	to_numbers(behind, &b);
	for (unsigned i = 0; i < NUMBERS; i++) {
		if (a.number[i] == b.number[i])
			continue;
		differs |= 1u << i;
		at = put(at, a.number[i] - b.number[i]);
	}
	record[0] = (uint8_t)(at - record);
	record[1] = (uint8_t)d->reason;
	record[2] = (uint8_t)differs;
	record[3] = (uint8_t)(differs >> 8);
	return record[0];
}

static void unpack(const uint8_t *record, const struct core_decision *behind,
		   struct core_decision *ret)
{
	unsigned differs = record[2] | (unsigned)record[3] << 8;
	const uint8_t *at = record + HEAD;
	struct numbers n;

	to_numbers(behind, &n);
	for (unsigned i = 0; i < NUMBERS; i++)
		if (differs & 1u << i)
			n.number[i] += get(&at);
	from_numbers(&n, ret);
	ret->reason = (enum reason)record[1];
}

/* ---- all of them ---------------------------------------------------------------------------- */

static void forget_oldest(struct history *h)
{
	uint8_t *older = h->block->older;

	h->used = (uint16_t)(h->used - older[0]);
	memmove(older, older + older[0], h->used);
	h->n--;
}

/* false: not any more. */
static bool grow(struct history *h)
{
	unsigned size = h->size + STEP;
	struct history_block *block;

	if (size > MOST_BYTES)
		return false;
	block = realloc(h->block, sizeof(*block) + size);
	if (!block)
		return false;
	h->block = block;
	h->size = (uint16_t)size;
	return true;
}

static void keep_newest(struct history *h, const struct core_decision *behind)
{
	uint8_t record[RECORD_MOST];
	size_t length = pack(&h->block->newest, behind, record);

	if (h->n == CORE_DECISIONS)
		forget_oldest(h);
	while (h->used + length > h->size && grow(h))
		;
	while (h->used + length > h->size)
		forget_oldest(h);
	memcpy(h->block->older + h->used, record, length);
	h->used = (uint16_t)(h->used + length);
}

static_assert(RECORD_MOST <= UINT8_MAX, "a byte says how long it is");

void history_add(struct history *h, const struct core_decision *decision)
{
	if (h->n > 0)
		keep_newest(h, decision);
	else if (!grow(h))
		return;
	h->block->newest = *decision;
	h->n++;
}

unsigned history_read(const struct history *h, struct core_decision ret[CORE_DECISIONS])
{
	const uint8_t *record[CORE_DECISIONS], *at;

	if (h->n == 0)
		return 0;
	at = h->block->older;
	for (unsigned i = 0; i + 1 < h->n; i++, at += *at)
		record[i] = at;
	ret[h->n - 1] = h->block->newest;
	for (unsigned i = h->n - 1; i-- > 0;)
		unpack(record[i], &ret[i + 1], &ret[i]);
	return h->n;
}

void history_deinit(struct history *h)
{
	free(h->block);
	*h = (struct history){0};
}

/* SPDX-License-Identifier: MIT */
/*
 * What the targets share. A target is one file with LLVMFuzzerTestOneInput(): libFuzzer or AFL++
 * calls it with bytes of their own, replay.c with those of files. It ends in abort() when what
 * must hold does not; the sanitizers see the rest.
 */
#ifndef RTGCD_TESTS_FUZZ_FUZZ_H
#define RTGCD_TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends in abort() after a line that survives a fuzzer which closes stderr. */
void fuzz_fail(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4), noreturn));

#define fuzz_check(condition)                                            \
	do {                                                             \
		if (!(condition))                                        \
			fuzz_fail(__FILE__, __LINE__, "%s", #condition); \
	} while (0)

/* A file in memory with that content; its path is good until the next call. */
const char *fuzz_file(const uint8_t *data, size_t size);

/* ---- Bytes to values; behind the last byte there are zeros without end ---- */

struct fuzz_bytes {
	const uint8_t *at;
	size_t left;
};

uint8_t fuzz_byte(struct fuzz_bytes *in);
unsigned fuzz_below(struct fuzz_bytes *in, unsigned most); /* 0 … most - 1, at most 256 */
/* Of all sizes, the absurd ones among them. */
uint64_t fuzz_number(struct fuzz_bytes *in);
/* Up to about an hour. */
nsec_t fuzz_span(struct fuzz_bytes *in);
/* Around now, or never, or absurd. */
nsec_t fuzz_instant(struct fuzz_bytes *in, nsec_t now);
/* Takes n bytes, or what is left of them. */
size_t fuzz_take(struct fuzz_bytes *in, uint8_t *ret, size_t n);
/*
 * A frame a client may send, in the ranges the codec grants. window: the one its sender was
 * told of last. services: the names it may join.
 */
void fuzz_frame(struct fuzz_bytes *in, nsec_t now, uint64_t window,
		const char *const *services, unsigned n_services, struct wire_frame *ret);

#endif

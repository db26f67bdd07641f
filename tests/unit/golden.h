/* SPDX-License-Identifier: MIT */
/*
 * One frame of each type, as a struct and as the bytes it is on the wire. The bytes were
 * written by hand from the layout table in wire.c, so that neither side of the codec is
 * its own witness.
 */
#ifndef TESTS_UNIT_GOLDEN_H
#define TESTS_UNIT_GOLDEN_H

#include <stdint.h>

#include "client/wire/wire.h"

struct golden {
	struct wire_frame frame;
	/*
	 * Two hex digits are a byte, "--" is a reserved byte, 'text'N is N bytes of text
	 * and NULs. Blanks separate.
	 */
	const char *text;
};

enum golden_byte { /* what a byte of a golden frame is */
	GOLDEN_PLAIN,
	GOLDEN_RESERVED,
	GOLDEN_NAME,	/* text of a name */
	GOLDEN_PADDING, /* a NUL behind the first NUL of a name */
};

#define GOLDENS 20

extern const struct golden goldens[GOLDENS];

/* Spells out the bytes (WIRE_FRAME_MAX at most) and what each is. Returns how many. */
unsigned golden_bytes(const struct golden *g, uint8_t *ret_bytes,
		      enum golden_byte *ret_what);

#endif

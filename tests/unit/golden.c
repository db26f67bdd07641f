/* SPDX-License-Identifier: MIT */
#include "tests/unit/golden.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#define U16(n) (uint16_t)(0x0201 + 0x1010 * (n))
#define U32(n) (UINT32_C(0x04030201) + UINT32_C(0x10101010) * (n))
#define U64(n) (UINT64_C(0x0807060504030201) + UINT64_C(0x1010101010101010) * (n))

const struct golden goldens[GOLDENS] = {
	{
		{
			.type = WIRE_HELLO,
			.serial = 0xa4a3a2a1,
			.hello =
				{
					.version_min = 0x0001,
					.version_max = 0x0302,
					.caps = U32(1),
					.unit = WIRE_OBJECTS,
					.kinds = 1 << WIRE_MAJOR | 1 << WIRE_FREEZE,
					.prev_kind = WIRE_SNAPSHOT,
					.budget = U64(2),
					.prev_epoch = U64(3),
					.prev_window = U64(4),
					.prev_closes = U64(5),
					.service = "checkout",
					.heap = "worker-\xc3\xa9",
					.runtime = "cpython 3.11.2",
				},
		},
		"01 00 d8 00 a1 a2 a3 a4 "
		"52 54 47 43 01 00 02 03 11 12 13 14 01 0a 02 -- "
		"21 22 23 24 25 26 27 28 31 32 33 34 35 36 37 38 "
		"41 42 43 44 45 46 47 48 51 52 53 54 55 56 57 58 "
		"'checkout'64 'worker-\xc3\xa9'64 'cpython 3.11.2'32",
	},
	{
		{
			.type = WIRE_REPORT,
			.serial = 1,
			.report = {U64(0), U64(1), U64(2), U64(3), U64(4), U64(5),
				   U64(6)},
		},
		"02 00 40 00 01 00 00 00 "
		"01 02 03 04 05 06 07 08 11 12 13 14 15 16 17 18 "
		"21 22 23 24 25 26 27 28 31 32 33 34 35 36 37 38 "
		"41 42 43 44 45 46 47 48 51 52 53 54 55 56 57 58 61 62 63 64 65 66 67 68",
	},
	{
		{.type = WIRE_DEADLINE, .serial = 2, .deadline = {.at = U64(6)}},
		"03 00 10 00 02 00 00 00 61 62 63 64 65 66 67 68",
	},
	{
		{.type = WIRE_IDLE, .serial = 3, .idle = {.until = NSEC_NEVER}},
		"04 00 10 00 03 00 00 00 ff ff ff ff ff ff ff ff",
	},
	{
		{.type = WIRE_BUSY, .serial = 0xffffffff},
		"05 00 08 00 ff ff ff ff",
	},
	{
		{.type = WIRE_QUIET, .serial = 5, .quiet = {.window = U64(0)}},
		"06 00 10 00 05 00 00 00 01 02 03 04 05 06 07 08",
	},
	{
		{
			.type = WIRE_BEGIN,
			.serial = 6,
			.begin = {.window = U64(0),
				  .at = U64(1),
				  .kind = WIRE_SNAPSHOT,
				  .cause = WIRE_FORCED},
		},
		"07 00 20 00 06 00 00 00 "
		"01 02 03 04 05 06 07 08 11 12 13 14 15 16 17 18 "
		"02 01 -- -- -- -- -- --",
	},
	{
		{
			.type = WIRE_END,
			.serial = 7,
			.end = {.window = U64(0),
				.begin = U64(1),
				.end = U64(2),
				.freed = U64(3),
				.used = U64(4),
				.live = U64(5),
				.kind = WIRE_FREEZE,
				.cause = WIRE_UNCOORDINATED,
				.failed = 1,
				.stop = U64(6)},
		},
		"08 00 48 00 07 00 00 00 "
		"01 02 03 04 05 06 07 08 11 12 13 14 15 16 17 18 "
		"21 22 23 24 25 26 27 28 31 32 33 34 35 36 37 38 "
		"41 42 43 44 45 46 47 48 51 52 53 54 55 56 57 58 "
		"03 02 01 -- -- -- -- -- 61 62 63 64 65 66 67 68",
	},
	{
		{
			.type = WIRE_DECLINE,
			.serial = 8,
			.decline = {.window = U64(1), .why = WIRE_DECLINE_APP},
		},
		"09 00 18 00 08 00 00 00 "
		"11 12 13 14 15 16 17 18 02 -- -- -- -- -- -- --",
	},
	{
		{.type = WIRE_BYE, .serial = 9},
		"0a 00 08 00 09 00 00 00",
	},
	{
		{.type = WIRE_OFFER,
		 .serial = 10,
		 .offer = {.kinds = 1 << WIRE_MAJOR | 1 << WIRE_SNAPSHOT}},
		"0c 00 10 00 0a 00 00 00 06 -- -- -- -- -- -- --",
	},
	{
		{
			.type = WIRE_ANSWER,
			.serial = 17,
			.answer = {.ask = U64(0),
				   .count = U64(1),
				   .bytes = U64(2),
				   .took = U64(3),
				   .last = 1,
				   .outcome = WIRE_UNANSWERED,
				   .name = "collections.deque"},
		},
		"0b 00 b0 00 11 00 00 00 "
		"01 02 03 04 05 06 07 08 11 12 13 14 15 16 17 18 "
		"21 22 23 24 25 26 27 28 31 32 33 34 35 36 37 38 "
		"01 01 -- -- -- -- -- -- 'collections.deque'128",
	},
	{
		{.type = WIRE_HEARTBEAT, .serial = 10, .heartbeat = {.at = U64(7)}},
		"10 00 10 00 0a 00 00 00 71 72 73 74 75 76 77 78",
	},
	{
		{
			.type = WIRE_WELCOME,
			.serial = 11,
			.welcome = {.version = U16(0),
				    .slot = 63,
				    .caps = U32(1),
				    .epoch = U64(2),
				    .heap = U64(3),
				    .heartbeat_every = U64(4),
				    .stale_after = U64(5)},
		},
		"20 00 30 00 0b 00 00 00 "
		"01 02 3f 00 11 12 13 14 21 22 23 24 25 26 27 28 "
		"31 32 33 34 35 36 37 38 41 42 43 44 45 46 47 48 "
		"51 52 53 54 55 56 57 58",
	},
	{
		{
			.type = WIRE_DIRECTIVE,
			.serial = 12,
			.directive = {.watermark = U64(0),
				      .report_by = U64(1),
				      .budget = U64(2),
				      .want = 1},
		},
		"21 00 28 00 0c 00 00 00 "
		"01 02 03 04 05 06 07 08 11 12 13 14 15 16 17 18 "
		"21 22 23 24 25 26 27 28 01 -- -- -- -- -- -- --",
	},
	{
		{
			.type = WIRE_ANNOUNCE,
			.serial = 13,
			.announce = {.window = U64(0),
				     .opens_by = U64(1),
				     .predicted = U64(2),
				     .kind = WIRE_SNAPSHOT,
				     .drain = 1},
		},
		"22 00 28 00 0d 00 00 00 "
		"01 02 03 04 05 06 07 08 11 12 13 14 15 16 17 18 "
		"21 22 23 24 25 26 27 28 02 01 -- -- -- -- -- --",
	},
	{
		{
			.type = WIRE_WINDOW,
			.serial = 14,
			.window = {.window = U64(0),
				   .opens = U64(1),
				   .closes = U64(2),
				   .predicted = U64(3),
				   .kind = WIRE_FREEZE,
				   .must = 1},
		},
		"23 00 30 00 0e 00 00 00 "
		"01 02 03 04 05 06 07 08 11 12 13 14 15 16 17 18 "
		"21 22 23 24 25 26 27 28 31 32 33 34 35 36 37 38 "
		"03 01 -- -- -- -- -- --",
	},
	{
		{
			.type = WIRE_REVOKE,
			.serial = 15,
			.revoke = {.window = U64(0), .reason = U16(1)},
		},
		"24 00 18 00 0f 00 00 00 "
		"01 02 03 04 05 06 07 08 11 12 -- -- -- -- -- --",
	},
	{
		{
			.type = WIRE_ERROR,
			.serial = 16,
			.error = {.code = WIRE_ERROR_SHUTDOWN,
				  .type = U16(1),
				  .serial = U32(2),
				  .detail = "going"},
		},
		"25 00 70 00 10 00 00 00 06 00 11 12 21 22 23 24 'going'96",
	},
	{
		{
			.type = WIRE_ASK,
			.serial = 18,
			.ask = {.ask = U64(0), .most = U16(1), .what = WIRE_HEAP_SUMMARY},
		},
		"26 00 18 00 12 00 00 00 "
		"01 02 03 04 05 06 07 08 11 12 00 -- -- -- -- --",
	},
};

static unsigned hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = strchr(digits, c);

	assert(c && at);
	return (unsigned)(at - digits);
}

/* A name field; *text stands behind the opening quote and is moved behind the number. */
static unsigned name_bytes(const char **text, uint8_t *bytes, enum golden_byte *what)
{
	unsigned length = 0, width = 0;

	for (; **text != '\''; (*text)++, length++) {
		bytes[length] = (uint8_t) * *text;
		what[length] = GOLDEN_NAME;
	}
	for ((*text)++; **text && **text != ' '; (*text)++)
		width = width * 10 + hex_digit(**text);
	for (unsigned i = length; i < width; i++) {
		bytes[i] = 0;
		what[i] = i == length ? GOLDEN_NAME : GOLDEN_PADDING;
	}
	return width;
}

unsigned golden_bytes(const struct golden *g, uint8_t *ret_bytes,
		      enum golden_byte *ret_what)
{
	unsigned n = 0;

	for (const char *c = g->text; *c;) {
		if (*c == ' ') {
			c++;
		} else if (*c == '\'') {
			c++;
			n += name_bytes(&c, ret_bytes + n, ret_what + n);
		} else {
			bool reserved = *c == '-';

			ret_bytes[n] = 0;
			if (!reserved)
				ret_bytes[n] = hex_digit(c[0]) << 4 | hex_digit(c[1]);
			ret_what[n++] = reserved ? GOLDEN_RESERVED : GOLDEN_PLAIN;
			c += 2;
		}
		assert(n <= WIRE_FRAME_MAX);
	}
	return n;
}

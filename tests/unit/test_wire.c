/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/wire/page.h"
#include "client/wire/wire.h"
#include "tests/unit/golden.h"

static struct bytes {
	uint8_t byte[WIRE_FRAME_MAX];
	enum golden_byte what[WIRE_FRAME_MAX];
	unsigned size;
} golden[GOLDENS];

static int spell_out(void **state)
{
	for (unsigned i = 0; i < GOLDENS; i++)
		golden[i].size =
			golden_bytes(&goldens[i], golden[i].byte, golden[i].what);
	return 0;
}

static const struct bytes *golden_of(uint16_t type)
{
	for (unsigned i = 0; i < GOLDENS; i++)
		if (goldens[i].frame.type == type)
			return &golden[i];
	fail_msg("no golden frame of type %u", type);
	return NULL;
}

/*
 * Decodes a copy that ends where its memory ends, so that a sanitizer sees any byte read
 * too far, and checks what holds for every message whatever it is: a known answer, *ret
 * untouched on failure, and on success exactly one way to write the frame.
 */
static int decode(const uint8_t *bytes, size_t size, struct wire_frame *ret)
{
	struct wire_frame frame, before;
	uint8_t again[WIRE_FRAME_MAX];
	uint8_t *exact = malloc(size ? size : 1);
	int r;

	assert_non_null(exact);
	memcpy(exact, bytes, size);
	memset(&frame, 0x5a, sizeof(frame));
	memcpy(&before, &frame, sizeof(frame));
	r = wire_decode(exact, size, &frame);
	free(exact);
	if (r) {
		assert_in_range(r, WIRE_E_SHORT, WIRE_E_NAME);
		assert_memory_equal(&frame, &before, sizeof(frame));
		return r;
	}
	assert_int_equal(wire_encode(&frame, again), size);
	assert_memory_equal(again, bytes, size);
	if (ret)
		*ret = frame;
	return 0;
}

static void test_types(void **state)
{
	unsigned known = 0;

	for (unsigned type = 0; type <= UINT16_MAX; type++) {
		size_t size = wire_size(type);

		assert_int_equal(size != 0, wire_type_name(type) != NULL);
		if (size) {
			known++;
			assert_in_range(size, WIRE_HEADER_SIZE, WIRE_FRAME_MAX);
			assert_int_equal(size % 8, 0);
			assert_int_equal(size, golden_of(type)->size);
		}
	}
	assert_int_equal(known, GOLDENS);
	assert_string_equal(wire_type_name(WIRE_HELLO), "HELLO");
	assert_string_equal(wire_type_name(WIRE_ERROR), "ERROR");
	assert_null(wire_type_name(0));
}

static void test_golden_encode(void **state)
{
	for (unsigned i = 0; i < GOLDENS; i++) {
		uint8_t buf[WIRE_FRAME_MAX];

		memset(buf, 0x5a, sizeof(buf));
		assert_int_equal(wire_encode(&goldens[i].frame, buf), golden[i].size);
		assert_memory_equal(buf, golden[i].byte, golden[i].size);
		for (unsigned j = golden[i].size; j < sizeof(buf); j++)
			assert_int_equal(buf[j], 0x5a);
	}
}

/* encode() has been held against the bytes; what it says of decode()'s result is sound.
 */
static void test_golden_decode(void **state)
{
	for (unsigned i = 0; i < GOLDENS; i++) {
		struct wire_frame frame;

		assert_int_equal(decode(golden[i].byte, golden[i].size, &frame), 0);
		assert_int_equal(frame.type, goldens[i].frame.type);
		assert_int_equal(frame.serial, goldens[i].frame.serial);
	}
}

static void test_hello_members(void **state)
{
	const struct bytes *g = golden_of(WIRE_HELLO);
	struct wire_frame frame;

	assert_int_equal(decode(g->byte, g->size, &frame), 0);
	assert_int_equal(frame.hello.version_min, 1);
	assert_int_equal(frame.hello.version_max, 0x0302);
	assert_int_equal(frame.hello.caps, 0x14131211);
	assert_int_equal(frame.hello.unit, WIRE_OBJECTS);
	assert_int_equal(frame.hello.kinds, 1 << WIRE_MAJOR | 1 << WIRE_FREEZE);
	assert_int_equal(frame.hello.budget, 0x2827262524232221);
	assert_int_equal(frame.hello.prev_closes, 0x5857565554535251);
	assert_string_equal(frame.hello.service, "checkout");
	assert_string_equal(frame.hello.heap, "worker-\xc3\xa9");
	assert_string_equal(frame.hello.runtime, "cpython 3.11.2");
}

static void test_cut(void **state)
{
	for (unsigned i = 0; i < GOLDENS; i++)
		for (unsigned size = 0; size < golden[i].size; size++)
			assert_int_equal(
				decode(golden[i].byte, size, NULL),
				size < WIRE_HEADER_SIZE ? WIRE_E_SHORT : WIRE_E_SIZE);
}

/* Cut or extended with a header that admits it: the type's size decides. */
static void test_wrong_size(void **state)
{
	for (unsigned i = 0; i < GOLDENS; i++) {
		uint8_t buf[WIRE_FRAME_MAX + 1] = {0};

		memcpy(buf, golden[i].byte, golden[i].size);
		assert_int_equal(decode(buf, golden[i].size + 1, NULL), WIRE_E_SIZE);
		for (unsigned size = WIRE_HEADER_SIZE; size <= sizeof(buf); size++) {
			buf[2] = (uint8_t)size;
			buf[3] = (uint8_t)(size >> 8);
			if (size == golden[i].size)
				continue;
			assert_int_equal(decode(buf, size, NULL), WIRE_E_SIZE);
			assert_int_equal(decode(buf, golden[i].size, NULL), WIRE_E_SIZE);
		}
	}
}

static void test_unknown_type(void **state)
{
	for (unsigned type = 0; type <= UINT16_MAX; type++) {
		uint8_t buf[8] = {(uint8_t)type, (uint8_t)(type >> 8), 8};

		if (!wire_size(type))
			assert_int_equal(decode(buf, sizeof(buf), NULL), WIRE_E_TYPE);
	}
}

static void test_reserved(void **state)
{
	unsigned reserved = 0, padding = 0;

	for (unsigned i = 0; i < GOLDENS; i++) {
		for (unsigned j = 0; j < golden[i].size; j++) {
			struct bytes g = golden[i];

			if (g.what[j] != GOLDEN_RESERVED && g.what[j] != GOLDEN_PADDING)
				continue;
			for (unsigned value = 1; value < 256; value++) {
				g.byte[j] = value;
				assert_int_equal(decode(g.byte, g.size, NULL),
						 g.what[j] == GOLDEN_RESERVED
							 ? WIRE_E_VALUE
							 : WIRE_E_NAME);
			}
			reserved += g.what[j] == GOLDEN_RESERVED;
			padding += g.what[j] == GOLDEN_PADDING;
		}
	}
	assert_int_equal(reserved, 1 + 6 + 6 + 7 + 6 + 6 + 6 + 6 + 6 + 5 + 7);
	assert_int_equal(padding, 64 - 9 + 64 - 10 + 32 - 15 + 96 - 6 + 128 - 18);
}

static void test_values(void **state)
{
	static const struct {
		uint16_t type;
		uint8_t at, width;
		uint64_t value;
		int result;
	} cases[] = {
		{WIRE_HELLO, 8, 1, 0x53, WIRE_E_MAGIC},
		{WIRE_HELLO, 8, 4, 0x52544743, WIRE_E_MAGIC},
		{WIRE_HELLO, 12, 2, 0x0302, 0},
		{WIRE_HELLO, 12, 2, 0x0303, WIRE_E_VALUE},
		{WIRE_HELLO, 14, 2, 0, WIRE_E_VALUE},
		{WIRE_HELLO, 16, 4, UINT32_MAX, 0},
		{WIRE_HELLO, 20, 1, 0, 0},
		{WIRE_HELLO, 20, 1, WIRE_UNITS, WIRE_E_VALUE},
		{WIRE_HELLO, 20, 1, 255, WIRE_E_VALUE},
		{WIRE_HELLO, 21, 1, 0, 0},
		{WIRE_HELLO, 21, 1, 15, 0},
		{WIRE_HELLO, 21, 1, 16, WIRE_E_VALUE},
		{WIRE_HELLO, 21, 1, 0x82, WIRE_E_VALUE},
		{WIRE_BEGIN, 24, 1, WIRE_KINDS - 1, 0},
		{WIRE_BEGIN, 24, 1, WIRE_KINDS, WIRE_E_VALUE},
		{WIRE_BEGIN, 25, 1, WIRE_CAUSES - 1, 0},
		{WIRE_BEGIN, 25, 1, WIRE_CAUSES, WIRE_E_VALUE},
		{WIRE_END, 56, 1, WIRE_KINDS, WIRE_E_VALUE},
		{WIRE_END, 57, 1, WIRE_CAUSES, WIRE_E_VALUE},
		{WIRE_END, 58, 1, 2, WIRE_E_VALUE},
		{WIRE_END, 64, 8, UINT64_MAX, 0},
		{WIRE_HELLO, 22, 1, WIRE_KINDS - 1, 0},
		{WIRE_HELLO, 22, 1, WIRE_KINDS, WIRE_E_VALUE},
		{WIRE_OFFER, 8, 1, 15, 0},
		{WIRE_OFFER, 8, 1, 16, WIRE_E_VALUE},
		{WIRE_DECLINE, 16, 1, 0, 0},
		{WIRE_DECLINE, 16, 1, WIRE_DECLINES, WIRE_E_VALUE},
		{WIRE_WELCOME, 10, 2, 0, 0},
		{WIRE_WELCOME, 10, 2, PAGE_SLOTS, 0},
		{WIRE_WELCOME, 10, 2, PAGE_SLOTS + 1, WIRE_E_VALUE},
		{WIRE_WELCOME, 10, 2, 0x0100, WIRE_E_VALUE},
		{WIRE_WELCOME, 12, 4, UINT32_MAX, 0},
		{WIRE_WELCOME, 16, 8, 0, WIRE_E_VALUE},
		{WIRE_WELCOME, 16, 8, UINT64_MAX, 0},
		{WIRE_DIRECTIVE, 32, 1, 0, 0},
		{WIRE_DIRECTIVE, 32, 1, 2, WIRE_E_VALUE},
		{WIRE_ANNOUNCE, 8, 8, 0, WIRE_E_VALUE},
		{WIRE_ANNOUNCE, 8, 8, 1, 0},
		{WIRE_ANNOUNCE, 32, 1, WIRE_KINDS, WIRE_E_VALUE},
		{WIRE_ANNOUNCE, 33, 1, 0, 0},
		{WIRE_ANNOUNCE, 33, 1, 2, WIRE_E_VALUE},
		{WIRE_WINDOW, 8, 8, 0, WIRE_E_VALUE},
		{WIRE_WINDOW, 8, 8, UINT64_MAX, 0},
		{WIRE_WINDOW, 40, 1, WIRE_KINDS, WIRE_E_VALUE},
		{WIRE_WINDOW, 41, 1, 0, 0},
		{WIRE_WINDOW, 41, 1, 2, WIRE_E_VALUE},
		{WIRE_REVOKE, 16, 2, UINT16_MAX, 0},
		{WIRE_ERROR, 8, 2, 0, WIRE_E_VALUE},
		{WIRE_ERROR, 8, 2, WIRE_ERROR_MALFORMED, 0},
		{WIRE_ERROR, 8, 2, WIRE_ERROR_SHUTDOWN + 1, WIRE_E_VALUE},
		{WIRE_ERROR, 8, 2, 0x0106, WIRE_E_VALUE},
		{WIRE_ANSWER, 8, 8, 0, WIRE_E_VALUE},
		{WIRE_ANSWER, 40, 1, 0, 0},
		{WIRE_ANSWER, 40, 1, 2, WIRE_E_VALUE},
		{WIRE_ANSWER, 41, 1, WIRE_OUTCOMES, WIRE_E_VALUE},
		{WIRE_ASK, 8, 8, 0, WIRE_E_VALUE},
		{WIRE_ASK, 16, 2, UINT16_MAX, 0},
		{WIRE_ASK, 18, 1, WIRE_WHATS, WIRE_E_VALUE},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct bytes g = *golden_of(cases[i].type);

		for (unsigned j = 0; j < cases[i].width; j++)
			g.byte[cases[i].at + j] = (uint8_t)(cases[i].value >> 8 * j);
		if (decode(g.byte, g.size, NULL) != cases[i].result)
			fail_msg("%s at %u: not \"%s\"", wire_type_name(cases[i].type),
				 cases[i].at, wire_decode_strerror(cases[i].result));
	}
}

static void test_names_in_frames(void **state)
{
	static const struct {
		uint16_t type;
		uint8_t at, width;
		bool may_be_empty;
	} fields[] = {
		{WIRE_HELLO, 56, 64, false},  {WIRE_HELLO, 120, 64, false},
		{WIRE_HELLO, 184, 32, true},  {WIRE_ERROR, 16, 96, true},
		{WIRE_ANSWER, 48, 128, true},
	};

	for (unsigned i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		struct bytes g = *golden_of(fields[i].type);
		uint8_t *name = g.byte + fields[i].at;

		memset(name, 'x', fields[i].width);
		assert_int_equal(decode(g.byte, g.size, NULL), WIRE_E_NAME);
		name[fields[i].width - 1] = 0;
		assert_int_equal(decode(g.byte, g.size, NULL), 0);
		name[1] = '\n';
		assert_int_equal(decode(g.byte, g.size, NULL), WIRE_E_NAME);
		name[1] = 0xff;
		assert_int_equal(decode(g.byte, g.size, NULL), WIRE_E_NAME);
		memset(name, 0, fields[i].width);
		assert_int_equal(decode(g.byte, g.size, NULL),
				 fields[i].may_be_empty ? 0 : WIRE_E_NAME);
	}
}

/* Every byte of every frame takes every value; then all that may be 255 are, at once. */
static void test_round_trip(void **state)
{
	for (unsigned i = 0; i < GOLDENS; i++) {
		struct bytes g = golden[i], full = golden[i];

		for (unsigned j = WIRE_HEADER_SIZE; j < g.size; j++) {
			for (unsigned value = 0; value < 256; value++) {
				g.byte[j] = value;
				if (decode(g.byte, g.size, NULL) == 0 && value == 255)
					full.byte[j] = 255;
			}
			g.byte[j] = golden[i].byte[j];
		}
		if (goldens[i].frame.type == WIRE_HELLO)
			memset(full.byte + 12, 255, 4);
		memset(full.byte + 4, 255, 4);
		assert_int_equal(decode(full.byte, full.size, NULL), 0);
		assert_int_equal(decode(golden[i].byte, golden[i].size, NULL), 0);
	}
}

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/*
 * A message as a hostile or broken peer might send it: a golden frame with some bytes
 * changed, or noise behind a plausible header, or noise alone.
 */
static size_t random_message(uint64_t *seed, uint8_t *buf)
{
	const struct bytes *g = &golden[next_random(seed) % GOLDENS];
	unsigned way = next_random(seed) % 4;
	size_t size = g->size;

	if (way < 2) {
		memcpy(buf, g->byte, size);
		for (unsigned n = next_random(seed) % 4; n > 0; n--)
			buf[next_random(seed) % size] = (uint8_t)next_random(seed);
		return size;
	}
	if (way == 3)
		size = next_random(seed) % (WIRE_FRAME_MAX + 1);
	for (size_t i = 0; i < size; i++)
		buf[i] = (uint8_t)next_random(seed);
	if (way == 2)
		memcpy(buf, g->byte, 4);
	return size;
}

static void test_random(void **state)
{
	static const uint64_t seeds[] = {1, 0x9e3779b97f4a7c15, 0xdeadbeefcafef00d};
	unsigned seen[WIRE_E_NAME + 1] = {0};

	for (unsigned i = 0; i < sizeof(seeds) / sizeof(*seeds); i++) {
		uint64_t seed = seeds[i];

		for (unsigned n = 0; n < 350000; n++) {
			uint8_t buf[WIRE_FRAME_MAX];
			size_t size = random_message(&seed, buf);

			seen[decode(buf, size, NULL)]++;
		}
	}
	for (unsigned i = 0; i <= WIRE_E_NAME; i++)
		assert_in_range(seen[i], 1000, 1000000);
}

/* A frame of our own that cannot be encoded is our bug, and stops us. */
static void test_encode_asserts(void **state)
{
	struct wire_frame wrong[] = {
		{.type = 0},
		{.type = 13},
		{.type = WIRE_BEGIN, .begin = {.kind = WIRE_KINDS}},
		{.type = WIRE_DIRECTIVE, .directive = {.want = 2}},
		{.type = WIRE_WELCOME, .welcome = {.epoch = 0}},
		{.type = WIRE_ERROR, .error = {.code = 1, .detail = "\n"}},
		{.type = WIRE_HELLO,
		 .hello = {.version_min = 2,
			   .version_max = 1,
			   .service = "s",
			   .heap = "h"}},
	};

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		int status;
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			uint8_t buf[WIRE_FRAME_MAX];

			setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
			signal(SIGABRT, SIG_DFL);
			close(STDERR_FILENO);
			wire_encode(&wrong[i], buf);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	}
}

static void test_strerror(void **state)
{
	for (int i = 0; i <= WIRE_E_NAME; i++)
		for (int j = 0; j < i; j++)
			assert_string_not_equal(wire_decode_strerror(i),
						wire_decode_strerror(j));
	assert_string_equal(wire_decode_strerror(WIRE_E_NAME + 1), "unknown result");
	assert_string_equal(wire_decode_strerror(-1), "unknown result");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_golden_encode),
		cmocka_unit_test(test_golden_decode),
		cmocka_unit_test(test_hello_members),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_wrong_size),
		cmocka_unit_test(test_unknown_type),
		cmocka_unit_test(test_reserved),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_names_in_frames),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_encode_asserts),
		cmocka_unit_test(test_strerror),
	};

	return cmocka_run_group_tests_name("wire", tests, spell_out, NULL);
}

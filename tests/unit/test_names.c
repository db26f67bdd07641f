/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/wire/names.h"
#include "client/wire/wire.h"

/* Held in memory of exactly its size, so that a sanitizer sees a byte read too far. */
static bool valid(const char *bytes, size_t size, bool allow_empty)
{
	char *exact = malloc(size);
	bool r;

	assert_non_null(exact);
	memcpy(exact, bytes, size);
	r = name_valid(exact, size, allow_empty);
	free(exact);
	return r;
}

static bool field_valid(const char *bytes, size_t size, bool allow_empty)
{
	char *exact = malloc(size);
	bool r;

	assert_non_null(exact);
	memcpy(exact, bytes, size);
	r = name_field_valid(exact, size, allow_empty);
	free(exact);
	return r;
}

static void test_accepted(void **state)
{
	static const char *const names[] = {
		"a",
		"checkout",
		" blank ~",
		"\xc2\xa0",		     /* U+00A0, the first behind the controls */
		"\xc3\xa9t\xc3\xa9",	     /* two bytes */
		"\xdf\xbf\xe0\xa0\x80",	     /* U+07FF, U+0800 */
		"\xed\x9f\xbf\xee\x80\x80",  /* U+D7FF, U+E000: around the surrogates */
		"\xef\xbf\xbf",		     /* U+FFFF */
		"\xf0\x90\x80\x80",	     /* U+10000 */
		"\xf4\x8f\xbf\xbf",	     /* U+10FFFF, the last */
		"\xe6\x97\xa5\xe6\x9c\xac-1" /* three bytes */
	};

	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!valid(names[i], strlen(names[i]) + 1, false))
			fail_msg("refused: name %u", i);
}

static void test_not_utf8(void **state)
{
	static const char *const names[] = {
		"\x80",		    /* a continuation byte alone */
		"a\xbf",	    /* … behind a letter */
		"\xc0\x80",	    /* overlong NUL */
		"\xc1\xbf",	    /* overlong U+007F */
		"\xc0\xaf",	    /* overlong slash */
		"\xe0\x80\xaf",	    /* the same in three bytes */
		"\xe0\x9f\xbf",	    /* overlong U+07FF */
		"\xf0\x80\x80\xaf", /* the slash in four bytes */
		"\xf0\x8f\xbf\xbf", /* overlong U+FFFF */
		"\xed\xa0\x80",	    /* U+D800, the first surrogate */
		"\xed\xbf\xbf",	    /* U+DFFF, the last */
		"\xf4\x90\x80\x80", /* U+110000 */
		"\xf5\x80\x80\x80", /* leads that UTF-8 has not */
		"\xf8\x88\x80\x80\x80",
		"\xfe",
		"\xff",
		"\xc3", /* cut off by the NUL */
		"\xe6\x97",
		"\xf0\x90\x80",
		"\xc3"
		"a", /* no continuation byte */
		"\xe6\x97"
		"a",
		"\xf0\x90\x80"
		"a",
		"\xe6"
		"a\xa5",
	};

	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (valid(names[i], strlen(names[i]) + 1, true))
			fail_msg("accepted: name %u", i);
}

static void test_control_characters(void **state)
{
	for (unsigned c = 1; c < 0x80; c++) {
		const char name[] = {'a', (char)c, 0};

		assert_int_equal(valid(name, sizeof(name), false),
				 c >= 0x20 && c != 0x7f);
	}
	for (unsigned c = 0x80; c < 0xc0; c++) {
		const char name[] = {'\xc2', (char)c, 0};

		assert_int_equal(valid(name, sizeof(name), false), c >= 0xa0);
	}
}

/* Every string of two bytes, and of three that may be UTF-8, against the RFC's table. */
static void test_table(void **state)
{
	unsigned accepted = 0;

	for (unsigned a = 0x80; a < 0x100; a++) {
		for (unsigned b = 1; b < 0x100; b++) {
			const char name[] = {(char)a, (char)b, 0};
			bool right = a >= 0xc2 && a <= 0xdf && b >= 0x80 && b <= 0xbf &&
				     !(a == 0xc2 && b < 0xa0);

			assert_int_equal(name_valid(name, 3, false), right);
		}
	}
	for (unsigned a = 0xe0; a < 0xf0; a++) {
		for (unsigned b = 1; b < 0x100; b++) {
			for (unsigned c = 1; c < 0x100; c++) {
				const char name[] = {(char)a, (char)b, (char)c, 0};

				accepted += name_valid(name, 4, false);
			}
		}
	}
	assert_int_equal(accepted, 0x10000 - 0x800 - 0x800);
}

static void test_size(void **state)
{
	assert_true(valid("", 1, true));
	assert_false(valid("", 1, false));
	assert_true(valid("abc", 4, false));
	assert_false(valid("abc", 3, false));
	assert_false(valid("a", 1, true));
	assert_false(valid("\xc3", 1, true));
	assert_true(valid("abc\0\xff", 5, false));
	assert_false(name_valid("a", 0, true));
}

static void test_field(void **state)
{
	char field[WIRE_NAME_MAX] = {0};

	assert_true(field_valid(field, sizeof(field), true));
	assert_false(field_valid(field, sizeof(field), false));
	memset(field, 'x', sizeof(field));
	assert_false(field_valid(field, sizeof(field), false));
	for (unsigned length = sizeof(field) - 1; length >= 1; length--) {
		field[length] = 0;
		assert_true(field_valid(field, sizeof(field), false));
		for (unsigned i = length + 1; i < sizeof(field); i++) {
			field[i] = 1;
			assert_false(field_valid(field, sizeof(field), false));
			field[i] = 0;
		}
	}
	field[0] = '\x1b';
	assert_false(field_valid(field, sizeof(field), false));
}

static void test_copy(void **state)
{
	char field[8], before[8];

	memset(field, 0x5a, sizeof(field));
	assert_true(name_copy(field, sizeof(field), "abc"));
	assert_memory_equal(field, "abc\0\0\0\0\0", 8);
	assert_true(name_copy(field, sizeof(field), "1234567"));
	assert_memory_equal(field, "1234567", 8);
	memcpy(before, field, sizeof(field));
	assert_false(name_copy(field, sizeof(field), "12345678"));
	assert_memory_equal(field, before, sizeof(field));
	assert_true(name_copy(field, sizeof(field), ""));
	assert_memory_equal(field, "\0\0\0\0\0\0\0\0", 8);
}

static void test_cut(void **state)
{
	static const struct {
		const char *text, *cut;
	} cases[] = {
		{"", ""},
		{"1234567", "1234567"},
		{"12345678", "1234567"},
		{"12345\xc3\xa9", "12345\xc3\xa9"},
		{"123456\xc3\xa9", "123456"}, /* never half a character */
		{"\xf0\x9f\x98\x80\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
		{"a\nb\x7f", "a?b?"},
		{"\xc2\x9b[0m", "?[0m"},
		{"\xff\xc3(", "?\?("},
		{"\xed\xa0\x80", "???"}, /* a surrogate */
	};
	char field[8];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		memset(field, 0x5a, sizeof(field));
		name_cut(field, sizeof(field), cases[i].text);
		assert_string_equal(field, cases[i].cut);
		assert_true(name_field_valid(field, sizeof(field), true));
	}
}

static void test_line(void **state)
{
	static const struct {
		const char *text, *line;
	} cases[] = {
		{"", ""},
		{"a \\ b", "a \\ b"},
		{"caf\xc3\xa9 \xf0\x9f\x98\x80", "caf\xc3\xa9 \xf0\x9f\x98\x80"},
		{"a\nb\tc\x7f", "a\\x0ab\\x09c\\x7f"},
		{"\xc2\x9b[0m", "\\xc2\\x9b[0m"},
		{"\xff\xc3(\xe2\x82", "\\xff\\xc3(\\xe2\\x82"},
		{"\xed\xa0\x80", "\\xed\\xa0\\x80"},
	};
	char line[64];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		text_line(line, sizeof(line), cases[i].text);
		assert_string_equal(line, cases[i].line);
	}
}

/* Cut off wherever: no byte is written behind the end, nothing is left by halves. */
static void test_line_that_does_not_fit(void **state)
{
	static const char text[] = "a\xff\xc3\xa9\nb\xf0\x9f\x98\x80";
	char line[32], whole[32];

	text_line(whole, sizeof(whole), text);
	for (size_t size = 1; size <= strlen(whole) + 1; size++) {
		memset(line, 0x5a, sizeof(line));
		text_line(line, size, text);
		assert_true(strlen(line) < size);
		assert_int_equal(line[size], 0x5a);
		assert_memory_equal(line, whole, strlen(line));
		assert_true(text_valid(line));
	}
	assert_string_equal(line, whole);
}

static void test_text(void **state)
{
	assert_true(text_valid(""));
	assert_true(text_valid("a\tb caf\xc3\xa9"));
	assert_false(text_valid("a\nb"));
	assert_false(text_valid("\x1b[0m"));
	assert_false(text_valid("\xc2\x9b"));
	assert_false(text_valid("a\xff"));
	assert_false(text_valid("\xc3"));
}

static void test_enum_texts(void **state)
{
	assert_string_equal(kind_name(WIRE_MINOR), "minor");
	assert_string_equal(kind_name(WIRE_MAJOR), "major");
	assert_string_equal(kind_name(WIRE_SNAPSHOT), "snapshot");
	assert_string_equal(kind_name(WIRE_FREEZE), "freeze");
	assert_null(kind_name(WIRE_KINDS));
	assert_null(kind_name(UINT32_MAX));
	assert_string_equal(unit_name(WIRE_BYTES), "bytes");
	assert_string_equal(unit_name(WIRE_OBJECTS), "objects");
	assert_null(unit_name(WIRE_UNITS));
	assert_string_equal(cause_name(WIRE_IN_WINDOW), "window");
	assert_string_equal(cause_name(WIRE_FORCED), "forced");
	assert_string_equal(cause_name(WIRE_UNCOORDINATED), "uncoordinated");
	assert_null(cause_name(WIRE_CAUSES));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_not_utf8),
		cmocka_unit_test(test_control_characters),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_field),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_line_that_does_not_fit),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_enum_texts),
	};

	return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}

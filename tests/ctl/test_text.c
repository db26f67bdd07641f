/* SPDX-License-Identifier: MIT */
/* What rtgcctl makes of foreign bytes and of figures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after what it needs */
#include <cmocka.h>

#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl/text.h"

static void assert_escaped(const char *bytes, const char *expected)
{
	char *escaped = text_escape(bytes);

	assert_string_equal(escaped, expected);
	free(escaped);
}

static void escape(void **state)
{
	assert_escaped("", "");
	assert_escaped("plain ~ text", "plain ~ text");
	assert_escaped("caf\xc3\xa9 \xe6\x97\xa5", "caf\xc3\xa9 \xe6\x97\xa5");
	assert_escaped("a\\b", "a\\\\b");
	assert_escaped("\n\t\r\x1b[0m\x7f", "\\n\\t\\x0d\\x1b[0m\\x7f");
	assert_escaped("\xc2\x9b\xe2\x80\xae", "\\u009b\\u202e");
	assert_escaped("\xf3\xa0\x81\x81", "\\U000e0041");
}

static void escape_invalid_utf8(void **state)
{
	assert_escaped("\x80", "\\x80");	  /* a tail without a head */
	assert_escaped("\xc3", "\\xc3");	  /* cut at the end */
	assert_escaped("\xe2\x82", "\\xe2\\x82"); /* cut later */
	assert_escaped("\xc3(", "\\xc3(");	  /* the tail is none */
	assert_escaped("\xc0\xaf", "\\xc0\\xaf"); /* overlong */
	assert_escaped("\xe0\x80\xaf", "\\xe0\\x80\\xaf");
	assert_escaped("\xed\xa0\x80", "\\xed\\xa0\\x80"); /* a surrogate */
	assert_escaped("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80");
	assert_escaped("\xff\xfe", "\\xff\\xfe");
}

static void escape_json(void **state)
{
	char *escaped = text_escape_json(
		"{\"a\": \"\xc2\x9b\x7f\xe2\x80\xae\xf3\xa0\x81\x81 \xc3\xa9\"}\n");

	assert_string_equal(
		escaped, "{\"a\": \"\\u009b\\u007f\\u202e\\udb40\\udc41 \xc3\xa9\"}\n");
	free(escaped);
}

static void assert_short(const char *text, size_t columns, bool middle,
			 const char *expected)
{
	char *shortened = text_shorten(text, columns, middle);

	assert_string_equal(shortened, expected);
	assert_true(text_width(shortened) <= columns);
	free(shortened);
}

static void shorten(void **state)
{
	assert_short("checkout-4711", 13, false, "checkout-4711");
	assert_short("checkout-4711", 12, false, "checkout-47…");
	assert_short("checkout-4711", 12, true, "checko…-4711");
	assert_short("checkout-4711", 1, false, "…");
	assert_short("checkout-4711", 1, true, "…");
	assert_short("checkout-4711", 2, true, "c…");
	assert_short("", 1, false, "");
	/* Two columns each: an odd one stays empty. */
	assert_short("日本語日本", 6, false, "日本…");
	assert_short("日本語日本", 7, true, "日…本");
	/* An accent is not left without its letter. */
	assert_short("abcde\xcc\x81x", 3, true, "a…x");
}

static void width(void **state)
{
	assert_int_equal(text_width(""), 0);
	assert_int_equal(text_width("e\xcc\x81"), 1);
	assert_int_equal(text_width("日本"), 4);
	assert_int_equal(text_width("…"), 1);
}

static void figures(void **state)
{
	assert_string_equal(human_bytes(0).text, "0B");
	assert_string_equal(human_bytes(1023).text, "1023B");
	assert_string_equal(human_bytes(1024).text, "1.0K");
	assert_string_equal(human_bytes(UINT64_C(1288490189)).text, "1.2G");
	assert_string_equal(human_bytes(UINT64_C(10) << 20).text, "10M");
	assert_string_equal(human_bytes(UINT64_MAX).text, "16E");
	assert_string_equal(human_count(0).text, "0");
	assert_string_equal(human_count(999).text, "999");
	assert_string_equal(human_count(1000).text, "1.0k");
	assert_string_equal(human_count(125000).text, "125k");
	assert_string_equal(human_count(999999).text, "1.0M");
	assert_string_equal(human_count(UINT64_MAX).text, "18E");
}

static void spans(void **state)
{
	assert_string_equal(human_time(0).text, "0us");
	assert_string_equal(human_time(85).text, "85us");
	assert_string_equal(human_time(999).text, "999us");
	assert_string_equal(human_time(1500).text, "1.5ms");
	assert_string_equal(human_time(12000).text, "12ms");
	assert_string_equal(human_time(999499).text, "999ms");
	assert_string_equal(human_time(999500).text, "1.0s");
	assert_string_equal(human_time(3100000).text, "3.1s");
	assert_string_equal(human_time(59400000).text, "59s");
	assert_string_equal(human_time(59900000).text, "1m00s");
	assert_string_equal(human_time(245000000).text, "4m05s");
	assert_string_equal(human_time(INT64_C(11520000000)).text, "3h12m");
	assert_string_equal(human_time(INT64_C(792000000000)).text, "9d04h");
	assert_string_equal(human_time(-250000).text, "-250ms");
	assert_string_equal(human_time(-3100000).text, "-3.1s");
	assert_string_equal(human_time(INT64_MAX).text, "106751991d04h");
	assert_string_equal(human_time(INT64_MIN).text, "-106751991d04h");
}

static void wraps(const char *text, size_t columns, size_t begun, size_t indent,
		  const char *expected)
{
	char *wrapped = text_wrap(text, columns, begun, indent);

	assert_string_equal(wrapped, expected);
	free(wrapped);
}

static void wrap(void **state)
{
	wraps("", 10, 0, 2, "");
	wraps("one two", 0, 0, 2, "one two");
	wraps("one two", 7, 0, 2, "one two");
	wraps("one two", 6, 0, 2, "one\n  two");
	wraps("one two three four", 10, 0, 2, "one two\n  three\n  four");
	wraps("one two three", 12, 5, 5, "one two\n     three");
	wraps("one two", 6, 5, 5, "…\n     …");
	wraps("one two", 4, 5, 5, "one\ntwo");
	wraps("abcdefghij k", 6, 0, 2, "abc… k");
	wraps("日本 語", 5, 0, 2, "日…\n  語");
	wraps("a  b", 80, 0, 2, "a  b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(escape),      cmocka_unit_test(escape_invalid_utf8),
		cmocka_unit_test(escape_json), cmocka_unit_test(shorten),
		cmocka_unit_test(width),       cmocka_unit_test(figures),
		cmocka_unit_test(spans),       cmocka_unit_test(wrap),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Text for a terminal: escaping, width in columns, figures that people can read. Pure. */
#ifndef RTGCCTL_TEXT_H
#define RTGCCTL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct human {
	char text[24];
};

/*
 * Makes any bytes safe to print: control characters, escape sequences, characters that
 * turn or hide the text around them and invalid UTF-8 come out as \n, \x1b, \u202e;
 * a backslash is doubled. Free the result.
 */
char *text_escape(const char *text);
/* The same in JSON's own spelling, for text that is JSON already. Free the result. */
char *text_escape_json(const char *json);

/* Columns that escaped text takes. */
size_t text_width(const char *text);

/*
 * At most that many columns of it, with "…" for what is left out: at the end, or in the
 * middle. columns >= 1. Free the result.
 */
char *text_shorten(const char *text, size_t columns, bool middle);

/*
 * Escaped text in as many lines as it needs, broken at spaces; those after the first are
 * indented. begun: columns that are taken on the first one. columns = 0: one line. Words that
 * are longer than a line are shortened. Free the result.
 */
char *text_wrap(const char *text, size_t columns, size_t begun, size_t indent);

struct human human_bytes(uint64_t bytes); /* 512B 1.2G */
struct human human_count(uint64_t count); /* 512 125k 1.2M */
struct human human_time(int64_t us);	  /* 85us 12ms 3.1s 4m05s 3h12m 9d04h */
struct human human_amount(uint64_t amount, bool bytes);

#endif

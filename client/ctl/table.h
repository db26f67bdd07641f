/* SPDX-License-Identifier: MIT */
/*
 * A table of aligned columns. On a terminal no line is longer than the screen: first the
 * columns that may shrink are shortened (with "…"), then those of the highest rank are
 * left out, then the line is cut.
 */
#ifndef RTGCCTL_TABLE_H
#define RTGCCTL_TABLE_H

#include <stddef.h>
#include <stdio.h>

#include "client/ctl/ctl.h"

enum tone {
	TONE_PLAIN,
	TONE_DIM,
	TONE_GOOD,
	TONE_WARN,
	TONE_BAD,
	TONE_TITLE,
};

struct column {
	const char *title;
	unsigned rank;	/* 0: always shown; the highest is left out first */
	unsigned least; /* may shrink to this many columns; 0: never shrinks */
	bool right;	/* figures: aligned to the right */
	bool middle;	/* is shortened in the middle: names whose ends differ */
};

struct table;

/* columns is borrowed for the table's life. */
struct table *table_new(const struct column *columns, size_t n_columns);
struct table *table_free(struct table *table);
/* The next cell, row by row. What it says is escaped here. */
void table_cell(struct table *table, enum tone tone, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void table_print(const struct table *table, const struct screen *screen, FILE *out);

/* One line of text, escaped, cut where the terminal ends. */
void screen_line(const struct screen *screen, enum tone tone, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* A sentence, escaped, in as many lines as it needs. begun: columns of the line that are taken. */
void screen_sentence(const struct screen *screen, enum tone tone, size_t begun,
		     const char *format, ...) __attribute__((format(printf, 4, 5)));

/* What switches a terminal to that tone, and back; "" without colour. */
const char *tone_on(const struct screen *screen, enum tone tone);
const char *tone_off(const struct screen *screen, enum tone tone);

#endif

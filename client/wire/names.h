/* SPDX-License-Identifier: MIT */
/* Names that people type or programs send (services, heaps, runtimes), and enum texts. */
#ifndef RTGC_WIRE_NAMES_H
#define RTGC_WIRE_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A valid name: 1 … size-1 bytes of UTF-8 without control characters (below U+0020,
 * U+007F, U+0080 … U+009F), overlong forms, surrogates. May be empty only where
 * allow_empty.
 */
bool name_valid(const char *name, size_t size, bool allow_empty);
/* The same of a fixed, NUL-padded field: the NUL is there and only NULs follow. */
bool name_field_valid(const char *field, size_t size, bool allow_empty);
/* Copies a name into a NUL-padded field; false (nothing written): it does not fit. */
bool name_copy(char *field, size_t size, const char *name);
/*
 * Makes a valid name of any text, in a NUL-padded field: what does not fit is cut off, what is
 * not UTF-8 or a control character becomes "?".
 */
void name_cut(char *field, size_t size, const char *text);

/* Any length; tabs are allowed, other control characters are not. */
bool text_valid(const char *text);
/*
 * Makes one line of any text, for a log or a terminal: what is not UTF-8 or a control character
 * becomes \xNN, byte by byte. What does not fit is left out.
 */
void text_line(char *ret, size_t size, const char *text);

/* NULL: no such value. */
const char *kind_name(unsigned kind);	/* "minor", "major", "snapshot", "freeze" */
const char *unit_name(unsigned unit);	/* "bytes", "objects" */
const char *cause_name(unsigned cause); /* "window", "forced", "uncoordinated" */

#endif

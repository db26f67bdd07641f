/* SPDX-License-Identifier: MIT */
/* Values as people write them. All return false, with *ret untouched, for anything else. */
#ifndef RTGCD_UNITS_H
#define RTGCD_UNITS_H

#include <stdbool.h>
#include <stdint.h>

#include "client/wire/nsec.h"

/* "20ms", "1min 30s", "0.5s"; us, ms, s, min, h; a bare number counts seconds. */
bool units_span(const char *text, nsec_t *ret);
/* "512M", "1.5G", "4096"; K, M, G, T: powers of 1024. */
bool units_bytes(const char *text, uint64_t *ret);
/* "1%", "0.5%": 0 … 100 %, in thousandths. */
bool units_permille(const char *text, unsigned *ret);
/* A whole number from 1 to most. */
bool units_count(const char *text, unsigned most, unsigned *ret);

#endif

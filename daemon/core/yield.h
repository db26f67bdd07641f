/* SPDX-License-Identifier: MIT */
/* What the next window of a heap should be for, by what its collections have freed so far. */
#ifndef RTGCD_CORE_YIELD_H
#define RTGCD_CORE_YIELD_H

#include <stdint.h>

#include "client/wire/nsec.h"

struct heap;

/* enum wire_kind; WIRE_MAJOR also for a heap that can run none of those a window is for. */
uint8_t yield_kind(const struct heap *h, nsec_t now);

#endif

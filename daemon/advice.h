/* SPDX-License-Identifier: MIT */
/*
 * What admission found, in one plain sentence with its numbers. Pure. The pause is the longest
 * of the heaps', as is the time to drain, the period the shortest: how the one with the least room fares.
 */
#ifndef RTGCD_ADVICE_H
#define RTGCD_ADVICE_H

#include "daemon/core/supervisor.h"

#define ADVICE_MAX 320

/* slots: MaxConcurrent= of the service or of the host (which has POLICY_STAGGER). */
void advice_write(const struct core_admission *admission, enum core_policy policy,
		  unsigned slots, char ret[ADVICE_MAX]);

#endif

/* SPDX-License-Identifier: MIT */
/* The log of who was refused for a limit: one line a minute for each reason. */
#ifndef RTGCD_REFUSED_H
#define RTGCD_REFUSED_H

#include "client/wire/nsec.h"
#include "daemon/core/quota.h"

struct peer;

/* who: "client" or "caller" */
void refused(nsec_t now, enum quota_refusal refusal, const char *who,
	     const struct peer *peer);

#endif

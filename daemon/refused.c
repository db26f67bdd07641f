/* SPDX-License-Identifier: MIT */
#include "daemon/refused.h"

#include "daemon/log.h"
#include "daemon/peer.h"

static struct log_again again[QUOTA_E_COUNT];

void refused(nsec_t now, enum quota_refusal refusal, const char *who,
	     const struct peer *peer)
{
	const char *sentence = quota_refusal_sentence(refusal);

	if (refusal == QUOTA_E_SLOW)
		log_seldom(now, &again[refusal], "slow",
			   "%s: pid %d, uid %u: %s: disconnected", who, peer->pid,
			   peer->uid, sentence);
	else
		log_seldom(now, &again[refusal], "limit",
			   "%s: pid %d, uid %u: %s: disconnected", who, peer->pid,
			   peer->uid, sentence);
}

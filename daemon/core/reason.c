/* SPDX-License-Identifier: MIT */
#include "daemon/core/reason.h"

static const struct {
	const char *key, *sentence;
} table[REASON_COUNT] = {
#define REASON_ROW(constant, key, sentence) [constant] = {key, sentence},
	REASONS(REASON_ROW)
#undef REASON_ROW
};

const char *reason_key(enum reason reason)
{
	return (unsigned)reason < REASON_COUNT ? table[reason].key : "unknown";
}

const char *reason_sentence(enum reason reason)
{
	return (unsigned)reason < REASON_COUNT ? table[reason].sentence : "unknown";
}

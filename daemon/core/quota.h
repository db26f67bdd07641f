/* SPDX-License-Identifier: MIT */
/*
 * What others may have of the daemon: connections, heaps, memory, turns. Whatever is taken is
 * charged to the user that has it, by a token that lies in the thing itself: who frees the thing
 * releases its charge, and at the end nothing is charged to anybody.
 *
 * There is a limit for all together, a reserve of it that only the privileged may use (root, and the
 * user that the daemon runs as), and a limit for each user. Who is refused is told a reason, and is
 * counted under it.
 *
 * Pure. Threads: one at a time. Errors: -ENOMEM, or a positive enum quota_refusal.
 */
#ifndef RTGCD_CORE_QUOTA_H
#define RTGCD_CORE_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

#include "client/wire/list.h"
#include "client/wire/nsec.h"

struct quota;
struct quota_user;

enum quota_what {
	QUOTA_CONNECTIONS, /* of clients */
	QUOTA_UNGREETED,   /* those of them that have not said HELLO */
	QUOTA_HEAPS,	   /* also lost ones, as long as they may come back */
	QUOTA_BYTES,	   /* of what waits to be read by clients and callers */
	QUOTAS_OF_CLIENTS,
	QUOTA_CALLERS = QUOTAS_OF_CLIENTS, /* connections of the control socket */
	QUOTAS
};

enum quota_rate {
	QUOTA_FRAMES,	/* taken from clients */
	QUOTA_REQUESTS, /* answered on the control socket */
	QUOTA_RATES
};

/* X(constant, "key", "sentence"); a key is public and never changes its meaning. */
#define QUOTA_REFUSALS(X)                                                        \
	X(QUOTA_E_CONNECTIONS, "connections", "MaxConnections= is reached")      \
	X(QUOTA_E_USER_CONNECTIONS, "user_connections",                          \
	  "MaxConnectionsPerUser= is reached")                                   \
	X(QUOTA_E_UNGREETED, "ungreeted", "too many connections without HELLO")  \
	X(QUOTA_E_LATE, "late", "no HELLO came")                                 \
	X(QUOTA_E_CALLERS, "callers", "MaxCallers= is reached")                  \
	X(QUOTA_E_USER_CALLERS, "user_callers", "MaxCallersPerUser= is reached") \
	X(QUOTA_E_MEMORY, "memory", "QueueMemory= is reached")                   \
	X(QUOTA_E_USER_MEMORY, "user_memory",                                    \
	  "the user's part of QueueMemory= is reached")                          \
	X(QUOTA_E_SLOW, "slow", "does not read what it is sent")                 \
	X(QUOTA_E_DESCRIPTORS, "descriptors", "the daemon has no descriptor left")

enum quota_refusal {
	QUOTA_E_NONE, /* 0: it was not refused */
#define QUOTA_ENUM(constant, key, sentence) constant,
	QUOTA_REFUSALS(QUOTA_ENUM)
#undef QUOTA_ENUM
	QUOTA_E_COUNT
};

struct quota_limit {
	uint64_t total;	  /* of all together */
	uint64_t reserve; /* so much of it is for the privileged only */
	uint64_t of_user; /* of any other user */
	bool for_all;	  /* of_user holds for the privileged as well */
};

struct quota_limits {
	struct quota_limit most[QUOTAS];
	unsigned per_s[QUOTA_RATES]; /* of each user, >= 1 */
	/* Of one connection. */
	unsigned frames_per_s; /* >= 1 */
	uint64_t queue;	       /* bytes that wait for a caller to read them */
	nsec_t hello;	       /* until HELLO must have come */
};

/* Zeroed: nothing is charged. */
struct quota_charge {
	struct quota_user *user;
	enum quota_what what : 8;
	uint64_t amount : 56;
};

/* Turns that were taken ahead of time: up to a second's worth is free. Zeroed: none. */
struct quota_pace {
	nsec_t paid; /* all turns up to that instant are taken */
};

int quota_new(uint32_t own_uid, const struct quota_limits *limits, struct quota **ret);
/* All charges must have been released. */
struct quota *quota_free(struct quota *q);
const struct quota_limits *quota_limits(const struct quota *q);
/* Other limits. What is charged stays charged. */
void quota_configure(struct quota *q, const struct quota_limits *limits);

/* Refused: nothing is charged, and the refusal is counted. The charge must be a released one. */
int quota_charge(struct quota *q, enum quota_what what, uint32_t uid, uint64_t amount,
		 struct quota_charge *charge);
/* What is there already, and is not refused. -ENOMEM. */
int quota_charge_anyway(struct quota *q, enum quota_what what, uint32_t uid,
			uint64_t amount, struct quota_charge *charge);
/* The thing is of another size now. Refused only if it is larger; it stays as it was then. */
int quota_resize(struct quota *q, struct quota_charge *charge, uint64_t amount);
void quota_resize_anyway(struct quota *q, struct quota_charge *charge, uint64_t amount);
/* Of a released charge as well. */
void quota_release(struct quota *q, struct quota_charge *charge);

/*
 * n turns were taken, at per_s a second: until when whoever took them should rest. An instant that
 * has passed: not at all.
 */
nsec_t quota_pace(struct quota_pace *pace, unsigned per_s, unsigned n, nsec_t now);
/* The same for all that the charge's user does. */
nsec_t quota_pace_user(struct quota *q, const struct quota_charge *charge,
		       enum quota_rate rate, unsigned n, nsec_t now);

/* What was refused elsewhere. */
void quota_count(struct quota *q, enum quota_refusal refusal);
uint64_t quota_refused(const struct quota *q, enum quota_refusal refusal);
uint64_t quota_charged(const struct quota *q, enum quota_what what);
uint64_t quota_charged_to(const struct quota *q, enum quota_what what, uint32_t uid);

const char *quota_refusal_key(enum quota_refusal refusal);
const char *quota_refusal_sentence(enum quota_refusal refusal);

#endif

/* SPDX-License-Identifier: MIT */
#include "daemon/core/quota.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define BUCKETS 256
#define BURST	NSEC_PER_SEC /* turns of so long a time may be taken at once */

/* Somebody to whom something is charged. */
struct quota_user {
	struct list link; /* of its bucket */
	uint32_t uid;
	bool privileged;
	unsigned charges;
	uint64_t used[QUOTAS];
	struct quota_pace pace[QUOTA_RATES];
};

struct quota {
	struct quota_limits limits;
	uint32_t own_uid;
	uint64_t used[QUOTAS];
	uint64_t refused[QUOTA_E_COUNT];
	struct list users[BUCKETS];
};

static const struct {
	const char *key, *sentence;
} refusals[QUOTA_E_COUNT] = {[QUOTA_E_NONE] = {"none", "it was not refused"},
#define QUOTA_ROW(constant, key, sentence) [constant] = {key, sentence},
			     QUOTA_REFUSALS(QUOTA_ROW)
#undef QUOTA_ROW
};

/* What it is called when the limit of all together is reached, and when that of a user is. */
static const struct {
	enum quota_refusal total, of_user;
} names[QUOTAS] = {
	[QUOTA_CONNECTIONS] = {QUOTA_E_CONNECTIONS, QUOTA_E_USER_CONNECTIONS},
	[QUOTA_UNGREETED] = {QUOTA_E_UNGREETED, QUOTA_E_UNGREETED},
	[QUOTA_HEAPS] = {QUOTA_E_CONNECTIONS, QUOTA_E_USER_CONNECTIONS},
	[QUOTA_CALLERS] = {QUOTA_E_CALLERS, QUOTA_E_USER_CALLERS},
	[QUOTA_BYTES] = {QUOTA_E_MEMORY, QUOTA_E_USER_MEMORY},
};

/* ---- users ---------------------------------------------------------------------------------- */

static struct quota_user *find_user(const struct quota *q, uint32_t uid)
{
	const struct list *bucket = &q->users[uid % BUCKETS];

	list_for_each (link, bucket) {
		struct quota_user *user = list_entry(link, struct quota_user, link);

		if (user->uid == uid)
			return user;
	}
	return NULL;
}

static int take_user(struct quota *q, uint32_t uid, struct quota_user **ret)
{
	struct quota_user *user = find_user(q, uid);

	if (!user) {
		user = calloc(1, sizeof(*user));
		if (!user)
			return -ENOMEM;
		user->uid = uid;
		user->privileged = uid == 0 || uid == q->own_uid;
		list_append(&q->users[uid % BUCKETS], &user->link);
	}
	*ret = user;
	return 0;
}

static void drop_user(struct quota_user *user)
{
	if (user->charges > 0)
		return;
	list_unlink(&user->link);
	free(user);
}

/* ---- charges -------------------------------------------------------------------------------- */

static bool exceeds(uint64_t used, uint64_t more, uint64_t most)
{
	return used > most || more > most - used;
}

static enum quota_refusal judge(const struct quota *q, const struct quota_user *user,
				enum quota_what what, uint64_t more)
{
	const struct quota_limit *most = &q->limits.most[what];
	uint64_t reserve = user->privileged ? 0 : most->reserve;

	if (exceeds(user->used[what], more, most->of_user) &&
	    (most->for_all || !user->privileged))
		return names[what].of_user;
	if (exceeds(q->used[what], more,
		    most->total > reserve ? most->total - reserve : 0))
		return names[what].total;
	return QUOTA_E_NONE;
}

static void put(struct quota *q, struct quota_user *user, enum quota_what what,
		uint64_t amount, struct quota_charge *charge)
{
	user->charges++;
	user->used[what] += amount;
	q->used[what] += amount;
	*charge = (struct quota_charge){.user = user, .what = what, .amount = amount};
}

int quota_charge(struct quota *q, enum quota_what what, uint32_t uid, uint64_t amount,
		 struct quota_charge *charge)
{
	enum quota_refusal refusal;
	struct quota_user *user;
	int r = take_user(q, uid, &user);

	assert(!charge->user);
	if (r < 0)
		return r;
	refusal = judge(q, user, what, amount);
	if (refusal) {
		q->refused[refusal]++;
		drop_user(user);
		return (int)refusal;
	}
	put(q, user, what, amount, charge);
	return 0;
}

int quota_charge_anyway(struct quota *q, enum quota_what what, uint32_t uid,
			uint64_t amount, struct quota_charge *charge)
{
	struct quota_user *user;
	int r = take_user(q, uid, &user);

	assert(!charge->user);
	if (r < 0)
		return r;
	put(q, user, what, amount, charge);
	return 0;
}

int quota_resize(struct quota *q, struct quota_charge *charge, uint64_t amount)
{
	if (amount > charge->amount) {
		enum quota_refusal refusal =
			judge(q, charge->user, charge->what, amount - charge->amount);

		if (refusal) {
			q->refused[refusal]++;
			return (int)refusal;
		}
	}
	quota_resize_anyway(q, charge, amount);
	return 0;
}

void quota_resize_anyway(struct quota *q, struct quota_charge *charge, uint64_t amount)
{
	struct quota_user *user = charge->user;

	user->used[charge->what] += amount - charge->amount;
	q->used[charge->what] += amount - charge->amount;
	charge->amount = amount;
}

void quota_release(struct quota *q, struct quota_charge *charge)
{
	struct quota_user *user = charge->user;

	if (!user)
		return;
	assert(user->charges > 0 && user->used[charge->what] >= charge->amount);
	user->charges--;
	user->used[charge->what] -= charge->amount;
	q->used[charge->what] -= charge->amount;
	*charge = (struct quota_charge){0};
	drop_user(user);
}

/* ---- turns ---------------------------------------------------------------------------------- */

nsec_t quota_pace(struct quota_pace *pace, unsigned per_s, unsigned n, nsec_t now)
{
	nsec_t each = NSEC_PER_SEC / per_s;

	pace->paid = nsec_add(nsec_max(pace->paid, now), n * each);
	return nsec_sub(pace->paid, BURST);
}

nsec_t quota_pace_user(struct quota *q, const struct quota_charge *charge,
		       enum quota_rate rate, unsigned n, nsec_t now)
{
	return quota_pace(&charge->user->pace[rate], q->limits.per_s[rate], n, now);
}

/* ---- looking -------------------------------------------------------------------------------- */

void quota_count(struct quota *q, enum quota_refusal refusal)
{
	q->refused[refusal]++;
}

uint64_t quota_refused(const struct quota *q, enum quota_refusal refusal)
{
	return q->refused[refusal];
}

uint64_t quota_charged(const struct quota *q, enum quota_what what)
{
	return q->used[what];
}

uint64_t quota_charged_to(const struct quota *q, enum quota_what what, uint32_t uid)
{
	const struct quota_user *user = find_user(q, uid);

	return user ? user->used[what] : 0;
}

const char *quota_refusal_key(enum quota_refusal refusal)
{
	return refusals[refusal].key;
}

const char *quota_refusal_sentence(enum quota_refusal refusal)
{
	return refusals[refusal].sentence;
}

/* ---- life ----------------------------------------------------------------------------------- */

int quota_new(uint32_t own_uid, const struct quota_limits *limits, struct quota **ret)
{
	struct quota *q = calloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	q->own_uid = own_uid;
	q->limits = *limits;
	for (unsigned i = 0; i < BUCKETS; i++)
		list_init(&q->users[i]);
	*ret = q;
	return 0;
}

struct quota *quota_free(struct quota *q)
{
	if (!q)
		return NULL;
	for (unsigned i = 0; i < BUCKETS; i++)
		assert(list_empty(&q->users[i]));
	for (unsigned i = 0; i < QUOTAS; i++)
		assert(q->used[i] == 0);
	free(q);
	return NULL;
}

const struct quota_limits *quota_limits(const struct quota *q)
{
	return &q->limits;
}

void quota_configure(struct quota *q, const struct quota_limits *limits)
{
	q->limits = *limits;
}

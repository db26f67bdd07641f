/* SPDX-License-Identifier: MIT */
/*
 * What is told of collections while the dispatcher has the lock, and may have been kept from running with it:
 * put down, and done by whoever has the lock next.
 */
#include "client/client.h"

/* For as long as the few stores of another thread take. */
#define TRIES 1000

static bool take_turn(struct late *l)
{
	for (int i = 0; i < TRIES; i++)
		if (!atomic_exchange_explicit(&l->busy, true, memory_order_acquire))
			return true;
	return false;
}

static void leave(struct late *l)
{
	atomic_store_explicit(&l->busy, false, memory_order_release);
}

bool late_put(struct rtgc *r, const struct late_op *op)
{
	struct late *l = &r->late;
	bool fits;

	if (!take_turn(l))
		return false;
	fits = l->n < LATE_MOST;
	if (fits)
		l->op[l->n++] = *op;
	leave(l);
	if (fits)
		client_kick(r);
	return fits;
}

static bool get(struct late *l, struct late_op *ret)
{
	bool some;

	/* (Who is at it kicks the dispatcher when it is done.) */
	if (!take_turn(l))
		return false;
	some = l->n > 0;
	if (some) {
		*ret = l->op[0];
		l->n--;
		for (unsigned i = 0; i < l->n; i++)
			l->op[i] = l->op[i + 1];
	}
	leave(l);
	return some;
}

void late_do(struct rtgc *r)
{
	struct late_op op;

	while (get(&r->late, &op))
		collect_late(r, &op);
}

void late_forget(struct rtgc *r)
{
	atomic_store(&r->late.busy, false);
	r->late.n = 0;
}

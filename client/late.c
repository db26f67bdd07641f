/* SPDX-License-Identifier: MIT */
/*
 * What is told of collections while the dispatcher has the lock, and may have been kept from running with it:
 * put down, and done by whoever has the lock next.
 */
#include "client/client.h"

/* For as long as the few stores of another thread take. */
#define TRIES 1000

/* Those who put down take turns. */
static bool take_turn(struct late *l)
{
	for (int i = 0; i < TRIES; i++)
		if (!atomic_exchange_explicit(&l->busy, true, memory_order_acquire))
			return true;
	return false;
}

bool late_put(struct rtgc *r, const struct late_op *op)
{
	struct late *l = &r->late;
	unsigned put;
	bool fits;

	if (!take_turn(l))
		return false;
	put = atomic_load_explicit(&l->put, memory_order_relaxed);
	fits = put - atomic_load(&l->done) < LATE_MOST;
	if (fits) {
		l->op[put % LATE_MOST] = *op;
		atomic_store(&l->put, put + 1);
	}
	atomic_store_explicit(&l->busy, false, memory_order_release);
	if (fits)
		client_kick(r);
	return fits;
}

/*
 * Takes no turn: who was kept from running while he puts down something must not hide what was put down before, or the
 * end of a collection would be told before its begin.
 */
void late_do(struct rtgc *r)
{
	struct late *l = &r->late;
	unsigned done = atomic_load(&l->done);
	struct late_op op;

	while (done != atomic_load(&l->put)) {
		op = l->op[done % LATE_MOST];
		atomic_store(&l->done, ++done);
		collect_late(r, &op);
	}
}

void late_forget(struct rtgc *r)
{
	atomic_store(&r->late.busy, false);
	atomic_store(&r->late.done, atomic_load(&r->late.put));
}

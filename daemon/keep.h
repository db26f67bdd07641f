/* SPDX-License-Identifier: MIT */
/*
 * A restart without harm: writes down what heaps hold and what was learned of them, and makes of
 * what a former run has written the heaps it had, as lost ones. A window in force then keeps its slot
 * until its process is back and says what became of it, is dead, or the window is over.
 */
#ifndef RTGCD_KEEP_H
#define RTGCD_KEEP_H

#include "daemon/hot.h"
#include "daemon/state.h"

struct keep;
struct session;

/* fd: as for state_new(). The epoch is later than any of a former run. */
int keep_new(struct supervisor *core, int fd, uint64_t *epoch, struct keep **ret);
struct keep *keep_free(struct keep *keep);
/* The heaps of a former run, as lost ones. The log says how many there were. */
void keep_restore(struct keep *keep, struct hot *hot);
/* What the heap holds or what was learned of it may have changed. */
void keep_heap(struct keep *keep, struct session *s);
/* It is gone. */
void keep_forget(struct keep *keep, struct session *s);

#endif

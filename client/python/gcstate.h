/* SPDX-License-Identifier: MIT */
/*
 * The one place that reads CPython's own collector state: how full the oldest generation
 * is, the third threshold and the counters it is held against. It is reached through
 * CPython's internal headers, so the module fits the minor version it was compiled for
 * and no other, and gcstate_init() proves the layout before anything relies on it.
 *
 * Unit: objects, by CPython's own count. Threads: the calls are loads and stores of
 * aligned words; those of thresholds are made without the GIL as well (CPython itself only
 * reads these words), the others with it.
 */
#ifndef RTGC_PYTHON_GCSTATE_H
#define RTGC_PYTHON_GCSTATE_H

#include <stdbool.h>
#include <stdint.h>

struct gcstate_figures {
	uint64_t total;	  /* survivors of the last full collection */
	uint64_t pending; /* grown old since: what CPython holds against a quarter of
			     total */
};

/*
 * Finds the state of the main interpreter and tests that it is laid out as compiled.
 * 0, or -1 with ImportError set: this interpreter is another one.
 */
int gcstate_init(void);
void gcstate_figures(struct gcstate_figures *ret);
/* Python's: threading is not asked, for gevent gives it other identities. */
unsigned long gcstate_main_thread(void);
bool gcstate_enabled(void);    /* gc.isenabled() */
bool gcstate_collecting(void); /* a collection is running, in whichever thread */
/* In a child: the thread that ran it was left behind. */
void gcstate_end_collecting(void);
int gcstate_threshold(void); /* of the oldest generation */
void gcstate_set_threshold(int threshold);
/* How many objects are made at most between two collections of the middle generation; 0: not known. */
uint64_t gcstate_step(void);
/* Forgets how many collections of the middle generation there were since the last full
 * one. */
void gcstate_reset_count(void);

/* CPython's rule is so many quarters of the way to a collection of the middle generation, and may collect. */
bool gcstate_middle_soon(int quarters);
/* The thresholds of the two young generations. Without the GIL as well. */
struct gcstate_young {
	int youngest, middle;
};
bool gcstate_young_is(const struct gcstate_young *thresholds);
/* If they are `from`. What the program sets at the same time stays. */
void gcstate_change_young(struct gcstate_young from, struct gcstate_young to);
/* gc.collect(1) */
void gcstate_collect_middle(void);
/* gc.freeze(), and the figures begin anew; false: it failed. gc.unfreeze(), with so much to the total. */
bool gcstate_freeze(void);
void gcstate_unfreeze(uint64_t total);
/* Has somebody frozen anything? (CPython 3.12 itself has, a few hundred objects.) */
bool gcstate_holds_frozen(void);
/* The counter that is held against the generation's threshold: of the youngest, objects. */
int gcstate_count(int generation);
bool gcstate_is_full(
	void); /* the youngest generation, when one that is full is collected */

struct _object; /* a PyObject */
/*
 * Calls fn for every tracked object, young ones first, frozen ones last, until it returns
 * something else than 0, which is returned. Between gcstate_hold() and gcstate_release():
 * nothing is collected meanwhile. fn must run no Python code. With the GIL.
 */
int gcstate_visit(int (*fn)(struct _object *object, void *userdata), void *userdata);
/* The same for the youngest generation alone, the newest object first; as one begins, too. */
int gcstate_visit_newest(int (*fn)(struct _object *object, void *userdata),
			 void *userdata);
bool gcstate_hold(void); /* false: a collection is running */
void gcstate_release(void);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * This process's heap: CPython's full collections under rtgcd's windows.
 *
 * Only the third threshold is taken over: the young generations stay with CPython, which
 * goes on collecting them by its own rule (but see young.h). While a daemon
 * decides, the third threshold stands at HEAP_TAKEN and its count is set back after every
 * collection of the middle generation.
 * So nothing that may go wrong here leaves the process without full collections: the
 * moment the daemon is gone one store puts the program's own threshold back, and were
 * even our callback thrown out of gc.callbacks, CPython would reach HEAP_TAKEN by itself.
 *
 * Threads: everything is called with the GIL, but what says otherwise. The library's
 * thread stores the third threshold and wakes the helper without it.
 */
#ifndef RTGC_PYTHON_HEAP_H
#define RTGC_PYTHON_HEAP_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/rtgc.h"

#define HEAP_TAKEN	 1021	/* no program's own choice, and finite on purpose */
#define HEAP_MIN_OBJECTS 100000 /* the least budget of a heap counted in objects */
#define HEAP_NAME_SIZE	 64

/* Where the main thread is while it waits for something to do. */
enum heap_rest {
	HEAP_WORKS = 0,
	HEAP_RESTS_EPOLL = 1, /* in EpollSelector.select(): it can be woken */
	HEAP_RESTS_POLL = 2,  /* in another select or poll: it cannot */
	HEAP_RESTS_UNTIL = 3, /* the program said so: rtgc.slack() */
};

enum heap_collector {
	HEAP_AUTO, /* snapshots where they are affordable, and where the daemon wants them */
	HEAP_WINDOW,   /* full collections only */
	HEAP_SNAPSHOT, /* snapshots only, unless they do not work here */
};

struct heap {
	struct rtgc *_Atomic rtgc; /* NULL: not supervised */
	enum heap_collector collector;
	uint64_t fork_limit_ns; /* HEAP_AUTO: what the stop of a fork may take */
	uint64_t memory_limit;	/* bytes this process may use; 0: not known */
	uint32_t kinds;		/* offered to the daemon: 1 << enum rtgc_kind */
	bool snapshot_soon;	/* a forced snapshot is on its way, by the pending call */
	unsigned long main_thread;
	unsigned long began_by;	   /* the thread that began the last collection */
	PyObject *callback;	   /* ours in gc.callbacks */
	char name[HEAP_NAME_SIZE]; /* what a child's name begins with: ours, or PROGRAM */
	uint64_t byte_budget;	   /* 0: the heap is counted in objects */
	atomic_bool taken;	   /* full collections are the daemon's to place */
	atomic_bool closed;	   /* the library's thread must not touch anything more */
	atomic_int own;		   /* the program's own third threshold */
	uint64_t put_right;	/* times that somebody had changed the one we took over */
	atomic_bool soon;	/* a pending call to collect is on its way */
	atomic_bool dormant;	/* a forked child that has not connected yet */
	bool waking;		/* but will at its next safe point */
	bool at_ceiling;	/* CPython has been told to collect: forced */
	atomic_int critical;	/* depth of rtgc.critical() */
	atomic_int in_flight;	/* requests the integrations know of */
	_Atomic uint64_t stirs; /* how many of them began or ended so far */
	PyObject *waker; /* the main thread's event loop in C (servers.h); NULL: none */
	atomic_bool in_loop; /* there is one */

	bool mine, mine_ended; /* a collection of ours runs, and has come to its end */
	uint64_t collected;    /* the objects it found unreachable */
	struct {
		enum rtgc_cause cause;
		bool supervised; /* a daemon decided when it began */
		bool begun;	 /* rtgc_begin() was called for it */
		uint64_t begin_ns;
	} noticed; /* a collection somebody else runs */

	_Atomic uint64_t frozen; /* objects set aside by a freeze of ours */
	uint64_t freezes;

	_Atomic uint64_t used, live, budget; /* as published last, in the heap's unit */
	uint64_t rule; /* what the budget in objects is by CPython's own rule */
	_Atomic uint64_t looked_ns; /* when */
	_Atomic uint64_t grown,
		grown_ns; /* by so much, in so long, since the look before */

	/* The main thread at rest; the selector is borrowed from the call in progress. */
	_Atomic int rest; /* enum heap_rest */
	atomic_bool
		hooked; /* it comes by our hooks, or by checkpoints: there will be a better place */
	_Atomic uint64_t rest_until; /* HEAP_RESTS_UNTIL */
	PyObject *selector;	     /* HEAP_RESTS_EPOLL */
	int wake_fd, wake_epoll; /* what the helper put into that selector; -1: none */
};

extern struct heap heap;

struct heap_options {
	const char *service, *program;
	const char *name;     /* NULL: PROGRAM-PID */
	uint64_t byte_budget; /* 0: objects, by CPython's own rule */
	enum heap_collector collector;
	uint64_t fork_limit_ns;
	uint64_t memory_limit;
};

/* Once in a process. 0 or -errno. */
int heap_init(void);
/* Begins to supervise, anew if it does already. 0, or -1 with an exception set. */
int heap_open(const struct heap_options *options);
/* Ends it and puts the program's own threshold back. */
void heap_close(void);
/* In a forked child: its own policy, until heap_wake(). */
void heap_after_fork_child(void);
/* Gives a dormant child a connection of its own. */
void heap_wake(void);

const char *heap_cause_name(enum rtgc_cause cause, bool supervised);

/* What gc.callbacks tells. */
void heap_on_start(int generation);
void heap_on_stop(int generation, uint64_t collected);

/*
 * Collects here, in this thread. Runs the program's finalizers. False: nothing was done
 * (the window is shut or too short, a collection runs, gc is disabled, rtgc.critical()).
 */
bool heap_collect(enum rtgc_cause cause, const struct rtgc_window *window);
/*
 * A safe point: answers an announced window, collects in an open one when the pause ends
 * before until_ns. True: it collected.
 */
bool heap_checkpoint(uint64_t until_ns);
/*
 * The last moment of an open window: a collection that has not begun by then is begun at the
 * next safe point, whatever the program does, for the window or the heap runs out. The
 * ceiling is noticed at the end of a collection of the middle generation; the last moment is
 * half-way to the next one when that, or the one after it, may find it reached. Without the
 * GIL, from any thread.
 */
uint64_t heap_latest(const struct rtgc_window *window);
/* Has the main thread collect at its next safe point. Without the GIL, from any thread.
 */
void heap_collect_soon(void);

#endif

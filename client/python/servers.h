/* SPDX-License-Identifier: MIT */
/*
 * What the integrations of servers and event loops need: requests in flight, loops that wait
 * in C where no hook of ours is (libuv, libev), and shared listening sockets (gate.h).
 *
 * A loop in C is entered with a waker: a callable that has the loop call turn() in its own
 * thread, soon, and that may be called from any thread. While a window is announced or open
 * the helper calls it, turn() finds out whether the loop has nothing to do, and answers or
 * collects there. Without a window the loop runs as if nobody were there.
 *
 * Threads: with the GIL.
 */
#ifndef RTGC_PYTHON_SERVERS_H
#define RTGC_PYTHON_SERVERS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>

/* Adds the functions to the module. 0, or -1 with an exception set. */
int servers_add(PyObject *module);
/* Has the main thread's loop call turn(). False: it runs no such loop. */
bool servers_wake_loop(void);
void servers_after_fork_child(void);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The helper thread: does what must not be done by the library's thread, which may never
 * wait for the GIL (its heartbeat and reconnecting go on while Python is busy).
 *
 * When a window opens and the main thread rests in a selector, the helper wakes it, so
 * that finalizers run in the thread they always ran in. When the main thread works, it is
 * left to its own safe points for as long as the window and the heap's deadline allow,
 * then asked by a pending call. Only when it is blocked in C does the helper take the GIL
 * and collect itself. It also writes the pause record.
 *
 * Threads: the helper is not a threading.Thread. helper_start() and helper_stop() with
 * the GIL; helper_kick() from any thread and any place, a signal handler too.
 */
#ifndef RTGC_PYTHON_HELPER_H
#define RTGC_PYTHON_HELPER_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

void helper_init(void);
int helper_start(void); /* 0 or -errno; 0 when it runs already */
void helper_stop(void); /* waits for its end, with the GIL given up meanwhile */
void helper_kick(void); /* look again */
/* Have the main thread asked once more to collect, a moment later. From any place too. */
void helper_ask_again(void);
void helper_after_fork_child(void);
/* The selector's descriptor, or -1. Runs Python code, with the GIL. */
int helper_selector_fd(PyObject *selector);

#endif

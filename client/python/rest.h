/* SPDX-License-Identifier: MIT */
/*
 * The hook around a waiting call (selectors.*Selector.select, select.select): a program
 * that waits for something to do is at rest, and there is the place for a pause.
 *
 * While the daemon wants nothing, the hook marks the heap idle for the length of the call
 * and is otherwise one comparison away from the plain call. While a window is announced
 * or open, it first asks the plain call what is ready now. Something is: latency comes
 * first, it is returned at once. Nothing is: the program is at rest; the hook says so or
 * collects, and waits for what remains of the time.
 *
 * The type is rtgc._rtgc.Rest(call, timeout_index, wakeable, epoll): `call` takes its timeout in
 * seconds (None: for ever) as positional argument number timeout_index or as keyword
 * "timeout"; wakeable: its first argument is a selector over epoll. With a class as `epoll`,
 * epoll_select() takes the place of `call` for instances of just that class. It binds as a
 * method as a function does. Only calls of the main thread are hooked. Threads: with the GIL.
 */
#ifndef RTGC_PYTHON_REST_H
#define RTGC_PYTHON_REST_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "client/rtgc.h"

/* Adds the type to the module. 0, or -1 with an exception set. */
int rest_add(PyObject *module);
/*
 * Busy, and the window's last moment is near: here, between two pieces of work, is better
 * than in the middle of the next one, and that is better than the ceiling.
 */
void rest_use_last_moment(struct rtgc *r);
/*
 * A window is announced, and opens soon after the quiet answer: waits for it without the GIL,
 * for as long as its pause would still end before until_ns. With a signal's exception set it
 * returns early.
 */
void rest_wait_announced(struct rtgc *r, uint64_t until_ns);

#endif

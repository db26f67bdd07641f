/* SPDX-License-Identifier: MIT */
/*
 * What selectors.EpollSelector.select() does, without a frame of Python: the hook around it (rest.h) costs a
 * program that waits and wakes all the time nothing this way.
 */
#ifndef RTGC_PYTHON_EPOLL_SELECT_H
#define RTGC_PYTHON_EPOLL_SELECT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Once. 0, or -1 with an exception set. */
int epoll_select_init(void);
/*
 * The list of (key, events) of an EpollSelector of exactly that class, or NULL with an exception set. seconds:
 * finite; below 0: for ever.
 */
PyObject *epoll_select(PyObject *selector, double seconds);

#endif

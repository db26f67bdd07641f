/* SPDX-License-Identifier: MIT */
/*
 * The gate before a shared listening socket: while a window of this process is announced or
 * open, its event loop is not told of new connections, so that the kernel leaves them to the
 * other processes that wait for the same socket. Nothing is refused and nothing is lost: what
 * nobody takes stays in the socket's queue.
 *
 * The event loop need not know: its epoll set goes on holding the socket, with no event to
 * wait for, and gets back what it held. Works for every loop on epoll, in Python or in C.
 *
 * With the GIL: no loop written for Python changes its epoll set meanwhile.
 */
#ifndef RTGC_PYTHON_GATE_H
#define RTGC_PYTHON_GATE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "client/rtgc.h"

#define GATE_LISTENERS 16

/*
 * Other processes accept from this listening socket as well. 0, -errno, or -ENOSPC beyond
 * GATE_LISTENERS.
 */
int gate_share(int fd);
bool gate_shared(void); /* there is a gate to shut */
bool gate_is_shut(void);
/*
 * Shuts it for this window, once, in this epoll set (-1: in whichever holds the sockets). The
 * helper opens it when the window is over, and at gate_due() whatever happens.
 */
void gate_shut(const struct rtgc_window *window, int epoll);
uint64_t gate_due(void); /* RTGC_NEVER: it is open. Without the GIL */
void gate_open(void);
void gate_after_fork_child(void); /* the sets are the parent's, and so are the sockets */

#endif

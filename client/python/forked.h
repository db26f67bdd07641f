/* SPDX-License-Identifier: MIT */
/*
 * Children that were forked by another thread than the main one. Such a process ends with
 * that thread, unless it has started more: our own threads must not keep it alive.
 */
#ifndef RTGC_PYTHON_FORKED_H
#define RTGC_PYTHON_FORKED_H

/* Once in a process. 0 or -errno. */
int forked_init(void);
/* In the child, in the thread that forked, with the GIL. */
void forked_by_thread(void);

#endif

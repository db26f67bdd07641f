/* SPDX-License-Identifier: MIT */
/*
 * rtgc.slack(): a control loop has done its work, and says until when nothing is due. That is where pauses
 * belong. One that fits into no slack of the loop is begun at the beginning of one as well, at the window's last
 * moment: it ends late then, but stops nothing in its middle. So are the steps of a snapshot and a forced one.
 *
 * Threads: with the GIL.
 */
#ifndef RTGC_PYTHON_SLACK_H
#define RTGC_PYTHON_SLACK_H

#include <stdbool.h>
#include <stdint.h>

/* True: it collected. It may have run Python code, and set an exception. */
bool slack_use(uint64_t until_ns);
/* Another one will come before long: the program has said so again and again. */
bool slack_comes(void);

#endif

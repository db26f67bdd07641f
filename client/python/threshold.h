/* SPDX-License-Identifier: MIT */
/* The third threshold: taken over while a daemon decides, else the program's own. */
#ifndef RTGC_PYTHON_THRESHOLD_H
#define RTGC_PYTHON_THRESHOLD_H

/* Without the GIL, from any thread. */
void threshold_take_over(void);
void threshold_put_back(void);
/*
 * With the GIL, at the end of a collection. Somebody in the program called gc.set_threshold():
 * it is what is put back one day.
 */
void threshold_notice(void);
/* With the GIL. Has CPython itself run a full collection at its next chance. */
void threshold_let_collect(void);
/* With the GIL. It has run. */
void threshold_ceiling_over(void);

#endif

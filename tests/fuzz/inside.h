/* SPDX-License-Identifier: MIT */
/*
 * The real daemon inside this process, all of it, on real sockets in a folder of its own, and in
 * virtual time: the same bytes always lead to the same turns of its loop. (The linker gives its calls
 * of loop_run(), clock_now() and timerfd_…() to inside.c: --wrap.)
 */
#ifndef RTGCD_TESTS_FUZZ_INSIDE_H
#define RTGCD_TESTS_FUZZ_INSIDE_H

#include <stdbool.h>
#include <sys/types.h>

#include "client/wire/nsec.h"

/*
 * Starts a daemon with that configuration (@ is the folder of its sockets; it may listen at @/http.sock), has step() called between turns until it returns false,
 * and takes the daemon down: it must have given every descriptor back.
 */
void inside_run(const char *config, bool (*step)(void *userdata), void *userdata);

/* ---- in step() ---- */

nsec_t inside_now(void);
/* Timers that have become due fire in the turns that follow. */
void inside_pass(nsec_t span);
/* Non-blocking; the daemon accepts it in the turns that follow. */
int inside_connect_runtime(void);
int inside_connect_control(void);
int inside_connect_http(void);
/* The same for a heap, which says that it is there, and that it is due (i is 0) or not. */
int inside_join(unsigned i);

#endif

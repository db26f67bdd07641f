/* SPDX-License-Identifier: MIT */
/*
 * One line an event: to the journal where stderr is the journal, to syslog where there is
 * no stderr, else to stderr. What others sent is escaped. Threads: one.
 */
#ifndef RTGCD_LOG_H
#define RTGCD_LOG_H

#include <stdint.h>

#include "client/wire/nsec.h"

enum log_target {
	LOG_TO_STDERR,
	LOG_TO_JOURNAL,
	LOG_TO_SYSLOG,
};

/* Without it everything goes to stderr. */
void log_init(enum log_target target);
/* The journal if stderr is connected to it, else stderr. */
enum log_target log_choose(void);

/* event: a short fixed word ("started"), the field RTGCD_EVENT in the journal. */
void log_info(const char *event, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void log_error(const char *event, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/*
 * A line that a client or another program can provoke: at most 20 within 10 s; how many
 * were left out is said with the next one.
 */
void log_peer(nsec_t now, const char *event, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * A line that others can provoke again and again: at most one a minute, in which it is said how
 * often it was left out. again: zeroed at first, one for each such line.
 */
struct log_again {
	nsec_t next;
	uint64_t left_out;
};
void log_seldom(nsec_t now, struct log_again *again, const char *event,
		const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif

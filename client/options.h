/* SPDX-License-Identifier: MIT */
/*
 * What the application asked for, checked and completed: names, socket, figures. The
 * environment is read here and nowhere else, so only while a heap is being opened.
 */
#ifndef RTGC_OPTIONS_H
#define RTGC_OPTIONS_H

#include "client/rtgc.h"
#include "client/wire/wire.h"

#define OPTIONS_PATH_MAX 108 /* struct sockaddr_un */

struct options {
	uint32_t flags;
	void (*notify)(struct rtgc *r, uint32_t events, void *userdata);
	void *userdata;
	struct wire_hello hello; /* all but prev_… */
	/* The sockets to try: the first that exists, or the last. The first may be "". */
	char user_path[OPTIONS_PATH_MAX], path[OPTIONS_PATH_MAX];
};

/* given may be NULL: all defaults. 0 or -EINVAL. */
int options_init(struct options *o, const struct rtgc_options *given);
/* The heap's name for this process; NULL: PROGRAM-PID. 0 or -EINVAL. */
int options_name_heap(struct options *o, const char *heap);
const char *options_path(const struct options *o);

#endif

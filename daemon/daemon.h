/* SPDX-License-Identifier: MIT */
/* The daemon: makes all its parts, ties them together, and takes them down again. */
#ifndef RTGCD_DAEMON_H
#define RTGCD_DAEMON_H

struct daemon;

struct daemon_options {
	const char *config;	      /* NULL: the files of config_load() */
	const char *socket, *control; /* NULL: the default paths */
	/* Called once everything is there; may be NULL. */
	void (*ready)(void *userdata);
	void *userdata;
};

/* Says on the log why it fails. */
int daemon_new(const struct daemon_options *options, struct daemon **ret);
/* Until SIGTERM or SIGINT. */
int daemon_run(struct daemon *d);
struct daemon *daemon_free(struct daemon *d);

#endif

/* SPDX-License-Identifier: MIT */
/* What is served over HTTP, and where: ListenHTTP=. Threads: one. */
#ifndef RTGCD_WEB_H
#define RTGCD_WEB_H

#include <stdint.h>

struct config;
struct control;
struct web;

/* control: what is shown; borrowed. group: who may connect to a Unix socket besides the daemon's user. */
int web_new(struct control *control, uint32_t group, struct web **ret);
struct web *web_free(struct web *w);
/* As the configuration says. *ret_error: malloced, where there is more to say than -errno. Nothing has changed then. */
int web_listen(struct web *w, const struct config *config, char **ret_error);
/* The same at the start, and besides at a socket that listens already (-1: none). Says on the log why it fails. */
int web_start(struct web *w, const struct config *config, int fd);
/* Where it listens; NULL: nowhere. */
const char *web_address(const struct web *w);
/* To be called at the end of each turn of the loop. */
void web_turn(struct web *w);

#endif

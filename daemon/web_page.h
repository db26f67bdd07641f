/* SPDX-License-Identifier: MIT */
/*
 * The live page (daemon/web/), and what it asks: /api/METHOD?KEY=VALUE answers with the reply of the control
 * socket's method of that name, as somebody would get it who sees everything and changes nothing.
 *
 * Threads: one.
 */
#ifndef RTGCD_WEB_PAGE_H
#define RTGCD_WEB_PAGE_H

struct control;
struct http;

/* control is borrowed. -ENOSPC. */
int web_page_route(struct http *http, struct control *control);

#endif

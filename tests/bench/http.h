/* SPDX-License-Identifier: MIT */
/* Takes HTTP/1.1 responses apart as their bytes arrive. Keeps no body. */
#ifndef RTGC_BENCH_HTTP_H
#define RTGC_BENCH_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_HEAD_MAX 8192

struct http_response {
	int status; /* 0: the head is not complete yet */
	bool close; /* no further response will come on this connection */
	bool until_eof;
	uint64_t body_left;
	size_t head_len;
	char head[HTTP_HEAD_MAX];
};

enum http_progress {
	HTTP_MORE = 1, /* bytes are missing */
	HTTP_DONE = 2,
};

void http_begin(struct http_response *r);
/*
 * Feeds n bytes. HTTP_MORE, HTTP_DONE, or -EPROTO: not a response we can read (a head
 * above HTTP_HEAD_MAX, a chunked body, bytes after the end).
 */
int http_feed(struct http_response *r, const char *bytes, size_t n);
/* The peer has closed: HTTP_DONE when that ends the response, else -ECONNRESET. */
int http_eof(const struct http_response *r);

#endif

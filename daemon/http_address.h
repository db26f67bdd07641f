/* SPDX-License-Identifier: MIT */
/* Where the HTTP listener may be: ListenHTTP=, as it is written and as the kernel wants it. */
#ifndef RTGCD_HTTP_ADDRESS_H
#define RTGCD_HTTP_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#define HTTP_ADDRESS_MAX 128

struct http_where {
	union {
		struct sockaddr any;
		struct sockaddr_storage storage;
	} address;
	socklen_t size;
	const char *path; /* of a Unix socket, within the text; NULL: it is none */
};

/* "127.0.0.1:9190", "[::1]:9190", "/run/x.sock", "unix:/run/x.sock". NULL, or why not. */
const char *http_where_parse(const char *text, struct http_where *ret);
/* Nobody outside of this host can reach it. */
bool http_where_is_local(const struct sockaddr *address);
/* As it would be written. */
void http_where_write(const struct sockaddr *address, char ret[HTTP_ADDRESS_MAX]);
/* Whether a browser that sends this Host was told to talk to this host, and not by a name of somebody else's. */
bool http_where_is_host(const char *host);

#endif

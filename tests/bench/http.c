/* SPDX-License-Identifier: MIT */
#include "tests/bench/http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void http_begin(struct http_response *r)
{
	r->status = 0;
	r->close = false;
	r->until_eof = false;
	r->body_left = 0;
	r->head_len = 0;
}

/* The value of the header line when it has this name, else NULL. */
static const char *header(const char *line, const char *name)
{
	size_t n = strlen(name);

	if (strncasecmp(line, name, n) != 0 || line[n] != ':')
		return NULL;
	line += n + 1;
	return line + strspn(line, " \t");
}

/* r->head holds a whole head, NUL at its end. */
static int parse_head(struct http_response *r)
{
	bool sized = false;
	int minor;
	char *save;

	if (sscanf(r->head, "HTTP/1.%1d %3d", &minor, &r->status) != 2 ||
	    r->status < 200) {
		r->status = 0;
		return -EPROTO;
	}
	r->close = minor == 0;
	for (char *line = strtok_r(r->head, "\r\n", &save); line;
	     line = strtok_r(NULL, "\r\n", &save)) {
		const char *value = header(line, "content-length");

		if (value) {
			r->body_left = strtoull(value, NULL, 10);
			sized = true;
		}
		value = header(line, "connection");
		if (value)
			r->close = strcasecmp(value, "close") == 0;
		if (header(line, "transfer-encoding"))
			return -EPROTO;
	}
	if (!sized && r->status != 204 && r->status != 304) {
		r->until_eof = true;
		r->close = true;
	}
	return 0;
}

int http_feed(struct http_response *r, const char *bytes, size_t n)
{
	if (r->status == 0) {
		size_t before = r->head_len, take = HTTP_HEAD_MAX - 1 - r->head_len;
		char *end;
		int err;

		if (take > n)
			take = n;
		memcpy(r->head + before, bytes, take);
		r->head_len += take;
		r->head[r->head_len] = '\0';
		end = strstr(r->head, "\r\n\r\n");
		if (!end)
			return r->head_len < HTTP_HEAD_MAX - 1 ? HTTP_MORE : -EPROTO;
		take = (size_t)(end + 4 - r->head) - before;
		*end = '\0';
		err = parse_head(r);
		if (err)
			return err;
		bytes += take;
		n -= take;
	}
	if (r->until_eof)
		return HTTP_MORE;
	if (n > r->body_left)
		return -EPROTO;
	r->body_left -= n;
	return r->body_left == 0 ? HTTP_DONE : HTTP_MORE;
}

int http_eof(const struct http_response *r)
{
	return r->until_eof ? HTTP_DONE : -ECONNRESET;
}

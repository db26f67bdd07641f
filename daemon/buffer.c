/* SPDX-License-Identifier: MIT */
#include "daemon/buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SMALLEST 4096
#define SURE	 8192 /* who asks little is answered whatever others leave unread */

int buffer_init(struct buffer *b, struct quota *quota, uint32_t uid)
{
	struct buffer empty = {.quota = quota};
	int r = quota_charge_anyway(quota, QUOTA_BYTES, uid, 0, &empty.charge);

	if (r == 0)
		*b = empty;
	return r;
}

void buffer_deinit(struct buffer *b)
{
	free(b->text);
	if (b->quota)
		quota_release(b->quota, &b->charge);
	*b = (struct buffer){0};
}

int buffer_reserve(struct buffer *b, size_t more)
{
	size_t allocated = b->allocated ? b->allocated : SMALLEST;
	char *text;
	int r;

	while (allocated - b->n < more)
		allocated *= 2;
	if (allocated == b->allocated)
		return 0;
	if (allocated > SURE) {
		r = quota_resize(b->quota, &b->charge, allocated);
		if (r != 0)
			return r;
	}
	text = realloc(b->text, allocated);
	quota_resize_anyway(b->quota, &b->charge, text ? allocated : b->allocated);
	if (!text)
		return -ENOMEM;
	b->text = text;
	b->allocated = allocated;
	return 0;
}

int buffer_append(struct buffer *b, const char *text, size_t n)
{
	int r = buffer_reserve(b, n);

	if (r != 0)
		return r;
	memcpy(b->text + b->n, text, n);
	b->n += n;
	return 0;
}

void buffer_drop(struct buffer *b, size_t n)
{
	b->n -= n;
	if (b->n > 0) {
		memmove(b->text, b->text + n, b->n);
		return;
	}
	free(b->text);
	b->text = NULL;
	b->allocated = 0;
	quota_resize_anyway(b->quota, &b->charge, 0);
}

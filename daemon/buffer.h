/* SPDX-License-Identifier: MIT */
/* Bytes that wait, charged to the user they wait for: QUOTA_BYTES. Takes nothing while empty. */
#ifndef RTGCD_BUFFER_H
#define RTGCD_BUFFER_H

#include <stddef.h>

#include "daemon/core/quota.h"

struct buffer {
	char *text;
	size_t n, allocated;
	struct quota *quota;
	struct quota_charge charge;
};

/* -ENOMEM. */
int buffer_init(struct buffer *b, struct quota *quota, uint32_t uid);
void buffer_deinit(struct buffer *b); /* also of a zeroed one */
/* Room for so many more bytes behind those that are in it. -ENOMEM, enum quota_refusal. */
int buffer_reserve(struct buffer *b, size_t more);
int buffer_append(struct buffer *b, const char *text, size_t n);
/* Drops the first n. */
void buffer_drop(struct buffer *b, size_t n);

#endif

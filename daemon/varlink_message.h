/* SPDX-License-Identifier: MIT */
/* One message of Varlink: read, which somebody else has written, or as text. */
#ifndef RTGCD_VARLINK_MESSAGE_H
#define RTGCD_VARLINK_MESSAGE_H

#include <jansson.h>
#include <stddef.h>

/* Before anything else of jansson is called. */
void varlink_message_init(void);

/*
 * A call: an object with a method and nothing but what a call may have, each of its type. It
 * is not deeper than 16 levels, which is seen before it is parsed. NULL: it is none, or memory has run out.
 */
json_t *varlink_message_parse(const char *text, size_t size);

/* As one line of text, the caller's to free. The message is stolen; NULL, or NULL returned: memory has run out. */
char *varlink_message_text(json_t *message);

#endif

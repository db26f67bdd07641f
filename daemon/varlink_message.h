/* SPDX-License-Identifier: MIT */
/* Reading one message of Varlink: what somebody else has written. */
#ifndef RTGCD_VARLINK_MESSAGE_H
#define RTGCD_VARLINK_MESSAGE_H

#include <jansson.h>
#include <stddef.h>

/*
 * A call: an object with a method and nothing but what a call may have, each of its type. It
 * is not deeper than 16 levels, which is seen before it is parsed. NULL: it is none.
 */
json_t *varlink_message_parse(const char *text, size_t size);

#endif

/* SPDX-License-Identifier: MIT */
/* What would have had to be different for a heap that had to wait for its slot. Pure. */
#ifndef RTGCCTL_WHATIF_H
#define RTGCCTL_WHATIF_H

#include <jansson.h>

/*
 * One sentence on the last time that every slot was taken when the heap needed one, made from
 * the numbers of the decisions (as Explain returns them, oldest first). NULL: it never had to
 * wait, or its wait ended without a window. Free the result.
 */
char *whatif_sentence(const json_t *heap, const json_t *decisions);

#endif

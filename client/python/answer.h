/* SPDX-License-Identifier: MIT */
/*
 * What rtgcctl asks of this process's heap, and the answer. The helper thread answers when the
 * program is at rest, and after ANSWER_PATIENCE_NS at the latest whatever it does.
 */
#ifndef RTGC_PYTHON_ANSWER_H
#define RTGC_PYTHON_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#define ANSWER_PATIENCE_NS UINT64_C(1000000000)

/* The daemon has asked. Without the GIL, from any thread. */
void answer_asked(void);
bool answer_wanted(void);
/* When is it to be answered, were the program never at rest? RTGC_NEVER: nothing is asked. */
uint64_t answer_by(void);
/* Answers. With the GIL; false: not now, a collection runs. */
bool answer_give(void);

#endif

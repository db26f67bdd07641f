/* SPDX-License-Identifier: MIT */
/* What a command line could go on with. */
#ifndef RTGCCTL_COMPLETE_H
#define RTGCCTL_COMPLETE_H

#include "client/ctl/ctl.h"

/* The last word is the one that is being typed; it may be empty. Prints the candidates. */
void complete_line(struct ctl *ctl, int n_words, char **words);

#endif

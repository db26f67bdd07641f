/* SPDX-License-Identifier: MIT */
/* What a command line could go on with. */
#ifndef RTGCCTL_COMPLETE_H
#define RTGCCTL_COMPLETE_H

#include "client/ctl/ctl.h"

/* The last word is the one that is being typed; it may be empty. Prints the candidates. */
void complete_line(struct ctl *ctl, int n_words, char **words);

/* The keys of --set. of_service: of [Service:NAME], else of [Daemon]. initial: without being set. */
typedef void (*complete_key_fn)(void *userdata, bool of_service, const char *key,
				const char *initial);
void complete_each_key(complete_key_fn fn, void *userdata);

#endif

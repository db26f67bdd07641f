/* SPDX-License-Identifier: MIT */
/* rtgcctl collect HEAP: a window for it as soon as a slot is free, whatever it has used. */
#include "client/ctl/show.h"

int verb_collect(struct ctl *ctl)
{
	return show_of(ctl, "Collect", "heap", NULL);
}

/* SPDX-License-Identifier: MIT */
/* rtgcctl hold SERVICE: none of its heaps gets a window before its last call. */
#include "client/ctl/show.h"

int verb_hold(struct ctl *ctl)
{
	return show_of(ctl, "Hold", "service", NULL);
}

/* SPDX-License-Identifier: MIT */
/* rtgcctl release SERVICE: the end of hold. */
#include "client/ctl/show.h"

int verb_release(struct ctl *ctl)
{
	return show_of(ctl, "Release", "service", NULL);
}

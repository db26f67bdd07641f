/* SPDX-License-Identifier: MIT */
/* rtgcctl reload: the daemon reads its configuration again, as on SIGHUP. */
#include "client/ctl/show.h"

int verb_reload(struct ctl *ctl)
{
	return show_answer(ctl, "Reload", NULL);
}

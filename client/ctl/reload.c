/* SPDX-License-Identifier: MIT */
/* rtgcctl reload: the daemon reads its configuration again, as on SIGHUP. */
#include "client/ctl/call.h"

int verb_reload(struct ctl *ctl)
{
	json_t *reply;
	int status;

	status = call_once(ctl, "Reload", NULL, &reply);
	if (status != CTL_OK)
		return status;
	ctl_print_json(ctl, reply);
	json_decref(reply);
	return CTL_OK;
}

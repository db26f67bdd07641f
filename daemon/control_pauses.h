/* SPDX-License-Identifier: MIT */
/* The method ListPauses of io.rtgcd.Supervisor: what the history (daemon/history.h) holds. */
#ifndef RTGCD_CONTROL_PAUSES_H
#define RTGCD_CONTROL_PAUSES_H

#include "daemon/control.h"

/* userdata: a struct control. */
void control_list_pauses(struct varlink_call *call, json_t *parameters, void *userdata);

#endif

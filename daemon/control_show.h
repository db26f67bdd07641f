/* SPDX-License-Identifier: MIT */
/*
 * What the methods of io.rtgcd.Supervisor show, as JSON: each of these makes one object of
 * the interface (daemon/io.rtgcd.Supervisor.varlink). The caller owns it; NULL: memory has run out.
 */
#ifndef RTGCD_CONTROL_SHOW_H
#define RTGCD_CONTROL_SHOW_H

#include "daemon/config_show.h"
#include "daemon/control.h"

/* The item is stolen. *list becomes NULL when one of them is, as it is when memory has run out. */
void show_append(json_t **list, json_t *item);
/* Varlink's integers end at 2^63-1: what is more is shown as that. */
json_t *show_amount(uint64_t value);
/* In microseconds. An instant is told from now; NSEC_NEVER: null. */
json_t *show_span(nsec_t value);
json_t *show_instant(nsec_t at, nsec_t now);

json_t *show_status(const struct control *control, const struct core_status *s,
		    nsec_t now);
json_t *show_service(const struct core_service *s);
json_t *show_heap(const struct core_heap *h, nsec_t now);
json_t *show_window(const struct core_window *w, nsec_t now);
/* core: names the holder of the slot, if it is there. */
json_t *show_decision(const struct supervisor *core, const struct core_decision *d,
		      nsec_t now);
json_t *show_setting(const struct config_shown *s);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * A Varlink client: one blocking connection to the daemon's control socket. No call takes
 * longer than CALL_TIMEOUT_MS, whatever the other side does.
 */
#ifndef RTGCCTL_CALL_H
#define RTGCCTL_CALL_H

#include <stdint.h>

#include <jansson.h>

#include "client/ctl/ctl.h"

#define CALL_TIMEOUT_MS 5000

struct call;

/* Connects to ctl->control. CTL_OK, or CTL_FAILED and *ret is untouched. */
int call_open(const struct ctl *ctl, struct call **ret);
struct call *call_close(struct call *call);

/*
 * Calls io.rtgcd.Supervisor.METHOD. parameters is stolen; NULL: none. *ret: the reply's
 * parameters, an object.
 */
int call_method(struct call *call, const char *method, json_t *parameters, json_t **ret);
/* Calls a method that lists in pages until the last one. *ret: an array of its replies. */
int call_pages(struct call *call, const char *method, json_t *parameters, const char *key,
	       json_t **ret);
/* The same. *ret: {key: [all that they list]}. */
int call_list(struct call *call, const char *method, json_t *parameters, const char *key,
	      json_t **ret);

/*
 * Calls a method that answers again and again; each answer is then waited for, without the
 * time-out of the others. until: at this instant of call_now_ms() there is enough of them; stop: a descriptor
 * that is readable when there is (-1: none). *ret: NULL then.
 */
int call_fd(const struct call *call); /* readable: call_next() has something to read */
int call_more(struct call *call, const char *method, json_t *parameters, bool more);
int call_next(struct call *call, const char *method, int stop, int64_t until,
	      json_t **ret);
int64_t call_now_ms(void);

/* The two in one: connects, calls, closes. */
int call_once(const struct ctl *ctl, const char *method, json_t *parameters,
	      json_t **ret);
int call_once_list(const struct ctl *ctl, const char *method, json_t *parameters,
		   const char *key, json_t **ret);

#endif

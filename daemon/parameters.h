/* SPDX-License-Identifier: MIT */
/* The parameters of a call. Each of these has answered the call when it says false. */
#ifndef RTGCD_PARAMETERS_H
#define RTGCD_PARAMETERS_H

#include "daemon/varlink.h"

/* There are no others than keys, which NULL ends. */
bool parameters_known(struct varlink_call *call, json_t *parameters,
		      const char *const *keys);
/* An absent or null integer leaves *ret alone. */
bool parameters_int(struct varlink_call *call, json_t *parameters, const char *key,
		    int64_t least, int64_t most, int64_t *ret);
/* So does an absent or null string or flag. *ret lives as long as the parameters. */
bool parameters_string(struct varlink_call *call, json_t *parameters, const char *key,
		       const char **ret);
bool parameters_flag(struct varlink_call *call, json_t *parameters, const char *key,
		     bool *ret);

#endif

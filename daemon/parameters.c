/* SPDX-License-Identifier: MIT */
#include "daemon/parameters.h"

#include <string.h>

bool parameters_known(struct varlink_call *call, json_t *parameters,
		      const char *const *keys)
{
	const char *key;
	json_t *value;

	json_object_foreach(parameters, key, value)
	{
		size_t i = 0;

		while (keys[i] && strcmp(keys[i], key) != 0)
			i++;
		if (!keys[i]) {
			varlink_invalid(call, key);
			return false;
		}
	}
	return true;
}

bool parameters_int(struct varlink_call *call, json_t *parameters, const char *key,
		    int64_t least, int64_t most, int64_t *ret)
{
	json_t *value = json_object_get(parameters, key);

	if (!value || json_is_null(value))
		return true;
	if (!json_is_integer(value) || json_integer_value(value) < least ||
	    json_integer_value(value) > most) {
		varlink_invalid(call, key);
		return false;
	}
	*ret = json_integer_value(value);
	return true;
}

bool parameters_string(struct varlink_call *call, json_t *parameters, const char *key,
		       const char **ret)
{
	json_t *value = json_object_get(parameters, key);

	if (!value || json_is_null(value))
		return true;
	if (!json_is_string(value)) {
		varlink_invalid(call, key);
		return false;
	}
	*ret = json_string_value(value);
	return true;
}

bool parameters_flag(struct varlink_call *call, json_t *parameters, const char *key,
		     bool *ret)
{
	json_t *value = json_object_get(parameters, key);

	if (!value || json_is_null(value))
		return true;
	if (!json_is_boolean(value)) {
		varlink_invalid(call, key);
		return false;
	}
	*ret = json_is_true(value);
	return true;
}

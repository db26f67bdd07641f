/* SPDX-License-Identifier: MIT */
/*
 * rtgcctl metrics: what the daemon answers at /metrics, on stdout or in a file that is there as a whole
 * or as it was, for node_exporter's textfile collector.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/ctl/call.h"

static bool put_text(FILE *file, const json_t *reply)
{
	json_t *list = json_object_get(reply, "text"), *part;
	size_t i;

	json_array_foreach(list, i, part)
	{
		if (json_is_string(part))
			fwrite(json_string_value(part), 1, json_string_length(part),
			       file);
	}
	return fflush(file) == 0 && !ferror(file);
}

static int complain_file(const char *path, int error)
{
	return ctl_complain(CTL_FAILED, "%s: %s", path, strerror(error));
}

/* In a file of its own beside it, which then takes its name: who reads it finds all of it. */
static int put_file(const char *path, const json_t *reply)
{
	char *beside = ctl_format("%s.XXXXXX", path);
	int fd = mkstemp(beside), error;
	FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
	bool good = file && put_text(file, reply) && fchmod(fd, 0644) == 0;

	error = errno;
	if (file)
		fclose(file);
	else if (fd >= 0)
		close(fd);
	if (good && rename(beside, path) < 0) {
		error = errno;
		good = false;
	}
	if (!good && fd >= 0)
		unlink(beside);
	free(beside);
	return good ? CTL_OK : complain_file(path, error);
}

static int put(const struct ctl *ctl, const json_t *reply)
{
	if (ctl->value[OPTION_OUTPUT])
		return put_file(ctl->value[OPTION_OUTPUT], reply);
	if (!ctl_print_json(ctl, reply))
		put_text(stdout, reply);
	return CTL_OK;
}

int verb_metrics(struct ctl *ctl)
{
	bool heaps = ctl->value[OPTION_HEAPS] || ctl->service;
	json_t *parameters =
		json_pack("{s:b, s:s*}", "heaps", heaps, "service", ctl->service);
	json_t *reply = NULL;
	int status;

	if (!parameters)
		return ctl_complain(CTL_USAGE, "--service: %s is not UTF-8",
				    ctl->service);
	status = call_once_list(ctl, "Metrics", parameters, "text", &reply);
	if (status == CTL_OK)
		status = put(ctl, reply);
	json_decref(reply);
	return status;
}

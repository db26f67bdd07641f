/* SPDX-License-Identifier: MIT */
/*
 * The configuration files (rtgcd.conf(5)). A set of files is taken as a whole or, with
 * FILE:LINE: and what is wrong there, not at all.
 */
#ifndef RTGCD_CONFIG_H
#define RTGCD_CONFIG_H

#include <stddef.h>

#include "daemon/config_limits.h"
#include "daemon/core/supervisor.h"

struct config_drain { /* Drain=haproxy:SOCKET:BACKEND/SERVER; all NULL: not so */
	char *socket, *backend, *server; /* the last two with %h, %s, %% */
};

struct config_ids {
	uint32_t *id;
	size_t n;
};

struct config_access { /* Users=, Groups=; both empty: not said */
	struct config_ids users, groups;
};

struct config_note { /* a line of a file: config_show.h */
	char *section, *key, *value, *file;
	int line;
};

struct config {
	struct core_config core; /* its services are those below */
	struct config_limits limits;
	struct core_service_config *services;
	struct config_drain *drains;	/* one for each service */
	struct config_access *accesses; /* the same */
	size_t n_services;
	struct config_note *notes;
	size_t n_notes;
	char *pressure_file;
	char *listen_http; /* NULL: nowhere */
};

/*
 * file: the main file, with drop-ins in FILE.d/; NULL: by systemd's rule from /etc, /run,
 * /usr/local/lib, /usr/lib, where none needs to exist. cpus stands for "auto".
 * -EINVAL: *ret_error (malloced) says what is wrong and where, all in one line.
 */
int config_load(const char *file, unsigned cpus, struct config **ret, char **ret_error);
struct config *config_free(struct config *config);
/* How a service of that name is drained; NULL: not by us. */
const struct config_drain *config_drain_of(const struct config *config, const char *name);
/*
 * May a process of that user, neither root nor the daemon's own, join a service of that name? A
 * service that is drained at a balancer is open to those who are named only: whoever joins
 * names the server.
 */
bool config_admits(const struct config *config, const char *name, uint32_t uid,
		   bool (*in_group)(void *userdata, uint32_t gid), void *userdata);
/* Whether any service is drained at a balancer. */
bool config_drains(const struct config *config);

#endif

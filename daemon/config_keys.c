/* SPDX-License-Identifier: MIT */
#include "daemon/config_keys.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/wire/names.h"
#include "daemon/config_gates.h"
#include "daemon/http_address.h"
#include "daemon/units.h"

#define SLOTS_MOST     65536
#define LEAD_MOST      (60 * NSEC_PER_SEC)
#define SERVICE_PREFIX "Service:"

struct setting { /* one KEY=VALUE on its way */
	struct config *config;
	unsigned cpus;
	const char *section;
	char *message;
	bool failed;
};

static void fail(struct setting *r, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void fail(struct setting *r, const char *format, ...)
{
	va_list ap;

	r->failed = true;
	va_start(ap, format);
	vsnprintf(r->message, CONFIG_MESSAGE_MAX, format, ap);
	va_end(ap);
}

/* ---- values ------------------------------------------------------------------------------- */

static void drain_deinit(struct config_drain *drain)
{
	free(drain->socket);
	free(drain->backend);
	free(drain->server);
}

/* A part of BACKEND/SERVER: what HAProxy allows in a name, and %h, %s, %%. */
static bool drain_name_valid(const char *name)
{
	for (const char *c = name; *c; c++) {
		if (*c == '%') {
			if (!*++c || !strchr("hs%", *c))
				return false;
		} else if (!strchr("-_.:", *c) && !(*c >= '0' && *c <= '9') &&
			   !((*c | 0x20) >= 'a' && (*c | 0x20) <= 'z')) {
			return false;
		}
	}
	return *name;
}

/* SOCKET:BACKEND/SERVER */
static bool parse_drain(const char *text, struct config_drain *ret)
{
	const char *colon = strchr(text, ':'), *slash = strrchr(text, '/');
	struct config_drain drain;

	if (text[0] != '/' || !colon || !slash || slash < colon ||
	    (size_t)(colon - text) >= sizeof((struct sockaddr_un *)0)->sun_path)
		return false;
	drain.socket = strndup(text, (size_t)(colon - text));
	drain.backend = strndup(colon + 1, (size_t)(slash - colon - 1));
	drain.server = strdup(slash + 1);
	if (!drain.socket || !drain.backend || !drain.server ||
	    !drain_name_valid(drain.backend) || !drain_name_valid(drain.server)) {
		drain_deinit(&drain);
		return false;
	}
	*ret = drain;
	return true;
}

static void set_drain(struct setting *r, size_t index, const char *value)
{
	struct core_service_config *service = &r->config->services[index];
	struct config_drain drain = {0};

	if (*value == '\0' || strcmp(value, "none") == 0) {
		service->drain = DRAIN_NONE;
	} else if (strcmp(value, "client") == 0) {
		service->drain = DRAIN_CLIENT;
	} else if (strncmp(value, "haproxy:", 8) == 0 && parse_drain(value + 8, &drain)) {
		service->drain = DRAIN_EXTERNAL;
	} else {
		fail(r,
		     "Drain=%s: not \"none\", \"client\" or "
		     "\"haproxy:SOCKET:BACKEND/SERVER\" (an absolute path; names with "
		     "%%h, %%s, %%%%)",
		     value);
		return;
	}
	drain_deinit(&r->config->drains[index]);
	r->config->drains[index] = drain;
}

static void set_policy(struct setting *r, struct core_service_config *service,
		       const char *value)
{
	static const enum core_policy policies[] = {POLICY_STAGGER, POLICY_TOGETHER,
						    POLICY_IDLE, POLICY_OBSERVE};

	for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
		if (*value == '\0' || strcmp(value, core_policy_name(policies[i])) == 0) {
			service->policy = policies[i];
			return;
		}
	}
	fail(r, "Policy=%s: not one of stagger, together, idle, observe", value);
}

/*
 * The first of the names in text: up to a space or, as names may have spaces, in "".
 * Returns what follows it; NULL: it is not a name.
 */
static const char *next_name(const char *text, char ret[WIRE_NAME_MAX])
{
	bool quoted = *text == '"';
	size_t n = strcspn(text += quoted, quoted ? "\"" : " \t");
	const char *rest = text + n;
	char name[WIRE_NAME_MAX] = "";

	if (n >= sizeof name || (quoted && *rest++ != '"') ||
	    (*rest && !strchr(" \t", *rest)))
		return NULL;
	memcpy(name, text, n);
	if (!name_valid(name, WIRE_NAME_MAX, false))
		return NULL;
	memcpy(ret, name, sizeof name);
	return rest + strspn(rest, " \t");
}

static void set_never_with(struct setting *r, struct core_service_config *service,
			   const char *value)
{
	char names[CORE_RIVALS_MAX][WIRE_NAME_MAX] = {""};
	const char *rest = value;

	for (size_t n = 0; *rest; n++) {
		char name[WIRE_NAME_MAX];

		rest = next_name(rest, name);
		if (!rest)
			fail(r, "NeverWith=%s: not names of 1 to %d bytes of UTF-8",
			     value, WIRE_NAME_MAX - 1);
		else if (strcmp(name, service->name) == 0)
			fail(r, "NeverWith=%s: names the service itself", value);
		else if (n == CORE_RIVALS_MAX)
			fail(r, "NeverWith=%s: more than %d names", value,
			     CORE_RIVALS_MAX);
		if (r->failed)
			return;
		memcpy(names[n], name, sizeof name);
	}
	memcpy(service->never_with, names, sizeof names);
}

static bool find_user(const char *name, uint32_t *ret)
{
	const struct passwd *user = getpwnam(name);

	if (user)
		*ret = user->pw_uid;
	return user;
}

static bool find_group(const char *name, uint32_t *ret)
{
	const struct group *group = getgrnam(name);

	if (group)
		*ret = group->gr_gid;
	return group;
}

/* Names, or numbers. */
static void set_ids(struct setting *r, struct config_ids *ids, const char *key,
		    const char *value, bool (*find)(const char *name, uint32_t *ret))
{
	struct config_ids found = {.id = calloc(strlen(value) + 1, sizeof *found.id)};
	char *text = strdup(value), *rest = text;

	if (!text || !found.id)
		fail(r, "out of memory");
	for (char *name; !r->failed && (name = strsep(&rest, " \t"));) {
		char *end;
		unsigned long long number;

		if (!*name)
			continue;
		number = strtoull(name, &end, 10);
		if (*name >= '0' && *name <= '9' && !*end && number < UINT32_MAX)
			found.id[found.n++] = (uint32_t)number;
		else if (find(name, &found.id[found.n]))
			found.n++;
		else
			fail(r, "%s=%s: there is no \"%s\"", key, value, name);
	}
	free(text);
	if (r->failed) {
		free(found.id);
		return;
	}
	free(ids->id);
	*ids = found;
}

static void set_service(struct setting *r, size_t index, const char *key,
			const char *value)
{
	struct core_service_config *service = &r->config->services[index];
	struct core_service_config initial;

	core_service_config_init(&initial);
	if (strcmp(key, "Policy") == 0) {
		set_policy(r, service, value);
	} else if (strcmp(key, "Drain") == 0) {
		set_drain(r, index, value);
	} else if (strcmp(key, "MaxConcurrent") == 0) {
		if (*value == '\0')
			service->max_concurrent = initial.max_concurrent;
		else if (!units_count(value, SLOTS_MOST, &service->max_concurrent))
			fail(r, "MaxConcurrent=%s: not a whole number from 1 to %d",
			     value, SLOTS_MOST);
	} else if (strcmp(key, "Budget") == 0) {
		if (*value == '\0')
			service->budget_bytes = initial.budget_bytes;
		else if (!units_bytes(value, &service->budget_bytes))
			fail(r, "Budget=%s: not an amount like 512M or 2G", value);
	} else if (strcmp(key, "Lead") == 0) {
		nsec_t lead = initial.lead;

		if (*value && (!units_span(value, &lead) || lead > LEAD_MOST))
			fail(r, "Lead=%s: not a time like 200ms, at most 60s", value);
		service->lead = lead;
	} else if (strcmp(key, "MaxDefer") == 0) {
		if (*value == '\0')
			service->max_defer = initial.max_defer;
		else if (!units_span(value, &service->max_defer))
			fail(r, "MaxDefer=%s: not a time like 30s", value);
	} else if (strcmp(key, "MinYield") == 0) {
		if (*value == '\0')
			service->min_yield_permille = initial.min_yield_permille;
		else if (!units_permille(value, &service->min_yield_permille))
			fail(r, "MinYield=%s: not a share like 1%%", value);
	} else if (strcmp(key, "NeverWith") == 0) {
		set_never_with(r, service, value);
	} else if (strcmp(key, "Users") == 0) {
		set_ids(r, &r->config->accesses[index].users, key, value, find_user);
	} else if (strcmp(key, "Groups") == 0) {
		set_ids(r, &r->config->accesses[index].groups, key, value, find_group);
	} else {
		fail(r, "unknown key \"%s\" in [%s]", key, r->section);
	}
}

/* An amount, or a share of the host's memory. */
static bool parse_memory(const char *text, uint64_t *ret)
{
	unsigned permille;

	if (!units_permille(text, &permille))
		return units_bytes(text, ret);
	*ret = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) /
	       1000 * permille;
	return true;
}

static void set_listen(struct setting *r, const char *value)
{
	struct http_where where;
	const char *error = *value ? http_where_parse(value, &where) : NULL;
	char *copy = *value && !error ? strdup(value) : NULL;

	if (error)
		fail(r, "ListenHTTP=%s: %s", value, error);
	else if (*value && !copy)
		fail(r, "out of memory");
	if (r->failed)
		return;
	free(r->config->listen_http);
	r->config->listen_http = copy;
}

static void set_daemon(struct setting *r, const char *key, const char *value)
{
	struct core_config *core = &r->config->core;
	const char *error;

	if (strcmp(key, "MaxConcurrent") == 0) {
		if (*value == '\0' || strcmp(value, "auto") == 0)
			core->max_concurrent = r->cpus;
		else if (!units_count(value, SLOTS_MOST, &core->max_concurrent))
			fail(r,
			     "MaxConcurrent=%s: not \"auto\" or a whole number from 1 to "
			     "%d",
			     value, SLOTS_MOST);
	} else if (strcmp(key, "MemoryBudget") == 0) {
		if (*value == '\0')
			core->memory_budget = 0;
		else if (!parse_memory(value, &core->memory_budget))
			fail(r,
			     "MemoryBudget=%s: not an amount like 8G or a share like 50%%",
			     value);
	} else if (strcmp(key, "ListenHTTP") == 0) {
		set_listen(r, value);
	} else if (config_gates_set(r->config, key, value, &error)) {
		if (error)
			fail(r, "%s=%s: %s", key, value, error);
	} else if (!config_limits_set(&r->config->limits, key, value, &error)) {
		fail(r, "unknown key \"%s\" in [Daemon]", key);
	} else if (error) {
		fail(r, "%s=%s: %s", key, value, error);
	}
}

/* ---- sections ------------------------------------------------------------------------------ */

static int find_service(struct config *config, const char *name, size_t *ret)
{
	struct core_service_config *services;
	struct config_access *accesses;
	struct config_drain *drains;
	size_t i;

	for (i = 0; i < config->n_services; i++) {
		if (strcmp(config->services[i].name, name) == 0) {
			*ret = i;
			return 0;
		}
	}
	services = reallocarray(config->services, i + 1, sizeof *services);
	if (!services)
		return -ENOMEM;
	config->services = services;
	drains = reallocarray(config->drains, i + 1, sizeof *drains);
	if (!drains)
		return -ENOMEM;
	config->drains = drains;
	accesses = reallocarray(config->accesses, i + 1, sizeof *accesses);
	if (!accesses)
		return -ENOMEM;
	config->accesses = accesses;
	core_service_config_init(&services[i]);
	name_copy(services[i].name, sizeof services[i].name, name);
	drains[i] = (struct config_drain){0};
	accesses[i] = (struct config_access){0};
	config->core.services = services;
	config->core.n_services = config->n_services = i + 1;
	*ret = i;
	return 0;
}

bool config_check_section(const char *section, char ret_message[CONFIG_MESSAGE_MAX])
{
	struct setting r = {.section = section, .message = ret_message};
	size_t n = strlen(SERVICE_PREFIX);

	if (strcmp(section, "Daemon") == 0)
		return true;
	if (strncmp(section, SERVICE_PREFIX, n) != 0)
		fail(&r, "unknown section [%s]", section);
	else if (!name_valid(section + n, WIRE_NAME_MAX, false))
		fail(&r, "[%s]: not a name of 1 to %d bytes of UTF-8", section,
		     WIRE_NAME_MAX - 1);
	return !r.failed;
}

bool config_set(struct config *config, unsigned cpus, const char *section,
		const char *key, const char *value, char ret_message[CONFIG_MESSAGE_MAX])
{
	struct setting r = {.config = config,
			    .cpus = cpus,
			    .section = section,
			    .message = ret_message};
	size_t index;

	if (*section == '\0')
		fail(&r, "%s= stands before any section", key);
	else if (!config_check_section(section, ret_message))
		return false;
	else if (strcmp(section, "Daemon") == 0)
		set_daemon(&r, key, value);
	else if (find_service(config, section + strlen(SERVICE_PREFIX), &index) < 0)
		fail(&r, "out of memory");
	else
		set_service(&r, index, key, value);
	return !r.failed;
}

/* ---- all of it ----------------------------------------------------------------------------- */

int config_new(unsigned cpus, struct config **ret)
{
	struct config *config = calloc(1, sizeof *config);

	if (!config)
		return -ENOMEM;
	if (config_gates_init(config) < 0) {
		free(config);
		return -ENOMEM;
	}
	config->core.max_concurrent = cpus;
	core_service_config_init(&config->core.defaults);
	config_limits_init(&config->limits);
	*ret = config;
	return 0;
}

struct config *config_free(struct config *config)
{
	if (!config)
		return NULL;
	for (size_t i = 0; i < config->n_services; i++) {
		drain_deinit(&config->drains[i]);
		free(config->accesses[i].users.id);
		free(config->accesses[i].groups.id);
	}
	for (size_t i = 0; i < config->n_notes; i++) {
		free(config->notes[i].section);
		free(config->notes[i].key);
		free(config->notes[i].value);
		free(config->notes[i].file);
	}
	free(config->notes);
	free(config->drains);
	free(config->accesses);
	free(config->services);
	free(config->pressure_file);
	free(config->listen_http);
	free(config);
	return NULL;
}

static bool has_id(const struct config_ids *ids, uint32_t id)
{
	for (size_t i = 0; i < ids->n; i++)
		if (ids->id[i] == id)
			return true;
	return false;
}

bool config_admits(const struct config *config, const char *name, uint32_t uid,
		   bool (*in_group)(void *userdata, uint32_t gid), void *userdata)
{
	const struct config_access *access;
	size_t i = 0;

	while (i < config->n_services && strcmp(config->services[i].name, name) != 0)
		i++;
	if (i == config->n_services)
		return true;
	access = &config->accesses[i];
	if (access->users.n == 0 && access->groups.n == 0)
		return config->services[i].drain != DRAIN_EXTERNAL;
	if (has_id(&access->users, uid))
		return true;
	for (size_t k = 0; k < access->groups.n; k++)
		if (in_group(userdata, access->groups.id[k]))
			return true;
	return false;
}

const struct config_drain *config_drain_of(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->n_services; i++)
		if (strcmp(config->services[i].name, name) == 0)
			return config->drains[i].socket ? &config->drains[i] : NULL;
	return NULL;
}

bool config_drains(const struct config *config)
{
	for (size_t i = 0; i < config->n_services; i++)
		if (config->drains[i].socket)
			return true;
	return false;
}

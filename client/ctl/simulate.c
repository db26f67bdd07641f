/* SPDX-License-Identifier: MIT */
/*
 * rtgcctl simulate LOG: what an event log says has happened, beside what the same heaps would have
 * met with the configuration in the log and, with --set, with another one.
 */
#include "client/ctl/simulate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl/ctl.h"
#include "client/ctl/table.h"
#include "client/ctl/text.h"
#include "daemon/config_keys.h"

/* ---- --set --------------------------------------------------------------------------------- */

struct setting {	  /* Daemon.KEY=VALUE or Service.NAME.KEY=VALUE */
	const char *text; /* as it was given */
	char *section, *key, *value;
};

struct settings {
	struct setting *list;
	size_t n;
	unsigned cpus;
	bool complained;
};

static bool has_prefix(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static int complain_set(const char *text, const char *message)
{
	return ctl_complain(CTL_USAGE, "--set %s: %s", text, message);
}

/* A service's name may hold dots itself, a key does not. */
static int parse_setting(const char *text, struct setting *ret)
{
	const char *equals = strchr(text, '='), *dot = NULL, *name;

	for (const char *c = text; equals != NULL && c < equals; c++)
		if (*c == '.')
			dot = c;
	if (dot == NULL || dot + 1 == equals ||
	    (!has_prefix(text, "Daemon.") && !has_prefix(text, "Service.")))
		return complain_set(text, "use Daemon.KEY=VALUE or "
					  "Service.NAME.KEY=VALUE");
	name = strchr(text, '.');
	if (has_prefix(text, "Daemon.") != (name == dot))
		return complain_set(text, "use Daemon.KEY=VALUE or "
					  "Service.NAME.KEY=VALUE");
	ret->text = text;
	ret->section =
		name == dot ? ctl_format("Daemon")
			    : ctl_format("Service:%.*s", (int)(dot - name - 1), name + 1);
	ret->key = ctl_format("%.*s", (int)(equals - dot - 1), dot + 1);
	ret->value = ctl_format("%s", equals + 1);
	return CTL_OK;
}

/* What the core has, as the daemon's files would have put it. */
static int to_config(const struct core_config *core, unsigned cpus, struct config **ret)
{
	struct core_service_config *services =
		calloc(core->n_services + 1, sizeof(*services));
	struct config_drain *drains = calloc(core->n_services + 1, sizeof(*drains));
	struct config_access *accesses = calloc(core->n_services + 1, sizeof(*accesses));
	struct config *config;

	if (services == NULL || drains == NULL || accesses == NULL ||
	    config_new(cpus, &config) < 0) {
		free(services);
		free(drains);
		free(accesses);
		return -ENOMEM;
	}
	if (core->n_services > 0)
		memcpy(services, core->services, core->n_services * sizeof(*services));
	config->core = *core;
	config->services = services;
	config->drains = drains;
	config->accesses = accesses;
	config->n_services = core->n_services;
	config->core.services = services;
	*ret = config;
	return 0;
}

/* A sim_config_fn. -EINVAL: a setting is wrong, which was said. */
static int change_config(void *userdata, const struct core_config *core,
			 struct core_config *ret)
{
	struct settings *settings = userdata;
	char message[CONFIG_MESSAGE_MAX];
	struct config *config;
	int r = to_config(core, settings->cpus, &config);

	if (r < 0)
		return r;
	for (size_t i = 0; i < settings->n && r == 0; i++) {
		const struct setting *s = &settings->list[i];

		if (config_set(config, settings->cpus, s->section, s->key, s->value,
			       message))
			continue;
		complain_set(s->text, message);
		settings->complained = true;
		r = -EINVAL;
	}
	if (r == 0) {
		*ret = config->core;
		/* Theirs from here on. */
		config->services = NULL;
	}
	config_free(config);
	return r;
}

/* Each must mean something in the configuration and in the log. */
static int check_settings(struct settings *settings, const struct sim_log *log)
{
	struct core_config changed;
	int r = change_config(settings, &log->header.config, &changed);

	if (r < 0)
		return settings->complained ? CTL_USAGE
					    : ctl_complain(CTL_FAILED, "out of memory");
	free((struct core_service_config *)changed.services);
	for (size_t i = 0; i < settings->n; i++) {
		const char *name = strchr(settings->list[i].section, ':');
		bool known = name == NULL;

		for (size_t k = 0; k < log->n_histories && !known; k++)
			known = strcmp(log->histories[k]->join.hello.service, name + 1) ==
				0;
		if (!known)
			return complain_set(settings->list[i].text,
					    "no heap in the log is of that service");
	}
	return CTL_OK;
}

static void settings_deinit(struct settings *settings)
{
	for (size_t i = 0; i < settings->n; i++) {
		free(settings->list[i].section);
		free(settings->list[i].key);
		free(settings->list[i].value);
	}
	free(settings->list);
}

static int parse_settings(const struct ctl *ctl, struct settings *ret)
{
	int status = CTL_OK;

	ret->list = ctl_alloc(ctl->n_set * sizeof(*ret->list));
	for (ret->n = 0; ret->n < ctl->n_set && status == CTL_OK; ret->n++)
		status = parse_setting(ctl->set[ret->n], &ret->list[ret->n]);
	return status;
}

/* ---- Showing -------------------------------------------------------------------------------- */

static json_t *us(nsec_t span)
{
	return json_integer((json_int_t)(span / NSEC_PER_USEC));
}

static json_t *show(const struct sim_figures *f)
{
	return json_pack(
		"{s:I, s:I, s:o, s:o, s:I, s:I, s:i, s:o}", "windows",
		(json_int_t)f->windows, "collections", (json_int_t)f->collections,
		"wait_p50_us", us(figures_wait_quantile(f, 500)), "wait_p99_us",
		us(figures_wait_quantile(f, 990)), "over_limit",
		(json_int_t)f->over_limit, "forced", (json_int_t)f->forced, "paused_max",
		(int)figures_most_at_once(f), "gc_time_us", us(figures_gc_time(f)));
}

static const struct {
	const char *key, *title;
	bool time, bad; /* bad: anything but 0 is */
} rows[] = {
	{"windows", "windows", false, false},
	{"collections", "collections", false, false},
	{"wait_p50_us", "wait, median", true, false},
	{"wait_p99_us", "wait, 99 %", true, false},
	{"over_limit", "over limit", false, true},
	{"forced", "forced", false, true},
	{"paused_max", "most at once", false, false},
	{"gc_time_us", "time paused", true, false},
};

static void put_cell(struct table *table, const json_t *figures, size_t row)
{
	json_int_t value = json_integer_value(json_object_get(figures, rows[row].key));

	table_cell(table, rows[row].bad && value > 0 ? TONE_BAD : TONE_PLAIN, "%s",
		   rows[row].time ? human_time(value).text
				  : human_count((uint64_t)value).text);
}

static void put_table(const struct ctl *ctl, const json_t *result)
{
	static const struct column columns[] = {
		{.title = ""},
		{.title = "RECORDED", .right = true},
		{.title = "REPLAYED", .right = true},
		{.title = "CHANGED", .right = true},
	};
	const json_t *changed = json_object_get(result, "changed");
	struct table *table = table_new(columns, json_is_object(changed) ? 4 : 3);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		table_cell(table, TONE_DIM, "%s", rows[i].title);
		put_cell(table, json_object_get(result, "recorded"), i);
		put_cell(table, json_object_get(result, "replayed"), i);
		if (json_is_object(changed))
			put_cell(table, changed, i);
	}
	screen_line(&ctl->screen, TONE_TITLE, "%s: %lld heaps, %s", ctl->args[0],
		    (long long)json_integer_value(json_object_get(result, "heaps")),
		    human_time(json_integer_value(json_object_get(result, "duration_us")))
			    .text);
	table_print(table, &ctl->screen, stdout);
	table_free(table);
}

static int put_result(const struct ctl *ctl, const struct sim_log *log,
		      const struct sim_figures *replayed,
		      const struct sim_figures *changed)
{
	json_t *set = json_array(), *result;

	for (size_t i = 0; i < ctl->n_set; i++)
		json_array_append_new(set, json_string(ctl->set[i]));
	result = json_pack("{s:I, s:o, s:o, s:o, s:o, s:o}", "heaps",
			   (json_int_t)log->n_histories, "duration_us",
			   us(log->end - log->header.at), "set", set, "recorded",
			   show(&log->recorded), "replayed", show(replayed), "changed",
			   changed != NULL ? show(changed) : json_null());
	if (result == NULL)
		return ctl_complain(CTL_FAILED, "out of memory");
	if (!ctl_print_json(ctl, result))
		put_table(ctl, result);
	json_decref(result);
	return CTL_OK;
}

/* ---- The verb --------------------------------------------------------------------------------- */

static int simulate(const struct ctl *ctl, const struct sim_log *log,
		    struct settings *settings)
{
	struct sim_figures replayed, changed = {0};
	int status = check_settings(settings, log);

	if (status == CTL_OK)
		status = sim_run(log, NULL, NULL, &replayed);
	if (status != CTL_OK)
		return status;
	if (settings->n > 0)
		status = sim_run(log, change_config, settings, &changed);
	if (status == CTL_OK)
		status = put_result(ctl, log, &replayed,
				    settings->n > 0 ? &changed : NULL);
	figures_deinit(&replayed);
	figures_deinit(&changed);
	return status;
}

int verb_simulate(struct ctl *ctl)
{
	struct settings settings = {0};
	struct sim_log *log = NULL;
	int status = parse_settings(ctl, &settings);

	if (status == CTL_OK)
		status = sim_log_read(ctl->args[0], &log);
	if (status == CTL_OK) {
		settings.cpus = log->header.cpus;
		status = simulate(ctl, log, &settings);
	}
	sim_log_free(log);
	settings_deinit(&settings);
	return status;
}

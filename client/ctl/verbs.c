/* SPDX-License-Identifier: MIT */
/* The verbs and options: the one table that parsing, --help and completion go by. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl/ctl.h"

const struct ctl_verb ctl_verbs[] = {
	{"status", "", "the daemon: is it well, has anything gone wrong", 0, 0,
	 verb_status},
	{"services", "", "services: slots, use, waits", 0,
	 CTL_TAKES_SERVICE | CTL_TAKES_LINES, verb_services},
	{"heaps", "", "heaps: how full, when they must collect, pauses", 0,
	 CTL_TAKES_SERVICE | CTL_TAKES_STATE | CTL_TAKES_LINES, verb_heaps},
	{"windows", "", "windows announced, open and in use", 0,
	 CTL_TAKES_SERVICE | CTL_TAKES_STATE | CTL_TAKES_LINES, verb_windows},
	{"explain", "HEAP", "why a heap (name or id) was granted, held back, forced", 1,
	 0, verb_explain},
	{"heap-summary", "HEAP", "what is in a heap, by type", 1, 0, verb_heap_summary},
	{"collect", "HEAP", "let a heap collect as soon as a slot is free", 1, 0,
	 verb_collect},
	{"hold", "SERVICE", "keep a service from pausing until its memory runs out", 1, 0,
	 verb_hold},
	{"release", "SERVICE", "the end of hold", 1, 0, verb_release},
	{"config", "", "the configuration in force, and where it comes from", 0, 0,
	 verb_config},
	{"reload", "", "read the configuration again", 0, 0, verb_reload},
	{"trace", "", "write what happens as it happens, for simulate", 0,
	 CTL_TAKES_TRACE, verb_trace},
	{"metrics", "", "metrics, for node_exporter's textfile collector", 0,
	 CTL_TAKES_SERVICE | CTL_TAKES_METRICS, verb_metrics},
	{"simulate", "LOG", "the same once more, or with another configuration", 1,
	 CTL_TAKES_SET, verb_simulate},
	{NULL, NULL, NULL, 0, 0, NULL},
};

const struct ctl_option ctl_options[] = {
	[OPTION_JSON] = {"json", "pretty|short|off", 0,
			 "print the daemon's reply as JSON"},
	[OPTION_J] = {"j", NULL, 0, "--json=pretty on a terminal, else --json=short"},
	[OPTION_COLOR] = {"color", "auto|always|never", 0,
			  "auto: on a terminal, unless NO_COLOR is set"},
	[OPTION_SERVICE] = {"service", "NAME", CTL_TAKES_SERVICE,
			    "only that service, and what belongs to it"},
	[OPTION_STATE] = {"state", "STATE", CTL_TAKES_STATE,
			  "only those in that state, as the table shows it"},
	[OPTION_LINES] = {"lines", "N", CTL_TAKES_LINES,
			  "at most N, those that hurt most; 0: all"},
	[OPTION_FORMAT] = {"format", "events", CTL_TAKES_TRACE,
			   "trace: lines of rtgcd-events(5)"},
	[OPTION_SECONDS] = {"seconds", "N", CTL_TAKES_TRACE, "trace: only for so long"},
	[OPTION_HEAPS] = {"heaps", NULL, CTL_TAKES_METRICS,
			  "metrics: of single heaps, not of services"},
	[OPTION_OUTPUT] = {"output", "FILE", CTL_TAKES_METRICS,
			   "metrics: into that file, at once"},
	[OPTION_SET] = {"set", "KEY=VALUE", CTL_TAKES_SET,
			"simulate: Daemon.KEY or Service.NAME.KEY; any number of them"},
	[OPTION_CONTROL] = {"control", "PATH", 0, "the daemon's control socket"},
	[OPTION_HELP] = {"help", NULL, 0, "this text; also -h"},
	[OPTION_VERSION] = {"version", NULL, 0, "the version"},
	[OPTIONS] = {NULL, NULL, 0, NULL},
};

const struct ctl_verb *ctl_find_verb(const char *name)
{
	const struct ctl_verb *verb = ctl_verbs;

	while (verb->name != NULL && strcmp(verb->name, name) != 0)
		verb++;
	return verb->name != NULL ? verb : NULL;
}

bool ctl_option_has_choices(const struct ctl_option *option)
{
	return option->value != NULL && option->value[0] >= 'a' &&
	       option->value[0] <= 'z';
}

int ctl_number(const struct ctl *ctl, enum ctl_option_code option, long least, long most,
	       long *ret)
{
	const char *text = ctl->value[option];
	char *end;
	long n;

	if (text == NULL)
		return CTL_OK;
	errno = 0;
	n = strtol(text, &end, 10);
	if (end == text || *end != '\0' || errno != 0 || n < least || n > most)
		return ctl_complain(CTL_USAGE, "%s%s %s: not a whole number from %ld on",
				    ctl_options[option].name[1] != '\0' ? "--" : "-",
				    ctl_options[option].name, text, least);
	*ret = n;
	return CTL_OK;
}

static void print_option(const struct ctl_option *option)
{
	const char *dashes = option->name[1] != '\0' ? "--" : "-";
	const char *mark = option->value == NULL	    ? ""
			   : ctl_option_has_choices(option) ? "="
							    : " ";

	printf("  %s%s%s%-*s %s\n", dashes, option->name, mark,
	       (int)(25 - strlen(dashes) - strlen(option->name) - strlen(mark)),
	       option->value != NULL ? option->value : "", option->help);
}

void ctl_print_help(void)
{
	puts("rtgcctl [OPTION…] VERB [ARGUMENT]\n\nAsks rtgcd, the supervisor of garbage "
	     "collectors, and prints the answer.\n");
	for (const struct ctl_verb *verb = ctl_verbs; verb->name != NULL; verb++)
		printf("  %-13s%-8s%s\n", verb->name, verb->synopsis, verb->help);
	putchar('\n');
	for (const struct ctl_option *option = ctl_options; option->name != NULL;
	     option++)
		print_option(option);
	puts("\nExit status: 0 done, 1 refused or failed, 2 used wrongly. See rtgcctl(1).");
}

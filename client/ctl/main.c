/* SPDX-License-Identifier: MIT */
/* rtgcctl: asks rtgcd and prints the answer. See rtgcctl(1). */
#include <getopt.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client/ctl/ctl.h"

static const struct ctl_verb verbs[] = {
	{"status", "", "the daemon: is it well, has anything gone wrong", 0, 0,
	 verb_status},
	{"services", "", "services: slots, use, waits", 0, 0, verb_services},
	{"heaps", "", "heaps: how full, when they must collect, pauses", 0,
	 CTL_TAKES_SERVICE, verb_heaps},
	{"windows", "", "windows announced, open and in use", 0, CTL_TAKES_SERVICE,
	 verb_windows},
	{"explain", "HEAP", "why a heap (name or id) was granted, held back, forced", 1,
	 0, verb_explain},
	{"heap-summary", "HEAP", "what is in a heap, by type", 1, 0, verb_heap_summary},
	{"config", "", "the configuration in force, and where it comes from", 0, 0,
	 verb_config},
	{"reload", "", "read the configuration again", 0, 0, verb_reload},
	{"trace", "", "write what happens as it happens, for simulate", 0,
	 CTL_TAKES_TRACE, verb_trace},
	{"simulate", "LOG", "the same once more, or with another configuration", 1,
	 CTL_TAKES_SET, verb_simulate},
};
#define N_VERBS (sizeof(verbs) / sizeof(verbs[0]))

enum option_code {
	OPTION_JSON = 256,
	OPTION_CONTROL,
	OPTION_SERVICE,
	OPTION_FORMAT,
	OPTION_SECONDS,
	OPTION_SET,
	OPTION_VERSION,
};

static const struct option options[] = {
	{"json", required_argument, NULL, OPTION_JSON},
	{"control", required_argument, NULL, OPTION_CONTROL},
	{"service", required_argument, NULL, OPTION_SERVICE},
	{"format", required_argument, NULL, OPTION_FORMAT},
	{"seconds", required_argument, NULL, OPTION_SECONDS},
	{"set", required_argument, NULL, OPTION_SET},
	{"version", no_argument, NULL, OPTION_VERSION},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static void print_help(void)
{
	puts("rtgcctl [OPTION…] VERB [ARGUMENT]\n\nAsks rtgcd, the supervisor of garbage "
	     "collectors, and prints the answer.\n");
	for (size_t i = 0; i < N_VERBS; i++)
		printf("  %-13s%-6s%s\n", verbs[i].name, verbs[i].synopsis,
		       verbs[i].help);
	puts("\n"
	     "  --json=pretty|short|off  print the daemon's reply as JSON\n"
	     "  -j                       --json=pretty on a terminal, else --json=short\n"
	     "  --service NAME           only that service's heaps or windows\n"
	     "  --format=events          trace: lines of rtgcd-events(5)\n"
	     "  --seconds N              trace: only for so long\n"
	     "  --set KEY=VALUE          simulate: Daemon.KEY or Service.NAME.KEY of\n"
	     "                           rtgcd.conf(5); may be given again\n"
	     "  --control PATH           the daemon's control socket\n"
	     "  -h, --help               this text\n"
	     "  --version\n\n"
	     "Exit status: 0 done, 1 refused or failed, 2 used wrongly. See rtgcctl(1).");
}

static int complain_verb(const char *verb)
{
	char names[256] = "";

	for (size_t i = 0; i < N_VERBS; i++) {
		strcat(names, i > 0 ? ", " : "");
		strcat(names, verbs[i].name);
	}
	if (verb == NULL)
		return ctl_complain(CTL_USAGE, "which of %s? See rtgcctl --help", names);
	return ctl_complain(CTL_USAGE, "there is no %s: use one of %s", verb, names);
}

static int parse_json(const char *mode, enum ctl_json *ret)
{
	if (strcmp(mode, "pretty") == 0)
		*ret = CTL_JSON_PRETTY;
	else if (strcmp(mode, "short") == 0)
		*ret = CTL_JSON_SHORT;
	else if (strcmp(mode, "off") == 0)
		*ret = CTL_JSON_OFF;
	else
		return ctl_complain(CTL_USAGE, "--json=%s: use pretty, short or off",
				    mode);
	return CTL_OK;
}

static char *default_control(void)
{
	const char *path = getenv("RTGC_CONTROL"), *home = getenv("XDG_RUNTIME_DIR");
	char *own;

	if (path != NULL && path[0] != '\0')
		return ctl_format("%s", path);
	if (geteuid() != 0 && home != NULL && home[0] == '/') {
		own = ctl_format("%s/rtgcd/control.sock", home);
		if (access(own, F_OK) == 0)
			return own;
		free(own);
	}
	return ctl_format("/run/rtgcd/control.sock");
}

static void screen_init(struct screen *screen)
{
	const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");
	struct winsize size;

	screen->columns = 0;
	screen->colour = false;
	if (!isatty(STDOUT_FILENO))
		return;
	screen->columns = 80;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		screen->columns = size.ws_col;
	screen->colour = (no_colour == NULL || no_colour[0] == '\0') && term != NULL &&
			 strcmp(term, "dumb") != 0;
}

/* Returns CTL_OK to go on, or the exit status; *ret_done: that is all that was asked for.
 */
static int parse_options(struct ctl *ctl, int argc, char **argv, bool *ret_done)
{
	int option, status = CTL_OK;

	*ret_done = false;
	while (status == CTL_OK &&
	       (option = getopt_long(argc, argv, "jh", options, NULL)) != -1) {
		switch (option) {
		case 'h':
			print_help();
			*ret_done = true;
			return CTL_OK;
		case OPTION_VERSION:
			puts("rtgcctl " PACKAGE_VERSION);
			*ret_done = true;
			return CTL_OK;
		case 'j':
			ctl->json =
				isatty(STDOUT_FILENO) ? CTL_JSON_PRETTY : CTL_JSON_SHORT;
			break;
		case OPTION_JSON:
			status = parse_json(optarg, &ctl->json);
			break;
		case OPTION_CONTROL:
			free(ctl->control);
			ctl->control = ctl_format("%s", optarg);
			break;
		case OPTION_SERVICE:
			ctl->service = optarg;
			break;
		case OPTION_FORMAT:
			ctl->format = optarg;
			break;
		case OPTION_SECONDS:
			ctl->seconds = optarg;
			break;
		case OPTION_SET:
			ctl->set[ctl->n_set++] = optarg;
			break;
		default: /* getopt has said what is wrong */
			status = CTL_USAGE;
		}
	}
	return status;
}

static int run_verb(struct ctl *ctl, int argc, char **argv)
{
	const struct ctl_verb *verb = NULL;

	if (argc == 0)
		return complain_verb(NULL);
	for (size_t i = 0; i < N_VERBS; i++)
		if (strcmp(verbs[i].name, argv[0]) == 0)
			verb = &verbs[i];
	if (verb == NULL)
		return complain_verb(argv[0]);
	if (argc - 1 != verb->n_args)
		return ctl_complain(CTL_USAGE, "use: rtgcctl %s%s%s", verb->name,
				    verb->n_args > 0 ? " " : "", verb->synopsis);
	if (ctl->service != NULL && !(verb->takes & CTL_TAKES_SERVICE))
		return ctl_complain(CTL_USAGE, "%s takes no --service", verb->name);
	if ((ctl->format != NULL || ctl->seconds != NULL) &&
	    !(verb->takes & CTL_TAKES_TRACE))
		return ctl_complain(CTL_USAGE, "%s takes no --format or --seconds",
				    verb->name);
	if (ctl->n_set > 0 && !(verb->takes & CTL_TAKES_SET))
		return ctl_complain(CTL_USAGE, "%s takes no --set", verb->name);
	ctl->verb = verb;
	ctl->args = argv + 1;
	if (ctl->control == NULL)
		ctl->control = default_control();
	return verb->run(ctl);
}

int main(int argc, char **argv)
{
	struct ctl ctl = {.json = CTL_JSON_OFF};
	bool done;
	int status;

	/* What is printed is UTF-8 always; the locale only lends its table of widths. */
	setlocale(LC_CTYPE, "");
	if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
		setlocale(LC_CTYPE, "C.UTF-8");
	screen_init(&ctl.screen);
	ctl.set = ctl_alloc((size_t)argc * sizeof(*ctl.set));
	status = parse_options(&ctl, argc, argv, &done);
	if (status == CTL_OK && !done)
		status = run_verb(&ctl, argc - optind, argv + optind);
	free(ctl.control);
	free(ctl.set);
	if (fflush(stdout) != 0 || ferror(stdout))
		status = ctl_complain(CTL_FAILED, "cannot write the output");
	return status;
}

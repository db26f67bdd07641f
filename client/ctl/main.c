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

#include "client/ctl/complete.h"

/* What getopt wants of the table of options: the long ones, and the letters. */
static struct option *getopt_options(char letters[2 * OPTIONS + 2])
{
	struct option *options = ctl_alloc((OPTIONS + 1) * sizeof(*options));

	for (int i = 0, n = 0; i < OPTIONS; i++) {
		if (ctl_options[i].name[1] == '\0') {
			*letters++ = ctl_options[i].name[0];
			if (ctl_options[i].value != NULL)
				*letters++ = ':';
			continue;
		}
		options[n].name = ctl_options[i].name;
		options[n].has_arg =
			ctl_options[i].value != NULL ? required_argument : no_argument;
		options[n++].val = OPTION_BASE + i;
	}
	strcpy(letters, "h"); /* --help */
	return options;
}

static int complain_verb(const char *verb)
{
	char names[256] = "";

	for (const struct ctl_verb *known = ctl_verbs; known->name != NULL; known++) {
		strcat(names, known > ctl_verbs ? ", " : "");
		strcat(names, known->name);
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

char *ctl_default_control(void)
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

	*screen = (struct screen){.columns = 0};
	if (!isatty(STDOUT_FILENO))
		return;
	screen->columns = 80;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
		screen->columns = size.ws_col;
		screen->rows = size.ws_row;
	}
	screen->colour = (no_colour == NULL || no_colour[0] == '\0') && term != NULL &&
			 strcmp(term, "dumb") != 0;
}

static int parse_colour(const char *when, struct screen *screen)
{
	if (strcmp(when, "always") == 0 || strcmp(when, "never") == 0)
		screen->colour = when[0] == 'a';
	else if (strcmp(when, "auto") != 0)
		return ctl_complain(CTL_USAGE, "--color=%s: use auto, always or never",
				    when);
	return CTL_OK;
}

static int take_option(struct ctl *ctl, enum ctl_option_code option, bool *ret_done)
{
	ctl->value[option] = optarg != NULL ? optarg : "";
	switch (option) {
	case OPTION_HELP:
		ctl_print_help();
		*ret_done = true;
		break;
	case OPTION_VERSION:
		puts("rtgcctl " PACKAGE_VERSION);
		*ret_done = true;
		break;
	case OPTION_J:
		ctl->json = isatty(STDOUT_FILENO) ? CTL_JSON_PRETTY : CTL_JSON_SHORT;
		break;
	case OPTION_JSON:
		return parse_json(optarg, &ctl->json);
	case OPTION_CONTROL:
		free(ctl->control);
		ctl->control = ctl_format("%s", optarg);
		break;
	case OPTION_SERVICE:
		ctl->service = optarg;
		break;
	case OPTION_SET:
		ctl->set[ctl->n_set++] = optarg;
		break;
	case OPTION_COLOR:
		return parse_colour(optarg, &ctl->screen);
	default: /* the verb looks at its own */
		break;
	}
	return CTL_OK;
}

/* What getopt calls so. */
static enum ctl_option_code option_of(int code)
{
	int i = 0;

	if (code >= OPTION_BASE)
		return (enum ctl_option_code)(code - OPTION_BASE);
	while (code != 'h' && i < OPTIONS &&
	       (ctl_options[i].name[0] != code || ctl_options[i].name[1] != '\0'))
		i++;
	return code == 'h' ? OPTION_HELP : (enum ctl_option_code)i;
}

/* Returns CTL_OK to go on, or the exit status; *ret_done: that is all that was asked for.
 */
static int parse_options(struct ctl *ctl, int argc, char **argv, bool *ret_done)
{
	char letters[2 * OPTIONS + 2];
	struct option *options = getopt_options(letters);
	int option, status = CTL_OK;

	*ret_done = false;
	while (status == CTL_OK && !*ret_done &&
	       (option = getopt_long(argc, argv, letters, options, NULL)) != -1) {
		if (option == '?') /* getopt has said what is wrong */
			status = CTL_USAGE;
		else
			status = take_option(ctl, option_of(option), ret_done);
	}
	free(options);
	return status;
}

static int run_verb(struct ctl *ctl, int argc, char **argv)
{
	const struct ctl_verb *verb;

	if (argc == 0)
		return complain_verb(NULL);
	verb = ctl_find_verb(argv[0]);
	if (verb == NULL)
		return complain_verb(argv[0]);
	if (verb->n_args < 0 ? argc - 1 > -verb->n_args : argc - 1 != verb->n_args)
		return ctl_complain(CTL_USAGE, "use: rtgcctl %s%s%s", verb->name,
				    verb->n_args != 0 ? " " : "", verb->synopsis);
	for (int i = 0; i < OPTIONS; i++)
		if (ctl->value[i] != NULL && ctl_options[i].takes != 0 &&
		    !(verb->takes & ctl_options[i].takes))
			return ctl_complain(CTL_USAGE, "%s takes no %s%s", verb->name,
					    ctl_options[i].name[1] != '\0' ? "--" : "-",
					    ctl_options[i].name);
	ctl->verb = verb;
	ctl->args = argv + 1;
	if (ctl->control == NULL)
		ctl->control = ctl_default_control();
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
	/* What jansson had no memory for would be missing without a word. */
	json_set_alloc_funcs(ctl_alloc, free);
	screen_init(&ctl.screen);
	ctl.set = ctl_alloc((size_t)argc * sizeof(*ctl.set));
	if (argc > 1 && strcmp(argv[1], "complete") == 0) {
		complete_line(&ctl, argc - 2, argv + 2);
		status = CTL_OK;
	} else {
		status = parse_options(&ctl, argc, argv, &done);
		if (status == CTL_OK && !done)
			status = run_verb(&ctl, argc - optind, argv + optind);
	}
	free(ctl.control);
	free(ctl.set);
	if (fflush(stdout) != 0 || ferror(stdout))
		status = ctl_complain(CTL_FAILED, "cannot write the output");
	return status;
}

/* SPDX-License-Identifier: MIT */
/*
 * rtgcctl: what is shared by its verbs. A verb is one function in a file of its own and
 * one line of the table in verbs.c; it asks the daemon over the control socket and prints
 * what it heard.
 *
 * Errors: a function that fails has already said so in one line on stderr, and returns
 * the exit status. Out of memory ends the program. One thread.
 */
#ifndef RTGCCTL_CTL_H
#define RTGCCTL_CTL_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#define CTL_OK	   0
#define CTL_FAILED 1 /* refused, or it did not work */
#define CTL_USAGE  2

enum ctl_json {
	CTL_JSON_OFF, /* tables for people */
	CTL_JSON_SHORT,
	CTL_JSON_PRETTY,
};

struct screen {
	unsigned columns; /* 0: not a terminal, lines may be as long as they like */
	unsigned rows;	  /* 0: as many as it takes */
	bool colour;
};

struct ctl_verb;

enum ctl_option_code {
	OPTION_JSON,
	OPTION_J,
	OPTION_COLOR,
	OPTION_SERVICE,
	OPTION_STATE,
	OPTION_LINES,
	OPTION_FORMAT,
	OPTION_SECONDS,
	OPTION_HEAPS,
	OPTION_OUTPUT,
	OPTION_SET,
	OPTION_CONTROL,
	OPTION_HELP,
	OPTION_VERSION,
	OPTIONS,
};

struct ctl {
	char *control;		    /* path of the control socket; owned */
	const char *value[OPTIONS]; /* NULL: not given; "" of those without a value */
	const char *service;	    /* --service; NULL: all */
	const char **set;	    /* of simulate: KEY=VALUE; owned */
	size_t n_set;
	enum ctl_json json;
	struct screen screen;
	const struct ctl_verb *verb;
	char **args; /* those of the verb */
};

#define CTL_TAKES_SERVICE 1u
#define CTL_TAKES_TRACE	  2u /* --format, --seconds */
#define CTL_TAKES_SET	  4u
#define CTL_TAKES_STATE	  8u
#define CTL_TAKES_LINES	  16u
#define CTL_TAKES_METRICS 32u /* --heaps, --output */

struct ctl_verb {
	const char *name;
	const char *synopsis; /* its arguments, for --help */
	const char *help;
	int n_args;
	unsigned takes; /* options of its own, CTL_TAKES_… */
	int (*run)(struct ctl *ctl);
};

struct ctl_option {
	const char *name;  /* of one letter: -j, else --json */
	const char *value; /* NULL: none; in small letters: one of these, "a|b|c" */
	unsigned takes;	   /* the verbs that take it, CTL_TAKES_…; 0: all */
	const char *help;
};

/* getopt's codes for them begin behind those of the letters. */
#define OPTION_BASE 256

/* Both end with a NULL name. */
extern const struct ctl_verb ctl_verbs[];
extern const struct ctl_option ctl_options[];

const struct ctl_verb *ctl_find_verb(const char *name); /* NULL: there is none */
bool ctl_option_has_choices(const struct ctl_option *option);
/* A whole number between those, or CTL_USAGE and *ret untouched. NULL, not given: CTL_OK and untouched. */
int ctl_number(const struct ctl *ctl, enum ctl_option_code option, long least, long most,
	       long *ret);
void ctl_print_help(void);

/* $RTGC_CONTROL, or where the daemon's control socket usually is. */
char *ctl_default_control(void);

int verb_status(struct ctl *ctl);
int verb_services(struct ctl *ctl);
int verb_heaps(struct ctl *ctl);
int verb_windows(struct ctl *ctl);
int verb_explain(struct ctl *ctl);
int verb_heap_summary(struct ctl *ctl);
int verb_collect(struct ctl *ctl);
int verb_hold(struct ctl *ctl);
int verb_release(struct ctl *ctl);
int verb_reload(struct ctl *ctl);
int verb_config(struct ctl *ctl);
int verb_trace(struct ctl *ctl);
int verb_metrics(struct ctl *ctl);
int verb_simulate(struct ctl *ctl);

/* "rtgcctl: …" on stderr, with everything unprintable escaped. Returns status. */
int ctl_complain(int status, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Never NULL. */
void *ctl_alloc(size_t size);
char *ctl_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Under --json: prints the reply as it came and returns true, and the verb has nothing
 * left to do. Characters that a terminal would obey are written as \uXXXX, which is the
 * same JSON.
 */
bool ctl_print_json(const struct ctl *ctl, const json_t *reply);

#endif

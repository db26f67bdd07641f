/* SPDX-License-Identifier: MIT */
#include "tests/bench/load.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void usage(int status)
{
	fputs("usage: rtgc-load [OPTION]… http://HOST:PORT/PATH\n"
	      "Requests at a constant rate; latency from the intended send time; JSON.\n"
	      "On SIGINT or SIGTERM it sends no more and reports what it has.\n"
	      "  --rate N         requests a second (100)\n"
	      "  --seconds S      measured time (10)\n"
	      "  --warmup S       time before it, at the same rate, not counted (0)\n"
	      "  --timeout S      a request unanswered for so long is an error (10)\n"
	      "  --connections N  at most so many connections (1000)\n"
	      "  --keys N         %k in PATH becomes a number in [0, N) (1)\n"
	      "  --seed N         of those numbers (1)\n"
	      "  --series FILE    one line a request: intended_ns,latency_ns,status\n",
	      status ? stderr : stdout);
	exit(status);
}

static double number(const char *name, const char *text, double least)
{
	char *end;
	double value = strtod(text, &end);

	if (*end || end == text || !(value >= least && value <= 1e15)) {
		fprintf(stderr, "rtgc-load: --%s: not a fitting number: %s\n", name,
			text);
		usage(2);
	}
	return value;
}

static void parse_url(struct load *l, const char *url)
{
	int n = 0;

	if (sscanf(url, "http://%255[^:/]:%7[0-9]%n", l->host, l->port, &n) != 2 ||
	    url[n] != '/' || strlen(url + n) > 255) {
		fprintf(stderr, "rtgc-load: not http://HOST:PORT/PATH: %s\n", url);
		usage(2);
	}
	l->path = url + n;
}

void load_parse(struct load *l, int argc, char **argv)
{
	static const struct option options[] = {
		{"rate", 1, NULL, 0},	     {"seconds", 1, NULL, 0},
		{"warmup", 1, NULL, 0},	     {"timeout", 1, NULL, 0},
		{"keys", 1, NULL, 0},	     {"seed", 1, NULL, 0},
		{"connections", 1, NULL, 0}, {"series", 1, NULL, 'o'},
		{"help", 0, NULL, 'h'},	     {},
	};
	static const double least[] = {.001, .001, 0, .001, 1, 0, 1};
	double *const values[] = {
		&l->rate, &l->seconds, &l->warmup,    &l->timeout_s,
		&l->keys, &l->seed,    &l->conns_max,
	};
	int opt, i = 0;

	while ((opt = getopt_long(argc, argv, "", options, &i)) != -1) {
		if (opt == 0)
			*values[i] = number(options[i].name, optarg, least[i]);
		else if (opt == 'o')
			l->series = optarg;
		else
			usage(opt == 'h' ? 0 : 2);
	}
	if (optind != argc - 1)
		usage(2);
	parse_url(l, argv[optind]);
}

/* SPDX-License-Identifier: MIT */
/* rtgc-load, what its files share: the requests and what came of them. */
#ifndef RTGC_BENCH_LOAD_H
#define RTGC_BENCH_LOAD_H

#include <stdint.h>

#include "client/wire/list.h"
#include "client/wire/nsec.h"

enum failure {
	OK = 0,
	BAD_STATUS,
	REFUSED,
	RESET,
	PROTOCOL,
	TIMED_OUT,
	FAILURES
};

struct request {
	nsec_t lag; /* how late it was taken up, for want of CPU or of connections */
	nsec_t latency;
	int status; /* of HTTP; 0: no response */
	enum failure failure;
};

struct load {
	/* as asked for */
	double rate, seconds, warmup, timeout_s, keys, seed, conns_max;
	const char *series, *path;
	char host[256], port[8];
	struct addrinfo *address;
	/* at work */
	int epoll, timer;
	nsec_t start, timeout;
	uint64_t total, skip; /* requests; the first `skip` are the warm-up */
	uint64_t started, finished;
	struct request *requests;
	struct list idle, busy;
	struct list dead; /* closed, but events may still name them */
	unsigned conns, conns_peak;
};

/* Fills in what was asked for; says what is wrong and exits with 2. */
void load_parse(struct load *l, int argc, char **argv);

/* The instant a request is due, which nothing that happens meanwhile can move. */
nsec_t load_intended(const struct load *l, uint64_t request);

/* Both leave the warm-up out. 0 or -errno. */
int load_write_series(const struct load *l, const char *file);
int load_print(const struct load *l);

#endif

/* SPDX-License-Identifier: MIT */
#include "daemon/pressure.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/core/supervisor.h"
#include "daemon/hot.h"
#include "daemon/log.h"

#define INTERVAL (2 * NSEC_PER_SEC)
/* Less is no lag worth a word. */
#define LAG_LEAST (100 * NSEC_PER_MSEC)

struct pressure {
	struct loop *loop;
	struct supervisor *core;
	struct hot *hot;
	const char *file;
	struct loop_timer timer;
	nsec_t at; /* of the last sample; 0: there is none */
	uint64_t total_us;
	int permille;
	nsec_t suspended;
	bool said_open;
	uint64_t ungated; /* when that was said */
};

/*
 * For so many turns of the loop: the one that was stopped, which may end only now, and the next, which
 * hears how long that took. Set before anything else happens in a process that goes on.
 */
static volatile sig_atomic_t continued;

static void on_continue(int signo)
{
	continued = 2;
}

static bool stood_still(struct pressure *p)
{
	nsec_t suspended = clock_suspended();
	bool stopped = continued || suspended > p->suspended + LAG_LEAST;

	continued = 0;
	p->suspended = suspended;
	return stopped;
}

/* ---- The host -------------------------------------------------------------------------- */

/* "full avg10=… total=N", in microseconds in which all that had work to do stood still. */
static bool read_total(const char *file, uint64_t *ret)
{
	char text[512], *line, *total;
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	line = strstr(text, "full ");
	total = line ? strstr(line, "total=") : NULL;
	if (!total)
		return false;
	*ret = strtoull(total + strlen("total="), NULL, 10);
	return true;
}

/* Only between two samples that are as far apart as they should be. */
static void sample(struct pressure *p, nsec_t now)
{
	nsec_t span = p->at ? nsec_sub(now, p->at) : 0, stalled;
	uint64_t total, before = p->total_us;

	p->permille = -1;
	p->at = 0;
	if (!read_total(p->file, &total))
		return;
	p->at = now;
	p->total_us = total;
	if (span < INTERVAL / 2 || span > 2 * INTERVAL || total < before)
		return;
	stalled = nsec_min((total - before), span / NSEC_PER_USEC);
	p->permille = (int)(stalled * 1000 / (span / NSEC_PER_USEC));
}

static void strain(struct pressure *p, const struct core_strain *strain, nsec_t now)
{
	supervisor_strain(p->core, strain, now);
	hot_settle(p->hot);
}

static void on_timer(void *userdata, nsec_t now)
{
	struct pressure *p = userdata;

	sample(p, now);
	if (p->permille > 0)
		strain(p,
		       &(struct core_strain){.pressure_permille = (unsigned)p->permille},
		       now);
	loop_timer_set(&p->timer, nsec_add(now, INTERVAL));
}

/* ---- The loop -------------------------------------------------------------------------- */

static void say(struct pressure *p, const struct core_gates *gates, nsec_t now)
{
	if (gates->open && gates->cause == STRAIN_LAG)
		log_info("gates-open",
			 "nobody waits for a slot: the loop was %" PRIu64 " ms late",
			 gates->by.lag / NSEC_PER_MSEC);
	else if (gates->open)
		log_info("gates-open",
			 "nobody waits for a slot: the host stood still %u%% of the time",
			 gates->by.pressure_permille / 10);
	else
		log_info("gates-closed",
			 "calm again after %" PRIu64 " ms: %" PRIu64
			 " windows opened meanwhile",
			 nsec_sub(now, gates->since) / NSEC_PER_MSEC,
			 gates->ungated - p->ungated);
	p->said_open = gates->open;
	if (!gates->open)
		p->ungated = gates->ungated;
}

void pressure_turn(struct pressure *p, unsigned heaps)
{
	nsec_t now = loop_now(p->loop), lag = loop_lag(p->loop);
	struct core_gates gates;

	if (lag > LAG_LEAST)
		strain(p,
		       &(struct core_strain){.lag = lag, .stood_still = stood_still(p)},
		       now);
	else if (continued > 0)
		continued--;
	if (heaps == 0)
		loop_timer_set(&p->timer, NSEC_NEVER);
	else if (p->timer.at == NSEC_NEVER)
		on_timer(p, now);
	supervisor_gates(p->core, &gates);
	if (gates.open != p->said_open)
		say(p, &gates, now);
}

int pressure_permille(const struct pressure *p)
{
	return p->permille;
}

/* ---- Life ------------------------------------------------------------------------------ */

void pressure_look_at(struct pressure *p, const char *file)
{
	p->file = file;
	p->at = 0;
	p->permille = -1;
}

int pressure_new(struct loop *loop, struct supervisor *core, struct hot *hot,
		 struct pressure **ret)
{
	const struct sigaction action = {
		.sa_handler = on_continue,
		.sa_flags = SA_RESTART,
	};
	struct pressure *p = calloc(1, sizeof *p);
	int r;

	if (!p)
		return -ENOMEM;
	p->loop = loop;
	p->core = core;
	p->hot = hot;
	p->permille = -1;
	p->suspended = clock_suspended();
	r = loop_timer_init(loop, &p->timer, on_timer, p);
	if (r == 0 && sigaction(SIGCONT, &action, NULL) < 0)
		r = -errno;
	if (r < 0) {
		pressure_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

struct pressure *pressure_free(struct pressure *p)
{
	if (!p)
		return NULL;
	loop_timer_deinit(&p->timer);
	free(p);
	return NULL;
}

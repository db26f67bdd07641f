/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/guard_private.h"

/* ---- what the daemon says -------------------------------------------------------------------------- */

static struct job *find(const struct guard *g, uint64_t token)
{
	list_for_each (link, &g->jobs) {
		struct job *job = list_entry(link, struct job, link);

		if (job->m.token == token)
			return job;
	}
	return NULL;
}

static void hear(struct guard *g, nsec_t now)
{
	struct guard_message m;
	ssize_t n = recv(g->fd, &m, sizeof m, MSG_DONTWAIT);
	struct job *job;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != sizeof m) { /* the daemon is gone */
		g->leaving = true;
		return;
	}
	job = find(g, m.token);
	if (m.op == GUARD_DRAIN || m.op == GUARD_RESTORE)
		guard_job_add(g, &m, now);
	else if (job && m.op == GUARD_RENEW)
		job->m.lease = m.lease;
	else if (job && m.op == GUARD_UNDRAIN)
		job->release = true;
}

/* ---- the process ------------------------------------------------------------------------------------ */

static nsec_t wake_at(const struct job *job)
{
	return job->release ? job->due : nsec_min(job->due, job->m.lease);
}

static void wait_for_work(struct guard *g, nsec_t now)
{
	struct timespec timeout, *wait = NULL;
	nsec_t wake = NSEC_NEVER;
	nfds_t n = 2;

	g->polls[0] = (struct pollfd){.fd = g->leaving ? -1 : g->fd, .events = POLLIN};
	g->polls[1] = (struct pollfd){.fd = g->signals, .events = POLLIN};
	list_for_each (link, &g->jobs) {
		const struct job *job = list_entry(link, struct job, link);

		wake = nsec_min(wake, wake_at(job));
		g->polls[n++] = (struct pollfd){
			.fd = job->command.fd,
			.events =
				job->command.fd >= 0 ? haproxy_events(&job->command) : 0,
		};
	}
	if (wake != NSEC_NEVER) {
		nsec_t span = nsec_sub(wake, now);

		timeout.tv_sec = (time_t)(span / NSEC_PER_SEC);
		timeout.tv_nsec = (long)(span % NSEC_PER_SEC);
		wait = &timeout;
	}
	if (ppoll(g->polls, n, wait, NULL) < 0)
		for (nfds_t i = 0; i < n; i++)
			g->polls[i].revents = 0;
}

static void serve(struct guard *g)
{
	struct signalfd_siginfo info;
	size_t n = 2;
	nsec_t now;

	wait_for_work(g, clock_now());
	now = clock_now();
	list_for_each (link, &g->jobs) {
		if (g->polls[n++].revents)
			guard_job_continue(g, list_entry(link, struct job, link), now);
	}
	if (g->polls[1].revents && read(g->signals, &info, sizeof info) > 0)
		g->leaving = true;
	if (g->polls[0].revents)
		hear(g, now);
	list_for_each_safe (link, next, &g->jobs) {
		guard_job_advance(g, list_entry(link, struct job, link), now);
	}
}

static int block_signals(void)
{
	sigset_t set;

	/* Ctrl-C and the end of a terminal are the daemon's business. */
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int guard_main(int fd)
{
	struct guard g = {.fd = fd};

	prctl(PR_SET_NAME, "rtgcd-drain");
	list_init(&g.jobs);
	g.polls = calloc(2, sizeof *g.polls);
	g.signals = block_signals();
	if (g.signals < 0 || !g.polls)
		return 1;
	while (!g.leaving || !list_empty(&g.jobs))
		serve(&g);
	close(g.signals);
	free(g.polls);
	return 0;
}

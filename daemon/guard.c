/* SPDX-License-Identifier: MIT */
#include "daemon/guard.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/wire/list.h"
#include "daemon/clock.h"
#include "daemon/haproxy.h"

#define COMMAND_MOST (500 * NSEC_PER_MSEC) /* how long HAProxy may take to answer */
#define LOOK_FIRST   NSEC_PER_MSEC
#define LOOK_MOST    (5 * NSEC_PER_MSEC)
#define RETRY	     (50 * NSEC_PER_MSEC)
#define ABSENT_MOST  (10 * NSEC_PER_SEC) /* then HAProxy is gone, and its state with it */
#define SURE_AFTER   NSEC_PER_SEC

enum step {
	STEP_CHECK, /* may it be drained? */
	STEP_DRAIN, /* set server state drain */
	STEP_LOOK,  /* is it quiet? */
	STEP_DRAINED,
	STEP_CHECK_BACK, /* is it still drained by us? */
	STEP_READY,	 /* set server state ready */
	STEP_OVER,
};

struct job {
	struct list link;
	struct guard_message m;
	enum step step;
	struct haproxy_command command;
	nsec_t due;	 /* the next command, or the end of patience with this one */
	nsec_t pause;	 /* between two looks */
	nsec_t absent;	 /* since when nobody has listened there; 0: somebody has */
	bool touched;	 /* we have drained it */
	bool release;	 /* it is to be put back */
	bool seen_quiet; /* at the last look */
	bool unsure;	 /* a command was given up on, and may still be carried out */
	bool put_back;	 /* `ready` was said once */
};

struct guard {
	int fd, signals;
	bool leaving;
	struct list jobs;
	size_t n_jobs;
	struct pollfd *polls;
};

/* What "show servers state" says of a job's server and the others of its backend. */
struct survey {
	const struct guard *guard;
	const struct job *job;
	bool found;
	struct haproxy_server server;
	unsigned others_up;
};

/* ---- telling the daemon -------------------------------------------------------------------------- */

static void tell(const struct guard *g, const struct job *job, enum guard_op op,
		 const char *text)
{
	struct guard_message m = {.op = op, .token = job->m.token};

	if (g->leaving)
		return;
	snprintf(m.text, sizeof m.text, "%s", text);
	/* A daemon that is stopped does not read. What it misses it learns by the leases. */
	send(g->fd, &m, sizeof m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void finish(struct guard *g, struct job *job, enum guard_op op, const char *text)
{
	tell(g, job, op, text);
	job->step = STEP_OVER;
}

/* ---- a job's steps -------------------------------------------------------------------------------- */

static void go(struct job *job, enum step step, nsec_t due)
{
	haproxy_deinit(&job->command);
	job->step = step;
	job->due = due;
}

static bool claimed(const struct guard *g, const struct job *but, const char *server)
{
	list_for_each (link, &g->jobs) {
		const struct job *job = list_entry(link, struct job, link);

		if (job != but && job->touched && strcmp(job->m.server, server) == 0 &&
		    strcmp(job->m.backend, but->m.backend) == 0 &&
		    strcmp(job->m.socket, but->m.socket) == 0)
			return true;
	}
	return false;
}

static void survey_one(void *userdata, const struct haproxy_server *server)
{
	struct survey *s = userdata;

	if (strcmp(server->name, s->job->m.server) == 0) {
		s->found = true;
		s->server = *server;
	} else if (haproxy_server_up(server) &&
		   !claimed(s->guard, s->job, server->name)) {
		s->others_up++;
	}
}

static bool survey(const struct guard *g, const struct job *job, struct survey *ret)
{
	*ret = (struct survey){.guard = g, .job = job};
	return haproxy_servers(job->command.answer, survey_one, ret);
}

static void checked(struct guard *g, struct job *job, nsec_t now)
{
	char text[GUARD_NAME_MAX];
	struct survey s;

	if (!survey(g, job, &s)) {
		haproxy_message(job->command.answer, text, sizeof text);
		finish(g, job, GUARD_FAILED, text);
	} else if (!s.found) {
		finish(g, job, GUARD_FAILED, "no such server");
	} else if (claimed(g, job, job->m.server)) {
		finish(g, job, GUARD_FAILED, "drained for another window");
	} else if (s.server.admin != HAPROXY_ADMIN_READY) {
		/* An operator's work: wait for it to be quiet, and leave it as it is. */
		go(job, STEP_LOOK, now);
	} else if (s.others_up == 0) {
		finish(g, job, GUARD_FAILED, "last server: no other one is up and ready");
	} else {
		job->touched = true;
		tell(g, job, GUARD_CLAIMED, "");
		go(job, STEP_DRAIN, now);
	}
}

static void give_up(struct guard *g, struct job *job)
{
	char text[GUARD_NAME_MAX];

	haproxy_message(job->command.answer, text, sizeof text);
	tell(g, job, GUARD_FAILED, text);
	job->release = true;
}

/* Twice quiet, as the balancer may just be handing a request over. */
static void looked(struct guard *g, struct job *job, nsec_t now)
{
	unsigned long sessions;

	if (!haproxy_sessions(job->command.answer, job->m.backend, job->m.server,
			      &sessions)) {
		give_up(g, job);
	} else if (sessions > 0) {
		job->seen_quiet = false;
		go(job, STEP_LOOK, nsec_add(now, job->pause));
		job->pause = nsec_min(job->pause + job->pause / 4, LOOK_MOST);
	} else if (!job->seen_quiet) {
		job->seen_quiet = true;
		go(job, STEP_LOOK, nsec_add(now, LOOK_FIRST));
	} else {
		go(job, STEP_DRAINED, NSEC_NEVER);
		tell(g, job, GUARD_DRAINED, "");
	}
}

/* Where it worked, `set server` says nothing, and the table comes first. */
static void drained(struct guard *g, struct job *job, nsec_t now)
{
	char text[GUARD_NAME_MAX];

	haproxy_message(job->command.answer, text, sizeof text);
	if (text[0] == '#')
		looked(g, job, now);
	else
		give_up(g, job);
}

static void checked_back(struct guard *g, struct job *job, nsec_t now)
{
	struct survey s;

	/* Whoever has put it into maintenance or back to ready meanwhile has the last word. */
	if (survey(g, job, &s) && s.found && s.server.admin == HAPROXY_ADMIN_DRAINED) {
		go(job, STEP_READY, job->put_back ? nsec_add(now, RETRY) : now);
	} else if (job->unsure) {
		job->unsure = false;
		go(job, STEP_CHECK_BACK, nsec_add(now, SURE_AFTER));
	} else {
		finish(g, job, GUARD_READY, "");
	}
}

/* The command of this step has its answer. */
static void answered(struct guard *g, struct job *job, nsec_t now)
{
	job->absent = 0;
	switch (job->step) {
	case STEP_CHECK:
		checked(g, job, now);
		break;
	case STEP_DRAIN:
		drained(g, job, now);
		break;
	case STEP_LOOK:
		looked(g, job, now);
		break;
	case STEP_CHECK_BACK:
		checked_back(g, job, now);
		break;
	case STEP_READY: /* believed when it is seen */
		job->put_back = true;
		go(job, STEP_CHECK_BACK, now);
		break;
	case STEP_DRAINED:
	case STEP_OVER:
		break;
	}
}

/* The command of this step has failed, or took too long. */
static void failed(struct guard *g, struct job *job, int error, nsec_t now)
{
	bool nobody = error == -ENOENT || error == -ECONNREFUSED;

	if (job->step == STEP_CHECK) {
		finish(g, job, GUARD_FAILED, strerror(-error));
		return;
	}
	job->unsure = job->unsure || job->step == STEP_DRAIN;
	if (!nobody)
		job->absent = 0;
	else if (job->absent == 0)
		job->absent = now;
	else if (now - job->absent > ABSENT_MOST) {
		finish(g, job, GUARD_READY, "");
		return;
	}
	go(job, job->step, nsec_add(now, RETRY));
}

static int start_command(struct job *job)
{
	const struct guard_message *m = &job->m;

	switch (job->step) {
	case STEP_CHECK:
	case STEP_CHECK_BACK:
		return haproxy_start(&job->command, m->socket, "show servers state %s\n",
				     m->backend);
	case STEP_DRAIN:
		return haproxy_start(&job->command, m->socket,
				     "set server %s/%s state drain; show stat %s 4 -1\n",
				     m->backend, m->server, m->backend);
	case STEP_LOOK:
		return haproxy_start(&job->command, m->socket, "show stat %s 4 -1\n",
				     m->backend);
	case STEP_READY:
		return haproxy_start(&job->command, m->socket,
				     "set server %s/%s state ready\n", m->backend,
				     m->server);
	case STEP_DRAINED:
	case STEP_OVER:
		break;
	}
	return 0;
}

/* Turns towards ready, once a drain command that is under way has come to its end. */
static void turn_back(struct guard *g, struct job *job, nsec_t now)
{
	if (job->step >= STEP_CHECK_BACK ||
	    (job->step == STEP_DRAIN && job->command.fd >= 0))
		return;
	if (job->touched)
		go(job, STEP_CHECK_BACK, now);
	else
		finish(g, job, GUARD_READY, "");
}

static void due(struct guard *g, struct job *job, nsec_t now)
{
	int r;

	if (job->command.fd >= 0) {
		haproxy_deinit(&job->command);
		failed(g, job, -ETIMEDOUT, now);
		return;
	}
	r = start_command(job);
	job->due = nsec_add(now, COMMAND_MOST);
	if (r < 0)
		failed(g, job, r, now);
	else if (job->command.fd < 0)
		answered(g, job, now);
}

static void job_free(struct guard *g, struct job *job)
{
	list_unlink(&job->link);
	g->n_jobs--;
	haproxy_deinit(&job->command);
	free(job);
}

/* Everything of this job that is due at this instant. */
static void advance(struct guard *g, struct job *job, nsec_t now)
{
	for (;;) {
		if (g->leaving || job->m.lease <= now)
			job->release = true;
		if (job->release)
			turn_back(g, job, now);
		if (job->step == STEP_OVER || job->due > now)
			break;
		due(g, job, now);
	}
	if (job->step == STEP_OVER)
		job_free(g, job);
}

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

static void add(struct guard *g, const struct guard_message *m, nsec_t now)
{
	struct pollfd *polls = reallocarray(g->polls, g->n_jobs + 3, sizeof *polls);
	struct job *job = calloc(1, sizeof *job);
	struct job unborn = {.m = *m};

	if (polls)
		g->polls = polls;
	if (!polls || !job) {
		free(job);
		tell(g, &unborn, GUARD_FAILED, strerror(ENOMEM));
		return;
	}
	job->m = *m;
	haproxy_init(&job->command);
	job->pause = LOOK_FIRST;
	job->due = now;
	if (m->op == GUARD_RESTORE) {
		job->step = STEP_CHECK_BACK;
		job->touched = job->release = job->unsure = true;
	}
	list_append(&g->jobs, &job->link);
	g->n_jobs++;
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
		add(g, &m, now);
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
		struct job *job = list_entry(link, struct job, link);
		int r;

		if (!g->polls[n++].revents)
			continue;
		r = haproxy_continue(&job->command);
		if (r == 0)
			answered(g, job, now);
		else if (r != -EAGAIN)
			failed(g, job, r, now);
	}
	if (g->polls[1].revents && read(g->signals, &info, sizeof info) > 0)
		g->leaving = true;
	if (g->polls[0].revents)
		hear(g, now);
	list_for_each_safe (link, next, &g->jobs) {
		advance(g, list_entry(link, struct job, link), now);
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

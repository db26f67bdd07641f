/* SPDX-License-Identifier: MIT */
/* One server after the other: drained, looked at, put back. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/guard_private.h"

#define COMMAND_MOST (500 * NSEC_PER_MSEC) /* how long HAProxy may take to answer */
#define LOOK_FIRST   NSEC_PER_MSEC
#define LOOK_MOST    (5 * NSEC_PER_MSEC)
#define RETRY	     (50 * NSEC_PER_MSEC)
#define ABSENT_MOST  (10 * NSEC_PER_SEC) /* then HAProxy is gone, and its state with it */
#define SURE_AFTER   NSEC_PER_SEC

/* What "show servers state" says of a job's server and the others of its backend. */
struct survey {
	const struct guard *guard;
	const struct job *job;
	bool found;
	struct haproxy_server server;
	unsigned others_up;
};

/* ---- telling the daemon -------------------------------------------------------------------------- */

/* false: the daemon does not read. It may be stopped. */
static bool tell(const struct guard *g, const struct job *job, enum guard_op op,
		 const char *text)
{
	struct guard_message m = {.op = op, .token = job->m.token};

	if (g->leaving)
		return true;
	snprintf(m.text, sizeof m.text, "%s", text);
	return send(g->fd, &m, sizeof m, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof m;
}

/* Its last word, which is repeated until the daemon has read it: it would wait for ever. */
static void finish(struct job *job, enum guard_op op, const char *text)
{
	snprintf(job->m.text, sizeof job->m.text, "%s", text);
	job->m.op = op;
	haproxy_deinit(&job->command);
	job->step = STEP_OVER;
	job->touched = false;
	job->due = 0;
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
		finish(job, GUARD_FAILED, text);
	} else if (!s.found) {
		finish(job, GUARD_FAILED, "no such server");
	} else if (claimed(g, job, job->m.server)) {
		finish(job, GUARD_FAILED, "drained for another window");
	} else if (s.server.admin != HAPROXY_ADMIN_READY) {
		/* An operator's work: wait for it to be quiet, and leave it as it is. */
		go(job, STEP_LOOK, now);
	} else if (s.others_up == 0) {
		finish(job, GUARD_FAILED, "last server: no other one is up and ready");
	} else if (!tell(g, job, GUARD_CLAIMED, "")) {
		/* Nobody would put it back if this process died now. */
		finish(job, GUARD_FAILED, "the daemon does not listen");
	} else {
		job->touched = true;
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
	} else if (!tell(g, job, GUARD_DRAINED, "")) {
		go(job, STEP_LOOK, nsec_add(now, RETRY));
	} else {
		go(job, STEP_DRAINED, NSEC_NEVER);
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
		finish(job, GUARD_READY, "");
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
static void failed(struct job *job, int error, nsec_t now)
{
	bool nobody = error == -ENOENT || error == -ECONNREFUSED;

	if (job->step == STEP_CHECK) {
		finish(job, GUARD_FAILED, strerror(-error));
		return;
	}
	job->unsure = job->unsure || job->step == STEP_DRAIN;
	if (!nobody)
		job->absent = 0;
	else if (job->absent == 0)
		job->absent = now;
	else if (now - job->absent > ABSENT_MOST) {
		finish(job, GUARD_READY, "");
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
static void turn_back(struct job *job, nsec_t now)
{
	if (job->step >= STEP_CHECK_BACK ||
	    (job->step == STEP_DRAIN && job->command.fd >= 0))
		return;
	if (job->touched)
		go(job, STEP_CHECK_BACK, now);
	else
		finish(job, GUARD_READY, "");
}

static void due(struct guard *g, struct job *job, nsec_t now)
{
	int r;

	if (job->command.fd >= 0) {
		haproxy_deinit(&job->command);
		failed(job, -ETIMEDOUT, now);
		return;
	}
	r = start_command(job);
	job->due = nsec_add(now, COMMAND_MOST);
	if (r < 0)
		failed(job, r, now);
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

/* true: it is forgotten now. */
static bool is_told(struct guard *g, struct job *job, nsec_t now)
{
	if (tell(g, job, job->m.op, job->m.text)) {
		job_free(g, job);
		return true;
	}
	job->due = nsec_add(now, RETRY);
	return false;
}

void guard_job_advance(struct guard *g, struct job *job, nsec_t now)
{
	for (;;) {
		if (g->leaving || job->m.lease <= now)
			job->release = true;
		if (job->release)
			turn_back(job, now);
		if (job->due > now && !(job->step == STEP_OVER && g->leaving))
			return;
		if (job->step != STEP_OVER)
			due(g, job, now);
		else if (is_told(g, job, now))
			return;
	}
}

/* ---- its life -------------------------------------------------------------------------------------- */

void guard_job_add(struct guard *g, const struct guard_message *m, nsec_t now)
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

void guard_job_continue(struct guard *g, struct job *job, nsec_t now)
{
	int r = haproxy_continue(&job->command);

	if (r == 0)
		answered(g, job, now);
	else if (r != -EAGAIN)
		failed(job, r, now);
}

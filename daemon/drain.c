/* SPDX-License-Identifier: MIT */
#include "daemon/drain.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/wire/list.h"
#include "daemon/guard.h"
#include "daemon/log.h"

#define RESTART NSEC_PER_SEC /* between two starts of the guard */

extern char **environ;

struct drain_job {
	struct list link;
	struct guard_message m; /* token: the window */
	uint64_t heap;
	bool answered; /* the core knows how it went, or need not know any more */
	bool claimed;  /* the guard has drained it, and must put it back */
	bool failed;   /* to be told with the next turn */
};

struct drain {
	struct loop *loop;
	drain_fn fn;
	void *userdata;
	int fd; /* to the guard; -1: it does not run */
	struct loop_io *io;
	struct loop_timer restart, tell_failed;
	nsec_t started;
	struct list jobs;
};

/* ---- names -------------------------------------------------------------------------------------- */

static bool name_char(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
	       c == '-' || c == '_' || c == '.' || c == ':';
}

static bool append(char *ret, size_t size, size_t *n, const char *text, size_t length)
{
	if (length >= size - *n)
		return false;
	memcpy(ret + *n, text, length);
	*n += length;
	ret[*n] = '\0';
	return true;
}

bool drain_expand(const char *pattern, const char *heap_name, const char *service,
		  char *ret, size_t size)
{
	size_t n = 0;
	bool fits = true;

	ret[0] = '\0';
	for (const char *c = pattern; *c && fits; c++) {
		const char *text = c;
		size_t length = 1;

		if (*c == '%') {
			c++;
			text = *c == 'h' ? heap_name : *c == 's' ? service : "%";
			length = strlen(text);
		}
		fits = append(ret, size, &n, text, length);
	}
	for (const char *c = ret; *c; c++)
		fits = fits && name_char(*c);
	return fits && n > 0;
}

/* ---- jobs ---------------------------------------------------------------------------------------- */

static struct drain_job *find(const struct drain *d, uint64_t window)
{
	list_for_each (link, &d->jobs) {
		struct drain_job *job = list_entry(link, struct drain_job, link);

		if (job->m.token == window)
			return job;
	}
	return NULL;
}

static void job_free(struct drain_job *job)
{
	list_unlink(&job->link);
	free(job);
}

static void answer(struct drain *d, struct drain_job *job, bool could)
{
	if (job->answered)
		return;
	job->answered = true;
	d->fn(d->userdata, job->heap, job->m.token, could);
}

static void fail_soon(struct drain *d, struct drain_job *job)
{
	job->failed = true;
	loop_timer_set(&d->tell_failed, loop_now(d->loop));
}

static void tell_failed(void *userdata, nsec_t now)
{
	struct drain *d = userdata;
	struct drain_job *job;

	/* Each answer may lead to new requests, which are appended. */
	do {
		job = NULL;
		list_for_each (link, &d->jobs) {
			job = list_entry(link, struct drain_job, link);
			if (job->failed)
				break;
			job = NULL;
		}
		if (!job)
			break;
		job->failed = false;
		answer(d, job, false);
		if (!job->claimed)
			job_free(job);
	} while (job);
}

/* ---- the guard ------------------------------------------------------------------------------------ */

static void lose_guard(struct drain *d)
{
	nsec_t now = loop_now(d->loop);

	d->io = loop_io_free(d->io);
	close(d->fd);
	d->fd = -1;
	log_error("guard-lost", "the drain guard has ended: it is started again");
	list_for_each (link, &d->jobs) {
		struct drain_job *job = list_entry(link, struct drain_job, link);

		if (!job->answered || !job->claimed)
			fail_soon(d, job);
	}
	loop_timer_set(&d->restart, nsec_max(now, nsec_add(d->started, RESTART)));
}

/* A guard that does not read is no guard: another one takes its place. */
static void say(struct drain *d, const struct guard_message *m)
{
	if (d->fd >= 0 && send(d->fd, m, sizeof *m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		lose_guard(d);
}

static void hear_one(struct drain *d, const struct guard_message *m)
{
	struct drain_job *job = find(d, m->token);

	if (!job)
		return;
	switch (m->op) {
	case GUARD_CLAIMED:
		job->claimed = true;
		break;
	case GUARD_DRAINED:
		answer(d, job, true);
		break;
	case GUARD_FAILED:
		log_peer(loop_now(d->loop), "undrainable", "%s %s/%s: %s", job->m.socket,
			 job->m.backend, job->m.server, m->text);
		fail_soon(d, job);
		break;
	case GUARD_READY:
		job->claimed = false;
		answer(d, job, false);
		job_free(job);
		break;
	default:
		break;
	}
}

static void hear(void *userdata, unsigned events)
{
	struct drain *d = userdata;
	struct guard_message m;

	for (int i = 0; i < 64 && d->fd >= 0; i++) {
		ssize_t n = recv(d->fd, &m, sizeof m, MSG_DONTWAIT);

		if (n == sizeof m)
			hear_one(d, &m);
		else if (n >= 0 || errno != EAGAIN)
			lose_guard(d);
		else
			return;
	}
}

/* Our own binary again, with nothing of ours open but its end of the pair. */
static int spawn(int fd)
{
	char number[16];
	char *argv[] = {(char *)"rtgcd-drain", (char *)"--drain-guard", number, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	pid_t pid;
	int r;

	snprintf(number, sizeof number, "%d", fd);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	/* To the same number: it is left open in the guard. */
	r = posix_spawn_file_actions_adddup2(&actions, fd, fd);
	/* A group of its own, so that Ctrl-C at a terminal reaches the daemon alone. */
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
	if (r == 0)
		r = posix_spawn(&pid, "/proc/self/exe", &actions, &attributes, argv,
				environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

void drain_start(struct drain *d)
{
	int fds[2], r;

	if (d->fd >= 0)
		return;
	d->started = loop_now(d->loop);
	loop_timer_set(&d->restart, NSEC_NEVER);
	r = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0 ? -errno : 0;
	if (r == 0) {
		r = spawn(fds[1]);
		close(fds[1]);
		if (r == 0)
			r = loop_io_new(d->loop, fds[0], LOOP_READ, hear, d, &d->io);
		if (r < 0)
			close(fds[0]);
	}
	if (r < 0) {
		log_error("guard-failed", "the drain guard cannot be started: %s",
			  strerror(-r));
		loop_timer_set(&d->restart, nsec_add(d->started, RESTART));
		return;
	}
	d->fd = fds[0];
	list_for_each (link, &d->jobs) {
		struct drain_job *job = list_entry(link, struct drain_job, link);

		if (job->claimed) {
			job->m.op = GUARD_RESTORE;
			say(d, &job->m);
		}
	}
}

static void restart(void *userdata, nsec_t now)
{
	drain_start(userdata);
}

/* ---- requests ------------------------------------------------------------------------------------- */

static bool fill_in(struct guard_message *m, const struct config_drain *how,
		    const char *heap_name, const char *service)
{
	if (!how || strlen(how->socket) >= sizeof m->socket)
		return false;
	strcpy(m->socket, how->socket);
	return drain_expand(how->backend, heap_name, service, m->backend,
			    sizeof m->backend) &&
	       drain_expand(how->server, heap_name, service, m->server, sizeof m->server);
}

void drain_request(struct drain *d, const struct config_drain *how, const char *heap_name,
		   const char *service, uint64_t heap, uint64_t window, nsec_t lease)
{
	struct drain_job *job = calloc(1, sizeof *job);

	/* The lead runs out: the window opens without it. */
	if (!job)
		return;
	job->heap = heap;
	job->m.op = GUARD_DRAIN;
	job->m.token = window;
	job->m.lease = lease;
	list_append(&d->jobs, &job->link);
	if (!fill_in(&job->m, how, heap_name, service)) {
		log_peer(loop_now(d->loop), "undrainable",
			 "heap %s of service %s gives no name of a server", heap_name,
			 service);
		fail_soon(d, job);
	} else if (d->fd < 0) {
		fail_soon(d, job);
	} else {
		say(d, &job->m);
	}
}

void drain_renew(struct drain *d, uint64_t window, nsec_t lease)
{
	struct drain_job *job = find(d, window);

	if (!job || job->failed)
		return;
	/* It has opened: how the draining goes is of no interest any more. */
	job->answered = true;
	job->m.op = GUARD_RENEW;
	job->m.lease = lease;
	say(d, &job->m);
}

void drain_undrain(struct drain *d, uint64_t window)
{
	struct drain_job *job = find(d, window);

	if (!job)
		return;
	job->answered = true;
	job->m.op = GUARD_UNDRAIN;
	say(d, &job->m);
}

/* ---- life ------------------------------------------------------------------------------------------ */

int drain_new(struct loop *loop, drain_fn fn, void *userdata, struct drain **ret)
{
	struct drain *d = calloc(1, sizeof *d);
	int r;

	if (!d)
		return -ENOMEM;
	d->loop = loop;
	d->fn = fn;
	d->userdata = userdata;
	d->fd = -1;
	list_init(&d->jobs);
	r = loop_timer_init(loop, &d->restart, restart, d);
	if (r == 0)
		r = loop_timer_init(loop, &d->tell_failed, tell_failed, d);
	if (r < 0) {
		drain_free(d);
		return r;
	}
	*ret = d;
	return 0;
}

struct drain *drain_free(struct drain *d)
{
	if (!d)
		return NULL;
	list_for_each_safe (link, next, &d->jobs) {
		job_free(list_entry(link, struct drain_job, link));
	}
	loop_timer_deinit(&d->restart);
	loop_timer_deinit(&d->tell_failed);
	loop_io_free(d->io);
	if (d->fd >= 0)
		close(d->fd);
	free(d);
	return NULL;
}

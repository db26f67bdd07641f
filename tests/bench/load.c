/* SPDX-License-Identifier: MIT */
/*
 * rtgc-load: HTTP/1.1 load at a constant rate, in an open loop.
 *
 * Each request has an intended send time that depends on the rate alone, and its latency
 * counts from there. A server that stalls is therefore charged for every request that
 * fell due meanwhile, not only for those a waiting client happened to send. Connections
 * are kept alive; when all are busy another is opened, so the loop stays open.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/http.h"
#include "tests/bench/load.h"

#define EVENTS	     64
#define REQUEST_MAX  1024
#define READ_SIZE    (64 * 1024)
#define KEY_TOKEN    "%k"
#define NO_REQUEST   UINT64_MAX
#define TIMER_SOURCE NULL

struct conn {
	struct list link; /* in idle or busy (oldest request first) */
	int fd;
	bool connecting;
	uint64_t request;
	struct http_response response;
};

static volatile sig_atomic_t stop_asked;

static void on_stop(int number)
{
	stop_asked = 1;
}

static nsec_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (nsec_t)t.tv_sec * NSEC_PER_SEC + (nsec_t)t.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "rtgc-load: %s: %s\n", what, strerror(errno));
	exit(1);
}

nsec_t load_intended(const struct load *l, uint64_t request)
{
	return l->start + (nsec_t)((double)request / l->rate * 1e9);
}

/* splitmix64: the key of a request depends on the seed and its number alone. */
static uint64_t key_of(const struct load *l, uint64_t request)
{
	uint64_t z = (uint64_t)l->seed + (request + 1) * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (z ^ (z >> 31)) % (uint64_t)l->keys;
}

static void finish(struct load *l, uint64_t request, enum failure failure, int status)
{
	struct request *r = &l->requests[request];

	r->latency = nsec_sub(now(), load_intended(l, request));
	r->failure = failure;
	r->status = status;
	l->finished++;
}

/* Freed only after this turn's events, some of which may be for it. */
static void conn_drop(struct load *l, struct conn *c)
{
	list_unlink(&c->link);
	close(c->fd);
	c->fd = -1;
	l->conns--;
	list_append(&l->dead, &c->link);
}

static void bury(struct list *conns)
{
	list_for_each_safe (link, tmp, conns)
		free(list_entry(link, struct conn, link));
	list_init(conns);
}

static void conn_fail(struct load *l, struct conn *c, enum failure failure)
{
	if (c->request != NO_REQUEST)
		finish(l, c->request, failure, 0);
	conn_drop(l, c);
}

static void conn_send(struct load *l, struct conn *c)
{
	char text[REQUEST_MAX], path[512];
	const char *token = strstr(l->path, KEY_TOKEN);
	ssize_t sent;
	int n;

	if (token)
		snprintf(path, sizeof(path), "%.*s%" PRIu64 "%s", (int)(token - l->path),
			 l->path, key_of(l, c->request), token + strlen(KEY_TOKEN));
	else
		snprintf(path, sizeof(path), "%s", l->path);
	n = snprintf(text, sizeof(text),
		     "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: rtgc-load\r\n\r\n", path,
		     l->host);
	http_begin(&c->response);
	sent = send(c->fd, text, (size_t)n, MSG_NOSIGNAL);
	/* A request is far smaller than a fresh socket's buffer: short means broken. */
	if (sent != n)
		conn_fail(l, c, RESET);
}

static struct conn *conn_open(struct load *l)
{
	const struct addrinfo *a = l->address;
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
	int one = 1;
	struct conn *c = calloc(1, sizeof(*c));

	if (!c)
		die("memory");
	list_init(&c->link);
	c->request = NO_REQUEST;
	c->fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0) {
		free(c);
		return NULL;
	}
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->connecting = true;
	ev.data.ptr = c;
	if ((connect(c->fd, a->ai_addr, a->ai_addrlen) < 0 && errno != EINPROGRESS) ||
	    epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &ev) < 0) {
		close(c->fd);
		free(c);
		return NULL;
	}
	l->conns++;
	if (l->conns > l->conns_peak)
		l->conns_peak = l->conns;
	return c;
}

/* Every request whose time has come and that can have a connection. */
static void start_due(struct load *l)
{
	while (l->started < l->total && load_intended(l, l->started) <= now()) {
		uint64_t request = l->started;
		struct conn *c;

		if (!list_empty(&l->idle)) {
			/* The one used last: its caches are warm, the others may age. */
			c = list_entry(l->idle.prev, struct conn, link);
			list_unlink(&c->link);
		} else if ((double)l->conns >= l->conns_max) {
			return;
		} else {
			c = conn_open(l);
			if (!c) {
				l->started++;
				finish(l, request, REFUSED, 0);
				continue;
			}
		}
		l->started++;
		l->requests[request].lag = nsec_sub(now(), load_intended(l, request));
		c->request = request;
		list_append(&l->busy, &c->link);
		if (!c->connecting)
			conn_send(l, c);
	}
}

static void conn_done(struct load *l, struct conn *c)
{
	int status = c->response.status;

	finish(l, c->request, status == 200 ? OK : BAD_STATUS, status);
	c->request = NO_REQUEST;
	if (c->response.close) {
		conn_drop(l, c);
		return;
	}
	list_unlink(&c->link);
	list_append(&l->idle, &c->link);
}

static void conn_read(struct load *l, struct conn *c)
{
	static char buffer[READ_SIZE];

	for (;;) {
		ssize_t n = recv(c->fd, buffer, sizeof(buffer), 0);
		int progress;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0 || (n == 0 && c->request == NO_REQUEST)) {
			conn_fail(l, c, RESET);
			return;
		}
		if (c->request == NO_REQUEST) {
			conn_drop(l, c); /* speaks unasked */
			return;
		}
		progress = n > 0 ? http_feed(&c->response, buffer, (size_t)n)
				 : http_eof(&c->response);
		if (progress < 0) {
			conn_fail(l, c, progress == -EPROTO ? PROTOCOL : RESET);
			return;
		}
		/* Reads on even when done: so a hang-up is seen before the next use. */
		if (progress == HTTP_DONE)
			conn_done(l, c);
		if (c->fd < 0)
			return;
	}
}

static void conn_event(struct load *l, struct conn *c, uint32_t events)
{
	if (c->fd < 0)
		return;
	if (c->connecting) {
		int err = 0;
		socklen_t size = sizeof(err);

		getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &size);
		if (err) {
			conn_fail(l, c, REFUSED);
			return;
		}
		if (!(events & EPOLLOUT))
			return;
		c->connecting = false;
		conn_send(l, c);
		return;
	}
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		conn_read(l, c);
}

/* Fails what has waited too long: first what was sent, then what never got so far. */
static void expire(struct load *l)
{
	nsec_t t = now();

	while (!list_empty(&l->busy)) {
		struct conn *c = list_entry(l->busy.next, struct conn, link);

		if (load_intended(l, c->request) + l->timeout > t)
			break;
		conn_fail(l, c, TIMED_OUT);
	}
	while (l->started < l->total && load_intended(l, l->started) + l->timeout <= t)
		finish(l, l->started++, TIMED_OUT, 0);
}

static void arm(struct load *l)
{
	nsec_t at = NSEC_NEVER;
	struct itimerspec spec = {};

	/* With no connection to be had, waking for the next request would be a spin. */
	if (l->started < l->total) {
		bool stuck = list_empty(&l->idle) && (double)l->conns >= l->conns_max;

		at = load_intended(l, l->started) + (stuck ? l->timeout : 0);
	}
	if (!list_empty(&l->busy)) {
		struct conn *c = list_entry(l->busy.next, struct conn, link);

		at = nsec_min(at, load_intended(l, c->request) + l->timeout);
	}
	spec.it_value.tv_sec = (time_t)(at / NSEC_PER_SEC);
	spec.it_value.tv_nsec = (long)(at % NSEC_PER_SEC);
	if (at != NSEC_NEVER && timerfd_settime(l->timer, TFD_TIMER_ABSTIME, &spec, NULL))
		die("timer");
}

/* Asked to stop: nothing more is sent, what is under way is waited for. */
static void stop_early(struct load *l)
{
	if (l->started <= l->skip) {
		fputs("rtgc-load: stopped before the measured time began\n", stderr);
		exit(1);
	}
	l->total = l->started;
}

static void run(struct load *l)
{
	sigset_t none;

	sigemptyset(&none);
	while (l->finished < l->total) {
		struct epoll_event events[EVENTS];
		int n;

		arm(l);
		n = epoll_pwait(l->epoll, events, EVENTS, -1, &none);
		if (n < 0 && errno != EINTR)
			die("epoll_pwait");
		if (stop_asked)
			stop_early(l);
		start_due(l);
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == TIMER_SOURCE) {
				uint64_t ticks;

				if (read(l->timer, &ticks, sizeof(ticks)) < 0 &&
				    errno != EAGAIN)
					die("timer");
			} else {
				conn_event(l, events[i].data.ptr, events[i].events);
			}
		}
		start_due(l);
		expire(l);
		bury(&l->dead);
	}
}

/* Delivered only while waiting for events, so that none comes unnoticed. */
static void catch_stop(void)
{
	struct sigaction action = {.sa_handler = on_stop};
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static void set_up(struct load *l)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = TIMER_SOURCE};
	struct rlimit files;
	int err;

	l->skip = (uint64_t)(l->rate * l->warmup + .5);
	l->total = l->skip + (uint64_t)(l->rate * l->seconds + .5);
	l->timeout = (nsec_t)(l->timeout_s * 1e9);
	if (l->total == l->skip) {
		fputs("rtgc-load: not one request in that time\n", stderr);
		exit(2);
	}
	list_init(&l->idle);
	list_init(&l->busy);
	list_init(&l->dead);
	err = getaddrinfo(l->host, l->port, &hints, &l->address);
	if (err) {
		fprintf(stderr, "rtgc-load: %s: %s\n", l->host, gai_strerror(err));
		exit(1);
	}
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	prctl(PR_SET_TIMERSLACK, 1);
	catch_stop();
	l->requests = calloc(l->total, sizeof(*l->requests));
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (!l->requests || l->epoll < 0 || l->timer < 0 ||
	    epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->timer, &ev) < 0)
		die("set-up");
	/* Touched now, so that no page fault falls into the measured time. */
	memset(l->requests, 0, l->total * sizeof(*l->requests));
}

int main(int argc, char **argv)
{
	struct load l = {
		.rate = 100,
		.seconds = 10,
		.timeout_s = 10,
		.keys = 1,
		.seed = 1,
		.conns_max = 1000,
	};

	int err;

	load_parse(&l, argc, argv);
	set_up(&l);
	l.start = now() + 10 * NSEC_PER_MSEC;
	run(&l);
	err = l.series ? load_write_series(&l, l.series) : 0;
	if (err == 0)
		err = load_print(&l);
	if (err)
		fprintf(stderr, "rtgc-load: results: %s\n", strerror(-err));
	freeaddrinfo(l.address);
	free(l.requests);
	while (!list_empty(&l.idle))
		conn_drop(&l, list_entry(l.idle.next, struct conn, link));
	bury(&l.dead);
	close(l.timer);
	close(l.epoll);
	return err ? 1 : 0;
}

/* SPDX-License-Identifier: MIT */
#include "daemon/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "daemon/clock.h"

struct notify {
	struct loop *loop;
	bool wanted;
	struct loop_timer watchdog, status;
	nsec_t watchdog_every, told_at;
	unsigned heaps, services, told_heaps, told_services;
};

static void keep_alive(void *userdata, nsec_t now)
{
	struct notify *n = userdata;

	sd_notify(0, "WATCHDOG=1");
	loop_timer_set(&n->watchdog, nsec_add(now, n->watchdog_every));
}

static void tell_status(void *userdata, nsec_t now)
{
	struct notify *n = userdata;

	if (n->heaps == n->told_heaps && n->services == n->told_services)
		return;
	n->told_heaps = n->heaps;
	n->told_services = n->services;
	sd_notifyf(0, "STATUS=%u heaps in %u services", n->heaps, n->services);
	/* Not `now`: however late this turn is, the next one is a second behind it. */
	n->told_at = clock_now();
}

int notify_new(struct loop *loop, struct notify **ret)
{
	struct notify *n = calloc(1, sizeof *n);
	uint64_t usec;
	int r;

	if (!n)
		return -ENOMEM;
	n->loop = loop;
	n->heaps = n->told_heaps = UINT_MAX; /* nothing was told yet */
	n->wanted = notify_manager();
	r = loop_timer_init(loop, &n->watchdog, keep_alive, n);
	if (r == 0)
		r = loop_timer_init(loop, &n->status, tell_status, n);
	if (r < 0) {
		free(n);
		return r;
	}
	if (n->wanted && sd_watchdog_enabled(0, &usec) > 0) {
		n->watchdog_every = usec / 2 * NSEC_PER_USEC;
		loop_timer_set(&n->watchdog, loop_now(loop));
	}
	*ret = n;
	return 0;
}

struct notify *notify_free(struct notify *n)
{
	if (!n)
		return NULL;
	sd_notify(0, "STOPPING=1");
	loop_timer_deinit(&n->watchdog);
	loop_timer_deinit(&n->status);
	free(n);
	return NULL;
}

void notify_ready(struct notify *n)
{
	sd_notify(0, "READY=1");
}

void notify_reloading(struct notify *n)
{
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
		   loop_now(n->loop) / NSEC_PER_USEC);
}

void notify_status(struct notify *n, unsigned heaps, unsigned services)
{
	if (!n->wanted || (n->heaps == heaps && n->services == services))
		return;
	n->heaps = heaps;
	n->services = services;
	loop_timer_set(&n->status, nsec_add(n->told_at, NSEC_PER_SEC));
}

/* ---- what is handed over ---------------------------------------------------------------------------- */

#define STATE_NAME "state"
#define HTTP_NAME  "http"

/* The types tell most sockets apart: the names could only say the same, or be wrong. */
static void take(int fd, const char *name, struct notify_fds *ret)
{
	int *place = NULL;

	if (name && strcmp(name, HTTP_NAME) == 0 &&
	    sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) > 0)
		place = &ret->http;
	else if (sd_is_socket(fd, AF_UNIX, SOCK_SEQPACKET, 1) > 0)
		place = &ret->runtime;
	else if (sd_is_socket(fd, AF_UNIX, SOCK_STREAM, 1) > 0)
		place = &ret->control;
	else if (name && strcmp(name, STATE_NAME) == 0)
		place = &ret->state;
	if (!place || *place >= 0 ||
	    (place != &ret->state && fcntl(fd, F_SETFL, O_NONBLOCK) < 0)) {
		close(fd);
		return;
	}
	*place = fd;
}

void notify_fds(struct notify_fds *ret)
{
	char **names = NULL;
	int n = sd_listen_fds_with_names(1, &names);

	*ret = (struct notify_fds){.runtime = -1, .control = -1, .http = -1, .state = -1};
	for (int i = 0; i < n; i++) {
		take(SD_LISTEN_FDS_START + i, names[i], ret);
		free(names[i]);
	}
	free(names);
}

void notify_keep(int fd)
{
	sd_pid_notify_with_fds(0, 0, "FDSTORE=1\nFDNAME=" STATE_NAME, &fd, 1);
}

bool notify_manager(void)
{
	return getenv("NOTIFY_SOCKET") != NULL;
}

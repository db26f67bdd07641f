/* SPDX-License-Identifier: MIT */
#include "client/python/gate.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/python/helper.h"

#define SEC	  1000000000ULL
#define MAX_NS	  (60 * SEC) /* a Lead may be as long */
#define EVENTPOLL "anon_inode:[eventpoll]"

struct listener {
	int fd;
	ino_t inode; /* a descriptor may be closed, and its number be another's */
	bool held;
	int epoll;
	struct epoll_event event; /* what the loop waited for */
};

static struct {
	struct listener listeners[GATE_LISTENERS];
	unsigned count;
	atomic_bool shared, shut;
	uint64_t window;
	_Atomic uint64_t until_ns;
} gate;

static bool same_socket(const struct listener *l)
{
	struct stat st;

	return fstat(l->fd, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_ino == l->inode;
}

int gate_share(int fd)
{
	int listens = 0;
	socklen_t size = sizeof(listens);
	struct stat st;

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) < 0 ||
	    fstat(fd, &st) < 0)
		return -errno;
	if (!listens)
		return -EINVAL;
	for (unsigned i = 0; i < gate.count; i++) {
		struct listener *l = &gate.listeners[i];

		if (l->fd != fd && same_socket(l))
			continue;
		/* Known, or its place is free. */
		if (!l->held)
			*l = (struct listener){.fd = fd, .inode = st.st_ino};
		return 0;
	}
	if (gate.count == GATE_LISTENERS)
		return -ENOSPC;
	gate.listeners[gate.count++] = (struct listener){.fd = fd, .inode = st.st_ino};
	atomic_store(&gate.shared, true);
	return 0;
}

bool gate_shared(void)
{
	return atomic_load_explicit(&gate.shared, memory_order_relaxed);
}

bool gate_is_shut(void)
{
	return atomic_load_explicit(&gate.shut, memory_order_relaxed);
}

/* The set has this descriptor: is it one of ours, and what does the loop wait for? */
static void hold(int epoll, int fd, uint64_t inode, const struct epoll_event *event)
{
	for (unsigned i = 0; i < gate.count; i++) {
		struct listener *l = &gate.listeners[i];
		struct epoll_event none = *event;

		if (l->fd != fd || l->inode != inode || l->held)
			continue;
		none.events = 0;
		l->event = *event;
		l->held = epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &none) == 0;
		l->epoll = epoll;
		if (l->held)
			atomic_store(&gate.shut, true);
	}
}

/* What the set holds stands in /proc: "tfd: 7 events: 19 data: 7 pos:0 ino:1f sdev:8". */
static void hold_all(int epoll)
{
	char path[48], line[256];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", epoll);
	file = fopen(path, "re");
	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		struct epoll_event event;
		uint64_t data, inode;
		unsigned events;
		int fd;

		if (sscanf(line,
			   "tfd: %d events: %x data: %" SCNx64 " pos:%*d ino:%" SCNx64,
			   &fd, &events, &data, &inode) != 4)
			continue;
		event.events = events;
		event.data.u64 = data;
		hold(epoll, fd, inode, &event);
	}
	fclose(file);
}

/* A loop that does not say which set is its own. */
static void hold_everywhere(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	char target[32];

	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target));

		if (n == sizeof(EVENTPOLL) - 1 &&
		    memcmp(target, EVENTPOLL, (size_t)n) == 0)
			hold_all((int)strtol(entry->d_name, NULL, 10));
	}
	closedir(dir);
}

static uint64_t end_of(const struct rtgc_window *window, uint64_t now)
{
	uint64_t end = window->opens_ns;

	if (end < now + MAX_NS)
		end += 3 * window->predicted_ns;
	if (window->closes_ns != RTGC_NEVER && end < window->closes_ns)
		end = window->closes_ns;
	return (end < now + MAX_NS ? end : now + MAX_NS) + SEC;
}

void gate_shut(const struct rtgc_window *window, int epoll)
{
	if (!gate.count || window->id == gate.window)
		return;
	gate_open();
	gate.window = window->id;
	atomic_store(&gate.until_ns, end_of(window, rtgc_now()));
	if (epoll >= 0)
		hold_all(epoll);
	else
		hold_everywhere();
	if (gate_is_shut())
		helper_kick();
}

uint64_t gate_due(void)
{
	return gate_is_shut() ? atomic_load(&gate.until_ns) : RTGC_NEVER;
}

void gate_open(void)
{
	if (!gate_is_shut())
		return;
	for (unsigned i = 0; i < gate.count; i++) {
		struct listener *l = &gate.listeners[i];

		/* Else the server has closed it meanwhile, and the set forgot it. */
		if (l->held && same_socket(l))
			epoll_ctl(l->epoll, EPOLL_CTL_MOD, l->fd, &l->event);
		l->held = false;
	}
	atomic_store(&gate.shut, false);
}

void gate_after_fork_child(void)
{
	memset(&gate, 0, sizeof(gate));
}

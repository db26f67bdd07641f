/* SPDX-License-Identifier: MIT */
/*
 * deaths: the instant at which a process that does nothing else learns of another one's death. Reads the numbers of
 * processes, a line each; writes "PID 0" when it watches one, and "PID NS" when that has died; until its standard
 * input ends.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define EVENTS 16

static void died(int epoll, uint64_t watched)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	printf("%d %" PRIu64 "\n", (int)(watched >> 32),
	       (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec);
	fflush(stdout);
	epoll_ctl(epoll, EPOLL_CTL_DEL, (int)(uint32_t)watched, NULL);
	close((int)(uint32_t)watched);
}

static bool watch(int epoll, int pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct epoll_event event = {
		.events = EPOLLIN,
		.data.u64 = (uint64_t)(uint32_t)pid << 32 | (uint32_t)fd,
	};

	if (fd >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0) {
		printf("%d 0\n", pid);
		fflush(stdout);
		return true;
	}
	fprintf(stderr, "deaths: process %d: %s\n", pid, strerror(errno));
	return false;
}

/* false: the end. */
static bool take_number(int epoll)
{
	static char line[16];
	static unsigned n;
	char c;

	if (read(STDIN_FILENO, &c, 1) <= 0)
		return false;
	if (c != '\n') {
		line[n] = c;
		n += n < sizeof(line) - 2;
		return true;
	}
	line[n] = '\0';
	n = 0;
	return watch(epoll, atoi(line));
}

int main(void)
{
	struct epoll_event events[EVENTS],
		input = {.events = EPOLLIN, .data.u64 = STDIN_FILENO};
	int epoll = epoll_create1(EPOLL_CLOEXEC), n;
	bool more =
		epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &input) == 0;

	while (more) {
		n = epoll_wait(epoll, events, EVENTS, -1);
		for (int i = 0; i < n; i++) {
			if (events[i].data.u64 == STDIN_FILENO)
				more = take_number(epoll);
			else
				died(epoll, events[i].data.u64);
		}
	}
	return 0;
}

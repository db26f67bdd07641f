/* SPDX-License-Identifier: MIT */
/*
 * paths SOCKET: one supervised heap, and what its program does all the time while nothing is due, 1,000
 * times each; callgrind counts (test_instructions.py).
 * paths SOCKET sealed: the same where the kernel kills who makes a system call.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "client/rtgc.h"

#define ROUNDS 1000

unsigned pending_many(struct rtgc *r);
unsigned check_many(struct rtgc *r);
unsigned publish_many(struct rtgc *r);
unsigned mark_many(struct rtgc *r);

unsigned __attribute__((noinline)) pending_many(struct rtgc *r)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ROUNDS; i++)
		n += rtgc_pending(r);
	return n;
}

unsigned __attribute__((noinline)) check_many(struct rtgc *r)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ROUNDS; i++)
		n += rtgc_check(r, RTGC_NEVER, NULL) != RTGC_RUN;
	return n;
}

unsigned __attribute__((noinline)) publish_many(struct rtgc *r)
{
	struct rtgc_figures figures = {.live = 1000, .budget = 1000000000};
	unsigned n = 0;

	for (unsigned i = 0; i < ROUNDS; i++) {
		figures.used = figures.allocated = i;
		n += rtgc_publish(r, &figures) != RTGC_RUN;
	}
	return n;
}

unsigned __attribute__((noinline)) mark_many(struct rtgc *r)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		rtgc_idle(r, RTGC_NEVER);
		rtgc_busy(r);
	}
	return 0;
}

/* Says so, and waits until the test has seen as much. */
static int wait_for_test(const char *what)
{
	puts(what);
	return fflush(stdout) == 0 && getchar() == '\n' ? 0 : -1;
}

/* And tells the first figures, which the daemon answers by saying when it wants to hear again. */
static int connect_to(struct rtgc *r)
{
	struct rtgc_figures figures = {
		.used = 1, .allocated = 1, .live = 1000, .budget = 1000000000};
	struct rtgc_status status;

	do {
		struct pollfd p = {.fd = rtgc_fd(r), .events = POLLIN};

		if (poll(&p, 1, 60000) <= 0 || rtgc_dispatch(r) < 0)
			return -1;
		rtgc_status(r, &status);
	} while (!status.supervised);
	if (wait_for_test("joined") < 0)
		return -1;
	rtgc_publish(r, &figures);
	return wait_for_test("told") < 0 ? -1 : rtgc_dispatch(r);
}

/* From here on a system call kills the process; but the one that ends it. */
static int seal(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

int main(int argc, char **argv)
{
	struct rtgc_options options = {.size = sizeof(options),
				       .flags = RTGC_MARKS,
				       .service = "paths",
				       .socket = argc > 1 ? argv[1] : NULL};
	unsigned n;
	struct rtgc *r;

	if (rtgc_open(&options, &r) < 0 || connect_to(r) < 0)
		return 1;
	if (argc > 2 && seal() < 0)
		return 2;
	n = pending_many(r) + check_many(r) + publish_many(r) + mark_many(r);
	if (argc > 2)
		_exit(n != 0);
	printf("%u not RTGC_RUN\n", n);
	rtgc_close(r);
	return n != 0;
}

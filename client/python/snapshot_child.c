/* SPDX-License-Identifier: MIT */
#include "client/python/snapshot_child.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "client/slice.h"

/* The arguments of clone() are in another order on some machines. */
#if defined(__x86_64__) || defined(__aarch64__)
#define CAN_CLONE 1
#else
#define CAN_CLONE 0
#endif

#define NICE 10

/*
 * Runs in a copy of a process whose other threads have vanished in the middle of what they did: no
 * malloc, no lock, no stdio, nothing of Python but tp_traverse.
 */
static _Noreturn void child(pid_t parent, PyGC_Head *list, struct snapshot_result *result,
			    size_t room, unsigned max_s, int policy)
{
	struct itimerval limit = {.it_value.tv_sec = (time_t)max_s};
	struct sched_param param = {0};
	struct sigaction plain = {.sa_handler = SIG_DFL};
	sigset_t alarm;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (syscall(SYS_getppid) != parent)
		syscall(SYS_exit_group, 1);
	prctl(PR_SET_DUMPABLE, 0); /* no core of it is wanted */
	prctl(PR_SET_NAME, "rtgc-snapshot");
	/* Of a control loop it has inherited a real-time policy. */
	syscall(SYS_sched_setscheduler, 0, policy, &param);
	syscall(SYS_setpriority, PRIO_PROCESS, 0, NICE);
	/* A crash (which is not blocked, whatever the mask) must not reach faulthandler. */
	for (int number = SIGILL; number <= SIGSEGV; number++)
		if (number != SIGKILL)
			sigaction(number, &plain, NULL);
	sigaction(SIGSYS, &plain, NULL);
	sigaction(SIGALRM, &plain, NULL);
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	sigprocmask(SIG_UNBLOCK, &alarm, NULL);
	setitimer(ITIMER_REAL, &limit, NULL);
	snapshot_walk(list, result, room);
	for (;;)
		syscall(SYS_exit_group, 0);
}

pid_t snapshot_child_start(PyGC_Head *list, struct snapshot_result *result, size_t room,
			   unsigned max_s, bool *gentle)
{
	pid_t parent = getpid(), pid;
	struct slice slice;
	sigset_t all, old;

	if (!CAN_CLONE)
		return -ENOSYS;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	/*
	 * For the copy of the page tables, and for all of the child's life, which inherits that: it need not be idle then. An
	 * idle one others were slower beside, and it had to be looked after lest it starve.
	 */
	if (slice_lengthen(&slice))
		*gentle = false;
	pid = (pid_t)syscall(SYS_clone, CLONE_FILES, NULL, NULL, NULL, NULL);
	if (pid == 0)
		child(parent, list, result, room, max_s,
		      *gentle ? SCHED_IDLE : SCHED_OTHER);
	if (pid < 0)
		pid = -errno;
	slice_restore(&slice);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return pid;
}

enum snapshot_end snapshot_child_reap(pid_t pid, bool wait)
{
	int status = 0;
	pid_t r;

	do
		r = waitpid(pid, &status, __WALL | (wait ? 0 : WNOHANG));
	while (r < 0 && errno == EINTR);
	if (r == 0)
		return SNAPSHOT_ALIVE;
	if (r < 0)
		return SNAPSHOT_LOST;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? SNAPSHOT_EXITED
							     : SNAPSHOT_DIED;
}

bool snapshot_child_ended(pid_t pid)
{
	siginfo_t info = {0};

	if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0)
		return errno != EINTR;
	return info.si_pid != 0;
}

uint64_t snapshot_child_cpu_ns(pid_t pid)
{
	struct timespec used;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) < 0)
		return UINT64_MAX;
	return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

void snapshot_child_kill(pid_t pid)
{
	/* Once somebody else has waited for it, the number may be another process's. */
	if (snapshot_child_reap(pid, false) != SNAPSHOT_ALIVE)
		return;
	kill(pid, SIGKILL);
	snapshot_child_reap(pid, true);
}

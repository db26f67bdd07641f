/* SPDX-License-Identifier: MIT */
/*
 * For LD_PRELOAD: calls of the C library, of which one can be made to fail (shim.h). All functions
 * that allocate are one, "memory"; libc's own strdup() and the like allocate by them too. With
 * RTGC_FAULT_CALLER only the calls of that library fail and are counted.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <link.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/fault/shim.h"

/* clang-format off */
#define NAMES(X) \
	X(memory) \
	X(accept4) X(bind) X(chmod) X(close) X(connect) X(dup2) X(epoll_create1) X(epoll_ctl) X(epoll_wait) \
	X(eventfd) X(fcntl) X(fopen) X(fork) X(fstat) X(ftruncate) X(getgrnam) X(getpwnam) X(getsockopt) X(listen) X(lstat) \
	X(memfd_create) X(mkdir) X(mmap) X(open) X(opendir) X(pidfd_open) X(pipe2) X(poll) X(posix_spawn) \
	X(ppoll) X(pthread_create) X(read) X(readv) X(recv) X(recvmmsg) X(recvmsg) X(send) X(sendmsg) X(setsockopt) X(shutdown) \
	X(signalfd) X(socket) X(socketpair) X(timerfd_create) X(timerfd_settime) X(unlink) X(write) X(writev)
/* clang-format on */

#define NUMBER(name) FAULT_##name,
enum {
	NAMES(NUMBER) FAULT_N
};

_Static_assert(FAULT_N <= FAULT_FUNCTIONS, "the page has room for them");

static struct fault_page *page;
static uintptr_t caller_from, caller_to = UINTPTR_MAX; /* only calls from there count */

static long raw_syscall(long number, long a, long b, long c, long d, long e, long f);

/* ---- which call fails --------------------------------------------------------------------- */

static bool under_test(void)
{
	return page && atomic_load(&page->pid) ==
			       (int32_t)raw_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0);
}

static bool exempt;

/* 0, or the error that this call is to have. (Inlined, so that the caller is the wrapper's.) */
static inline __attribute__((always_inline)) int fault(unsigned function)
{
	uintptr_t caller = (uintptr_t)__builtin_return_address(0);
	uint64_t left;

	if (exempt || !under_test() || caller < caller_from || caller >= caller_to)
		return 0;
	atomic_fetch_add(&page->functions[function].calls, 1);
	left = atomic_load(&page->countdown);
	if (left == 0 || strcmp(page->function, page->functions[function].name) != 0)
		return 0;
	while (left > 0 &&
	       !atomic_compare_exchange_weak(&page->countdown, &left, left - 1))
		;
	if (left != 1)
		return 0;
	atomic_fetch_add(&page->fired, 1);
	return atomic_load(&page->error);
}

static inline __attribute__((always_inline)) bool fails(unsigned function)
{
	int error = fault(function);

	if (error)
		errno = error;
	return error != 0;
}

static void *next(const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	if (!found)
		abort();
	return found;
}

#define NEXT(name)                     \
	static __typeof__(&name) real; \
	if (!real)                     \
	real = (__typeof__(&name))next(#name)

static int find_caller(struct dl_phdr_info *info, size_t size, void *name)
{
	if (!strstr(info->dlpi_name, name))
		return 0;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		uintptr_t from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;

		if (info->dlpi_phdr[i].p_type == PT_LOAD &&
		    info->dlpi_phdr[i].p_flags & PF_X) {
			caller_from = from;
			caller_to = from + info->dlpi_phdr[i].p_memsz;
		}
	}
	return 1;
}

__attribute__((constructor)) static void begin(void)
{
	static const char *const names[] = {
#define NAME(name) #name,
		NAMES(NAME)};
	const char *path = getenv("RTGC_FAULT_FILE"),
		   *caller = getenv("RTGC_FAULT_CALLER");
	struct fault_page *p;
	int fd;

	/* A sanitizer has looked for what is not there; the second call lets go of the message. */
	dlerror();
	dlerror();
	if (!path)
		return;
	fd = (int)raw_syscall(SYS_openat, AT_FDCWD, (long)path, O_RDWR | O_CLOEXEC, 0, 0,
			      0);
	if (fd < 0)
		abort();
	p = (void *)raw_syscall(SYS_mmap, 0, sizeof *p, PROT_READ | PROT_WRITE,
				MAP_SHARED, fd, 0);
	raw_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
	for (unsigned i = 0; i < FAULT_N; i++)
		strncpy(p->functions[i].name, names[i], FAULT_NAME_MAX - 1);
	if (caller && !dl_iterate_phdr(find_caller, (void *)caller))
		return; /* a program without that library */
	if (atomic_fetch_sub(&p->claim, 1) == 0)
		atomic_store(&p->pid, (int32_t)raw_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0));
	page = p;
}

/* ---- memory ------------------------------------------------------------------------------- */

/* What the search for the next malloc() allocates itself. */
static _Alignas(max_align_t) char early[4096];
static size_t early_used;
static bool searching;

static bool is_early(const void *block)
{
	return (const char *)block >= early && (const char *)block < early + sizeof early;
}

static void *take_early(size_t size)
{
	size_t rounded = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) *
			 sizeof(max_align_t);
	void *block = early + early_used;

	if (rounded > sizeof early - early_used)
		abort();
	early_used += rounded;
	return block;
}

static void *counted(void *block)
{
	if (block && under_test())
		atomic_fetch_add(&page->blocks, 1);
	return block;
}

#define NEXT_ALLOCATOR(name, size)                     \
	static __typeof__(&name) real;                 \
	if (searching)                                 \
		return take_early(size);               \
	if (!real) {                                   \
		searching = true;                      \
		real = (__typeof__(&name))next(#name); \
		searching = false;                     \
	}

void *malloc(size_t size)
{
	NEXT_ALLOCATOR(malloc, size)
	return fails(FAULT_memory) ? NULL : counted(real(size));
}

void *calloc(size_t n, size_t size)
{
	NEXT_ALLOCATOR(calloc, n * size)
	return fails(FAULT_memory) ? NULL : counted(real(n, size));
}

void *aligned_alloc(size_t alignment, size_t size)
{
	NEXT_ALLOCATOR(aligned_alloc, size)
	return fails(FAULT_memory) ? NULL : counted(real(alignment, size));
}

void *realloc(void *block, size_t size)
{
	NEXT_ALLOCATOR(realloc, size)
	if (fails(FAULT_memory))
		return NULL;
	return block ? real(block, size) : counted(real(block, size));
}

void *reallocarray(void *block, size_t n, size_t size)
{
	if (size && n > SIZE_MAX / size) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(block, n * size);
}

/* What the search lets go of stays, and known to a leak check. */
static void *left[16];
static size_t n_left;

void free(void *block)
{
	static __typeof__(&free) real;

	if (!block || is_early(block))
		return;
	if (searching) { /* by what cannot be found yet */
		if (n_left < sizeof left / sizeof *left)
			left[n_left++] = block;
		return;
	}
	if (!real) {
		searching = true;
		real = (__typeof__(&free))next("free");
		searching = false;
	}
	if (under_test())
		atomic_fetch_sub(&page->blocks, 1);
	real(block);
}

/* ---- calls of the kernel -------------------------------------------------------------------- */

#define CALL(type, failed, name, arguments, ...)                           \
	type name arguments                                                \
	{                                                                  \
		NEXT(name);                                                \
		return fails(FAULT_##name) ? (failed) : real(__VA_ARGS__); \
	}

CALL(int, -1, accept4, (int fd, struct sockaddr *a, socklen_t *n, int flags), fd, a, n,
     flags)
CALL(int, -1, bind, (int fd, const struct sockaddr *a, socklen_t n), fd, a, n)
CALL(int, -1, chmod, (const char *path, mode_t mode), path, mode)
CALL(int, -1, connect, (int fd, const struct sockaddr *a, socklen_t n), fd, a, n)
CALL(int, -1, dup2, (int from, int to), from, to)
CALL(int, -1, epoll_create1, (int flags), flags)
CALL(int, -1, epoll_ctl, (int e, int op, int fd, struct epoll_event *event), e, op, fd,
     event)
CALL(int, -1, epoll_wait, (int e, struct epoll_event *events, int n, int timeout), e,
     events, n, timeout)
CALL(int, -1, eventfd, (unsigned value, int flags), value, flags)
CALL(FILE *, NULL, fopen, (const char *path, const char *mode), path, mode)
CALL(pid_t, -1, fork, (void), )
CALL(int, -1, fstat, (int fd, struct stat *st), fd, st)
CALL(int, -1, ftruncate, (int fd, off_t size), fd, size)
CALL(int, -1, getsockopt, (int fd, int level, int name, void *v, socklen_t *n), fd, level,
     name, v, n)
CALL(int, -1, listen, (int fd, int n), fd, n)
CALL(int, -1, lstat, (const char *path, struct stat *st), path, st)
CALL(int, -1, memfd_create, (const char *name, unsigned flags), name, flags)
CALL(int, -1, mkdir, (const char *path, mode_t mode), path, mode)
CALL(void *, MAP_FAILED, mmap,
     (void *at, size_t size, int prot, int flags, int fd, off_t offset), at, size, prot,
     flags, fd, offset)
CALL(DIR *, NULL, opendir, (const char *path), path)
CALL(int, -1, pipe2, (int fds[2], int flags), fds, flags)
CALL(int, -1, poll, (struct pollfd * fds, nfds_t n, int timeout), fds, n, timeout)
CALL(int, -1, ppoll,
     (struct pollfd * fds, nfds_t n, const struct timespec *t, const sigset_t *s), fds, n,
     t, s)
CALL(ssize_t, -1, read, (int fd, void *buf, size_t n), fd, buf, n)
CALL(ssize_t, -1, readv, (int fd, const struct iovec *v, int n), fd, v, n)
CALL(ssize_t, -1, recv, (int fd, void *buf, size_t n, int flags), fd, buf, n, flags)
CALL(int, -1, recvmmsg,
     (int fd, struct mmsghdr *m, unsigned n, int flags, struct timespec *t), fd, m, n,
     flags, t)
CALL(ssize_t, -1, recvmsg, (int fd, struct msghdr *m, int flags), fd, m, flags)
CALL(ssize_t, -1, send, (int fd, const void *buf, size_t n, int flags), fd, buf, n, flags)
CALL(ssize_t, -1, sendmsg, (int fd, const struct msghdr *m, int flags), fd, m, flags)
CALL(int, -1, setsockopt, (int fd, int level, int name, const void *v, socklen_t n), fd,
     level, name, v, n)
CALL(int, -1, shutdown, (int fd, int how), fd, how)
CALL(int, -1, signalfd, (int fd, const sigset_t *set, int flags), fd, set, flags)
CALL(int, -1, socket, (int domain, int type, int protocol), domain, type, protocol)
CALL(int, -1, socketpair, (int domain, int type, int protocol, int fds[2]), domain, type,
     protocol, fds)
CALL(int, -1, timerfd_create, (clockid_t clock, int flags), clock, flags)
CALL(int, -1, timerfd_settime,
     (int fd, int flags, const struct itimerspec *n, struct itimerspec *o), fd, flags, n,
     o)
CALL(int, -1, unlink, (const char *path), path)
CALL(ssize_t, -1, write, (int fd, const void *buf, size_t n), fd, buf, n)
CALL(ssize_t, -1, writev, (int fd, const struct iovec *v, int n), fd, v, n)

/* (What glibc looks names up with ends the process itself when an allocation of its own fails.) */
#define LOOK_UP(type, name)              \
	type *name(const char *text)     \
	{                                \
		type *found;             \
		NEXT(name);              \
                                         \
		if (fails(FAULT_##name)) \
			return NULL;     \
		exempt = true;           \
		found = real(text);      \
		exempt = false;          \
		return found;            \
	}

LOOK_UP(struct group, getgrnam)
LOOK_UP(struct passwd, getpwnam)

/* Whatever close() says, Linux has closed the descriptor. */
int close(int fd)
{
	int error = fault(FAULT_close), r;
	NEXT(close);

	r = real(fd);
	if (error)
		errno = error;
	return error ? -1 : r;
}

/* These return their error. */
int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
		const posix_spawnattr_t *attributes, char *const argv[],
		char *const envp[])
{
	int error = fault(FAULT_posix_spawn);
	NEXT(posix_spawn);

	return error ? error : real(pid, path, actions, attributes, argv, envp);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
		   void *userdata)
{
	int error = fault(FAULT_pthread_create);
	NEXT(pthread_create);

	return error ? error : real(thread, attr, fn, userdata);
}

int fcntl(int fd, int command, ...)
{
	va_list ap;
	long argument;
	NEXT(fcntl);

	va_start(ap, command);
	argument = va_arg(ap, long);
	va_end(ap);
	return fails(FAULT_fcntl) ? -1 : real(fd, command, argument);
}

int open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;
	NEXT(open);

	va_start(ap, flags);
	mode = va_arg(ap, mode_t);
	va_end(ap);
	return fails(FAULT_open) ? -1 : real(path, flags, mode);
}

static long raw_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	NEXT(syscall);

	return real(number, a, b, c, d, e, f);
}

/* Only how pidfd_open() is called, which has no function in this libc. */
long syscall(long number, ...)
{
	va_list ap;
	long a[6];

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (number == SYS_pidfd_open && fails(FAULT_pidfd_open))
		return -1;
	return raw_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

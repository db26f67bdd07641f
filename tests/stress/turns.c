/* SPDX-License-Identifier: MIT */
/*
 * Goes into the daemon by LD_PRELOAD: for how long, in CPU time of its own, it does not look who has something to say.
 * That is what a heap waits for at the most, however little the machine lets the daemon run. Counted in the file $TURNS,
 * which the test maps as well, separately for each phase it names there.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PHASES	  8
#define BUCKETS	  1000
#define BUCKET_NS 10000

struct turns {
	uint64_t phase;
	uint64_t count[PHASES][BUCKETS]; /* the last one: so long, or longer */
};

static struct turns *turns;

static void __attribute__((constructor)) map(void)
{
	int fd = open(getenv("TURNS"), O_RDWR | O_CLOEXEC);
	void *at = mmap(NULL, sizeof(*turns), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	close(fd);
	if (at != MAP_FAILED)
		turns = at;
}

static uint64_t computed(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

int epoll_wait(int fd, struct epoll_event *events, int most, int timeout)
{
	static int (*real)(int, struct epoll_event *, int, int);
	static _Thread_local uint64_t since;
	uint64_t bucket;
	int n;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "epoll_wait");
	if (since && turns) {
		bucket = (computed() - since) / BUCKET_NS;
		if (bucket >= BUCKETS)
			bucket = BUCKETS - 1;
		turns->count[turns->phase % PHASES][bucket]++;
	}
	n = real(fd, events, most, timeout);
	since = computed();
	return n;
}

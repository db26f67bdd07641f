/* SPDX-License-Identifier: MIT */
/*
 * mill SERVICE BUDGET CHUNK RATE RAMP: one heap of real memory. Fills it in chunks of so many bytes at
 * RATE bytes a second up to half of its budget and RAMP times as fast from there on, until it collects
 * (in a window or at its ceiling, by itself when it is alone), which frees all of it; for ever.
 * Each call of the library is timed, and beside them one of the kernel that has nothing to wait for:
 * what that takes at the most, the machine takes from any call. Says "alone NS" and "supervised NS" when that
 * changes, and answers each line of its standard input by what it has counted since the last one, as JSON.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "client/rtgc.h"

#define CHUNKS_MAX 65536
#define LONG_NS	   1000000

struct mill {
	struct rtgc *r;
	void *chunk[CHUNKS_MAX];
	unsigned n_chunks;
	uint64_t budget, chunk_size, used, allocated;
	double rate, ramp, owed;
	bool alone;
};

enum call {
	PUBLISH,
	PENDING,
	CHECK,
	MARKS,
	QUIET,
	BEGIN,
	END,
	FLOOR,
	CALLS
};

static const char *const names[] = {
	[PUBLISH] = "publish", [PENDING] = "pending", [CHECK] = "check",
	[MARKS] = "marks",     [QUIET] = "quiet",     [BEGIN] = "begin",
	[END] = "end",	       [FLOOR] = "floor",
};

static struct counts {
	uint64_t rounds, in_window, forced, alone, peak;
	struct timed {
		uint64_t calls, longest_ns; /* another process may have had the CPU */
		uint64_t long_waits, longest_wait_ns;
	} timed[CALLS];
} counts;

/*
 * How long this thread has not run since it began although it wanted to: that is the machine's doing. What is
 * left of the time of a call, but for what it has computed, is what it has waited, if it has waited at all: a
 * host that takes the virtual CPU away leaves as much.
 */
static uint64_t kept_off(void)
{
	static int fd = -1;
	char text[128] = "";
	uint64_t ran, waited;

	if (fd < 0)
		fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
	if (pread(fd, text, sizeof(text) - 1, 0) <= 0 ||
	    sscanf(text, "%" SCNu64 " %" SCNu64, &ran, &waited) != 2)
		return 0;
	return waited;
}

static uint64_t computed(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* How often it has gone to sleep. */
static long slept(void)
{
	struct rusage usage = {0};

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw;
}

static struct {
	uint64_t at, computed, kept_off;
	long slept;
} begun;

static void before(void)
{
	begun.kept_off = kept_off();
	begun.slept = slept();
	begun.computed = computed();
	begun.at = rtgc_now();
}

static void after(enum call call)
{
	uint64_t took = rtgc_now() - begun.at, worked = computed() - begun.computed,
		 off = kept_off() - begun.kept_off,
		 waited = slept() != begun.slept && took > worked + off
				  ? took - worked - off
				  : 0;
	struct timed *t = &counts.timed[call];

	t->calls++;
	if (took > t->longest_ns)
		t->longest_ns = took;
	t->long_waits += waited > LONG_NS;
	if (waited > t->longest_wait_ns)
		t->longest_wait_ns = waited;
}

#define TIMED(which, call)    \
	do {                  \
		before();     \
		call;         \
		after(which); \
	} while (0)

static bool allocate(struct mill *m)
{
	void *chunk = m->n_chunks < CHUNKS_MAX ? malloc(m->chunk_size) : NULL;

	if (!chunk)
		return false;
	memset(chunk, 1, m->chunk_size);
	m->chunk[m->n_chunks++] = chunk;
	m->used += m->chunk_size;
	m->allocated += m->chunk_size;
	if (m->used > counts.peak)
		counts.peak = m->used;
	return true;
}

static void free_all(struct mill *m)
{
	while (m->n_chunks > 0)
		free(m->chunk[--m->n_chunks]);
	m->used = 0;
	m->owed = 0;
	counts.rounds++;
}

static void publish(struct mill *m)
{
	struct rtgc_figures figures = {.used = m->used, .allocated = m->allocated};

	TIMED(PUBLISH, rtgc_publish(m->r, &figures));
}

static void collect(struct mill *m, enum rtgc_cause cause, uint64_t window)
{
	struct rtgc_result result = {.freed = m->used};
	int r;

	TIMED(BEGIN, r = rtgc_begin(m->r, RTGC_MAJOR, cause, window));
	if (r != 0)
		return;
	free_all(m);
	TIMED(END, rtgc_end(m->r, &result));
	counts.in_window += cause == RTGC_IN_WINDOW;
	counts.forced += cause == RTGC_FORCED;
	publish(m);
}

static void say(const char *what, bool alone)
{
	printf("%s %" PRIu64 "\n", what, rtgc_now());
	fflush(stdout);
	counts.alone += alone;
}

/* What a program does at its safe points. */
static void safe_point(struct mill *m)
{
	struct rtgc_window w = {0};
	enum rtgc_verdict verdict;
	bool alone, pending;

	publish(m);
	TIMED(PENDING, pending = rtgc_pending(m->r));
	(void)pending;
	TIMED(CHECK, verdict = rtgc_check(m->r, RTGC_NEVER, &w));
	alone = verdict == RTGC_ALONE;
	if (verdict == RTGC_RUN || verdict == RTGC_ALONE) {
		if (alone != m->alone)
			say(alone ? "alone" : "supervised", alone);
		m->alone = alone;
	}
	if (verdict == RTGC_MAY || verdict == RTGC_MUST)
		collect(m, RTGC_IN_WINDOW, w.id);
	else if (verdict == RTGC_CEILING)
		collect(m, RTGC_FORCED, 0);
	TIMED(MARKS, rtgc_idle(m->r, rtgc_now() + 1000));
	TIMED(MARKS, rtgc_busy(m->r));
	TIMED(MARKS, rtgc_deadline(m->r, RTGC_NEVER));
	TIMED(QUIET, rtgc_quiet(m->r));
	TIMED(FLOOR, syscall(SYS_getppid));
}

/* Chunk by chunk, each at a safe point: no more is ever allocated at once. */
static bool fill(struct mill *m, double seconds)
{
	m->owed += m->rate * seconds * (m->used >= m->budget / 2 ? m->ramp : 1);
	do {
		if (m->owed >= (double)m->chunk_size) {
			if (!allocate(m))
				return false;
			m->owed -= (double)m->chunk_size;
		}
		safe_point(m);
	} while (m->owed >= (double)m->chunk_size);
	return true;
}

static void answer(void)
{
	printf("{\"rounds\": %" PRIu64 ", \"in_window\": %" PRIu64
	       ", \"forced\": %" PRIu64 ", \"alone\": %" PRIu64 ", \"peak\": %" PRIu64,
	       counts.rounds, counts.in_window, counts.forced, counts.alone, counts.peak);
	for (unsigned i = 0; i < CALLS; i++) {
		const struct timed *t = &counts.timed[i];

		printf(", \"%s\": {\"calls\": %" PRIu64 ", \"longest_ns\": %" PRIu64
		       ", \"long_waits\": %" PRIu64 ", \"longest_wait_ns\": %" PRIu64 "}",
		       names[i], t->calls, t->longest_ns, t->long_waits,
		       t->longest_wait_ns);
	}
	printf("}\n");
	fflush(stdout);
	counts = (struct counts){0};
}

static bool read_input(int timeout_ms)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	char line[64];

	if (poll(&input, 1, timeout_ms) <= 0)
		return true;
	if (read(STDIN_FILENO, line, sizeof(line)) <= 0)
		return false;
	answer();
	return true;
}

int main(int argc, char **argv)
{
	static struct mill m;
	struct rtgc_options options = {.size = sizeof(options), .flags = RTGC_THREAD};
	uint64_t last, now;

	if (argc != 6)
		return 2;
	options.service = argv[1];
	options.budget = m.budget = strtoull(argv[2], NULL, 10);
	options.unit = RTGC_BYTES;
	m.chunk_size = strtoull(argv[3], NULL, 10);
	m.rate = atof(argv[4]);
	m.ramp = atof(argv[5]);
	if (rtgc_open(&options, &m.r) < 0)
		return 1;
	for (last = rtgc_now(); read_input(1); last = now) {
		now = rtgc_now();
		/* A process that is not let run allocates nothing either. */
		if (!fill(&m, now - last < 20000000 ? (double)(now - last) / 1e9 : 0.02))
			return 3; /* out of memory */
	}
	free_all(&m);
	rtgc_close(m.r);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * herd SOCKET N PER_S LASTS_MS SERVICES: N heaps by libruntime in one program. Each allocates steadily and
 * publishes that PER_S times a second; its budget would last so long, and it collects when it may. Says "joined N NS"
 * when all are supervised, and from then on answers each line of its standard input by what happened since the
 * last one, as JSON:
 *   late         how late the program itself was: it means to have a turn each ms
 *   window       from the instant at which a window was opened until the program sees it
 *   published, collections, forced, lost
 */
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "client/rtgc.h"
#include "tests/bench/scale/samples.h"

#define TURN   NSEC_PER_MSEC
#define BUDGET 1000000000u
#define EVENTS 64
#define INPUT  UINT32_MAX
/* At first the fullest are so full; nobody is due at once. */
#define FULLEST 0.7

struct heap {
	struct rtgc *r;
	nsec_t empty; /* when it was */
	bool up, collects;
};

static struct heap *heaps;
static unsigned n_heaps, n_up, n_slices, lost;
static uint32_t *collecting; /* their numbers */
static unsigned n_collecting;
static nsec_t lasts, born; /* born: 0 until all are supervised */
static uint64_t published, collections, forced;
static struct samples late, window;
static int epoll;

static uint64_t amount(nsec_t span)
{
	return (uint64_t)((double)span * BUDGET / (double)lasts);
}

/* ---- one heap ------------------------------------------------------------------------------- */

static void begin(unsigned i, enum rtgc_cause cause, uint64_t id)
{
	if (rtgc_begin(heaps[i].r, RTGC_MAJOR, cause, id) != 0)
		return;
	heaps[i].collects = true;
	collecting[n_collecting++] = i;
	collections += cause == RTGC_IN_WINDOW;
	forced += cause == RTGC_FORCED;
}

static void look(unsigned i, nsec_t now)
{
	struct rtgc_window w;
	enum rtgc_verdict verdict;

	if (heaps[i].collects || !rtgc_pending(heaps[i].r))
		return;
	verdict = rtgc_check(heaps[i].r, RTGC_NEVER, &w);
	if (verdict == RTGC_MAY || verdict == RTGC_MUST) {
		samples_add(&window, nsec_sub(now, w.opens_ns));
		begin(i, RTGC_IN_WINDOW, w.id);
	} else if (verdict == RTGC_CEILING) {
		begin(i, RTGC_FORCED, 0);
	}
}

static void publish(unsigned i, nsec_t now)
{
	struct heap *h = &heaps[i];
	const struct rtgc_figures figures = {
		.used = amount(now - h->empty),
		.allocated = amount(now - born),
		.live = BUDGET / 100,
	};

	if (h->collects)
		return;
	rtgc_publish(h->r, &figures);
	published++;
	look(i, now);
}

static void end_all(void)
{
	while (n_collecting > 0) {
		struct heap *h = &heaps[collecting[--n_collecting]];
		nsec_t now = rtgc_now();

		rtgc_end(h->r, &(struct rtgc_result){.freed = amount(now - h->empty),
						     .live = BUDGET / 100});
		h->empty = now;
		h->collects = false;
	}
}

static void on_event(struct rtgc *r, uint32_t events, void *userdata)
{
	struct heap *h = userdata;

	if (events & RTGC_EVENT_CONNECTED && !h->up) {
		h->up = true;
		n_up++;
	} else if (events & RTGC_EVENT_ALONE && h->up) {
		h->up = false;
		n_up--;
		lost++;
	}
}

/* ---- all of them ---------------------------------------------------------------------------- */

/* Spread over their budgets, or all would be due at once. */
static void all_begin(nsec_t opened)
{
	born = rtgc_now();
	for (unsigned i = 0; i < n_heaps; i++)
		heaps[i].empty = born - (nsec_t)((double)lasts * FULLEST * i / n_heaps);
	printf("joined %u %" PRIu64 "\n", n_heaps, born - opened);
	fflush(stdout);
}

/* false: the end. */
static bool answer(void)
{
	char line[64];

	if (read(STDIN_FILENO, line, sizeof(line)) <= 0)
		return false;
	putchar('{');
	samples_print(&late, "late");
	fputs(", ", stdout);
	samples_print(&window, "window");
	printf(", \"published\": %" PRIu64 ", \"collections\": %" PRIu64
	       ", \"forced\": %" PRIu64 ", \"lost\": %u}\n",
	       published, collections, forced, lost);
	fflush(stdout);
	published = collections = forced = lost = 0;
	return true;
}

static bool serve(nsec_t until)
{
	struct epoll_event events[EVENTS];
	bool more = true;

	do {
		nsec_t wait = nsec_sub(until, rtgc_now());
		struct timespec t = {.tv_nsec = (long)wait};
		int n = epoll_pwait2(epoll, events, EVENTS, &t, NULL);

		for (int k = 0; k < n; k++) {
			uint32_t i = events[k].data.u32;

			if (i == INPUT) {
				more = answer();
			} else {
				rtgc_dispatch(heaps[i].r);
				look(i, rtgc_now());
			}
		}
	} while (more && rtgc_now() < until);
	return more;
}

static void run(nsec_t opened)
{
	nsec_t next = rtgc_now() + TURN;
	unsigned slice = 0;

	while (serve(next)) {
		nsec_t now = rtgc_now();

		if (!born && n_up == n_heaps)
			all_begin(opened);
		if (born) {
			samples_add(&late, now - next);
			end_all();
			slice = (slice + 1) % n_slices;
			for (unsigned i = slice; i < n_heaps; i += n_slices)
				publish(i, rtgc_now());
		}
		/* Turns that are missed are not made up for. */
		next = nsec_max(next + TURN, rtgc_now());
	}
}

static void watch(int fd, uint32_t number)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = number};

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		perror("herd: epoll");
		exit(1);
	}
}

static void open_one(const char *socket, unsigned i, unsigned n_services)
{
	struct rtgc_options options = {.size = sizeof(options)};
	char service[32], name[32];
	int r;

	snprintf(service, sizeof(service), "herd-%u", i % n_services);
	snprintf(name, sizeof(name), "heap-%u", i);
	options.service = service;
	options.heap = name;
	options.socket = socket;
	options.unit = RTGC_OBJECTS;
	options.budget = BUDGET;
	options.notify = on_event;
	options.userdata = &heaps[i];
	r = rtgc_open(&options, &heaps[i].r);
	if (r < 0) {
		fprintf(stderr, "herd: heap %u: error %d\n", i, -r);
		exit(1);
	}
	watch(rtgc_fd(heaps[i].r), i);
}

int main(int argc, char **argv)
{
	nsec_t opened = rtgc_now();
	unsigned per_s;

	if (argc != 6)
		return 2;
	n_heaps = (unsigned)atoi(argv[2]);
	per_s = (unsigned)atoi(argv[3]);
	lasts = strtoull(argv[4], NULL, 10) * NSEC_PER_MSEC;
	n_slices = (unsigned)(NSEC_PER_SEC / TURN / per_s);
	heaps = calloc(n_heaps, sizeof(*heaps));
	collecting = calloc(n_heaps, sizeof(*collecting));
	epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!heaps || !collecting || epoll < 0)
		return 1;
	prctl(PR_SET_TIMERSLACK, 1);
	for (unsigned i = 0; i < n_heaps; i++)
		open_one(argv[1], i, (unsigned)atoi(argv[5]));
	watch(STDIN_FILENO, INPUT);
	run(opened);
	for (unsigned i = 0; i < n_heaps; i++)
		rtgc_close(heaps[i].r);
	free(heaps);
	free(collecting);
	return 0;
}

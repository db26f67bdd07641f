/* SPDX-License-Identifier: MIT */
#include "client/python/figures.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/python/gcstate.h"
#include "client/python/heap.h"

#define MSEC	     1000000ULL
#define RSS_NS_BYTES (50 * MSEC)   /* between two looks when the unit is bytes */
#define RSS_NS	     (1000 * MSEC) /* and when it only says what an object takes */
#define RSS_SHARE    32 /* but sooner when the objects are so much more or fewer */

static struct {
	uint64_t allocated; /* since the heap was opened */
	uint64_t rss, rss_read_ns;
	uint64_t rss_live;  /* the objects then */
	uint64_t begin_rss; /* when the collection began */
	long page;
} figures;

void figures_init(void)
{
	memset(&figures, 0, sizeof(figures));
	figures.page = sysconf(_SC_PAGESIZE);
	heap.used = heap.live = heap.grown = 0;
	heap.budget = heap.byte_budget;
}

/* No descriptor is kept: programs that become daemons close those they do not know. */
static void read_rss(uint64_t now, uint64_t max_age_ns)
{
	char text[128];
	ssize_t n;
	int fd;

	if (figures.rss_read_ns && now - figures.rss_read_ns < max_age_ns)
		return;
	figures.rss_read_ns = now;
	fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n > 0) {
		char *second;

		text[n] = '\0';
		second = strchr(text, ' ');
		if (second)
			figures.rss = strtoull(second, NULL, 10) * (uint64_t)figures.page;
	}
}

static bool changed_much(uint64_t now, uint64_t before)
{
	return now > before + before / RSS_SHARE || now < before - before / RSS_SHARE;
}

static void read_figures(uint64_t max_age_ns)
{
	struct gcstate_figures objects;
	uint64_t before = heap.used, now = rtgc_now();

	if (heap.byte_budget) {
		read_rss(now, max_age_ns);
		heap.used = heap.live = figures.rss;
	} else {
		gcstate_figures(&objects);
		heap.used = objects.pending;
		/* (What is frozen is taken back by the next full collection.) */
		objects.total += heap.frozen;
		heap.live = objects.total + objects.pending;
		heap.rule = objects.total / 4;
		if (heap.rule < HEAP_MIN_OBJECTS)
			heap.rule = HEAP_MIN_OBJECTS;
		read_rss(now, changed_much(heap.live, figures.rss_live) ? 0 : max_age_ns);
		if (figures.rss_read_ns == now)
			figures.rss_live = heap.live;
	}
	heap.grown = heap.used > before ? heap.used - before : 0;
	heap.grown_ns = now - heap.looked_ns;
	heap.looked_ns = now;
	figures.allocated += heap.grown;
}

enum rtgc_verdict figures_publish(struct rtgc *r)
{
	enum rtgc_verdict verdict;
	struct rtgc_figures now;

	read_figures(heap.byte_budget ? RSS_NS_BYTES : RSS_NS);
	now = (struct rtgc_figures){
		.used = heap.used,
		.allocated = figures.allocated,
		.live = heap.live,
		.rss_bytes = figures.rss,
		.budget = heap.byte_budget ? 0 : heap.rule,
		.step = heap.byte_budget ? 0 : gcstate_step(),
	};
	verdict = rtgc_publish(r, &now);
	figures_budget(r);
	return verdict;
}

void figures_begin(void)
{
	if (heap.byte_budget)
		read_rss(rtgc_now(), 0);
	figures.begin_rss = figures.rss;
}

void figures_result(uint64_t collected, struct rtgc_result *ret)
{
	uint64_t freed = collected;

	if (heap.byte_budget) {
		read_rss(rtgc_now(), 0);
		freed = figures.begin_rss > figures.rss ? figures.begin_rss - figures.rss
							: 0;
	}
	read_figures(RSS_NS);
	*ret = (struct rtgc_result){.freed = freed, .used = heap.used, .live = heap.live};
}

void figures_budget(struct rtgc *r)
{
	struct rtgc_status status;

	rtgc_status(r, &status);
	heap.budget = status.budget;
}

uint64_t figures_rss(void)
{
	if (!figures.page)
		figures.page = sysconf(_SC_PAGESIZE);
	read_rss(rtgc_now(), RSS_NS_BYTES);
	return figures.rss;
}

/* SPDX-License-Identifier: MIT */
/* A heap of blocks, collected when rtgcd gives leave, and at the latest when it is full. */
#include <rtgc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BLOCK  4096u
#define BUDGET (8u << 20)

static void *heap[2 * BUDGET / BLOCK]; /* room to spare: windows close */
static uint64_t used, allocated;

static int collect(struct rtgc *r, enum rtgc_cause cause, uint64_t window)
{
	struct rtgc_result result = {.freed = used};

	if (rtgc_begin(r, RTGC_MAJOR, cause, window) != 0)
		return 0; /* it has closed meanwhile: carry on, another one will come */
	for (; used; used -= BLOCK)
		free(heap[used / BLOCK - 1]);
	rtgc_end(r, &result);
	return 1;
}

int main(void)
{
	struct rtgc_options options = {.size = sizeof(options), .budget = BUDGET};
	struct rtgc_status s;
	struct rtgc_window w;
	struct rtgc *r;

	options.flags = RTGC_THREAD;
	options.service = "example";
	if (rtgc_open(&options, &r) < 0)
		return 1;
	for (int collections = 0; collections < 10;) {
		usleep(50); /* a request is served, and leaves garbage behind */
		heap[used / BLOCK] = malloc(BLOCK);
		used += BLOCK;
		allocated += BLOCK;
		rtgc_publish(
			r, &(struct rtgc_figures){.used = used, .allocated = allocated});
		if (!rtgc_pending(r)) /* nearly always; it costs two loads */
			continue;
		enum rtgc_verdict verdict = rtgc_check(r, RTGC_NEVER, &w);
		if (verdict == RTGC_MAY || verdict == RTGC_MUST)
			collections += collect(r, RTGC_IN_WINDOW, w.id);
		else if (verdict == RTGC_CEILING)
			collections += collect(r, RTGC_FORCED, 0);
	}
	rtgc_status(r, &s);
	printf("%d collections in windows, %d forced, longest pause %.1f ms\n",
	       (int)s.collections_in_window, (int)s.forced, (double)s.max_pause_ns / 1e6);
	rtgc_close(r);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* rtgcctl top: services and heaps as they are, once a second. */
#include "client/ctl/top.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define BATCH_COLUMNS 120 /* into a pipe */

struct top {
	struct ctl *ctl;
	struct top_model model;
	struct top_view view;
	struct top_feed *feed;
	int signals;
	bool batch;
	long left; /* so many updates are still to be shown; 0: without end */
};

static int64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* Readable when one comes: nothing is ever interrupted, and the terminal always given back. */
static int watch_signals(void)
{
	static const int all[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH};
	sigset_t signals;

	sigemptyset(&signals);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		sigaddset(&signals, all[i]);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void show(struct top *top)
{
	struct canvas canvas = {.columns = BATCH_COLUMNS};

	top->model.now_us = now_us();
	if (top->batch) {
		if (top->ctl->screen.columns > 0)
			canvas.columns = top->ctl->screen.columns;
		top_draw(&top->model, &top->view, &canvas);
		canvas_print(&canvas, &top->ctl->screen, stdout);
		if (top->left != 1)
			putchar('\n');
		fflush(stdout);
	} else {
		top_term_size(&canvas.rows, &canvas.columns);
		top_draw(&top->model, &top->view, &canvas);
		top_term_show(&canvas);
	}
	canvas_deinit(&canvas);
}

/* False: it was one that ends programs. */
static bool take_signals(struct top *top)
{
	struct signalfd_siginfo info;

	while (read(top->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo != SIGWINCH)
			return false;
		if (!top->batch) {
			top_term_resized();
			show(top);
		}
	}
	return true;
}

static bool take_keys(struct top *top)
{
	int key;

	while ((key = top_term_key()) != TOP_KEY_NONE)
		if (!top_input(&top->view, &top->model, key))
			return false;
	show(top);
	return true;
}

/* Without an answer once, a batch has nothing to show. */
static bool is_hopeless(const struct top *top)
{
	return top->batch && top->model.trouble != NULL;
}

/* Everything is known, and was not shown yet. False: that was the last time. */
static bool update(struct top *top)
{
	top_model_arrange(&top->model, &top->view);
	if (top->model.heaps == NULL)
		return true;
	show(top);
	return top->left == 0 || top->model.trouble != NULL || --top->left > 0;
}

static bool turn(struct top *top)
{
	struct pollfd ready[] = {
		{.fd = top->signals, .events = POLLIN},
		{.fd = top->batch ? -1 : STDIN_FILENO, .events = POLLIN},
		{.fd = top_feed_fd(top->feed), .events = POLLIN},
	};
	int64_t wait = top_feed_due(top->feed) - call_now_ms();
	int64_t explain = top->view.page == TOP_DETAILS ? top->view.selected : 0;

	poll(ready, 3, wait < 0 ? 0 : (int)wait);
	if (!take_signals(top))
		return false;
	if (ready[1].revents & POLLIN && !take_keys(top))
		return false;
	if (ready[1].revents & (POLLHUP | POLLERR | POLLNVAL) &&
	    !(ready[1].revents & POLLIN))
		return false; /* the terminal has gone */
	if (top_feed_turn(top->feed, &top->model, explain) && !update(top))
		return false;
	return !is_hopeless(top);
}

static int prepare(struct top *top)
{
	const struct ctl *ctl = top->ctl;
	const char *sort = ctl->value[OPTION_SORT];
	int status = ctl_number(ctl, OPTION_N, 1, INT_MAX, &top->left);

	if (status != CTL_OK)
		return status;
	if (sort != NULL)
		top->view.sort = top_sort_find(sort);
	if (top->view.sort == TOP_SORT_COUNT)
		return ctl_complain(CTL_USAGE, "--sort=%s: use one of %s", sort,
				    ctl_options[OPTION_SORT].value);
	if (ctl->json != CTL_JSON_OFF)
		return ctl_complain(
			CTL_USAGE, "top is for people: rtgcctl -j heaps has the figures");
	top->batch = ctl->value[OPTION_B] != NULL;
	if (!top->batch && (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO)))
		return ctl_complain(CTL_USAGE,
				    "top needs a terminal: without one, use -b");
	status = top_feed_new(ctl, &top->feed);
	if (status == CTL_OK && !top->batch)
		status = top_term_open(&ctl->screen);
	return status;
}

int verb_top(struct ctl *ctl)
{
	struct top top = {.ctl = ctl, .signals = watch_signals()};
	int status = prepare(&top);

	if (status == CTL_OK) {
		while (turn(&top))
			;
		top_term_close();
	}
	top_feed_free(top.feed);
	if (status == CTL_OK && is_hopeless(&top))
		status = ctl_complain(CTL_FAILED, "%s", top.model.trouble);
	top_model_deinit(&top.model);
	if (top.signals >= 0)
		close(top.signals);
	return status;
}

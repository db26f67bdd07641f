/* SPDX-License-Identifier: MIT */
/* The life of the connection: connect, greet, listen, doubt, lose. */
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "client/client.h"

/* Frames handled in one go; what is left makes the descriptor readable again. */
#define FRAMES_MAX 64
/* How long a daemon that lets itself be connected to may take to answer, until the
 * program is told that it is alone for now. */
#define DOUBT_AFTER NSEC_PER_SEC
/* A daemon that asked for more than this would make the client its own load. */
#define TICK_MIN (10 * NSEC_PER_MSEC)
#define TICK_MAX (10 * NSEC_PER_SEC)

/* RTGC_EVENT_CONNECTED or _ALONE: if it is news, and only the last. */
static void tell_state(struct rtgc *r, uint32_t event)
{
	if (r->told == event)
		return;
	r->told = event;
	r->events &= ~(uint32_t)(RTGC_EVENT_CONNECTED | RTGC_EVENT_ALONE);
	r->events |= event;
}

void session_init(struct rtgc *r, nsec_t now)
{
	r->session = SESSION_DOWN;
	r->retry_at = now;
	r->doubt_at = nsec_add(now, DOUBT_AFTER);
	r->tick_at = r->report_by = NSEC_NEVER;
	r->armed = NSEC_NEVER;
	reconnect_init(&r->reconnect, now ^ (uint64_t)getpid() << 32 ^ (uintptr_t)r);
}

/* ---- The window the frames speak of ---- */

/* missed: it was open, and neither used nor handed back. */
static void seen_over(struct rtgc *r, bool missed)
{
	struct seen *seen = &r->seen;

	if (seen->state == PAGE_NONE)
		return;
	if (missed && seen->state == PAGE_OPEN)
		r->windows_missed++;
	if (missed)
		r->events |= RTGC_EVENT_CLOSED;
	r->events &= ~(uint32_t)(RTGC_EVENT_ANNOUNCED | RTGC_EVENT_OPEN);
	*seen = (struct seen){.state = PAGE_NONE};
}

/* In the library's own page; the daemon's is not ours to write. */
static struct page_slot *own_slot(struct rtgc *r)
{
	return atomic_load(&r->shared) ? NULL : atomic_load(&r->slot);
}

static void own_slot_close(struct rtgc *r, uint64_t window)
{
	struct page_slot *slot = own_slot(r);

	if (slot && atomic_load(&slot->window) == window)
		page_slot_close(slot);
}

void session_done(struct rtgc *r, uint64_t window)
{
	atomic_store(&r->done, window);
	if (r->seen.id == window)
		seen_over(r, false);
	own_slot_close(r, window);
}

static void take_announce(struct rtgc *r, const struct wire_announce *announce)
{
	struct page_slot *slot = own_slot(r);

	if (announce->window <= atomic_load(&r->done))
		return;
	seen_over(r, true);
	r->seen = (struct seen){.state = PAGE_ANNOUNCED,
				.id = announce->window,
				.opens = announce->opens_by,
				.closes = NSEC_NEVER};
	r->events |= RTGC_EVENT_ANNOUNCED;
	if (slot)
		page_slot_announce(slot, announce);
}

static void take_window(struct rtgc *r, const struct wire_window *window)
{
	struct page_slot *slot = own_slot(r);

	/* Ids ascend. With pages it may have been used before its frame was read. */
	window_opened(r, window->window);
	if (window->window <= atomic_load(&r->done))
		return;
	if (r->seen.id != window->window)
		seen_over(r, true);
	r->seen = (struct seen){.state = PAGE_OPEN,
				.id = window->window,
				.opens = window->opens,
				.closes = window->closes};
	if (slot)
		page_slot_open(slot, window);
}

static void take_revoke(struct rtgc *r, const struct wire_revoke *revoke)
{
	if (r->seen.id == revoke->window)
		seen_over(r, true);
	own_slot_close(r, revoke->window);
}

static void tick_window(struct rtgc *r, nsec_t now)
{
	struct seen *seen = &r->seen;
	uint64_t id = seen->id;

	if (seen->state != PAGE_OPEN)
		return;
	if (now >= seen->closes) {
		seen_over(r, true);
		own_slot_close(r, id);
	} else if (now >= seen->opens && !seen->told) {
		seen->told = true;
		r->events |= RTGC_EVENT_OPEN;
	}
}

/* ---- Telling the daemon ---- */

static void send_report(struct rtgc *r, nsec_t at_least)
{
	struct wire_frame frame = {.type = WIRE_REPORT};

	if (!figures_read(r, &frame.report))
		return;
	frame.report.at = nsec_max(frame.report.at, at_least);
	link_send(&r->link, &frame);
}

static void send_mark(struct rtgc *r)
{
	struct wire_frame frame = {.type = WIRE_BUSY};
	uint32_t mark = atomic_load(&r->marks.mark);

	if (mark == PAGE_MARK_NONE)
		return;
	if (mark == PAGE_MARK_IDLE) {
		frame.type = WIRE_IDLE;
		frame.idle.until = atomic_load(&r->marks.idle_until);
	}
	link_send(&r->link, &frame);
}

static void send_deadline(struct rtgc *r)
{
	struct wire_frame frame = {.type = WIRE_DEADLINE};

	frame.deadline.at = atomic_load(&r->marks.deadline);
	link_send(&r->link, &frame);
}

void session_tell(struct rtgc *r, uint32_t due)
{
	if (r->session != SESSION_UP)
		return;
	if (due & DUE_REPORT)
		send_report(r, 0);
	if (due & DUE_MARK)
		send_mark(r);
	if (due & DUE_DEADLINE)
		send_deadline(r);
	if (due & DUE_QUIET)
		window_tell_quiet(r);
}

/* ---- Connecting and losing ---- */

static void set_alone(struct rtgc *r, bool alone)
{
	atomic_store(&r->alone, alone);
	figures_changed(r);
	tell_state(r, alone ? RTGC_EVENT_ALONE : RTGC_EVENT_CONNECTED);
}

static void lose(struct rtgc *r, nsec_t now)
{
	bool greeted = r->session == SESSION_UP;

	link_close(&r->link);
	r->session = SESSION_DOWN;
	r->retry_at = reconnect_next(&r->reconnect, now);
	r->tick_at = r->report_by = NSEC_NEVER;
	r->epoch = r->heap_id = 0;
	r->hung = false;
	seen_over(r, true);
	answer_forget(r);
	/* A connection that was closed before WELCOME is no answer either. */
	if (greeted || r->told == 0)
		set_alone(r, true);
	atomic_store(&r->shared, false);
	atomic_store(&r->caps, 0);
	atomic_store(&r->slot, &r->pages.window->slot[0]);
	client_point(r);
	figures_over_pages(r, NULL, 0);
}

void session_fail(struct rtgc *r, nsec_t now)
{
	lose(r, now);
	r->retry_at = r->doubt_at = NSEC_NEVER;
}

static void connect_daemon(struct rtgc *r, nsec_t now)
{
	struct wire_hello hello = r->options.hello;
	int fd, result = reconnect_try(options_path(&r->options), &fd);

	if (result == 0) {
		if (r->unsafe_pages)
			hello.caps &= ~WIRE_CAP_PAGE;
		hello.prev_epoch = r->last_epoch;
		r->running.adopted = r->running.active && r->running.window != 0;
		if (r->running.adopted) {
			hello.prev_window = r->running.window;
			hello.prev_closes = r->running.closes;
			hello.prev_kind = (uint8_t)r->running.kind;
		}
		result = link_open(&r->link, fd, &hello);
	}
	if (result == 0) {
		r->session = SESSION_GREETING;
		r->retry_at = NSEC_NEVER;
		return;
	}
	r->retry_at = reconnect_next(&r->reconnect, now);
	/* A full backlog is a busy daemon, which answers soon or is doubted in time. */
	if (result != RECONNECT_E_FULL && r->told == 0)
		tell_state(r, RTGC_EVENT_ALONE);
}

/* The pages of WELCOME, or one of our own. false: they were not to be trusted. */
static bool take_pages(struct rtgc *r, const struct wire_welcome *w, const int *fds,
		       nsec_t now)
{
	struct page_header *header = &r->pages.window->header;

	if ((w->caps & WIRE_CAP_PAGE) && w->slot) {
		if (fds[0] < 0 || fds[1] < 0)
			return false;
		if (figures_over_pages(r, fds, w->epoch) != 0)
			return false;
		atomic_store(&r->shared, true);
		atomic_store(&r->slot, &r->pages.window->slot[w->slot - 1]);
	} else {
		page_header_init(header, PAGE_SLOTS, w->epoch);
		atomic_store(&header->heartbeat, now);
		page_slot_reset(&r->pages.window->slot[0]);
	}
	client_point(r);
	return true;
}

static void take_welcome(struct rtgc *r, const struct wire_welcome *w, const int *fds,
			 nsec_t now)
{
	if (r->session != SESSION_GREETING || w->version < WIRE_VERSION_MIN ||
	    w->version > WIRE_VERSION_MAX) {
		lose(r, now);
		return;
	}
	atomic_store(&r->done, 0); /* another run of the daemon counts anew */
	r->opened = 0;
	if (!take_pages(r, w, fds, now)) {
		/* No descriptors left here, or not pages: it can be had without. */
		r->unsafe_pages = true;
		lose(r, now);
		return;
	}
	r->unsafe_pages = false;
	r->session = SESSION_UP;
	r->epoch = r->last_epoch = w->epoch;
	r->heap_id = w->heap;
	r->heartbeat_every = nsec_min(nsec_max(w->heartbeat_every, TICK_MIN), TICK_MAX);
	atomic_store(&r->stale_after, nsec_max(w->stale_after, r->heartbeat_every));
	atomic_store(&r->caps, w->caps & r->options.hello.caps);
	r->ticked_at = now;
	r->tick_at = nsec_add(now, r->heartbeat_every);
	r->doubt_at = NSEC_NEVER;
	r->connects++;
	r->quieted = 0;
	r->refused[0] = 0;
	link_release(&r->link);
	set_alone(r, false);
	if (!figures_sync(r)) {
		atomic_fetch_or(&r->due, DUE_PAGE);
		client_kick(r);
	}
	collect_tell(r);
	/* Older figures than its acquaintance a daemon would not believe. */
	send_report(r, now);
}

/* The connection ends with any of them but _WINDOW. */
static void take_error(struct rtgc *r, const struct wire_error *error, nsec_t now)
{
	if (error->code == WIRE_ERROR_WINDOW)
		return;
	if (error->code == WIRE_ERROR_REFUSED || error->code == WIRE_ERROR_VERSION) {
		memcpy(r->refused, error->detail, sizeof(r->refused));
		r->events |= RTGC_EVENT_REFUSED;
		reconnect_slow(&r->reconnect);
	}
	lose(r, now);
}

static void take_directive(struct rtgc *r, const struct wire_directive *directive)
{
	struct page_slot *slot = own_slot(r);
	struct wire_report report;
	bool wanted;

	r->report_by = directive->report_by;
	if (!slot)
		return;
	wanted = atomic_load(&slot->want);
	page_slot_direct(slot, directive);
	/* It cannot see the marks that were made before it asked for them. */
	atomic_thread_fence(memory_order_seq_cst);
	if (directive->want && !wanted && (atomic_load(&r->caps) & WIRE_CAP_MARKS)) {
		send_mark(r);
		if (atomic_load(&r->marks.deadline) != NSEC_NEVER)
			send_deadline(r);
	}
	if (figures_read(r, &report) &&
	    guard_crossed(&r->guard, report.used, directive->watermark))
		send_report(r, 0);
}

static bool names_no_window(const struct wire_frame *frame)
{
	return (frame->type == WIRE_ANNOUNCE && frame->announce.window == 0) ||
	       (frame->type == WIRE_WINDOW && frame->window.window == 0);
}

static void take_frame(struct rtgc *r, const struct wire_frame *frame, const int *fds,
		       nsec_t now)
{
	struct page_header *header = &r->pages.window->header;

	if (frame->type == WIRE_WELCOME) {
		take_welcome(r, &frame->welcome, fds, now);
		return;
	}
	if (frame->type == WIRE_ERROR) {
		take_error(r, &frame->error, now);
		return;
	}
	if (r->session != SESSION_UP || names_no_window(frame)) {
		lose(r, now);
		return;
	}
	if (!atomic_load(&r->shared))
		atomic_store(&header->heartbeat, now);
	switch (frame->type) {
	case WIRE_DIRECTIVE:
		take_directive(r, &frame->directive);
		break;
	case WIRE_ANNOUNCE:
		take_announce(r, &frame->announce);
		break;
	case WIRE_WINDOW:
		take_window(r, &frame->window);
		break;
	case WIRE_REVOKE:
		take_revoke(r, &frame->revoke);
		break;
	case WIRE_ASK:
		answer_ask(r, &frame->ask);
		break;
	case WIRE_HEARTBEAT:
		break;
	default: /* a frame only clients send */
		lose(r, now);
	}
}

static void receive(struct rtgc *r, nsec_t now)
{
	struct wire_frame frame;
	int fds[LINK_FDS], result;

	for (int i = 0; i < FRAMES_MAX && r->link.fd >= 0; i++) {
		result = link_receive(&r->link, &frame, fds);
		if (result == 0)
			take_frame(r, &frame, fds, now);
		for (unsigned k = 0; k < LINK_FDS; k++)
			if (fds[k] >= 0)
				close(fds[k]);
		if (result == LINK_E_EMPTY)
			break;
		if (result != 0)
			lose(r, now);
	}
	if (r->link.broken)
		lose(r, now);
}

/* ---- Time ---- */

/* Does the daemon's loop still turn? */
static void tick_heartbeat(struct rtgc *r, nsec_t now)
{
	struct page_header *header = &r->pages.window->header;
	bool shared = atomic_load(&r->shared), fresh;

	if (now < r->tick_at)
		return;
	/* Who did not ask for long cannot complain of no answer. */
	if (!shared && nsec_sub(now, r->ticked_at) > 2 * r->heartbeat_every)
		atomic_store(&header->heartbeat, now);
	if (!shared) {
		struct wire_frame frame = {.type = WIRE_HEARTBEAT, .heartbeat.at = now};

		link_send(&r->link, &frame);
	}
	r->ticked_at = now;
	r->tick_at = nsec_add(now, r->heartbeat_every);
	fresh = guard_fresh(atomic_load(&header->heartbeat), atomic_load(&r->stale_after),
			    now);
	if (fresh)
		reconnect_reset(&r->reconnect);
	if (fresh != r->hung)
		return;
	r->hung = !fresh;
	set_alone(r, r->hung);
	if (fresh)
		send_report(r, now);
}

static void arm_timer(struct rtgc *r)
{
	struct itimerspec spec = {0};
	nsec_t at = nsec_min(r->retry_at, nsec_min(r->tick_at, r->report_by));

	at = nsec_min(at, r->doubt_at);
	if (r->seen.state == PAGE_OPEN)
		at = nsec_min(at, r->seen.told ? r->seen.closes : r->seen.opens);
	if (at == r->armed)
		return;
	r->armed = at;
	if (at != NSEC_NEVER) {
		at = nsec_max(at, 1); /* zero would disarm it */
		spec.it_value.tv_sec = (time_t)(at / NSEC_PER_SEC);
		spec.it_value.tv_nsec = (long)(at % NSEC_PER_SEC);
	}
	if (timerfd_settime(r->timer, TFD_TIMER_ABSTIME, &spec, NULL) < 0) {
		r->armed = 0; /* no time that it would be armed for */
		client_kick(r);
	}
}

void session_run(struct rtgc *r, nsec_t now)
{
	uint32_t due = atomic_exchange(&r->due, 0);

	late_do(r);
	if (r->link.fd >= 0)
		receive(r, now);
	if (r->session == SESSION_DOWN && now >= r->retry_at)
		connect_daemon(r, now);
	if (now >= r->doubt_at) {
		r->doubt_at = NSEC_NEVER;
		if (r->told == 0)
			tell_state(r, RTGC_EVENT_ALONE);
	}
	if (r->session == SESSION_UP) {
		tick_heartbeat(r, now);
		tick_window(r, now);
		if (now >= r->report_by) {
			r->report_by = NSEC_NEVER;
			due |= DUE_REPORT;
		}
		session_tell(r, due);
		if ((due & DUE_PAGE) && !figures_sync(r)) {
			atomic_fetch_or(&r->due, DUE_PAGE);
			client_kick(r);
		}
		if (r->link.queued)
			link_flush(&r->link);
		answer_send(r);
	}
	arm_timer(r);
}

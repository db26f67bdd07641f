/* SPDX-License-Identifier: MIT */
/*
 * What rtgcctl top knows of the daemon: all of it asked for once a second, one question at a time, in small
 * pages with a pause in between, so that a daemon with thousands of heaps notices nothing of it.
 */
#include "client/ctl/top.h"

#include <stdlib.h>

#include "client/ctl/field.h"

#define CYCLE_MS 1000 /* from the first question to the next time */
#define RETRY_MS 500
#define PAGE	 20
#define REST_MS	 15 /* between two pages of heaps */

enum step {
	STEP_STATUS,
	STEP_SERVICES,
	STEP_HEAPS,
	STEP_PAUSES,
	STEP_EXPLAIN,
	STEPS,
};

static const struct {
	const char *method, *key; /* key: of a list that comes in pages */
} steps[] = {
	[STEP_STATUS] = {"GetStatus", NULL},
	[STEP_SERVICES] = {"ListServices", "services"},
	[STEP_HEAPS] = {"ListHeaps", "heaps"},
	[STEP_PAUSES] = {"ListPauses", "pauses"},
	[STEP_EXPLAIN] = {"Explain", NULL},
};

struct top_feed {
	const struct ctl *ctl;
	struct call *call; /* NULL: there is no daemon at the moment */
	char *complaint;   /* what would have been said on the terminal */
	enum step step;
	bool asked, changed;	       /* changed: as top_feed_turn() has it */
	int64_t begun, due, answer_by; /* call_now_ms() */
	json_t *list;		       /* the pages so far */
	json_t *next;		       /* where the next one begins */
	int64_t changes, changes_then, epoch, explain;
};

/* ---- connection ------------------------------------------------------------------------------- */

static int connect_to(struct top_feed *feed)
{
	int status = call_open(feed->ctl, &feed->call);

	feed->step = STEP_STATUS;
	feed->asked = false;
	feed->due = 0;
	return status;
}

static void drop_list(struct top_feed *feed)
{
	json_decref(feed->list);
	json_decref(feed->next);
	feed->list = feed->next = NULL;
}

/* What is shown stays, with the reason why nothing new comes. */
static void disconnect(struct top_feed *feed, struct top_model *model)
{
	feed->call = call_close(feed->call);
	feed->asked = false;
	drop_list(feed);
	free(model->trouble);
	model->trouble =
		ctl_format("%s", feed->complaint != NULL ? feed->complaint : "no answer");
	feed->due = call_now_ms() + RETRY_MS;
	feed->changed = true;
}

int top_feed_new(const struct ctl *ctl, struct top_feed **ret)
{
	struct top_feed *feed = ctl_alloc(sizeof(*feed));
	int status;

	feed->ctl = ctl;
	status = connect_to(feed);
	if (status != CTL_OK) {
		free(feed);
		return status;
	}
	*ret = feed;
	return CTL_OK;
}

struct top_feed *top_feed_free(struct top_feed *feed)
{
	if (feed == NULL)
		return NULL;
	call_close(feed->call);
	drop_list(feed);
	free(feed->complaint);
	free(feed);
	return NULL;
}

int top_feed_fd(const struct top_feed *feed)
{
	return feed->call != NULL && feed->asked ? call_fd(feed->call) : -1;
}

int64_t top_feed_due(const struct top_feed *feed)
{
	return feed->asked ? feed->answer_by : feed->due;
}

/* ---- questions ----------------------------------------------------------------------------------- */

static json_t *parameters(const struct top_feed *feed)
{
	json_t *object = json_object();
	char id[32];

	switch (feed->step) {
	case STEP_HEAPS:
		json_object_set_new(object, "limit", json_integer(PAGE));
		if (feed->ctl->service != NULL)
			json_object_set_new(object, "service",
					    json_string(feed->ctl->service));
		break;
	case STEP_PAUSES:
		json_object_set_new(object, "seconds", json_integer(TOP_TIMELINE_S));
		json_object_set_new(object, "changed_after", json_integer(feed->changes));
		break;
	case STEP_EXPLAIN:
		snprintf(id, sizeof(id), "%lld", (long long)feed->explain);
		json_object_set_new(object, "heap", json_string(id));
		break;
	case STEP_STATUS:
	case STEP_SERVICES:
	case STEPS:
		break;
	}
	if (feed->next != NULL)
		json_object_set(object, "after", feed->next);
	return object;
}

static void ask(struct top_feed *feed, struct top_model *model)
{
	if (feed->step == STEP_STATUS)
		feed->begun = call_now_ms();
	if (call_more(feed->call, steps[feed->step].method, parameters(feed), false) !=
	    CTL_OK) {
		disconnect(feed, model);
		return;
	}
	feed->asked = true;
	feed->answer_by = call_now_ms() + CALL_TIMEOUT_MS;
}

/* The next question, or a rest until the next second. */
static void go_on(struct top_feed *feed)
{
	feed->step++;
	feed->due = 0;
	if (feed->step == STEP_EXPLAIN && feed->explain == 0)
		feed->step++;
	if (feed->step == STEPS) {
		feed->step = STEP_STATUS;
		feed->due = feed->begun + CYCLE_MS;
		feed->changed = true;
	}
}

/* ---- answers ------------------------------------------------------------------------------------- */

static void take(json_t **known, json_t *now)
{
	json_decref(*known);
	*known = json_incref(now);
}

static void take_pauses(struct top_feed *feed, struct top_model *model, json_t *reply,
			bool first)
{
	/* Another daemon counts anew: what it was asked for was half of it. */
	if (field_int(reply, "epoch", 0) != feed->epoch) {
		feed->epoch = field_int(reply, "epoch", 0);
		if (feed->changes != 0) {
			feed->changes = feed->changes_then = 0;
			return;
		}
	}
	if (first)
		feed->changes_then = field_int(reply, "changes", 0);
	top_model_pauses(model, reply);
}

/* A page joins the list. True: it was the last one. */
static bool take_page(struct top_feed *feed, struct top_model *model, json_t *reply)
{
	json_t *next = json_object_get(reply, "next");
	bool first = feed->list == NULL;

	if (feed->step == STEP_PAUSES)
		take_pauses(feed, model, reply, first);
	if (first)
		feed->list = json_array();
	if (feed->step != STEP_PAUSES)
		json_array_extend(feed->list,
				  json_object_get(reply, steps[feed->step].key));
	json_decref(feed->next);
	feed->next = json_is_integer(next) ? json_incref(next) : NULL;
	return feed->next == NULL;
}

static void answered(struct top_feed *feed, struct top_model *model, json_t *reply)
{
	feed->asked = false;
	if (steps[feed->step].key != NULL && !take_page(feed, model, reply)) {
		feed->due = feed->step == STEP_HEAPS ? call_now_ms() + REST_MS : 0;
		return;
	}
	switch (feed->step) {
	case STEP_STATUS:
		take(&model->status, reply);
		free(model->trouble);
		model->trouble = NULL;
		break;
	case STEP_SERVICES:
		take(&model->services, feed->list);
		break;
	case STEP_HEAPS:
		take(&model->heaps, feed->list);
		break;
	case STEP_PAUSES:
		feed->changes = feed->changes_then;
		break;
	case STEP_EXPLAIN:
		take(&model->explained, reply);
		break;
	case STEPS:
		break;
	}
	drop_list(feed);
	go_on(feed);
}

static void listen(struct top_feed *feed, struct top_model *model)
{
	json_t *reply = NULL;
	int status = call_next(feed->call, steps[feed->step].method, -1,
			       call_now_ms() + 1, &reply);

	if (status == CTL_OK && reply != NULL) {
		answered(feed, model, reply);
	} else if (status != CTL_OK && feed->step == STEP_EXPLAIN) {
		feed->asked = false; /* that heap has left; the next question will tell */
		take(&model->explained, NULL);
		go_on(feed);
	} else if (status != CTL_OK) {
		disconnect(feed, model);
	} else if (call_now_ms() >= feed->answer_by) {
		ctl_complain(CTL_FAILED, "rtgcd has not answered for %d s: asking again",
			     CALL_TIMEOUT_MS / 1000);
		disconnect(feed, model);
	}
	json_decref(reply);
}

static void turn(struct top_feed *feed, struct top_model *model)
{
	if (feed->asked)
		listen(feed, model);
	if (feed->asked || call_now_ms() < feed->due)
		return;
	if (feed->call == NULL && connect_to(feed) != CTL_OK)
		disconnect(feed, model);
	else
		ask(feed, model);
}

bool top_feed_turn(struct top_feed *feed, struct top_model *model, int64_t explain)
{
	/* What is looked at is asked for at once. */
	if (explain != feed->explain && explain != 0 && !feed->asked &&
	    feed->call != NULL && feed->step == STEP_STATUS) {
		feed->step = STEP_EXPLAIN;
		feed->due = 0;
	}
	feed->explain = explain;
	feed->changed = false;
	ctl_divert(&feed->complaint);
	turn(feed, model);
	ctl_divert(NULL);
	return feed->changed;
}

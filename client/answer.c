/* SPDX-License-Identifier: MIT */
/* The daemon's questions, and their answers: rows that go out as the socket takes them. */
#include <errno.h>
#include <stdlib.h>

#include "client/client.h"
#include "client/wire/names.h"

static_assert((int)RTGC_HEAP_SUMMARY == (int)WIRE_HEAP_SUMMARY, "what is asked");

void answer_ask(struct rtgc *r, const struct wire_ask *ask)
{
	r->asked = *ask;
	r->events |= RTGC_EVENT_ASKED;
}

void answer_forget(struct rtgc *r)
{
	r->asked = (struct wire_ask){0};
	r->events &= ~(uint32_t)RTGC_EVENT_ASKED;
	free(r->answer.rows);
	r->answer = (struct answer){0};
}

/* One row at a time when the socket is full: the queue is there for more urgent things. */
void answer_send(struct rtgc *r)
{
	struct answer *a = &r->answer;

	if (!a->rows)
		return;
	while (a->sent < a->n && r->link.queued == 0 && r->session == SESSION_UP) {
		struct wire_frame frame = {.type = WIRE_ANSWER,
					   .answer = a->rows[a->sent++]};

		link_send(&r->link, &frame);
	}
	if (a->sent == a->n) {
		free(a->rows);
		*a = (struct answer){0};
	}
}

int rtgc_asked(struct rtgc *r, struct rtgc_question *ret)
{
	int result = RTGC_E_NO_QUESTION;

	pthread_mutex_lock(&r->lock);
	if (r->asked.ask) {
		*ret = (struct rtgc_question){
			.id = r->asked.ask, .what = r->asked.what, .most = r->asked.most};
		result = 0;
	}
	pthread_mutex_unlock(&r->lock);
	return result;
}

static struct answer make(uint64_t id, const struct rtgc_answer *answer)
{
	size_t n = answer ? answer->n_rows : 0;
	struct answer a = {.rows = calloc(n + 1, sizeof(*a.rows)), .n = n + 1};

	if (!a.rows)
		return a;
	for (size_t i = 0; i < n; i++) {
		a.rows[i] = (struct wire_answer){.ask = id,
						 .count = answer->rows[i].count,
						 .bytes = answer->rows[i].bytes};
		name_cut(a.rows[i].name, WIRE_ROW_MAX, answer->rows[i].name);
	}
	a.rows[n] =
		(struct wire_answer){.ask = id,
				     .last = 1,
				     .outcome = answer ? WIRE_ANSWERED : WIRE_UNANSWERED};
	if (answer) {
		a.rows[n].count = answer->count;
		a.rows[n].bytes = answer->bytes;
		a.rows[n].took = answer->took_ns;
	}
	return a;
}

int rtgc_answer(struct rtgc *r, uint64_t id, const struct rtgc_answer *answer)
{
	struct answer a;
	int result = 0;

	if (id == 0 || (answer && answer->n_rows > RTGC_ROWS_MAX))
		return -EINVAL;
	a = make(id, answer);
	if (!a.rows)
		return -ENOMEM;
	pthread_mutex_lock(&r->lock);
	if (r->asked.ask == id && r->session == SESSION_UP) {
		answer_forget(r);
		r->answer = a;
		answer_send(r);
	} else {
		free(a.rows);
		result = RTGC_E_NO_QUESTION;
	}
	pthread_mutex_unlock(&r->lock);
	return result;
}

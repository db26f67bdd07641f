/* SPDX-License-Identifier: MIT */
#include "client/python/answer.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "client/python/heap.h"
#include "client/python/summary.h"

static _Atomic uint64_t by_ns; /* 0: nothing is asked */

void answer_asked(void)
{
	atomic_store(&by_ns, rtgc_now() + ANSWER_PATIENCE_NS);
}

bool answer_wanted(void)
{
	return atomic_load_explicit(&by_ns, memory_order_relaxed) != 0;
}

uint64_t answer_by(void)
{
	uint64_t by = atomic_load(&by_ns);

	return by ? by : RTGC_NEVER;
}

static void send_summary(struct rtgc *r, const struct rtgc_question *question,
			 const struct summary *s)
{
	size_t n = s->n_rows < question->most ? s->n_rows : question->most;
	struct rtgc_row rows[RTGC_ROWS_MAX];
	struct rtgc_answer answer = {.count = s->count,
				     .bytes = s->bytes,
				     .took_ns = s->pause_ns,
				     .rows = rows};

	for (; answer.n_rows < n && answer.n_rows < RTGC_ROWS_MAX; answer.n_rows++) {
		const struct summary_row *row = &s->rows[answer.n_rows];

		rows[answer.n_rows] = (struct rtgc_row){
			.name = row->name, .count = row->count, .bytes = row->bytes};
	}
	rtgc_answer(r, question->id, &answer);
}

bool answer_give(void)
{
	struct rtgc *r = heap.rtgc;
	struct rtgc_question question;
	struct summary s;
	int result;

	atomic_store(&by_ns, 0);
	if (!r || rtgc_asked(r, &question) != 0)
		return true;
	if (question.what != RTGC_HEAP_SUMMARY) {
		rtgc_answer(r, question.id, NULL);
		return true;
	}
	result = summary_take(false, &s);
	if (result == SUMMARY_E_COLLECTING) {
		answer_asked();
		return false;
	}
	if (result < 0) {
		rtgc_answer(r, question.id, NULL);
		return true;
	}
	send_summary(r, &question, &s);
	summary_deinit(&s);
	return true;
}

/* SPDX-License-Identifier: MIT */
/*
 * What is to be done about heaps, until the edge takes it.
 *
 * One event can concern every heap (a round, a reload), so a queue would need room for all of them. What
 * is to be done is a mark in each heap instead, and says no more than the heap itself does: it takes no
 * memory and never fails. Windows go before directives, in the order in which their heaps were marked;
 * what concerns one heap goes in the order of enum action_type.
 */
#include <assert.h>

#include "daemon/core/state.h"

#define DIRECTIVE (1U << ACTION_DIRECT)
/* These are of a window that is over, or of which the draining is. */
#define OVER (1U << ACTION_REVOKE | 1U << ACTION_CLOSE | 1U << ACTION_UNDRAIN)

void action_add(struct supervisor *s, struct heap *h, enum action_type type)
{
	/* What has begun in an event is not over in the same one. */
	assert(!(OVER & 1U << type) || !(h->to_tell & ~(OVER | DIRECTIVE)));
	note_change(s, h);
	if (type != ACTION_DIRECT && !(h->to_tell & ~DIRECTIVE)) {
		list_unlink(&h->telling);
		list_append(&s->telling, &h->telling);
	} else if (!h->to_tell) {
		list_append(&s->directing, &h->telling);
	}
	h->to_tell |= (uint8_t)(1U << type);
}

void action_outlive(struct heap *h)
{
	h->to_tell &= (uint8_t)OVER;
	h->gone = true;
	if (!h->to_tell)
		heap_free(h);
}

static void fill(const struct heap *h, enum action_type type, struct action *ret)
{
	const struct lease *l = &h->lease;

	*ret = (struct action){.type = type, .heap = h->id};
	switch (type) {
	case ACTION_DIRECT:
		ret->directive = (struct wire_directive){
			.watermark = h->watermark,
			.report_by = h->report_by,
			.budget = h->told_budget,
			.want = h->want,
		};
		break;
	case ACTION_ANNOUNCE:
		ret->announce = (struct wire_announce){
			.window = l->id,
			.opens_by = l->opens,
			.predicted = l->predicted,
			.kind = l->kind,
			.drain = heap_waits_for_quiet(h),
		};
		break;
	case ACTION_OPEN:
		ret->window = (struct wire_window){
			.window = l->id,
			.opens = l->opens,
			.closes = l->closes,
			.predicted = l->predicted,
			.kind = l->kind,
			.must = l->must,
		};
		break;
	case ACTION_DRAIN:
		ret->revoke = (struct wire_revoke){.window = l->id, .reason = l->reason};
		break;
	case ACTION_REVOKE:
	case ACTION_CLOSE:
	case ACTION_UNDRAIN:
		ret->revoke =
			(struct wire_revoke){.window = h->over, .reason = h->over_reason};
		break;
	case ACTION_LOOK:
		break;
	}
}

static struct heap *first_told(const struct supervisor *s)
{
	const struct list *list = list_empty(&s->telling) ? &s->directing : &s->telling;

	return list_empty(list) ? NULL : list_entry(list->next, struct heap, telling);
}

bool supervisor_next_action(struct supervisor *s, struct action *ret)
{
	struct heap *h = first_told(s);
	enum action_type type;

	if (!h)
		return false;
	type = (enum action_type)__builtin_ctz(h->to_tell);
	fill(h, type, ret);
	h->to_tell &= (uint8_t) ~(1U << type);
	if (h->to_tell & ~DIRECTIVE)
		return true;
	list_unlink(&h->telling);
	if (h->to_tell)
		list_append(&s->directing, &h->telling);
	else if (h->gone)
		heap_free(h);
	return true;
}

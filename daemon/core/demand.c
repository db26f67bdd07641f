/* SPDX-License-Identifier: MIT */
#include "daemon/core/demand.h"

#include <assert.h>
#include <stddef.h>

/* A century and 2^20 pauses of an hour fit into 63 bits with room to spare. */
#define DEADLINE_MAX (INT64_C(1) << 61)
#define SPAN_MAX     ((int64_t)(3600 * NSEC_PER_SEC))
#define WIDTH_MAX    ((UINT32_C(1) << 24) - 1)
#define NONE	     INT64_MAX

struct summary { /* of a run of nodes, in order of deadline */
	uint64_t widths;
	bool any_free;
	int64_t sum, longest, slack, latest;
};

static const struct summary empty = {.slack = NONE, .latest = NONE};

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Of the slots, as long as they work. */
static int64_t share_of(const struct demand *d, const struct demand_node *n)
{
	if (n->width >= d->slots)
		return n->work;
	return (n->work * n->width + d->slots - 1) / d->slots;
}

static struct summary of_node(const struct demand *d, const struct demand_node *n)
{
	int64_t share = share_of(d, n);

	return (struct summary){
		.any_free = n->role == DEMAND_FREE,
		.widths = n->width,
		.sum = share,
		.longest = n->work,
		.slack = n->role == DEMAND_LOAD ? NONE : n->deadline - share,
		.latest = n->role == DEMAND_LOAD ? NONE : n->deadline - n->span,
	};
}

static struct summary of_tree(const struct demand_node *n)
{
	if (!n)
		return empty;
	return (struct summary){n->widths,  n->any_free, n->sum,
				n->longest, n->slack,	 n->latest};
}

static struct summary join(struct summary a, struct summary b)
{
	return (struct summary){
		.any_free = a.any_free || b.any_free,
		.widths = a.widths + b.widths,
		.sum = a.sum + b.sum,
		.longest = a.longest > b.longest ? a.longest : b.longest,
		.slack = least(a.slack, b.slack == NONE ? NONE : b.slack - a.sum),
		.latest = least(a.latest, b.latest),
	};
}

static void refresh(const struct demand *d, struct demand_node *n)
{
	struct summary s = join(join(of_tree(n->left), of_node(d, n)), of_tree(n->right));

	n->any_free = s.any_free;
	n->widths = (uint32_t)s.widths;
	n->sum = s.sum;
	n->longest = s.longest;
	n->slack = s.slack;
	n->latest = s.latest;
}

static void refresh_up(const struct demand *d, struct demand_node *n)
{
	for (; n; n = n->parent)
		refresh(d, n);
}

/* ---- The treap ------------------------------------------------------------------------ */

static void replace(struct demand *d, struct demand_node *old, struct demand_node *new)
{
	if (!old->parent)
		d->root = new;
	else if (old->parent->left == old)
		old->parent->left = new;
	else
		old->parent->right = new;
	if (new)
		new->parent = old->parent;
}

static void rotate_up(struct demand *d, struct demand_node *n)
{
	struct demand_node *p = n->parent;

	replace(d, p, n);
	if (p->left == n) {
		p->left = n->right;
		if (p->left)
			p->left->parent = p;
		n->right = p;
	} else {
		p->right = n->left;
		if (p->right)
			p->right->parent = p;
		n->left = p;
	}
	p->parent = n;
	refresh(d, p);
	refresh(d, n);
}

/* Where a node lies in memory is as good as a random number, and the same node keeps its own. */
static uint32_t priority(const struct demand_node *n)
{
	uint64_t x = (uintptr_t)n;

	x ^= x >> 33;
	x *= UINT64_C(0xff51afd7ed558ccd);
	x ^= x >> 33;
	return (uint32_t)x;
}

static bool before(const struct demand_node *a, const struct demand_node *b)
{
	return a->deadline < b->deadline;
}

static void insert(struct demand *d, struct demand_node *n)
{
	struct demand_node *parent = NULL, **link = &d->root;

	while (*link) {
		parent = *link;
		link = before(n, parent) ? &parent->left : &parent->right;
	}
	*link = n;
	n->parent = parent;
	n->left = n->right = NULL;
	n->linked = true;
	refresh_up(d, n);
	while (n->parent && priority(n->parent) < priority(n))
		rotate_up(d, n);
}

void demand_remove(struct demand *d, struct demand_node *n)
{
	struct demand_node *parent;

	if (!n->linked)
		return;
	while (n->left && n->right)
		rotate_up(d, priority(n->left) > priority(n->right) ? n->left : n->right);
	parent = n->parent;
	replace(d, n, n->left ? n->left : n->right);
	n->linked = false;
	n->left = n->right = n->parent = NULL;
	refresh_up(d, parent);
}

/* ---- What is asked -------------------------------------------------------------------------- */

void demand_init(struct demand *d, unsigned slots)
{
	*d = (struct demand){.slots = slots};
}

static int64_t clip(nsec_t span)
{
	return span < (nsec_t)SPAN_MAX ? (int64_t)span : SPAN_MAX;
}

void demand_set(struct demand *d, struct demand_node *n, nsec_t latest, nsec_t span,
		nsec_t work, unsigned width, enum demand_role role)
{
	nsec_t deadline = nsec_add(latest, (nsec_t)clip(span));
	int64_t when = deadline < (nsec_t)DEADLINE_MAX ? (int64_t)deadline : DEADLINE_MAX;
	uint32_t wide = width < WIDTH_MAX ? width : WIDTH_MAX;

	if (latest == NSEC_NEVER) {
		demand_remove(d, n);
		return;
	}
	if (n->linked && n->deadline == when && n->span == clip(span) &&
	    n->work == clip(work) && n->width == wide && n->role == role)
		return;
	if (n->linked && n->deadline != when)
		demand_remove(d, n);
	n->deadline = when;
	n->span = clip(span);
	n->work = clip(work);
	n->width = wide & WIDTH_MAX;
	n->role = role;
	if (n->linked)
		refresh_up(d, n);
	else
		insert(d, n);
}

static void resize(const struct demand *d, struct demand_node *n)
{
	if (!n)
		return;
	resize(d, n->left);
	resize(d, n->right);
	refresh(d, n);
}

void demand_resize(struct demand *d, unsigned slots)
{
	d->slots = slots;
	resize(d, d->root);
}

struct demand_node *demand_first(const struct demand *d)
{
	struct demand_node *n = d->root;

	if (!n || !n->any_free)
		return NULL;
	for (;;) {
		if (n->left && n->left->any_free)
			n = n->left;
		else if (n->role == DEMAND_FREE)
			return n;
		else
			n = n->right;
	}
}

struct demand_node *demand_earliest(const struct demand *d)
{
	struct demand_node *n = d->root;

	while (n && n->left)
		n = n->left;
	return n;
}

/* The node and all behind it. */
static struct summary from(const struct demand *d, const struct demand_node *node)
{
	struct summary s = join(of_node(d, node), of_tree(node->right));

	for (const struct demand_node *n = node; n->parent; n = n->parent)
		if (n->parent->left == n)
			s = join(s,
				 join(of_node(d, n->parent), of_tree(n->parent->right)));
	return s;
}

/* By when the run of nodes from that one on must start on the demand's slots, `before` being the work ahead. */
static nsec_t start_by(const struct demand *d, const struct demand_node *node,
		       struct summary s, struct summary before)
{
	struct summary all = join(before, s);
	int64_t start = s.latest;

	if (s.latest == NONE)
		return NSEC_NEVER;
	if (all.widths > node->width && all.widths > d->slots) {
		int64_t others = all.longest - all.longest / d->slots;

		start = least(start, s.slack - before.sum - others);
	}
	return start > 0 ? (nsec_t)start : 0;
}

nsec_t demand_start_by(const struct demand *d)
{
	const struct demand_node *first = demand_first(d);
	struct summary s, before = of_tree(d->root);

	if (!first)
		return NSEC_NEVER;
	s = from(d, first);
	before.widths -= s.widths;
	before.sum -= s.sum;
	before.slack = before.latest = NONE;
	return start_by(d, first, s, before);
}

nsec_t demand_start_of(const struct demand *d, const struct demand_node *node)
{
	assert(node->linked);
	return start_by(d, node, from(d, node), empty);
}

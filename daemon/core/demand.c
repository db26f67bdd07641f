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

/* What follows is gone at each node on the way to the root: nothing is copied that need not be. */

static inline void add(struct summary *s, uint32_t widths, bool any_free, int64_t sum,
		       int64_t longest, int64_t slack, int64_t latest)
{
	if (slack != NONE && slack - s->sum < s->slack)
		s->slack = slack - s->sum;
	s->latest = least(s->latest, latest);
	s->longest = s->longest > longest ? s->longest : longest;
	s->sum += sum;
	s->widths += widths;
	s->any_free |= any_free;
}

static inline void add_node(struct summary *s, const struct demand_node *n)
{
	bool keeps = n->role != DEMAND_LOAD;

	add(s, n->width, n->role == DEMAND_FREE, n->share, n->work,
	    keeps ? n->deadline - n->share : NONE, keeps ? n->deadline - n->span : NONE);
}

static inline void add_tree(struct summary *s, const struct demand_node *n)
{
	if (n)
		add(s, n->widths, n->any_free, n->sum, n->longest, n->slack, n->latest);
}

/* false: it is what it was. */
static bool refresh(struct demand_node *n)
{
	struct summary s = empty;
	bool same;

	add_tree(&s, n->left);
	add_node(&s, n);
	add_tree(&s, n->right);
	same = n->sum == s.sum && n->slack == s.slack && n->latest == s.latest &&
	       n->longest == s.longest && n->widths == (uint32_t)s.widths &&
	       n->any_free == s.any_free;
	n->any_free = s.any_free;
	n->widths = (uint32_t)s.widths;
	n->sum = s.sum;
	n->longest = s.longest;
	n->slack = s.slack;
	n->latest = s.latest;
	return !same;
}

/* Those above one that is what it was are what they were. */
static void refresh_up(struct demand_node *n)
{
	while (n && refresh(n))
		n = n->parent;
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
}

/*
 * A random number that a node keeps; not where it lies in memory, so that the same events cost the same
 * wherever that is.
 */
static uint32_t next_priority(struct demand *d)
{
	if (!d->random)
		d->random = 0x9e3779b9;
	d->random ^= d->random << 13;
	d->random ^= d->random >> 17;
	d->random ^= d->random << 5;
	return d->random;
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
	if (!n->priority)
		n->priority = next_priority(d);
	while (n->parent && n->parent->priority < n->priority) {
		parent = n->parent;
		rotate_up(d, n);
		refresh(parent);
	}
	for (; n; n = n->parent)
		refresh(n);
}

void demand_remove(struct demand *d, struct demand_node *n)
{
	struct demand_node *parent;

	if (!n->linked)
		return;
	while (n->left && n->right)
		rotate_up(d, n->left->priority > n->right->priority ? n->left : n->right);
	parent = n->parent;
	replace(d, n, n->left ? n->left : n->right);
	n->linked = false;
	n->left = n->right = n->parent = NULL;
	for (; parent; parent = parent->parent)
		refresh(parent);
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
	n->share = share_of(d, n);
	if (n->linked)
		refresh_up(n);
	else
		insert(d, n);
}

static void resize(const struct demand *d, struct demand_node *n)
{
	if (!n)
		return;
	resize(d, n->left);
	resize(d, n->right);
	n->share = share_of(d, n);
	refresh(n);
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
static struct summary from(const struct demand_node *node)
{
	struct summary s = empty;

	add_node(&s, node);
	add_tree(&s, node->right);
	for (const struct demand_node *n = node; n->parent; n = n->parent) {
		if (n->parent->left != n)
			continue;
		add_node(&s, n->parent);
		add_tree(&s, n->parent->right);
	}
	return s;
}

/*
 * By when that run of nodes, the first of which is `node`, must start on the demand's slots; ahead of it lies
 * so much work, of those widths, the longest of it so long.
 */
static nsec_t start_by(const struct demand *d, const struct demand_node *node,
		       const struct summary *s, uint64_t widths, int64_t sum,
		       int64_t longest)
{
	int64_t start = s->latest;

	if (s->latest == NONE)
		return NSEC_NEVER;
	widths += s->widths;
	longest = longest > s->longest ? longest : s->longest;
	if (widths > node->width && widths > d->slots)
		start = least(start, s->slack - sum - (longest - longest / d->slots));
	return start > 0 ? (nsec_t)start : 0;
}

nsec_t demand_start_by(const struct demand *d)
{
	const struct demand_node *first = demand_first(d), *root = d->root;
	struct summary s;

	if (!first)
		return NSEC_NEVER;
	s = from(first);
	return start_by(d, first, &s, root->widths - s.widths, root->sum - s.sum,
			root->longest);
}

nsec_t demand_start_of(const struct demand *d, const struct demand_node *node)
{
	struct summary s;

	assert(node->linked);
	s = from(node);
	return start_by(d, node, &s, 0, 0, 0);
}

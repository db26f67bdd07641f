/* SPDX-License-Identifier: MIT */
/* A doubly linked list whose links lie inside the listed structures. */
#ifndef RTGC_WIRE_LIST_H
#define RTGC_WIRE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *prev, *next;
};

#define list_entry(link, type, member) ((type *)((char *)(link)-offsetof(type, member)))
#define list_for_each(link, head) \
	for (struct list *link = (head)->next; link != (head); link = link->next)
/* The body may unlink (and free) the present entry. */
#define list_for_each_safe(link, tmp, head)                                       \
	for (struct list *link = (head)->next, *tmp = link->next; link != (head); \
	     link = tmp, tmp = link->next)

static inline void list_init(struct list *l)
{
	l->prev = l->next = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_append(struct list *head, struct list *l)
{
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

/* Unlinking twice is harmless. */
static inline void list_unlink(struct list *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	list_init(l);
}

#endif

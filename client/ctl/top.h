/* SPDX-License-Identifier: MIT */
/*
 * rtgcctl top. What is known lies in a model, which the feed fills and which draws itself on a canvas;
 * keys change the view. Of these only top_term.c knows of a terminal, only top_feed.c of the daemon.
 */
#ifndef RTGCCTL_TOP_H
#define RTGCCTL_TOP_H

#include "client/ctl/call.h"
#include "client/ctl/table.h"

#define TOP_TIMELINE_S 60

/* ---- what is looked at ---------------------------------------------------------------------- */

/* X(constant, "name", "what comes first") */
#define TOP_SORTS(X)                                           \
	X(TOP_HURTS, "hurts", "who must collect soonest")      \
	X(TOP_NAME, "name", "by name")                         \
	X(TOP_SERVICE, "service", "by service")                \
	X(TOP_FULL, "full", "the fullest")                     \
	X(TOP_RATE, "rate", "who allocates fastest")           \
	X(TOP_LEFT, "left", "whose budget is used up soonest") \
	X(TOP_PAUSE, "pause", "the longest predicted pause")   \
	X(TOP_LAST, "last", "the longest last pause")          \
	X(TOP_FORCED, "forced", "the most forced collections")

enum top_sort {
#define TOP_SORT_ENUM(constant, name, help) constant,
	TOP_SORTS(TOP_SORT_ENUM)
#undef TOP_SORT_ENUM
	TOP_SORT_COUNT
};

const char *top_sort_name(enum top_sort sort);
/* TOP_SORT_COUNT: there is none of that name. */
enum top_sort top_sort_find(const char *name);

enum top_page {
	TOP_LIST,
	TOP_DETAILS, /* of the selected heap */
	TOP_HELP,
};

struct top_view {
	enum top_page page;
	enum top_sort sort;
	bool backwards;
	bool typing;	  /* the filter is being typed */
	char filter[64];  /* part of the name of a heap or its service; "": all */
	int64_t selected; /* id of a heap; 0: the first one, whoever that is */
	size_t first;	  /* the row that is shown first, of the list or of the details */
	size_t room;	  /* rows that were shown last time */
};

/* ---- what is known -------------------------------------------------------------------------- */

struct top_model {
	json_t *status, *services, *heaps; /* NULL: not known yet */
	json_t *pauses; /* by rising id; instants made absolute: at_us in their place */
	json_t *explained; /* the reply of Explain for view->selected; NULL: not asked */
	int64_t epoch;	   /* of the daemon that the pauses are from */
	int64_t now_us;	   /* CLOCK_MONOTONIC */
	char *trouble;	   /* why nothing new comes; NULL: it does */
	const json_t **rows; /* the heaps that are shown, in order */
	size_t n_rows;
};

void top_model_deinit(struct top_model *model);
/* A reply of ListPauses joins what is known. */
void top_model_pauses(struct top_model *model, const json_t *reply);
/* Filters and sorts. The selected row stays selected, wherever it is now. */
void top_model_arrange(struct top_model *model, struct top_view *view);
/* Index of the selected row; 0 when there is none. */
size_t top_model_selected(const struct top_model *model, const struct top_view *view);
/* What happened to the heap in the last minute, one character for each part of it; text: columns + 1 bytes. */
void top_timeline(const struct top_model *model, int64_t heap, size_t columns,
		  char *text);

/* ---- drawing -------------------------------------------------------------------------------- */

struct span {
	unsigned row, column;
	enum tone tone;
	char *text; /* escaped */
};

struct canvas {
	unsigned rows, columns; /* rows 0: as many as it takes */
	struct span *spans;	/* row by row, from the left to the right */
	size_t n, room;
	int selected; /* row; -1: none */
};

void canvas_deinit(struct canvas *canvas);
/* Cut where the canvas ends. Returns the column behind it. */
unsigned canvas_put(struct canvas *canvas, unsigned row, unsigned column, enum tone tone,
		    const char *format, ...) __attribute__((format(printf, 5, 6)));
/* The same in so many columns, whatever the text's width. */
unsigned canvas_field(struct canvas *canvas, unsigned row, unsigned column, int width,
		      enum tone tone, const char *format, ...)
	__attribute__((format(printf, 6, 7)));
/* As lines of text. */
void canvas_print(const struct canvas *canvas, const struct screen *screen, FILE *out);

void top_draw(const struct top_model *model, struct top_view *view,
	      struct canvas *canvas);
/* Of the selected heap, from that row on; the last one is the canvas's but one. */
void top_draw_details(const struct top_model *model, struct top_view *view,
		      struct canvas *canvas, unsigned row);
/* A timeline in the tones of what it shows. Returns the column behind it. */
unsigned top_draw_timeline(const struct top_model *model, int64_t heap,
			   struct canvas *canvas, unsigned row, unsigned column,
			   size_t width);

/* ---- the daemon ----------------------------------------------------------------------------- */

struct top_feed;

/* CTL_OK, or it has said why there is nothing to show. */
int top_feed_new(const struct ctl *ctl, struct top_feed **ret);
struct top_feed *top_feed_free(struct top_feed *feed);
/* To be waited for: readable, or -1; and when it has something to do (call_now_ms()). */
int top_feed_fd(const struct top_feed *feed);
int64_t top_feed_due(const struct top_feed *feed);
/* Does what there is to do. True: the model is another one. explain: id of a heap, or 0. */
bool top_feed_turn(struct top_feed *feed, struct top_model *model, int64_t explain);

/* ---- keys ----------------------------------------------------------------------------------- */

enum top_key { /* besides characters */
	TOP_KEY_NONE = -1,
	TOP_KEY_UP = 0x110000,
	TOP_KEY_DOWN,
	TOP_KEY_PAGE_UP,
	TOP_KEY_PAGE_DOWN,
	TOP_KEY_HOME,
	TOP_KEY_END,
	TOP_KEY_ENTER,
	TOP_KEY_ESCAPE,
	TOP_KEY_BACKSPACE,
};

/* False: that was the last one. */
bool top_input(struct top_view *view, struct top_model *model, int key);

/* ---- the terminal --------------------------------------------------------------------------- */

/* Takes the terminal; gives it back at the end of the process as well. */
int top_term_open(const struct screen *screen);
void top_term_close(void);
void top_term_size(unsigned *ret_rows, unsigned *ret_columns);
void top_term_resized(void);
void top_term_show(const struct canvas *canvas);
/* The next key, or a character; TOP_KEY_NONE: none is there. */
int top_term_key(void);

#endif

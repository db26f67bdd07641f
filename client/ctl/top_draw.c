/* SPDX-License-Identifier: MIT */
#include "client/ctl/top.h"

#include <stdlib.h>
#include <string.h>

#include "client/ctl/field.h"
#include "client/ctl/show.h"

/* Columns from which on there is room for the services' names and advice; for everything. */
#define MIDDLE 100
#define WIDE   150

/* ---- the daemon -------------------------------------------------------------------------------- */

static unsigned put_count(struct canvas *canvas, unsigned row, unsigned column,
			  const json_t *status, const char *key, const char *words)
{
	bool bad = field_int(status, key, 0) > 0;

	return canvas_put(canvas, row, column, bad ? TONE_BAD : TONE_PLAIN, "%s %s",
			  field_count(status, key).text, words);
}

static unsigned draw_daemon(const struct top_model *model, const struct top_view *view,
			    struct canvas *canvas)
{
	const json_t *s = model->status;
	bool fits = !json_is_false(json_object_get(s, "schedulable"));
	unsigned at;

	at = canvas_put(canvas, 0, 0, TONE_TITLE, "rtgcd %s", field_text(s, "version"));
	at = canvas_put(canvas, 0, at, TONE_PLAIN, ", ");
	at = canvas_put(
		canvas, 0, at,
		strcmp(field_text(s, "mode"), "normal") == 0 ? TONE_PLAIN : TONE_BAD,
		"%s", field_text(s, "mode"));
	at = canvas_put(canvas, 0, at, TONE_PLAIN, ", up %s; by %s%s",
			field_time(s, "uptime_us").text, top_sort_name(view->sort),
			view->backwards ? ", backwards" : "");
	if (view->filter[0] != '\0' || view->typing)
		canvas_put(canvas, 0, at, TONE_WARN, "; filter: %s%s", view->filter,
			   view->typing ? "_" : "");
	at = canvas_put(canvas, 1, 0, TONE_PLAIN,
			"%s heaps in %s services, paused %s (most %s, limit %s), ",
			field_count(s, "heaps").text, field_count(s, "services").text,
			field_count(s, "paused_now").text,
			field_count(s, "paused_max").text,
			field_count(s, "max_concurrent").text);
	at = put_count(canvas, 1, at, s, "forced", "forced");
	at = canvas_put(canvas, 1, at, TONE_PLAIN, ", ");
	at = put_count(canvas, 1, at, s, "over_limit", "over");
	at = canvas_put(canvas, 1, at, TONE_PLAIN, ", ");
	at = put_count(canvas, 1, at, s, "overruns", "late");
	if (canvas->columns >= MIDDLE)
		canvas_put(canvas, 1, at, TONE_PLAIN, "; decisions p99 %s",
			   field_measured(s, "decision_p99_us").text);
	if (model->trouble != NULL)
		canvas_put(canvas, 2, 0, TONE_BAD, "%s", model->trouble);
	else
		canvas_put(canvas, 2, 0, fits ? TONE_DIM : TONE_WARN, "%s",
			   field_text(s, "advice"));
	return 4;
}

/* ---- services ---------------------------------------------------------------------------------- */

static const char *percent(const json_t *object, const char *key, char text[16])
{
	int64_t permille = field_int(object, key, -1);

	if (permille < 0)
		return "-";
	snprintf(text, 16, "%lld%%", (long long)(permille + 5) / 10 % 100000);
	return text;
}

static void draw_service(const json_t *s, struct canvas *canvas, unsigned row)
{
	bool fits = !json_is_false(json_object_get(s, "schedulable"));
	enum tone tone = fits ? TONE_PLAIN : TONE_BAD;
	char text[16];
	unsigned at;

	at = canvas_field(canvas, row, 0, -16, TONE_PLAIN, "%s", field_text(s, "name"));
	at = canvas_field(canvas, row, at + 1, -9,
			  field_true(s, "held") ? TONE_WARN : TONE_PLAIN, "%s",
			  field_true(s, "held") ? "held" : field_text(s, "policy"));
	at = canvas_field(canvas, row, at + 1, 5, TONE_PLAIN, "%s",
			  field_count(s, "heaps").text);
	at = canvas_field(canvas, row, at + 1, 6,
			  field_int(s, "paused_now", 0) > 0 ? TONE_GOOD : TONE_PLAIN,
			  "%s/%s", field_count(s, "paused_now").text,
			  field_count(s, "max_concurrent").text);
	at = canvas_field(canvas, row, at + 1, 5, tone, "%s",
			  field_count(s, "needs_concurrent").text);
	at = canvas_field(canvas, row, at + 1, 5, TONE_PLAIN, "%s",
			  percent(s, "utilization_permille", text));
	at = canvas_field(canvas, row, at + 1, 5, tone, "%s",
			  percent(s, "load_permille", text));
	at = canvas_field(canvas, row, at + 1, 7, TONE_PLAIN, "%s",
			  field_measured(s, "wait_p99_us").text);
	at = canvas_field(canvas, row, at + 1, 6,
			  field_int(s, "forced", 0) > 0 ? TONE_BAD : TONE_PLAIN, "%s",
			  field_count(s, "forced").text);
	at = canvas_field(canvas, row, at + 1, 5,
			  field_int(s, "over_limit", 0) > 0 ? TONE_BAD : TONE_PLAIN, "%s",
			  field_count(s, "over_limit").text);
	if (canvas->columns >= MIDDLE)
		canvas_put(canvas, row, at + 2, fits ? TONE_DIM : TONE_WARN, "%s",
			   field_text(s, "advice"));
}

/* Those that hurt most, on a fifth of the screen. */
static unsigned draw_services(const struct top_model *model, struct canvas *canvas,
			      unsigned row)
{
	size_t n, most = canvas->rows == 0 ? SIZE_MAX : canvas->rows / 5;
	const json_t **sorted = field_sorted(model->services, service_hurts, &n);

	canvas_put(canvas, row++, 0, TONE_TITLE,
		   "%-16s %-9s %5s %6s %5s %5s %5s %7s %6s %5s", "SERVICE", "POLICY",
		   "HEAPS", "PAUSED", "NEEDS", "USE", "LOAD", "WAIT99", "FORCED", "OVER");
	for (size_t i = 0; i < n && i < most; i++) {
		if (i + 1 == most && n > most)
			canvas_put(canvas, row++, 0, TONE_DIM, "%zu more", n - i);
		else
			draw_service(sorted[i], canvas, row++);
	}
	free(sorted);
	return row + 1;
}

/* ---- heaps --------------------------------------------------------------------------------------- */

struct layout {
	int name, service, state, bar, timeline; /* columns; 0: left out */
	bool wide;
};

static struct layout layout_of(const struct canvas *canvas)
{
	struct layout l = {.wide = canvas->columns >= WIDE, .name = 13, .bar = 6};
	int left;

	l.state = l.wide ? 10 : 5;
	if (canvas->columns >= MIDDLE)
		l.service = 12;
	if (l.wide) {
		l.name = canvas->columns >= WIDE + 20 ? 28 : 20;
		l.bar = 10;
	}
	/* What stands between: percent, amounts, rate, left, predicted, last, forced. */
	left = (int)canvas->columns - l.name - 1 - (l.service ? l.service + 1 : 0) -
	       l.state - 1 - l.bar - 6 - (l.wide ? 12 + 7 : 0) - 8 - 7 - 7 - 7;
	l.timeline = left < 0 ? 0 : left > TOP_TIMELINE_S ? TOP_TIMELINE_S : left;
	return l;
}

static void draw_titles(const struct layout *l, struct canvas *canvas, unsigned row)
{
	unsigned at;

	at = canvas_field(canvas, row, 0, -l->name, TONE_TITLE, "HEAP");
	if (l->service)
		at = canvas_field(canvas, row, at + 1, -l->service, TONE_TITLE,
				  "SERVICE");
	at = canvas_field(canvas, row, at + 1, -l->state, TONE_TITLE, "STATE");
	at = canvas_field(canvas, row, at + 1, -l->bar, TONE_TITLE, "USED");
	at = canvas_field(canvas, row, at, 5, TONE_TITLE, "FULL");
	if (l->wide)
		at = canvas_field(canvas, row, at + 1, 11, TONE_TITLE, "OF BUDGET");
	at = canvas_field(canvas, row, at + 1, 7, TONE_TITLE, "RATE");
	at = canvas_field(canvas, row, at + 1, 6, TONE_TITLE, "LEFT");
	at = canvas_field(canvas, row, at + 1, 6, TONE_TITLE, "PAUSE");
	at = canvas_field(canvas, row, at + 1, 6, TONE_TITLE, "LAST");
	if (l->wide)
		at = canvas_field(canvas, row, at + 1, 6, TONE_TITLE, "FORCED");
	if (l->timeline >= 4)
		canvas_field(canvas, row, at + 1, l->timeline, TONE_TITLE,
			     l->timeline >= 20 ? "the last 60 s, until now" : "60 s");
}

static const char *short_state(const char *state)
{
	static const char *const names[][2] = {
		{"wanting", "want"},
		{"draining", "drain"},
		{"granted", "grant"},
		{"collecting", "coll"},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(state, names[i][0]) == 0)
			return names[i][1];
	return state;
}

static enum tone state_tone(const char *state)
{
	if (strcmp(state, "lost") == 0)
		return TONE_BAD;
	if (strcmp(state, "idle") == 0)
		return TONE_DIM;
	return strcmp(state, "wanting") == 0 || strcmp(state, "held") == 0 ? TONE_WARN
									   : TONE_GOOD;
}

/* "####  ": how much of the budget is used. */
static unsigned draw_bar(const json_t *heap, struct canvas *canvas, unsigned row,
			 unsigned column, int width)
{
	int64_t used = field_int(heap, "used", 0), budget = field_int(heap, "budget", 0);
	double share = budget > 0 ? (double)used / (double)budget : 0;
	enum tone tone = share >= 1 ? TONE_BAD : share >= 0.9 ? TONE_WARN : TONE_GOOD;
	int n = share >= 1 ? width : (int)(share * width + 0.5);
	char bar[32];

	memset(bar, '#', (size_t)n);
	memset(bar + n, '-', (size_t)(width - n));
	column = canvas_put(canvas, row, column, tone, "%.*s", n, bar);
	column = canvas_put(canvas, row, column, TONE_DIM, "%.*s", width - n, bar + n);
	if (budget <= 0)
		return canvas_field(canvas, row, column, 5, TONE_DIM, "-");
	return canvas_field(canvas, row, column, 5, share >= 1 ? TONE_BAD : TONE_PLAIN,
			    "%.0f%%", share > 99.99 ? 9999 : share * 100);
}

unsigned top_draw_timeline(const struct top_model *model, int64_t heap,
			   struct canvas *canvas, unsigned row, unsigned column,
			   size_t width)
{
	static const enum tone tones[] = {
		['.'] = TONE_DIM,  ['_'] = TONE_DIM,  ['|'] = TONE_GOOD,
		['s'] = TONE_GOOD, ['O'] = TONE_WARN, ['U'] = TONE_WARN,
		['F'] = TONE_BAD,  ['L'] = TONE_BAD,
	};
	char *text = ctl_alloc(width + 1);
	size_t from = 0;

	top_timeline(model, heap, width, text);
	while (from < width) {
		size_t n = strspn(text + from, (char[]){text[from], '\0'});

		column = canvas_put(canvas, row, column, tones[(unsigned char)text[from]],
				    "%.*s", (int)n, text + from);
		from += n;
	}
	free(text);
	return column;
}

static void draw_heap(const struct top_model *model, const struct layout *l,
		      const json_t *h, struct canvas *canvas, unsigned row)
{
	const json_t *predicted = json_object_get(h, "predicted_pause_us");
	bool bytes = strcmp(field_text(h, "unit"), "objects") != 0;
	const char *state = field_text(h, "state");
	unsigned at;

	at = canvas_field(canvas, row, 0, -l->name, TONE_PLAIN, "%s",
			  field_text(h, "name"));
	if (l->service)
		at = canvas_field(canvas, row, at + 1, -l->service, TONE_PLAIN, "%s",
				  field_text(h, "service"));
	at = canvas_field(canvas, row, at + 1, -l->state, state_tone(state), "%s",
			  l->wide ? state : short_state(state));
	at = draw_bar(h, canvas, row, at + 1, l->bar);
	if (l->wide)
		at = canvas_field(canvas, row, at + 1, 11, TONE_PLAIN, "%s/%s",
				  field_amount(h, "used", bytes).text,
				  field_int(h, "budget", 0) > 0
					  ? field_amount(h, "budget", bytes).text
					  : "-");
	at = canvas_field(canvas, row, at + 1, 7, TONE_PLAIN, "%s/s",
			  field_amount(h, "alloc_rate_per_s", bytes).text);
	at = canvas_field(canvas, row, at + 1, 6,
			  field_int(h, "latest_start_us", 0) < 0 ? TONE_BAD : TONE_PLAIN,
			  "%s", field_time(h, "exhaustion_us").text);
	at = canvas_field(canvas, row, at + 1, 6, TONE_PLAIN, "%s",
			  field_time(predicted, "major").text);
	at = canvas_field(canvas, row, at + 1, 6, TONE_PLAIN, "%s",
			  field_measured(h, "last_pause_us").text);
	if (l->wide)
		at = canvas_field(canvas, row, at + 1, 6,
				  field_int(h, "forced", 0) > 0 ? TONE_BAD : TONE_PLAIN,
				  "%s", field_count(h, "forced").text);
	if (l->timeline >= 4)
		top_draw_timeline(model, field_int(h, "id", 0), canvas, row, at + 1,
				  (size_t)l->timeline);
}

static void draw_heaps(const struct top_model *model, struct top_view *view,
		       struct canvas *canvas, unsigned row)
{
	struct layout l = layout_of(canvas);
	size_t selected = top_model_selected(model, view), last;

	draw_titles(&l, canvas, row++);
	view->room = canvas->rows == 0	      ? model->n_rows
		     : canvas->rows > row + 1 ? canvas->rows - row - 1
					      : 1;
	if (selected < view->first)
		view->first = selected;
	if (selected >= view->first + view->room)
		view->first = selected - view->room + 1;
	if (view->first + view->room > model->n_rows)
		view->first = model->n_rows > view->room ? model->n_rows - view->room : 0;
	last = view->first + view->room;
	for (size_t i = view->first; i < last && i < model->n_rows; i++, row++) {
		if (i == selected)
			canvas->selected = (int)row;
		draw_heap(model, &l, model->rows[i], canvas, row);
	}
	if (model->n_rows == 0)
		canvas_put(canvas, row, 0, TONE_DIM,
			   view->filter[0] != '\0'
				   ? "no heap's or service's name has that in it"
				   : "no heap has joined");
}

/* ---- the whole ------------------------------------------------------------------------------------- */

static void draw_help(struct canvas *canvas, unsigned row)
{
	static const char *const lines[] = {
		"up, down, page up, page down, home, end   choose a heap",
		"enter   the heap in detail, and why it was decided so; again, or q: back",
		"s S     the next order, the one before      r   backwards",
		"/       only heaps whose name, or whose service's, has that in it; escape: all",
		"q       the end                             ?   this, and back",
		"",
		"LEFT    until the budget is used up; red: it should be collecting by now",
		"PAUSE   the predicted one of a major collection; LAST: the last one there was",
		"",
		"The last minute: . nothing   | a pause in its window   s a snapshot",
		"  _ a window not used   O it ended after its window   U uncoordinated",
		"  F forced, without a window   L in a window over the limit",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		canvas_put(canvas, row++, 0, TONE_PLAIN, "%s", lines[i]);
}

static void draw_foot(const struct top_model *model, const struct top_view *view,
		      struct canvas *canvas)
{
	unsigned row = canvas->rows - 1;

	if (view->typing)
		canvas_put(canvas, row, 0, TONE_WARN, "/%s_", view->filter);
	else if (view->page == TOP_LIST)
		canvas_put(
			canvas, row, 0, TONE_DIM,
			"%zu of %zu   q quit  s sort  r reverse  / filter  enter details  ? help",
			model->n_rows, json_array_size(model->heaps));
	else
		canvas_put(canvas, row, 0, TONE_DIM, "q back  up, down: more");
}

void top_draw(const struct top_model *model, struct top_view *view, struct canvas *canvas)
{
	unsigned row = draw_daemon(model, view, canvas);

	canvas->selected = -1;
	switch (view->page) {
	case TOP_LIST:
		row = draw_services(model, canvas, row);
		draw_heaps(model, view, canvas, row);
		break;
	case TOP_DETAILS:
		top_draw_details(model, view, canvas, row);
		break;
	case TOP_HELP:
		draw_help(canvas, row);
		break;
	}
	if (canvas->rows > 0)
		draw_foot(model, view, canvas);
}

/* SPDX-License-Identifier: MIT */
/* One heap in rtgcctl top: its figures, its last minute, and why it was decided so. */
#include "client/ctl/top.h"

#include <string.h>

#include "client/ctl/field.h"

/* What belongs to the heap that is selected: asked for, or the one that was there last. */
static const json_t *heap_of(const struct top_model *model, const struct top_view *view)
{
	const json_t *heap = json_object_get(model->explained, "heap"), *row;

	if (field_int(heap, "id", 0) == view->selected)
		return heap;
	for (size_t i = 0; i < model->n_rows; i++) {
		row = model->rows[i];
		if (field_int(row, "id", 0) == view->selected)
			return row;
	}
	return NULL;
}

static void put(struct canvas *canvas, unsigned row, unsigned column, const char *label,
		const char *text)
{
	column = canvas_put(canvas, row, column, TONE_DIM, "%-12s", label);
	canvas_put(canvas, row, column, TONE_PLAIN, "%s", text);
}

static unsigned draw_figures(const json_t *h, struct canvas *canvas, unsigned row)
{
	const json_t *predicted = json_object_get(h, "predicted_pause_us");
	bool bytes = strcmp(field_text(h, "unit"), "objects") != 0;
	const struct {
		const char *label;
		struct human text;
	} figures[] = {
		{"used", field_amount(h, "used", bytes)},
		{"budget", field_amount(h, "budget", bytes)},
		{"lives", field_amount(h, "live", bytes)},
		{"allocates/s", field_amount(h, "alloc_rate_per_s", bytes)},
		{"full in", field_time(h, "exhaustion_us")},
		{"must start", field_time(h, "latest_start_us")},
		{"predicted", field_time(predicted, "major")},
		{"last pause", field_measured(h, "last_pause_us")},
		{"p99", field_measured(h, "pause_p99_us")},
		{"longest", field_measured(h, "pause_max_us")},
		{"forced", field_count(h, "forced")},
		{"own accord", field_count(h, "uncoordinated")},
		{"declined", field_count(h, "declined")},
		{"overruns", field_count(h, "overruns")},
		{"RSS", field_bytes(h, "rss_bytes")},
	};
	unsigned each = canvas->columns / 3;

	canvas_put(canvas, row++, 0, TONE_TITLE, "%s", field_text(h, "name"));
	canvas_put(canvas, row++, 0, TONE_PLAIN, "service %s, %s, pid %s, heap %s: %s",
		   field_text(h, "service"), field_text(h, "runtime"),
		   field_id(h, "pid").text, field_id(h, "id").text,
		   field_text(h, "state"));
	for (unsigned i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
		put(canvas, row + i / 3, i % 3 * each, figures[i].label,
		    figures[i].text.text);
	return row + 5;
}

/* The newest first; those before view->first are above the screen. */
static void draw_decisions(const json_t *decisions, struct top_view *view,
			   struct canvas *canvas, unsigned row)
{
	size_t n = json_array_size(decisions);

	view->room = canvas->rows > row + 1 ? canvas->rows - row - 1 : 1;
	if (view->first + view->room > n)
		view->first = n > view->room ? n - view->room : 0;
	for (size_t i = view->first; i < n && i < view->first + view->room; i++, row++) {
		const json_t *d = json_array_get(decisions, n - 1 - i);
		unsigned at;

		at = canvas_field(canvas, row, 0, 8, TONE_PLAIN, "%s",
				  field_time(d, "ago_us").text);
		at = canvas_field(canvas, row, at + 1, -14, TONE_TITLE, "%s",
				  field_text(d, "reason"));
		at = canvas_field(canvas, row, at + 1, 5, TONE_PLAIN, "%s/%s",
				  field_count(d, "slots_taken").text,
				  field_count(d, "slots").text);
		if (field_present(d, "holder"))
			at = canvas_put(canvas, row, at + 1, TONE_WARN,
					"%s:", field_text(d, "holder"));
		canvas_put(canvas, row, at + 1, TONE_PLAIN, "%s", field_text(d, "text"));
	}
	if (n == 0)
		canvas_put(canvas, row, 0, TONE_DIM, "nothing was decided about it yet");
}

void top_draw_details(const struct top_model *model, struct top_view *view,
		      struct canvas *canvas, unsigned row)
{
	const json_t *heap = heap_of(model, view);
	unsigned at;

	if (heap == NULL) {
		canvas_put(canvas, row, 0, TONE_WARN, "this heap has left");
		return;
	}
	row = draw_figures(heap, canvas, row);
	at = canvas_put(canvas, row, 0, TONE_DIM, "last 60 s  ");
	top_draw_timeline(model, view->selected, canvas, row, at,
			  canvas->columns > at + TOP_TIMELINE_S ? TOP_TIMELINE_S
								: canvas->columns - at);
	row += 2;
	canvas_put(canvas, row++, 0, TONE_TITLE, "%8s %-14s %5s %s", "AGO", "REASON",
		   "SLOTS", "WHY");
	if (model->explained != NULL &&
	    field_int(json_object_get(model->explained, "heap"), "id", 0) ==
		    view->selected)
		draw_decisions(json_object_get(model->explained, "decisions"), view,
			       canvas, row);
}

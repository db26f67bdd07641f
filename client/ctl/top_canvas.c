/* SPDX-License-Identifier: MIT */
#include "client/ctl/top.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl/text.h"

void canvas_deinit(struct canvas *canvas)
{
	for (size_t i = 0; i < canvas->n; i++)
		free(canvas->spans[i].text);
	free(canvas->spans);
}

static void add(struct canvas *canvas, struct span span)
{
	if (canvas->n == canvas->room) {
		struct span *more;

		canvas->room = canvas->room * 2 + 256;
		more = ctl_alloc(canvas->room * sizeof(*more));
		if (canvas->n > 0)
			memcpy(more, canvas->spans, canvas->n * sizeof(*more));
		free(canvas->spans);
		canvas->spans = more;
	}
	canvas->spans[canvas->n++] = span;
}

/* In at most so many columns. Returns how many it took. */
static unsigned put(struct canvas *canvas, unsigned row, unsigned column, unsigned most,
		    enum tone tone, const char *format, va_list args)
{
	char *text = NULL, *escaped, *cut;
	unsigned width;

	if ((canvas->rows > 0 && row >= canvas->rows) || column >= canvas->columns)
		return 0;
	if (most > canvas->columns - column)
		most = canvas->columns - column;
	if (most == 0)
		return 0;
	if (vasprintf(&text, format, args) < 0)
		exit(ctl_complain(CTL_FAILED, "out of memory"));
	escaped = text_escape(text);
	cut = text_shorten(escaped, most, false);
	width = (unsigned)text_width(cut);
	free(escaped);
	free(text);
	if (width > 0)
		add(canvas,
		    (struct span){
			    .row = row, .column = column, .tone = tone, .text = cut});
	else
		free(cut);
	return width;
}

unsigned canvas_put(struct canvas *canvas, unsigned row, unsigned column, enum tone tone,
		    const char *format, ...)
{
	va_list args;

	va_start(args, format);
	column += put(canvas, row, column, canvas->columns, tone, format, args);
	va_end(args);
	return column;
}

unsigned canvas_field(struct canvas *canvas, unsigned row, unsigned column, int width,
		      enum tone tone, const char *format, ...)
{
	unsigned room = (unsigned)abs(width);
	char text[256];
	va_list args;

	va_start(args, format);
	if (width < 0) { /* to the left */
		put(canvas, row, column, room, tone, format, args);
	} else {
		size_t taken;

		vsnprintf(text, sizeof(text), format, args);
		taken = text_width(text);
		if (taken < room)
			canvas_put(canvas, row, column + room - (unsigned)taken, tone,
				   "%s", text);
		else
			canvas_put(canvas, row, column, tone, "%.*s", (int)room, text);
	}
	va_end(args);
	return column + room;
}

void canvas_print(const struct canvas *canvas, const struct screen *screen, FILE *out)
{
	unsigned row = 0, column = 0;

	for (size_t i = 0; i < canvas->n; i++) {
		const struct span *span = &canvas->spans[i];

		for (; row < span->row; row++, column = 0)
			fputc('\n', out);
		fprintf(out, "%*s%s%s%s", (int)(span->column - column), "",
			tone_on(screen, span->tone), span->text,
			tone_off(screen, span->tone));
		column = span->column + (unsigned)text_width(span->text);
	}
	fputc('\n', out);
}

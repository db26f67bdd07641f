/* SPDX-License-Identifier: MIT */
#include "client/ctl/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl/text.h"

#define GAP		2 /* spaces between two columns */
#define SENTENCE_INDENT 2 /* of its second line and all after it */

struct cell {
	char *text;
	size_t width;
	enum tone tone;
};

struct table {
	const struct column *columns;
	size_t n_columns, n_cells, room;
	struct cell *cells;
};

struct layout {
	size_t *width; /* of each column; 0: left out */
	size_t total;
};

const char *tone_on(const struct screen *screen, enum tone tone)
{
	static const char *const on[] = {
		[TONE_PLAIN] = "",	  [TONE_DIM] = "\033[2m",
		[TONE_GOOD] = "\033[32m", [TONE_WARN] = "\033[33m",
		[TONE_BAD] = "\033[31m",  [TONE_TITLE] = "\033[1m",
	};

	return screen->colour ? on[tone] : "";
}

const char *tone_off(const struct screen *screen, enum tone tone)
{
	return screen->colour && tone != TONE_PLAIN ? "\033[0m" : "";
}

static char *escaped_text(const char *format, va_list args)
{
	char *text = NULL, *escaped;

	if (vasprintf(&text, format, args) < 0)
		exit(ctl_complain(CTL_FAILED, "out of memory"));
	escaped = text_escape(text);
	free(text);
	return escaped;
}

void screen_line(const struct screen *screen, enum tone tone, const char *format, ...)
{
	char *escaped, *cut;
	va_list args;

	va_start(args, format);
	escaped = escaped_text(format, args);
	va_end(args);
	cut = text_shorten(escaped, screen->columns > 0 ? screen->columns : SIZE_MAX / 2,
			   false);
	printf("%s%s%s\n", tone_on(screen, tone), cut, tone_off(screen, tone));
	free(cut);
	free(escaped);
}

void screen_sentence(const struct screen *screen, enum tone tone, size_t begun,
		     const char *format, ...)
{
	char *escaped, *wrapped;
	va_list args;

	va_start(args, format);
	escaped = escaped_text(format, args);
	va_end(args);
	wrapped = text_wrap(escaped, screen->columns, begun,
			    begun > 0 ? begun : SENTENCE_INDENT);
	printf("%s%s%s\n", tone_on(screen, tone), wrapped, tone_off(screen, tone));
	free(wrapped);
	free(escaped);
}

struct table *table_new(const struct column *columns, size_t n_columns)
{
	struct table *table = ctl_alloc(sizeof(*table));

	table->columns = columns;
	table->n_columns = n_columns;
	return table;
}

struct table *table_free(struct table *table)
{
	if (table == NULL)
		return NULL;
	for (size_t i = 0; i < table->n_cells; i++)
		free(table->cells[i].text);
	free(table->cells);
	free(table);
	return NULL;
}

void table_cell(struct table *table, enum tone tone, const char *format, ...)
{
	struct cell *cell, *more;
	va_list args;

	if (table->n_cells == table->room) {
		table->room = table->room * 2 + 64;
		more = ctl_alloc(table->room * sizeof(*more));
		if (table->n_cells > 0)
			memcpy(more, table->cells, table->n_cells * sizeof(*more));
		free(table->cells);
		table->cells = more;
	}
	cell = &table->cells[table->n_cells++];
	va_start(args, format);
	cell->text = escaped_text(format, args);
	va_end(args);
	cell->width = text_width(cell->text);
	cell->tone = tone;
}

static void layout_sum(const struct table *table, struct layout *layout)
{
	layout->total = 0;
	for (size_t i = 0; i < table->n_columns; i++)
		if (layout->width[i] > 0)
			layout->total += layout->width[i] + (layout->total > 0 ? GAP : 0);
}

/* Takes one column's worth off the widest column that may shrink; false: none may. */
static bool layout_shrink(const struct table *table, struct layout *layout)
{
	size_t widest = table->n_columns;

	for (size_t i = 0; i < table->n_columns; i++) {
		if (table->columns[i].least == 0 ||
		    layout->width[i] <= table->columns[i].least)
			continue;
		if (widest == table->n_columns ||
		    layout->width[i] >= layout->width[widest])
			widest = i;
	}
	if (widest == table->n_columns)
		return false;
	layout->width[widest]--;
	layout->total--;
	return true;
}

/* What the columns take at the least when those of a rank above `rank` are left out. */
static size_t least_total(const struct table *table, const size_t *natural, unsigned rank)
{
	size_t total = 0, width;

	for (size_t i = 0; i < table->n_columns; i++) {
		if (table->columns[i].rank > rank)
			continue;
		width = natural[i];
		if (table->columns[i].least > 0 && width > table->columns[i].least)
			width = table->columns[i].least;
		total += width + (total > 0 ? GAP : 0);
	}
	return total;
}

static void layout_fit(const struct table *table, size_t columns, struct layout *layout)
{
	unsigned rank = 0;

	for (size_t i = 0; i < table->n_columns; i++)
		if (table->columns[i].rank > rank)
			rank = table->columns[i].rank;
	while (rank > 0 && least_total(table, layout->width, rank) > columns)
		rank--;
	for (size_t i = 0; i < table->n_columns; i++)
		if (table->columns[i].rank > rank)
			layout->width[i] = 0;
	layout_sum(table, layout);
	while (layout->total > columns && layout_shrink(table, layout))
		;
}

static void layout_init(struct layout *layout, const struct table *table, size_t columns)
{
	const struct cell *cell;
	size_t *width;

	layout->width = ctl_alloc(table->n_columns * sizeof(*layout->width));
	for (size_t i = 0; i < table->n_columns; i++)
		layout->width[i] = text_width(table->columns[i].title);
	for (size_t i = 0; i < table->n_cells; i++) {
		cell = &table->cells[i];
		width = &layout->width[i % table->n_columns];
		if (cell->width > *width)
			*width = cell->width;
	}
	layout_sum(table, layout);
	if (columns > 0)
		layout_fit(table, columns, layout);
}

/* One cell, shortened to `width`. *due: spaces owed before the next text of the line. */
static void print_cell(const struct screen *screen, const struct column *column,
		       const struct cell *cell, size_t width, size_t *due, FILE *out)
{
	char *text = text_shorten(cell->text, width, column->middle);
	size_t taken = text_width(text), before = column->right ? width - taken : 0;

	*due += before;
	if (taken > 0) {
		fprintf(out, "%*s%s%s%s", (int)*due, "", tone_on(screen, cell->tone),
			text, tone_off(screen, cell->tone));
		*due = 0;
	}
	*due += width - taken - before + GAP;
	free(text);
}

static void print_row(const struct table *table, const struct screen *screen,
		      const struct layout *layout, const struct cell *cells, FILE *out)
{
	size_t due = 0, left = screen->columns, width;

	for (size_t i = 0; i < table->n_columns; i++) {
		width = layout->width[i];
		if (width == 0)
			continue;
		/* Narrower than the columns that are always shown: the line is cut. */
		if (screen->columns > 0 && width > left)
			width = left;
		if (width == 0)
			break;
		print_cell(screen, &table->columns[i], &cells[i], width, &due, out);
		left -= width + GAP < left ? width + GAP : left;
	}
	fputc('\n', out);
}

static void print_titles(const struct table *table, const struct screen *screen,
			 const struct layout *layout, FILE *out)
{
	struct cell *titles = ctl_alloc(table->n_columns * sizeof(*titles));

	for (size_t i = 0; i < table->n_columns; i++) {
		titles[i].text = (char *)table->columns[i].title;
		titles[i].width = text_width(titles[i].text);
		titles[i].tone = TONE_TITLE;
	}
	print_row(table, screen, layout, titles, out);
	free(titles);
}

void table_print(const struct table *table, const struct screen *screen, FILE *out)
{
	struct layout layout;

	layout_init(&layout, table, screen->columns);
	print_titles(table, screen, &layout, out);
	for (size_t i = 0; i + table->n_columns <= table->n_cells; i += table->n_columns)
		print_row(table, screen, &layout, &table->cells[i], out);
	free(layout.width);
}

/* SPDX-License-Identifier: MIT */
#include "client/ctl/top.h"

#include <string.h>

#include "client/ctl/field.h"

static void select_row(struct top_view *view, const struct top_model *model, size_t row)
{
	if (row >= model->n_rows)
		row = model->n_rows > 0 ? model->n_rows - 1 : 0;
	view->selected = model->n_rows > 0 ? field_int(model->rows[row], "id", 0) : 0;
}

/* Up and down: the selection, or what is shown of the details. */
static void move(struct top_view *view, const struct top_model *model, int key)
{
	bool list = view->page == TOP_LIST;
	size_t at = list ? top_model_selected(model, view) : view->first;
	size_t page = view->room > 1 ? view->room - 1 : 1;

	switch (key) {
	case TOP_KEY_UP:
		at -= at > 0;
		break;
	case TOP_KEY_DOWN:
		at++;
		break;
	case TOP_KEY_PAGE_UP:
		at -= at > page ? page : at;
		break;
	case TOP_KEY_PAGE_DOWN:
		at += page;
		break;
	case TOP_KEY_HOME:
		at = 0;
		break;
	case TOP_KEY_END:
		at = list && model->n_rows > 0 ? model->n_rows - 1 : at;
		break;
	}
	if (list)
		select_row(view, model, at);
	else
		view->first = at; /* (drawing sees to the end) */
}

static void show_page(struct top_view *view, enum top_page page)
{
	view->page = page;
	view->first = 0;
}

/* The filter, character by character. */
static void type(struct top_view *view, int key)
{
	size_t n = strlen(view->filter);

	if (key == TOP_KEY_ENTER) {
		view->typing = false;
	} else if (key == TOP_KEY_ESCAPE) {
		view->typing = false;
		view->filter[0] = '\0';
	} else if (key == TOP_KEY_BACKSPACE) {
		while (n > 0 && (view->filter[--n] & 0xc0) == 0x80)
			; /* the rest of a character */
		view->filter[n] = '\0';
	} else if (key >= ' ' && key <= 0xff && n + 1 < sizeof(view->filter)) {
		view->filter[n] = (char)key;
		view->filter[n + 1] = '\0';
	}
}

static void sort_by(struct top_view *view, int step)
{
	view->sort = (enum top_sort)(((int)view->sort + TOP_SORT_COUNT + step) %
				     TOP_SORT_COUNT);
	view->backwards = false;
	view->first = 0;
}

/* Those of the list alone. */
static void list_key(struct top_view *view, struct top_model *model, int key)
{
	switch (key) {
	case '/':
		view->typing = true;
		break;
	case 's':
	case '>':
		sort_by(view, 1);
		break;
	case 'S':
	case '<':
		sort_by(view, -1);
		break;
	case 'r':
		view->backwards = !view->backwards;
		break;
	case TOP_KEY_ESCAPE:
		view->filter[0] = '\0';
		break;
	case TOP_KEY_ENTER:
	case 'e':
		if (model->n_rows == 0)
			break;
		select_row(view, model, top_model_selected(model, view));
		show_page(view, TOP_DETAILS);
		break;
	}
}

bool top_input(struct top_view *view, struct top_model *model, int key)
{
	if (view->typing) {
		type(view, key);
	} else if (key == 'q') {
		if (view->page == TOP_LIST)
			return false;
		show_page(view, TOP_LIST);
	} else if (key == '?' || key == 'h') {
		show_page(view, view->page == TOP_HELP ? TOP_LIST : TOP_HELP);
	} else if (key >= TOP_KEY_UP && key <= TOP_KEY_END) {
		move(view, model, key);
	} else if (key == 'k' || key == 'j') {
		move(view, model, key == 'k' ? TOP_KEY_UP : TOP_KEY_DOWN);
	} else if (view->page == TOP_LIST) {
		list_key(view, model, key);
	} else if (key == TOP_KEY_ESCAPE || key == TOP_KEY_ENTER) {
		show_page(view, TOP_LIST);
	}
	top_model_arrange(model, view);
	return true;
}

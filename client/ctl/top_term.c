/* SPDX-License-Identifier: MIT */
/* The terminal: the one file that knows of ncurses. */
#include <curses.h>

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client/ctl/top.h"

static struct {
	SCREEN *screen;
	bool colour, closed;
} term;

static void give_back(void)
{
	top_term_close();
}

int top_term_open(const struct screen *screen)
{
	term.screen = newterm(NULL, stdout, stdin);
	if (term.screen == NULL)
		return ctl_complain(
			CTL_FAILED,
			"this terminal (TERM=%s) cannot do it: try rtgcctl top -b",
			getenv("TERM") != NULL ? getenv("TERM") : "");
	atexit(give_back);
	set_term(term.screen);
	cbreak();
	noecho();
	nonl();
	curs_set(0);
	keypad(stdscr, true);
	nodelay(stdscr, true);
	set_escdelay(25);
	term.colour = screen->colour && has_colors();
	if (term.colour) {
		start_color();
		use_default_colors();
		init_pair(TONE_GOOD, COLOR_GREEN, -1);
		init_pair(TONE_WARN, COLOR_YELLOW, -1);
		init_pair(TONE_BAD, COLOR_RED, -1);
	}
	return CTL_OK;
}

void top_term_close(void)
{
	if (term.screen == NULL || term.closed)
		return;
	term.closed = true;
	endwin();
}

void top_term_size(unsigned *ret_rows, unsigned *ret_columns)
{
	*ret_rows = LINES > 0 ? (unsigned)LINES : 24;
	*ret_columns = COLS > 0 ? (unsigned)COLS : 80;
}

void top_term_resized(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 &&
	    size.ws_col > 0)
		resizeterm(size.ws_row, size.ws_col);
	clearok(curscr, true);
}

static attr_t attributes(enum tone tone)
{
	switch (tone) {
	case TONE_PLAIN:
		return A_NORMAL;
	case TONE_DIM:
		return A_DIM;
	case TONE_TITLE:
		return A_BOLD;
	case TONE_GOOD:
	case TONE_WARN:
	case TONE_BAD:
		break;
	}
	if (term.colour)
		return (attr_t)COLOR_PAIR(tone);
	return tone == TONE_BAD ? A_BOLD : A_NORMAL;
}

void top_term_show(const struct canvas *canvas)
{
	erase();
	for (size_t i = 0; i < canvas->n; i++) {
		const struct span *span = &canvas->spans[i];

		attrset((int)attributes(span->tone));
		mvaddstr((int)span->row, (int)span->column, span->text);
	}
	attrset(A_NORMAL);
	if (canvas->selected >= 0)
		mvchgat(canvas->selected, 0, -1, A_REVERSE, 0, NULL);
	refresh();
}

int top_term_key(void)
{
	static const struct {
		int curses, key;
	} keys[] = {
		{KEY_UP, TOP_KEY_UP},
		{KEY_DOWN, TOP_KEY_DOWN},
		{KEY_PPAGE, TOP_KEY_PAGE_UP},
		{KEY_NPAGE, TOP_KEY_PAGE_DOWN},
		{KEY_HOME, TOP_KEY_HOME},
		{KEY_END, TOP_KEY_END},
		{KEY_ENTER, TOP_KEY_ENTER},
		{'\r', TOP_KEY_ENTER},
		{'\n', TOP_KEY_ENTER},
		{27, TOP_KEY_ESCAPE},
		{KEY_BACKSPACE, TOP_KEY_BACKSPACE},
		{127, TOP_KEY_BACKSPACE},
		{8, TOP_KEY_BACKSPACE},
	};
	int key = getch();

	if (key == ERR)
		return TOP_KEY_NONE;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (keys[i].curses == key)
			return keys[i].key;
	return key < 256 ? key : 0;
}

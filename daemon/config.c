/* SPDX-License-Identifier: MIT */
#include "daemon/config.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/wire/names.h"
#include "daemon/config_files.h"
#include "daemon/config_keys.h"
#include "daemon/config_show.h"

#define LINE_MOST	1000
#define BYTE_ORDER_MARK "\xef\xbb\xbf"

/* One file while it is read. The library tells neither the line nor long sections. */
struct reading {
	struct config *config;
	unsigned cpus;
	const char *shown; /* the path, as one line of text */
	FILE *file;
	int line;
	char section[LINE_MOST];
	char *text; /* of the line, as getline() wants it */
	size_t allocated;
	bool failed;
	char *error; /* what was found first; NULL: memory has run out */
};

/* What is told came from files and folders: it is made one line of text. NULL: no memory. */
static char *make_line(const char *text)
{
	size_t size = 4 * strlen(text) + 1;
	char *line = malloc(size);

	if (line)
		text_line(line, size, text);
	return line;
}

/* -EINVAL, or -ENOMEM with *ret untouched. */
static int tell(char **ret, const char *what, const char *why)
{
	char *text, *line;

	if (asprintf(&text, "%s: %s", what, why) < 0)
		return -ENOMEM;
	line = make_line(text);
	free(text);
	if (!line)
		return -ENOMEM;
	*ret = line;
	return -EINVAL;
}

static void fail(struct reading *r, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void fail(struct reading *r, const char *format, ...)
{
	char message[CONFIG_MESSAGE_MAX];
	char *file;
	va_list ap;

	if (r->failed)
		return;
	r->failed = true;
	va_start(ap, format);
	vsnprintf(message, sizeof message, format, ap);
	va_end(ap);
	if (asprintf(&file, "%s:%d", r->shown, r->line) < 0)
		return;
	tell(&r->error, file, message);
	free(file);
}

/* ---- sections ------------------------------------------------------------------------------ */

/* Called by the library for each KEY=VALUE. */
static int on_value(void *userdata, const char *section, const char *key,
		    const char *value)
{
	struct reading *r = userdata;
	char message[CONFIG_MESSAGE_MAX];

	if (!text_valid(value))
		fail(r, "%s=%s: not UTF-8, or a control character", key, value);
	else if (!config_set(r->config, r->cpus, r->section, key, value, message))
		fail(r, "%s", message);
	else if (config_note(r->config, r->section, key, value, r->shown, r->line) < 0)
		fail(r, "out of memory");
	return !r->failed;
}

/* ---- lines --------------------------------------------------------------------------------- */

static void note_section(struct reading *r, const char *line)
{
	char message[CONFIG_MESSAGE_MAX];
	const char *end = strchr(line, ']');

	if (line[0] != '[' || !end)
		return;
	snprintf(r->section, sizeof r->section, "%.*s", (int)(end - line - 1), line + 1);
	if (!config_check_section(r->section, message))
		fail(r, "%s", message);
}

/* Called by the library for each line. NULL: the end, or something is wrong. */
static char *on_line(char *buf, int size, void *userdata)
{
	struct reading *r = userdata;
	const char *line;
	ssize_t n;

	if (r->failed)
		return NULL;
	n = getline(&r->text, &r->allocated, r->file);
	if (n < 0)
		return NULL;
	r->line++;
	if (memchr(r->text, '\0', (size_t)n)) {
		fail(r, "a NUL byte");
		return NULL;
	}
	while (n > 0 && strchr(" \t\r\n", r->text[n - 1]))
		r->text[--n] = '\0';
	line = r->text;
	if (r->line == 1 && strncmp(line, BYTE_ORDER_MARK, 3) == 0)
		line += 3;
	/* An indented line is not the continuation of the one before. */
	line += strspn(line, " \t");
	if (snprintf(buf, (size_t)size, "%s\n", line) >= size) {
		fail(r, "the line is longer than %d bytes", size - 2);
		return NULL;
	}
	note_section(r, line);
	return r->failed ? NULL : buf;
}

static int read_file(struct config *config, unsigned cpus, const char *path,
		     char **ret_error)
{
	struct reading r = {.config = config, .cpus = cpus};
	char *shown;
	int line;

	ini_allow_multiline = false;
	ini_inline_comment_prefixes = (char *)";#";
	ini_stop_on_first_error = true;
	ini_use_stack = false;
	ini_max_line = LINE_MOST + 3;
	r.file = fopen(path, "re");
	if (!r.file)
		return tell(ret_error, path, strerror(errno));
	shown = make_line(path);
	if (!shown) {
		fclose(r.file);
		return -ENOMEM;
	}
	r.shown = shown;
	line = ini_parse_stream(on_line, &r, on_value, &r);
	if (line == 0 &&
	    !feof(r.file)) /* getline() may lack memory, which is no error of the file's */
		fail(&r, "cannot be read");
	if (line < 0)
		fail(&r, "out of memory");
	if (line > 0) /* the one that was read last: it stops there */
		fail(&r, "not a [Section], a KEY=VALUE or a # comment");
	free(r.text);
	free(shown);
	fclose(r.file);
	if (!r.failed)
		return 0;
	if (!r.error)
		return -ENOMEM;
	*ret_error = r.error;
	return -EINVAL;
}

/* ---- all of it ----------------------------------------------------------------------------- */

static int find_files(const char *file, struct config_files *ret, char **ret_error)
{
	int r = file ? config_files_of(file, ret)
		     : config_files_find(config_folders, "rtgcd/rtgcd.conf", ret);

	if (r == 0 || r == -ENOMEM)
		return r;
	return tell(ret_error, file ? file : "configuration", strerror(-r));
}

int config_load(const char *file, unsigned cpus, struct config **ret, char **ret_error)
{
	struct config_files files = {0};
	struct config *config = NULL;
	int r = config_new(cpus, &config);

	if (r < 0)
		return r;
	r = find_files(file, &files, ret_error);
	for (size_t i = 0; i < files.n && r == 0; i++)
		r = read_file(config, cpus, files.paths[i], ret_error);
	config_files_deinit(&files);
	if (r < 0) {
		config_free(config);
		return r;
	}
	*ret = config;
	return 0;
}

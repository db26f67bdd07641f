/* SPDX-License-Identifier: MIT */
#include "client/ctl/ctl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl/text.h"

static char **diverted; /* NULL: to stderr */

void ctl_divert(char **ret)
{
	diverted = ret;
}

int ctl_complain(int status, const char *format, ...)
{
	char *text = NULL, *escaped;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	if (text == NULL) {
		fputs("rtgcctl: out of memory\n", stderr);
		return CTL_FAILED;
	}
	if (diverted != NULL) {
		free(*diverted);
		*diverted = text;
		return status;
	}
	escaped = text_escape(text);
	fprintf(stderr, "rtgcctl: %s\n", escaped);
	free(escaped);
	free(text);
	return status;
}

void *ctl_alloc(size_t size)
{
	void *memory = calloc(1, size > 0 ? size : 1);

	if (memory == NULL) {
		fputs("rtgcctl: out of memory\n", stderr);
		exit(CTL_FAILED);
	}
	return memory;
}

char *ctl_format(const char *format, ...)
{
	char *text = NULL;
	va_list args;
	int n;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	if (n < 0) {
		fputs("rtgcctl: out of memory\n", stderr);
		exit(CTL_FAILED);
	}
	return text;
}

bool ctl_print_json(const struct ctl *ctl, const json_t *reply)
{
	char *text, *escaped;

	if (ctl->json == CTL_JSON_OFF)
		return false;
	text = json_dumps(reply,
			  ctl->json == CTL_JSON_PRETTY ? JSON_INDENT(2) : JSON_COMPACT);
	if (text == NULL) {
		fputs("rtgcctl: out of memory\n", stderr);
		exit(CTL_FAILED);
	}
	escaped = text_escape_json(text);
	puts(escaped);
	free(escaped);
	free(text);
	return true;
}

/* SPDX-License-Identifier: MIT */
#include "daemon/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syslog.h>
#define SD_JOURNAL_SUPPRESS_LOCATION /* where it was built is nobody's business */
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "client/wire/names.h"

#define LINE_MAX_BYTES 1024
#define PEER_BURST     20
#define PEER_SPAN      (10 * NSEC_PER_SEC)
#define SELDOM	       (60 * NSEC_PER_SEC)

static enum log_target log_target = LOG_TO_STDERR;
static struct {
	nsec_t since;
	unsigned n;
	uint64_t left_out;
} peer_lines;

void log_init(enum log_target target)
{
	log_target = target;
	if (target == LOG_TO_SYSLOG)
		openlog("rtgcd", LOG_PID, LOG_DAEMON);
}

enum log_target log_choose(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	struct stat st;

	if (stream && sscanf(stream, "%ju:%ju", &device, &inode) == 2 &&
	    fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode)
		return LOG_TO_JOURNAL;
	return LOG_TO_STDERR;
}

/* The same stand in systemd/rtgcd.catalog. */
static const struct {
	const char *event, *id;
} message_ids[] = {
	{"failed", "96ca543eab694d8fb9bf54600f455290"},
	{"reload-failed", "41aa3ff3b216427ab7844aee5c388548"},
	{"guard-lost", "76b25768690045cf8305ee23ec41ba67"},
	{"guard-failed", "6017dbea144b4324b93a4a78e098f9d8"},
	{"undrainable", "a1c8637ff89d477f96245a34e0d3f179"},
	{"no-descriptors", "b57529906bb54582b44e77d30f0065eb"},
	{"gates-open", "3f0c7a52b5d04a6fb0c1e8a8f2d9471e"},
	{"gates-closed", "9d2b6e14c7f84e0a8a53d1b96c0e7f25"},
	{"slow", "ca93f2f6ceaa424ea16485346fb4e377"},
	{"refused", "69b6f9b93fd7435692c486f3e6d9ee23"},
	{"limit", "4d0ae0ae7bb54bb4a3e5c0a4c0d7e4b1"},
	{"not-restored", "5e0c7d0b9a6f4b64a2f3d6178c2e94b7"},
	{"flood", "b8f1d6a3c1ba4f0c9d8ee4d2a7f5c360"},
};

static const char *message_id(const char *event)
{
	for (size_t i = 0; i < sizeof message_ids / sizeof *message_ids; i++)
		if (strcmp(message_ids[i].event, event) == 0)
			return message_ids[i].id;
	return NULL;
}

static void put(int priority, const char *event, const char *format, va_list ap)
{
	char raw[LINE_MAX_BYTES], line[LINE_MAX_BYTES + LINE_MAX_BYTES / 2];
	const char *id = message_id(event);

	vsnprintf(raw, sizeof raw, format, ap);
	text_line(line, sizeof line, raw); /* must stay one line, whatever is in it */
	switch (log_target) {
	case LOG_TO_JOURNAL:
		sd_journal_send("MESSAGE=%s", line, "PRIORITY=%d", priority,
				"RTGCD_EVENT=%s", event, id ? "MESSAGE_ID=%s" : NULL, id,
				NULL);
		break;
	case LOG_TO_SYSLOG:
		syslog(priority, "%s", line);
		break;
	case LOG_TO_STDERR:
		fprintf(stderr, "rtgcd: %s\n", line);
		break;
	}
}

void log_info(const char *event, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	put(LOG_INFO, event, format, ap);
	va_end(ap);
}

void log_error(const char *event, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	put(LOG_ERR, event, format, ap);
	va_end(ap);
}

static void log_warning(const char *event, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void log_warning(const char *event, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	put(LOG_WARNING, event, format, ap);
	va_end(ap);
}

void log_peer(nsec_t now, const char *event, const char *format, ...)
{
	va_list ap;

	if (peer_lines.n == 0 || now - peer_lines.since >= PEER_SPAN) {
		peer_lines.since = now;
		peer_lines.n = 0;
		if (peer_lines.left_out > 0)
			log_info("left-out", "%" PRIu64 " lines were left out",
				 peer_lines.left_out);
		peer_lines.left_out = 0;
	}
	if (peer_lines.n >= PEER_BURST) {
		peer_lines.left_out++;
		return;
	}
	peer_lines.n++;
	va_start(ap, format);
	put(LOG_WARNING, event, format, ap);
	va_end(ap);
}

void log_seldom(nsec_t now, struct log_again *again, const char *event,
		const char *format, ...)
{
	char line[LINE_MAX_BYTES], more[64] = "";
	va_list ap;

	if (again->next > now) {
		again->left_out++;
		return;
	}
	if (again->left_out > 0)
		snprintf(more, sizeof(more), " (and %" PRIu64 " times before)",
			 again->left_out);
	*again = (struct log_again){.next = nsec_add(now, SELDOM)};
	va_start(ap, format);
	vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	log_warning(event, "%s%s", line, more);
}

/* SPDX-License-Identifier: MIT */
/*
 * The event log: any lines. What the reader takes is written and read again as the same; what
 * it refuses it says why, in one line. Then the whole of it as rtgcctl simulate takes it: into histories,
 * and these through the core.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl/simulate.h"
#include "daemon/eventlog.h"
#include "tests/fuzz/fuzz.h"

#define REPLAY_LINES 200

static void refused(const struct eventlog_reader *reader, int r)
{
	fuzz_check(r == -EINVAL);
	fuzz_check(reader->error[0] && !strchr(reader->error, '\n'));
}

static char *written(json_t *object)
{
	char *text = json_dumps(object, JSON_COMPACT);

	fuzz_check(text);
	json_decref(object);
	return text;
}

static void header(struct eventlog_reader *reader, const char *line, size_t size)
{
	struct eventlog_reader second = {0};
	struct eventlog_header first, again;
	int r = eventlog_read_header(reader, line, size, &first);
	char *text, *text_again;

	if (r != 0) {
		refused(reader, r);
		return;
	}
	text = written(eventlog_write_header(&first));
	fuzz_check(eventlog_read_header(&second, text, strlen(text), &again) == 0);
	text_again = written(eventlog_write_header(&again));
	fuzz_check(strcmp(text, text_again) == 0);
	free(text);
	free(text_again);
	eventlog_header_deinit(&first);
	eventlog_header_deinit(&again);
}

static void entry(struct eventlog_reader *reader, const char *line, size_t size)
{
	struct eventlog_reader second = {0};
	struct eventlog_entry first, again;
	int r = eventlog_read(reader, line, size, &first);
	char *text, *text_again;

	if (r != 0) {
		refused(reader, r);
		return;
	}
	text = written(eventlog_write(&first));
	fuzz_check(eventlog_read(&second, text, strlen(text), &again) == 0);
	text_again = written(eventlog_write(&again));
	fuzz_check(strcmp(text, text_again) == 0);
	free(text);
	free(text_again);
	eventlog_entry_deinit(&first);
	eventlog_entry_deinit(&again);
}

static unsigned lines(const uint8_t *data, size_t size)
{
	struct eventlog_reader reader = {0};
	const char *at = (const char *)data;
	unsigned n = 0;

	while (size > 0) {
		const char *end = memchr(at, '\n', size);
		size_t length = end ? (size_t)(end - at) : size;

		if (n++ == 0)
			header(&reader, at, length);
		else
			entry(&reader, at, length);
		at += length + (end ? 1 : 0);
		size -= length + (end ? 1 : 0);
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sim_figures figures;
	struct sim_log *log;

	if (lines(data, size) > REPLAY_LINES ||
	    sim_log_read(fuzz_file(data, size), &log) != 0)
		return 0;
	if (sim_run(log, NULL, NULL, &figures) == 0) {
		figures_wait_quantile(&figures, 990);
		figures_most_at_once(&figures);
		figures_deinit(&figures);
	}
	sim_log_free(log);
	return 0;
}

/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/python/record.h"

#define RECORDS	  1024
#define NAME_SIZE 64
#define LINE_SIZE (2 * NAME_SIZE + 256)

static struct {
	char *path; /* NULL: no record is wanted */
	char heap[NAME_SIZE];
	struct record ring[RECORDS];
	_Atomic uint64_t head, tail; /* written, and taken out */
	_Atomic uint64_t lost;
} records;

/* The program may change its working directory; its record stays where it was begun. */
int record_init(void)
{
	const char *path = getenv("RTGC_RECORD");
	char *cwd, *joined = NULL;

	if (records.path || !path || !*path)
		return 0;
	if (*path == '/') {
		records.path = strdup(path);
		return records.path ? 0 : -ENOMEM;
	}
	cwd = getcwd(NULL, 0);
	if (cwd && asprintf(&joined, "%s/%s", cwd, path) < 0)
		joined = NULL;
	free(cwd);
	records.path = joined;
	return joined ? 0 : -ENOMEM;
}

bool record_wanted(void)
{
	return records.path;
}

void record_name(const char *heap)
{
	snprintf(records.heap, sizeof(records.heap), "%s", heap);
}

void record_add(const struct record *record)
{
	uint64_t head = atomic_load(&records.head);

	if (!records.path)
		return;
	if (head - atomic_load(&records.tail) == RECORDS) {
		atomic_fetch_add(&records.lost, 1);
		return;
	}
	records.ring[head % RECORDS] = *record;
	atomic_store(&records.head, head + 1);
}

/* Names hold no control characters; quotes and backslashes are all JSON minds. */
static void quote(const char *name, char ret[2 * NAME_SIZE])
{
	while (*name) {
		if (*name == '"' || *name == '\\')
			*ret++ = '\\';
		*ret++ = *name++;
	}
	*ret = '\0';
}

static void append(int fd, const char *line, int length)
{
	while (length > 0) {
		ssize_t n = write(fd, line, (size_t)length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		line += n;
		length -= (int)n;
	}
}

static void append_lost(int fd)
{
	uint64_t lost = atomic_exchange(&records.lost, 0);
	char line[LINE_SIZE];

	if (lost)
		append(fd, line,
		       snprintf(line, sizeof(line), "{\"pid\":%d,\"lost\":%" PRIu64 "}\n",
				(int)getpid(), lost));
}

void record_flush(void)
{
	uint64_t tail = atomic_load(&records.tail);
	char heap[2 * NAME_SIZE], line[LINE_SIZE];
	int fd;

	if (!records.path || tail == atomic_load(&records.head))
		return;
	fd = open(records.path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0)
		return;
	quote(records.heap, heap);
	for (; tail != atomic_load(&records.head); tail++) {
		const struct record *r = &records.ring[tail % RECORDS];

		append(fd, line,
		       snprintf(line, sizeof(line),
				"{\"pid\":%d,\"heap\":\"%s\",\"kind\":\"%s\","
				"\"cause\":\"%s\",\"begin_ns\":%" PRIu64
				",\"end_ns\":%" PRIu64 ",\"freed\":%" PRIu64
				",\"stop_ns\":%" PRIu64 ",\"fork_ns\":%" PRIu64 "}\n",
				(int)getpid(), heap, r->kind, r->cause, r->begin_ns,
				r->end_ns, r->freed,
				r->stop_ns ? r->stop_ns : r->end_ns - r->begin_ns,
				r->fork_ns));
		atomic_store(&records.tail, tail + 1);
	}
	append_lost(fd);
	close(fd);
}

void record_after_fork_child(void)
{
	atomic_store(&records.tail, atomic_load(&records.head));
	atomic_store(&records.lost, 0);
}

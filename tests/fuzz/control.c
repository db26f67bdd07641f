/* SPDX-License-Identifier: MIT */
/*
 * The control socket of the whole daemon, with heaps, one of them in a window: any bytes, in pieces
 * of any size. Each answer is a Varlink reply and nothing else, and who was cut off for what it sent
 * is served again by a new connection.
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/inside.h"

#define HEAPS	   3
#define REPLY_MOST (2 << 20)
#define SETTLE	   4 /* steps in which heaps say what they have to say */
#define LAST_WORDS 3 /* steps for what is still to be answered */

static const char config[] = "[Daemon]\nMaxConcurrent=1\n[Service:a]\nBudget=1M\n"
			     "[Service:b]\nPolicy=together\nNeverWith=a\n";
static const char probe[] = "{\"method\":\"org.varlink.service.GetInfo\"}";

struct run {
	struct fuzz_bytes in;
	int heap[HEAPS];
	int fd; /* -1: none */
	unsigned steps, last;
	bool probing, answered;
	char *reply; /* what has come since the last NUL */
	size_t n_reply;
};

/* ---- Answers --------------------------------------------------------------------------------- */

static void check_reply(const char *text, size_t size)
{
	json_t *reply = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL), *value;
	const char *key;

	fuzz_check(json_is_object(reply));
	fuzz_check(json_is_object(json_object_get(reply, "parameters")));
	json_object_foreach(reply, key, value)
	{
		if (strcmp(key, "error") == 0)
			fuzz_check(strchr(json_string_value(value), '.'));
		else if (strcmp(key, "continues") == 0)
			fuzz_check(json_is_true(value) &&
				   !json_object_get(reply, "error"));
		else
			fuzz_check(strcmp(key, "parameters") == 0);
	}
	json_decref(reply);
}

static void take_replies(struct run *run)
{
	char *end;

	while ((end = memchr(run->reply, '\0', run->n_reply))) {
		size_t n = (size_t)(end - run->reply);

		check_reply(run->reply, n);
		run->answered |= run->probing;
		run->n_reply -= n + 1;
		memmove(run->reply, end + 1, run->n_reply);
	}
}

static void hang_up(struct run *run)
{
	close(run->fd);
	run->fd = -1;
	run->n_reply = 0;
}

static void hear(struct run *run)
{
	while (run->fd >= 0) {
		ssize_t n = recv(run->fd, run->reply + run->n_reply,
				 REPLY_MOST - run->n_reply, MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			hang_up(run);
			return;
		}
		run->n_reply += (size_t)n;
		take_replies(run);
		fuzz_check(run->n_reply < REPLY_MOST);
	}
}

/* ---- Calls ----------------------------------------------------------------------------------- */

static void call(struct run *run)
{
	uint8_t piece[1024];
	size_t n = 1 + (run->in.left > 0 ? run->in.at[0] * 4 : 0);

	if (run->fd < 0)
		run->fd = inside_connect_control();
	n = fuzz_take(&run->in, piece, n < sizeof(piece) ? n : sizeof(piece));
	(void)!send(run->fd, piece, n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static bool step(void *userdata)
{
	struct run *run = userdata;

	if (run->steps++ < SETTLE) {
		if (run->steps <= HEAPS)
			run->heap[run->steps - 1] = inside_join(run->steps - 1);
		return true;
	}
	hear(run);
	if (run->in.left > 0) {
		call(run);
		return true;
	}
	if (run->last++ < LAST_WORDS) {
		inside_pass(20 * NSEC_PER_SEC); /* no answer takes longer */
		return true;
	}
	if (!run->probing) {
		if (run->fd >= 0)
			hang_up(run);
		run->probing = true;
		run->last = 0;
		run->fd = inside_connect_control();
		fuzz_check(send(run->fd, probe, sizeof(probe), MSG_NOSIGNAL) ==
			   sizeof(probe));
		return true;
	}
	fuzz_check(run->answered);
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run run = {.in = {data, size}, .fd = -1, .reply = malloc(REPLY_MOST)};

	fuzz_check(run.reply);
	inside_run(config, step, &run);
	if (run.fd >= 0)
		close(run.fd);
	for (unsigned i = 0; i < HEAPS; i++)
		close(run.heap[i]);
	free(run.reply);
	return 0;
}

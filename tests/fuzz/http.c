/* SPDX-License-Identifier: MIT */
/*
 * The HTTP listener of the whole daemon, with heaps, one of them in a window: any bytes, in pieces of any
 * size, on several connections that come and go while time passes. What comes back is HTTP, and who asks
 * properly then is answered, by all that there is to say.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/http_address.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/inside.h"

#define HEAPS	    3
#define CONNECTIONS 4
#define PIECE	    8
#define SETTLE	    4	/* steps in which heaps say what they have to say */
#define LAST_WORDS  3	/* steps for what is still to be answered */
#define PATIENCE    200 /* steps; a text of metrics is made in many turns */
#define ANSWER_MOST (1 << 20)

static const char config[] =
	"[Daemon]\nMaxConcurrent=1\nListenHTTP=@/http.sock\n"
	"MaxCallersPerUser=3\nRequestsPerSecond=20\n[Service:a]\nBudget=1M\n"
	"[Service:b]\nPolicy=together\nNeverWith=a\n";
static const char probe[] =
	"GET /metrics/heaps HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

struct connection {
	int fd; /* -1: none */
	char start[16];
	size_t n;
};

struct run {
	struct fuzz_bytes in;
	int heap[HEAPS];
	struct connection connection[CONNECTIONS];
	unsigned steps, last;
	bool probing;
	char *answer; /* to the probe */
	size_t n_answer;
};

/* ---- Answers --------------------------------------------------------------------------------- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* As "HTTP/1.1 200 ". The version is the client's, as libevent keeps it: two signed char. */
static void check_start(const struct connection *c)
{
	static const char pattern[] = "HTTP/#.# # "; /* #: a number */
	const char *p = pattern;

	for (size_t i = 0; i < c->n && *p != '\0'; i++) {
		bool behind_digit = i > 0 && is_digit(c->start[i - 1]);
		bool minus = c->start[i] == '-' && !behind_digit;
		bool number = *p == '#' && (is_digit(c->start[i]) || minus);

		if (*p == '#' && !number && behind_digit)
			p++;
		fuzz_check(number || *p == c->start[i]);
		if (!number)
			p++;
	}
}

static void hang_up(struct connection *c)
{
	if (c->fd >= 0)
		close(c->fd);
	*c = (struct connection){.fd = -1};
}

static void hear(struct connection *c)
{
	char buf[4096];

	while (c->fd >= 0) {
		ssize_t n = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT);
		size_t room = sizeof(c->start) - c->n;

		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			hang_up(c);
			return;
		}
		room = room < (size_t)n ? room : (size_t)n;
		memcpy(c->start + c->n, buf, room);
		c->n += room;
		check_start(c);
	}
}

static void check_answer(const struct run *run)
{
	static const char length[] = "\r\nContent-Length: ";
	const char *body = strstr(run->answer, "\r\n\r\n");
	const char *said = strstr(run->answer, length);

	fuzz_check(strncmp(run->answer, "HTTP/1.1 200 OK\r\n", 17) == 0);
	fuzz_check(body && said && said < body);
	body += 4;
	fuzz_check(strtoul(said + sizeof(length) - 1, NULL, 10) ==
		   run->n_answer - (size_t)(body - run->answer));
	fuzz_check(strstr(body, "# TYPE rtgcd_heap") && strlen(body) > 100);
	fuzz_check(run->answer[run->n_answer - 1] == '\n');
}

/* true: the whole answer is there. */
static bool hear_answer(struct run *run)
{
	for (;;) {
		ssize_t n = recv(run->connection[0].fd, run->answer + run->n_answer,
				 ANSWER_MOST - 1 - run->n_answer, MSG_DONTWAIT);

		if (n < 0) {
			fuzz_check(errno == EAGAIN);
			return false;
		}
		if (n == 0)
			return true;
		run->n_answer += (size_t)n;
		run->answer[run->n_answer] = '\0';
	}
}

/* ---- Requests -------------------------------------------------------------------------------- */

static void send_piece(struct run *run, struct connection *c)
{
	uint8_t piece[256 * PIECE];
	size_t n = (1 + (size_t)fuzz_byte(&run->in)) * PIECE;

	if (c->fd < 0)
		c->fd = inside_connect_http();
	n = fuzz_take(&run->in, piece, n);
	(void)!send(c->fd, piece, n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void act(struct run *run)
{
	struct connection *c = &run->connection[fuzz_below(&run->in, CONNECTIONS)];

	switch (fuzz_below(&run->in, 8)) {
	case 0:
		hang_up(c);
		break;
	case 1:
		if (c->fd >= 0)
			shutdown(c->fd, SHUT_WR);
		break;
	case 2:
		inside_pass(fuzz_span(&run->in));
		break;
	default:
		send_piece(run, c);
		break;
	}
}

static void begin_probe(struct run *run)
{
	for (unsigned i = 0; i < CONNECTIONS; i++)
		hang_up(&run->connection[i]);
	run->probing = true;
	run->last = 0;
	run->connection[0].fd = inside_connect_http();
	fuzz_check(send(run->connection[0].fd, probe, sizeof(probe) - 1, MSG_NOSIGNAL) ==
		   sizeof(probe) - 1);
}

static bool step(void *userdata)
{
	struct run *run = userdata;

	if (run->steps++ < SETTLE) {
		if (run->steps <= HEAPS)
			run->heap[run->steps - 1] = inside_join(run->steps - 1);
		return true;
	}
	if (run->probing) {
		fuzz_check(run->last++ < PATIENCE);
		return !hear_answer(run);
	}
	for (unsigned i = 0; i < CONNECTIONS; i++)
		hear(&run->connection[i]);
	if (run->in.left > 0) {
		act(run);
	} else if (run->last++ < LAST_WORDS) {
		inside_pass(60 * NSEC_PER_SEC); /* nobody may take longer */
	} else {
		begin_probe(run);
	}
	return true;
}

/* What a browser says it was told to talk to, and what the configuration may name. */
static void try_address(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	struct http_where where;

	fuzz_check(text);
	http_where_is_host(text);
	if (!http_where_parse(text, &where))
		fuzz_check(http_where_is_local(&where.address.any));
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run run = {.in = {data, size}, .answer = malloc(ANSWER_MOST)};

	fuzz_check(run.answer);
	for (unsigned i = 0; i < CONNECTIONS; i++)
		run.connection[i].fd = -1;
	try_address(data, size);
	inside_run(config, step, &run);
	check_answer(&run);
	for (unsigned i = 0; i < CONNECTIONS; i++)
		hang_up(&run.connection[i]);
	for (unsigned i = 0; i < HEAPS; i++)
		close(run.heap[i]);
	free(run.answer);
	return 0;
}

/* SPDX-License-Identifier: MIT */
#include "daemon/haproxy.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MOST (8 << 20)

/* ---- talking ---------------------------------------------------------------------------------- */

void haproxy_init(struct haproxy_command *c)
{
	*c = (struct haproxy_command){.fd = -1};
}

void haproxy_deinit(struct haproxy_command *c)
{
	if (c->fd >= 0)
		close(c->fd);
	free(c->text);
	free(c->answer);
	haproxy_init(c);
}

int haproxy_start(struct haproxy_command *c, const char *path, const char *format, ...)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	va_list ap;
	int r;

	haproxy_deinit(c);
	if (strlen(path) >= sizeof address.sun_path)
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	va_start(ap, format);
	r = vasprintf(&c->text, format, ap);
	va_end(ap);
	if (r < 0) {
		c->text = NULL;
		return -ENOMEM;
	}
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0 ||
	    connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0) {
		r = -errno;
		haproxy_deinit(c);
		return r;
	}
	r = haproxy_continue(c);
	return r == -EAGAIN ? 0 : r;
}

short haproxy_events(const struct haproxy_command *c)
{
	return c->text[c->sent] ? POLLOUT : POLLIN;
}

static int receive(struct haproxy_command *c)
{
	ssize_t n;

	if (c->n_answer + 1 >= c->allocated) {
		size_t allocated = c->allocated ? 2 * c->allocated : 4096;
		char *answer;

		if (allocated > ANSWER_MOST)
			return -EMSGSIZE;
		answer = realloc(c->answer, allocated);
		if (!answer)
			return -ENOMEM;
		c->answer = answer;
		c->allocated = allocated;
	}
	n = recv(c->fd, c->answer + c->n_answer, c->allocated - c->n_answer - 1, 0);
	if (n < 0)
		return -errno;
	c->n_answer += (size_t)n;
	c->answer[c->n_answer] = '\0';
	return n == 0 ? 0 : 1;
}

int haproxy_continue(struct haproxy_command *c)
{
	int r;

	while (c->text[c->sent]) {
		ssize_t n = send(c->fd, c->text + c->sent, strlen(c->text + c->sent),
				 MSG_NOSIGNAL);

		if (n < 0)
			return -errno;
		c->sent += (size_t)n;
	}
	do
		r = receive(c);
	while (r > 0);
	if (r == 0) {
		close(c->fd);
		c->fd = -1;
	}
	return r;
}

/* ---- reading ---------------------------------------------------------------------------------- */

/* The text of column n; NULL: the line is shorter. */
static const char *column(const char *line, const char *end, char separator, unsigned n,
			  size_t *ret_size)
{
	while (n-- > 0) {
		line = memchr(line, separator, (size_t)(end - line));
		if (!line)
			return NULL;
		line++;
	}
	end = memchr(line, separator, (size_t)(end - line)) ?: end;
	*ret_size = (size_t)(end - line);
	return line;
}

/* The number of the column with that name in a header line behind "# "; -1: none. */
static int find_column(const char *header, const char *end, char separator,
		       const char *name)
{
	const char *text;
	size_t size;

	for (unsigned n = 0; (text = column(header, end, separator, n, &size)); n++)
		if (size == strlen(name) && memcmp(text, name, size) == 0)
			return (int)n;
	return -1;
}

static const char *end_of_line(const char *line)
{
	return line + strcspn(line, "\r\n");
}

/* The line behind the table's header, whose first column's name is given. */
static const char *find_table(const char *answer, const char *first,
			      const char **ret_header)
{
	const char *line = answer;

	while (line && *line) {
		const char *end = strchr(line, '\n');

		if (strncmp(line, "# ", 2) == 0 &&
		    strncmp(line + 2, first, strlen(first)) == 0) {
			*ret_header = line + 2;
			return end ? end + 1 : NULL;
		}
		line = end ? end + 1 : NULL;
	}
	return NULL;
}

struct cell {
	const char *text;
	size_t size;
};

/* The named cells of a line; false: one is missing. */
static bool cells(const char *header, const char *line, char separator,
		  const char *const *names, size_t n, struct cell *ret)
{
	const char *header_end = end_of_line(header), *end = end_of_line(line);

	for (size_t i = 0; i < n; i++) {
		int at = find_column(header, header_end, separator, names[i]);

		if (at < 0)
			return false;
		ret[i].text = column(line, end, separator, (unsigned)at, &ret[i].size);
		if (!ret[i].text)
			return false;
	}
	return true;
}

static bool cell_is(const struct cell *cell, const char *text)
{
	return cell->size == strlen(text) && memcmp(cell->text, text, cell->size) == 0;
}

bool haproxy_servers(const char *answer,
		     void (*fn)(void *userdata, const struct haproxy_server *server),
		     void *userdata)
{
	static const char *const names[] = {"srv_name", "srv_op_state", "srv_admin_state",
					    "srv_uweight"};
	const char *header, *line = find_table(answer, "be_id ", &header);
	struct cell cell[4];

	if (!line)
		return false;
	for (; *line && *line != '\n' && *line != '#'; line++) {
		struct haproxy_server server = {0};

		if (cells(header, line, ' ', names, 4, cell) &&
		    cell[0].size < sizeof server.name) {
			memcpy(server.name, cell[0].text, cell[0].size);
			server.op = (unsigned)strtoul(cell[1].text, NULL, 10);
			server.admin = (unsigned)strtoul(cell[2].text, NULL, 10);
			server.weight = (unsigned)strtoul(cell[3].text, NULL, 10);
			fn(userdata, &server);
		}
		line = end_of_line(line);
		line += *line == '\r';
		if (!*line)
			break;
	}
	return true;
}

bool haproxy_server_up(const struct haproxy_server *server)
{
	/* 1: starting, 2: running */
	return server->admin == HAPROXY_ADMIN_READY && server->weight > 0 &&
	       (server->op == 1 || server->op == 2);
}

bool haproxy_sessions(const char *answer, const char *backend, const char *server,
		      unsigned long *ret)
{
	static const char *const names[] = {"pxname", "svname", "scur", "qcur"};
	const char *header, *line = find_table(answer, "pxname,", &header);
	struct cell cell[4];

	while (line && *line) {
		if (cells(header, line, ',', names, 4, cell) &&
		    cell_is(&cell[0], backend) && cell_is(&cell[1], server)) {
			*ret = strtoul(cell[2].text, NULL, 10) +
			       strtoul(cell[3].text, NULL, 10);
			return true;
		}
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	return false;
}

void haproxy_message(const char *answer, char *ret, size_t size)
{
	answer += strspn(answer, "\r\n");
	snprintf(ret, size, "%.*s", (int)(end_of_line(answer) - answer), answer);
}

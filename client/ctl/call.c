/* SPDX-License-Identifier: MIT */
#include "client/ctl/call.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define INTERFACE "io.rtgcd.Supervisor."
#define REPLY_MAX ((size_t)16 << 20) /* a page of 100 heaps is about 100 KiB */
#define CHUNK	  65536

struct call {
	int fd;
	const char *path; /* borrowed from struct ctl */
	char *buf;
	size_t size, used; /* bytes of buf: there, filled */
	size_t reply;	   /* bytes of the last reply, which is at its beginning */
};

int64_t call_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int complain_errno(const struct call *call, int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
	case ECONNREFUSED:
		return ctl_complain(
			CTL_FAILED,
			"rtgcd does not answer at %s: systemctl start rtgcd, or name "
			"another socket by --control",
			call->path);
	case EACCES:
	case EPERM:
		return ctl_complain(
			CTL_FAILED,
			"%s may not be opened by this user: try as root, or name "
			"another socket by --control",
			call->path);
	case EPROTOTYPE:
	case ENOTSOCK:
		return ctl_complain(CTL_FAILED,
				    "%s is not a control socket: name it by --control",
				    call->path);
	case EAGAIN:
	case ETIMEDOUT:
		return ctl_complain(
			CTL_FAILED,
			"rtgcd at %s has not answered for %d s: it is stopped or "
			"hangs; systemctl restart rtgcd",
			call->path, CALL_TIMEOUT_MS / 1000);
	case EPIPE:
	case ECONNRESET:
		return ctl_complain(CTL_FAILED,
				    "rtgcd at %s hung up without an answer: see its log "
				    "(journalctl -u rtgcd)",
				    call->path);
	default:
		return ctl_complain(CTL_FAILED, "%s: %s", call->path, strerror(error));
	}
}

static int complain_reply(const struct call *call)
{
	return ctl_complain(
		CTL_FAILED,
		"what answers at %s does not speak as rtgcd does: name its socket "
		"by --control",
		call->path);
}

int call_open(const struct ctl *ctl, struct call **ret)
{
	const struct timeval limit = {.tv_sec = CALL_TIMEOUT_MS / 1000};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct call *call;
	int status;

	if (strlen(ctl->control) >= sizeof(address.sun_path))
		return ctl_complain(CTL_FAILED,
				    "%s: longer than a socket's path can be (%zu)",
				    ctl->control, sizeof(address.sun_path) - 1);
	strcpy(address.sun_path, ctl->control);
	call = ctl_alloc(sizeof(*call));
	call->path = ctl->control;
	call->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* The time-out for sending is also the one for connecting to a full backlog. */
	if (call->fd < 0 ||
	    setsockopt(call->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
	    connect(call->fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		status = complain_errno(call, errno);
		call_close(call);
		return status;
	}
	*ret = call;
	return CTL_OK;
}

struct call *call_close(struct call *call)
{
	if (call == NULL)
		return NULL;
	if (call->fd >= 0)
		close(call->fd);
	free(call->buf);
	free(call);
	return NULL;
}

static int send_all(struct call *call, const char *data, size_t size)
{
	ssize_t n;

	while (size > 0) {
		n = send(call->fd, data, size, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return complain_errno(call, errno);
		data += n;
		size -= (size_t)n;
	}
	return CTL_OK;
}

static int read_some(struct call *call)
{
	ssize_t n = recv(call->fd, call->buf + call->used, call->size - call->used,
			 MSG_DONTWAIT);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return CTL_OK;
	if (n <= 0)
		return complain_errno(call, n < 0 ? errno : EPIPE);
	call->used += (size_t)n;
	return CTL_OK;
}

/* Reads what is there, or waits for it until the instant `until`. */
static int receive_some(struct call *call, int64_t until)
{
	struct pollfd ready = {.fd = call->fd, .events = POLLIN};
	int64_t left = until - call_now_ms();
	int r;

	r = left > 0 ? poll(&ready, 1, (int)left) : 0;
	if (r < 0 && errno == EINTR)
		return CTL_OK;
	if (r <= 0)
		return complain_errno(call, r < 0 ? errno : ETIMEDOUT);
	return read_some(call);
}

/* The same without end; *ret_enough: it was `until`, or `stop` that was readable. */
static int wait_some(struct call *call, int stop, int64_t until, bool *ret_enough)
{
	struct pollfd ready[] = {
		{.fd = call->fd, .events = POLLIN},
		{.fd = stop, .events = POLLIN},
	};
	int64_t left = until == INT64_MAX ? -1 : until - call_now_ms();
	int r;

	*ret_enough = until != INT64_MAX && left <= 0;
	if (*ret_enough)
		return CTL_OK;
	r = poll(ready, 2, left > INT32_MAX ? INT32_MAX : (int)left);
	if (r < 0 && errno != EINTR)
		return complain_errno(call, errno);
	*ret_enough = r > 0 && ready[1].revents != 0;
	if (r > 0 && ready[0].revents != 0 && !*ret_enough)
		return read_some(call);
	return CTL_OK;
}

static int make_room(struct call *call)
{
	char *bigger;

	if (call->used < call->size)
		return CTL_OK;
	if (call->size >= REPLY_MAX)
		return complain_reply(call);
	bigger = ctl_alloc(call->size * 2);
	memcpy(bigger, call->buf, call->used);
	free(call->buf);
	call->buf = bigger;
	call->size *= 2;
	return CTL_OK;
}

/* One reply lies in buf up to its NUL when this returns CTL_OK. */
static int receive_reply(struct call *call)
{
	int64_t until = call_now_ms() + CALL_TIMEOUT_MS;
	size_t seen = 0;
	int status;

	call->used = 0;
	for (;;) {
		if (memchr(call->buf + seen, '\0', call->used - seen) != NULL)
			return CTL_OK;
		seen = call->used;
		status = make_room(call);
		if (status == CTL_OK)
			status = receive_some(call, until);
		if (status != CTL_OK)
			return status;
	}
}

/* The one thing that most errors tell; NULL: nothing. */
static const char *first_text(const json_t *parameters)
{
	json_t *value;
	const char *key;

	json_object_foreach((json_t *)parameters, key, value)
	{
		if (json_is_string(value))
			return json_string_value(value);
	}
	return NULL;
}

/* The daemon said no: in its words, and what to do where we know it. */
static int complain_refused(const char *method, const char *error,
			    const json_t *parameters)
{
	static const struct {
		const char *error, *words; /* %s: what the error tells, or the method */
	} known[] = {
		{"NoSuchHeap", "no heap is called %s: rtgcctl heaps lists them"},
		{"NoSuchService", "no service is called %s: rtgcctl services lists them"},
		{"CannotCollect", "%s has no collection to run, or is not connected"},
		{"AmbiguousHeap",
		 "several heaps are called %s: give the id that rtgcctl heaps shows"},
		{"CannotAnswer", "the runtime of %s does not count what is in its heap"},
		{"NoAnswer", "%s has not answered, or has ended"},
		{"AlreadyAsked", "%s is just being asked by somebody else: try again"},
		{"TraceOverflow",
		 "%s: more happened than could be written: the trace ends here"},
		{"Overflow", "%s: the answers were not read in time"},
		{"ReloadFailed", "%s; the old configuration stays in force"},
		{"org.varlink.service.PermissionDenied",
		 "%s is not allowed to this user: try as root"},
		{"org.varlink.service.MethodNotFound",
		 "this rtgcd does not know %s: it is another version than rtgcctl; restart "
		 "it after an upgrade"},
	};
	const char *text = first_text(parameters);

	if (strncmp(error, INTERFACE, strlen(INTERFACE)) == 0)
		error += strlen(INTERFACE);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(error, known[i].error) != 0)
			continue;
		return ctl_complain(CTL_FAILED, known[i].words,
				    text != NULL ? text : method);
	}
	return ctl_complain(CTL_FAILED, "%s was refused: %s%s%s", method, error,
			    text != NULL ? ": " : "", text != NULL ? text : "");
}

static int read_reply(struct call *call, const char *method, json_t **ret)
{
	json_t *reply, *error, *parameters;
	int status = CTL_OK;

	reply = json_loads(call->buf, JSON_REJECT_DUPLICATES, NULL);
	error = json_object_get(reply, "error");
	parameters = json_object_get(reply, "parameters");
	if (error != NULL && json_is_string(error)) {
		status = complain_refused(method, json_string_value(error), parameters);
	} else if (!json_is_object(reply) || (error != NULL && !json_is_null(error)) ||
		   (parameters != NULL && !json_is_object(parameters))) {
		status = complain_reply(call);
	} else {
		*ret = parameters != NULL ? json_incref(parameters) : json_object();
	}
	json_decref(reply);
	return status;
}

static int send_call(struct call *call, const char *method, json_t *parameters, bool more)
{
	json_t *request;
	char *text;
	int status;

	request = json_pack("{s:s+, s:o*}", "method", INTERFACE, method, "parameters",
			    parameters);
	if (more)
		json_object_set_new(request, "more", json_true());
	text = json_dumps(request, JSON_COMPACT);
	json_decref(request);
	if (text == NULL)
		return ctl_complain(CTL_FAILED, "out of memory");
	if (call->buf == NULL) {
		call->buf = ctl_alloc(CHUNK);
		call->size = CHUNK;
	}
	status = send_all(call, text, strlen(text) + 1);
	free(text);
	return status;
}

int call_method(struct call *call, const char *method, json_t *parameters, json_t **ret)
{
	int status = send_call(call, method, parameters, false);

	if (status == CTL_OK)
		status = receive_reply(call);
	if (status == CTL_OK)
		status = read_reply(call, method, ret);
	return status;
}

int call_fd(const struct call *call)
{
	return call->fd;
}

int call_more(struct call *call, const char *method, json_t *parameters, bool more)
{
	call->used = call->reply = 0;
	return send_call(call, method, parameters, more);
}

int call_next(struct call *call, const char *method, int stop, int64_t until,
	      json_t **ret)
{
	size_t seen = 0;
	bool enough = false;
	char *end;
	int status = CTL_OK;

	call->used -= call->reply;
	memmove(call->buf, call->buf + call->reply, call->used);
	call->reply = 0;
	while ((end = memchr(call->buf + seen, '\0', call->used - seen)) == NULL) {
		seen = call->used;
		status = make_room(call);
		if (status == CTL_OK)
			status = wait_some(call, stop, until, &enough);
		if (enough)
			*ret = NULL;
		if (status != CTL_OK || enough)
			return status;
	}
	call->reply = (size_t)(end - call->buf) + 1;
	return read_reply(call, method, ret);
}

int call_pages(struct call *call, const char *method, json_t *parameters, const char *key,
	       json_t **ret)
{
	json_t *pages = json_array(), *page, *list, *next;
	json_int_t after;
	int status;

	for (;;) {
		page = NULL;
		status = call_method(call, method, json_deep_copy(parameters), &page);
		if (status != CTL_OK)
			break;
		json_array_append_new(pages, page);
		list = json_object_get(page, key);
		next = json_object_get(page, "next");
		if (!json_is_array(list) ||
		    (next != NULL && !json_is_null(next) && !json_is_integer(next))) {
			status = complain_reply(call);
			break;
		}
		if (!json_is_integer(next))
			break;
		/* A daemon that does not get on must not keep us here for ever. */
		after = json_integer_value(json_object_get(parameters, "after"));
		if (json_integer_value(next) <= after || json_array_size(list) == 0) {
			status = complain_reply(call);
			break;
		}
		json_object_set(parameters, "after", next);
	}
	json_decref(parameters);
	if (status == CTL_OK)
		*ret = pages;
	else
		json_decref(pages);
	return status;
}

int call_list(struct call *call, const char *method, json_t *parameters, const char *key,
	      json_t **ret)
{
	json_t *pages, *page, *all;
	int status = call_pages(call, method, parameters, key, &pages);
	size_t i;

	if (status != CTL_OK)
		return status;
	all = json_array();
	json_array_foreach(pages, i, page)
		json_array_extend(all, json_object_get(page, key));
	json_decref(pages);
	*ret = json_pack("{s:o}", key, all);
	return CTL_OK;
}

int call_once(const struct ctl *ctl, const char *method, json_t *parameters, json_t **ret)
{
	struct call *call;
	int status;

	status = call_open(ctl, &call);
	if (status != CTL_OK) {
		json_decref(parameters);
		return status;
	}
	status = call_method(call, method, parameters, ret);
	call_close(call);
	return status;
}

int call_once_list(const struct ctl *ctl, const char *method, json_t *parameters,
		   const char *key, json_t **ret)
{
	struct call *call;
	int status;

	status = call_open(ctl, &call);
	if (status != CTL_OK) {
		json_decref(parameters);
		return status;
	}
	status = call_list(call, method, parameters, key, ret);
	call_close(call);
	return status;
}

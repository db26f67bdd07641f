/* SPDX-License-Identifier: MIT */
#include "client/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/wire/names.h"

#define SYSTEM_PATH "/run/rtgcd/runtime.sock"
#define FLAGS_KNOWN \
	(RTGC_THREAD | RTGC_SOCKET_ONLY | RTGC_QUIETS | RTGC_MARKS | RTGC_ANSWERS)

/* NULL for a variable that is empty, and in programs that run with another's rights. */
static const char *environment(const char *name)
{
	const char *value = secure_getenv(name);

	return value && *value ? value : NULL;
}

/*
 * The program's name in at most max bytes. argv[0] is the caller's: bytes that make no
 * name are replaced, and what is too long is cut, not in the middle of a character.
 */
static void program_name(char *ret, size_t max)
{
	const char *name = program_invocation_short_name;
	size_t length = name ? strlen(name) : 0;

	if (length > max) {
		length = max;
		while (length && ((unsigned char)name[length] & 0xc0) == 0x80)
			length--;
	}
	memcpy(ret, name ? name : "", length);
	ret[length] = 0;
	if (!name_valid(ret, max + 1, false))
		strcpy(ret, "program");
}

static int set_name(char *field, size_t size, const char *name, bool allow_empty)
{
	if (strlen(name) >= size || !name_valid(name, size, allow_empty))
		return -EINVAL;
	name_copy(field, size, name);
	return 0;
}

static int set_path(struct options *o, const char *given)
{
	const char *dir;
	int n;

	if (!given)
		given = environment("RTGC_SOCKET");
	if (given) {
		if (!*given || strlen(given) >= sizeof(o->path))
			return -EINVAL;
		strcpy(o->path, given);
		return 0;
	}
	strcpy(o->path, SYSTEM_PATH);
	dir = environment("XDG_RUNTIME_DIR");
	if (geteuid() == 0 || !dir)
		return 0;
	n = snprintf(o->user_path, sizeof(o->user_path), "%s/rtgcd/runtime.sock", dir);
	if (n < 0 || (size_t)n >= sizeof(o->user_path))
		o->user_path[0] = 0;
	return 0;
}

/* The options as this version knows them, whatever version the caller was built with. */
static int copy_given(struct rtgc_options *o, const struct rtgc_options *given)
{
	*o = (struct rtgc_options){.size = sizeof(*o)};
	if (!given)
		return 0;
	if (given->size < sizeof(*o))
		return -EINVAL;
	*o = *given;
	if ((o->flags & ~(uint32_t)FLAGS_KNOWN) || o->unit >= WIRE_UNITS ||
	    o->kinds >= 1u << WIRE_KINDS)
		return -EINVAL;
	return 0;
}

int options_name_heap(struct options *o, const char *heap)
{
	char *field = o->hello.heap;
	size_t size = sizeof(o->hello.heap);
	char suffix[16];

	if (heap)
		return set_name(field, size, heap, false);
	snprintf(suffix, sizeof(suffix), "-%d", (int)getpid());
	memset(field, 0, size);
	program_name(field, size - 1 - strlen(suffix));
	strcat(field, suffix);
	return 0;
}

int options_init(struct options *ret, const struct rtgc_options *given)
{
	struct options o = {0};
	struct rtgc_options g;
	char program[WIRE_NAME_MAX];
	int r = copy_given(&g, given);

	if (r)
		return r;
	program_name(program, sizeof(program) - 1);
	if (!g.service)
		g.service = environment("RTGC_SERVICE");
	if (!g.heap)
		g.heap = environment("RTGC_HEAP");
	r = set_name(o.hello.service, sizeof(o.hello.service),
		     g.service ? g.service : program, false);
	if (r == 0)
		r = options_name_heap(&o, g.heap);
	if (r == 0)
		r = set_name(o.hello.runtime, sizeof(o.hello.runtime),
			     g.runtime ? g.runtime : "c", true);
	if (r == 0)
		r = set_path(&o, g.socket);
	if (r)
		return r;
	o.flags = g.flags;
	o.notify = g.notify;
	o.userdata = g.userdata;
	o.hello.version_min = WIRE_VERSION_MIN;
	o.hello.version_max = WIRE_VERSION_MAX;
	o.hello.caps = (g.flags & RTGC_SOCKET_ONLY ? 0 : WIRE_CAP_PAGE) |
		       (g.flags & RTGC_QUIETS ? WIRE_CAP_QUIET : 0) |
		       (g.flags & RTGC_MARKS ? WIRE_CAP_MARKS : 0) |
		       (g.flags & RTGC_ANSWERS ? WIRE_CAP_ANSWERS : 0);
	o.hello.unit = (uint8_t)g.unit;
	o.hello.kinds = (uint8_t)(g.kinds ? g.kinds : 1u << WIRE_MAJOR);
	o.hello.budget = g.budget;
	*ret = o;
	return 0;
}

const char *options_path(const struct options *o)
{
	if (o->user_path[0] && access(o->user_path, F_OK) == 0)
		return o->user_path;
	return o->path;
}

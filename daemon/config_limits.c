/* SPDX-License-Identifier: MIT */
#include "daemon/config_limits.h"

#include <string.h>

#include "daemon/units.h"

#define COUNT_MOST	    1000000
#define AUTO		    32768
#define HELLO_MOST	    (3600 * NSEC_PER_SEC)
#define DESCRIPTORS_OF_OURS 64
#define AUTO_TEXT	    "auto"

enum form {
	COUNT,
	COUNT_OR_AUTO,
	SIZE,
};

#define AT(member) offsetof(struct config_limits, member)

static const struct key {
	const char *name, *initial;
	size_t offset;
	enum form form;
	uint64_t least; /* of a size */
} keys[] = {
	{"MaxConnections", AUTO_TEXT, AT(connections), COUNT_OR_AUTO, 0},
	{"MaxConnectionsPerUser", AUTO_TEXT, AT(user_connections), COUNT_OR_AUTO, 0},
	{"MaxUngreeted", "64", AT(ungreeted), COUNT, 0},
	{"FramesPerSecond", "5000", AT(frames), COUNT, 0},
	{"FramesPerSecondPerUser", "100000", AT(user_frames), COUNT, 0},
	{"MaxCallers", "1024", AT(callers), COUNT, 0},
	{"MaxCallersPerUser", "64", AT(user_callers), COUNT, 0},
	{"RequestsPerSecond", "2000", AT(requests), COUNT, 0},
	{"MaxQueue", "256K", AT(queue), SIZE, 4096},
	{"QueueMemory", "64M", AT(queue_memory), SIZE, 1 << 20},
};

#define N_KEYS	      (sizeof(keys) / sizeof(*keys))
#define HELLO_KEY     "HelloTimeout"
#define HELLO_INITIAL "30s"

static bool parse_key(const struct key *key, const char *text, uint64_t *ret)
{
	unsigned count;

	if (key->form == SIZE)
		return units_bytes(text, ret) && *ret >= key->least;
	if (key->form == COUNT_OR_AUTO && strcmp(text, AUTO_TEXT) == 0) {
		*ret = 0;
		return true;
	}
	if (!units_count(text, COUNT_MOST, &count))
		return false;
	*ret = count;
	return true;
}

static const char *wanted(const struct key *key)
{
	switch (key->form) {
	case COUNT:
		return "not a whole number from 1 to 1000000";
	case COUNT_OR_AUTO:
		return "not \"auto\" or a whole number from 1 to 1000000";
	case SIZE:
		break;
	}
	return key->least == 4096 ? "not an amount like 256K, at least 4K"
				  : "not an amount like 64M, at least 1M";
}

static const char *set_hello(struct config_limits *limits, const char *value)
{
	nsec_t hello;

	if (!units_span(*value ? value : HELLO_INITIAL, &hello) || hello > HELLO_MOST ||
	    hello == 0)
		return "not a time like 30s, at most 1h";
	limits->hello = hello;
	return NULL;
}

static const char *set_key(struct config_limits *limits, const struct key *key,
			   const char *value)
{
	uint64_t amount;

	if (!parse_key(key, *value ? value : key->initial, &amount))
		return wanted(key);
	*(uint64_t *)(void *)((char *)limits + key->offset) = amount;
	return NULL;
}

bool config_limits_set(struct config_limits *limits, const char *name, const char *value,
		       const char **ret_error)
{
	if (strcmp(name, HELLO_KEY) == 0) {
		*ret_error = set_hello(limits, value);
		return true;
	}
	for (size_t i = 0; i < N_KEYS; i++) {
		if (strcmp(keys[i].name, name) == 0) {
			*ret_error = set_key(limits, &keys[i], value);
			return true;
		}
	}
	return false;
}

void config_limits_init(struct config_limits *limits)
{
	for (size_t i = 0; i < N_KEYS; i++)
		set_key(limits, &keys[i], "");
	set_hello(limits, "");
}

const char *config_limits_key(size_t index, const char **ret_initial)
{
	if (index == N_KEYS) {
		*ret_initial = HELLO_INITIAL;
		return HELLO_KEY;
	}
	if (index > N_KEYS)
		return NULL;
	*ret_initial = keys[index].initial;
	return keys[index].name;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void config_limits_resolve(const struct config_limits *l, uint64_t descriptors,
			   struct quota_limits *ret)
{
	/* Callers have theirs whatever clients do; of those each takes two, and 63 share one. */
	uint64_t callers = least(l->callers, descriptors / 8 + 1), rest, clients;

	rest = descriptors > callers + DESCRIPTORS_OF_OURS
		       ? descriptors - callers - DESCRIPTORS_OF_OURS
		       : 0;
	clients = least(l->connections ? l->connections : AUTO, rest / 2 - rest / 64 + 1);
	*ret = (struct quota_limits){
		.most =
			{
				[QUOTA_CONNECTIONS] = {clients, clients / 32,
						       l->user_connections
							       ? l->user_connections
							       : (clients + 1) / 2,
						       false},
				[QUOTA_UNGREETED] = {clients, clients / 32, l->ungreeted,
						     true},
				[QUOTA_CALLERS] = {callers, callers / 16, l->user_callers,
						   false},
				[QUOTA_BYTES] = {l->queue_memory, l->queue_memory / 8,
						 l->queue_memory / 4, false},
			},
		.per_s =
			{
				[QUOTA_FRAMES] = (unsigned)l->user_frames,
				[QUOTA_REQUESTS] = (unsigned)l->requests,
			},
		.frames_per_s = (unsigned)l->frames,
		.queue = l->queue,
		.hello = l->hello,
	};
	ret->most[QUOTA_HEAPS] = ret->most[QUOTA_CONNECTIONS];
}

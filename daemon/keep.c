/* SPDX-License-Identifier: MIT */
#include "daemon/keep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/wire/names.h"
#include "daemon/log.h"
#include "daemon/notify.h"
#include "daemon/session.h"

struct keep {
	struct supervisor *core;
	struct state *state;
	struct state_run run;
};

int keep_new(struct supervisor *core, int fd, uint64_t *epoch, struct keep **ret)
{
	struct keep *keep = calloc(1, sizeof *keep);
	int r;

	if (!keep) {
		if (fd >= 0)
			close(fd);
		return -ENOMEM;
	}
	keep->core = core;
	r = state_new(fd, &keep->state);
	if (r < 0) {
		free(keep);
		return r;
	}
	if (state_run(keep->state, &keep->run)) {
		supervisor_restore_counters(core, &keep->run.counters);
		if (*epoch <= keep->run.epoch)
			*epoch = keep->run.epoch + 1;
	}
	keep->run.epoch = *epoch;
	state_put_run(keep->state, &keep->run);
	if (state_to_keep(keep->state) >= 0)
		notify_keep(state_to_keep(keep->state));
	*ret = keep;
	return 0;
}

struct keep *keep_free(struct keep *keep)
{
	if (!keep)
		return NULL;
	state_free(keep->state);
	free(keep);
	return NULL;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void put_run(struct keep *keep, uint64_t heap)
{
	supervisor_counters(keep->core, &keep->run.counters);
	if (keep->run.last_heap < heap)
		keep->run.last_heap = heap;
	state_put_run(keep->state, &keep->run);
}

void keep_heap(struct keep *keep, struct session *s)
{
	struct core_memory memory;

	if (!supervisor_memory(keep->core, session_heap(s), &memory))
		return;
	if (!s->kept)
		s->birth = peer_birth(s->peer.pid);
	state_put(keep->state, &s->kept, s->birth, &memory);
	put_run(keep, session_heap(s));
}

void keep_forget(struct keep *keep, struct session *s)
{
	state_drop(keep->state, &s->kept);
	put_run(keep, session_heap(s));
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool sane(const struct core_memory *m)
{
	return name_field_valid(m->hello.service, WIRE_NAME_MAX, false) &&
	       name_field_valid(m->hello.heap, WIRE_NAME_MAX, true) &&
	       name_field_valid(m->hello.runtime, WIRE_RUNTIME_MAX, true) &&
	       m->hello.unit <= WIRE_OBJECTS && m->held.kind < WIRE_KINDS &&
	       m->held.hold <= CORE_HOLDS_IN_USE;
}

/* -ESRCH: its process is no more, or nobody wrote this. */
static int restore(struct keep *keep, struct hot *hot, uint32_t record, uint64_t birth,
		   const struct core_memory *memory)
{
	struct session *s;
	int r = sane(memory)
			? session_restore(hot_sessions(hot), memory, birth, record, &s)
			: -ESRCH;

	return r < 0 ? r : hot_restore(hot, s, memory);
}

void keep_restore(struct keep *keep, struct hot *hot)
{
	unsigned heaps = 0, windows = 0, failed = 0;
	int why = 0;
	struct core_memory memory;
	uint32_t record = 0;
	uint64_t birth;

	hot_sessions(hot)->last_heap = keep->run.last_heap;
	while (state_next(keep->state, record, &record, &birth, &memory)) {
		int r = restore(keep, hot, record, birth, &memory);
		uint32_t dropped = record;

		if (r < 0)
			state_drop(keep->state, &dropped);
		if (r == 0) {
			heaps++;
			windows += memory.held.hold != CORE_HOLDS_NOTHING;
		} else if (r != -ESRCH) {
			failed++;
			why = r;
		}
	}
	if (heaps > 0)
		log_info("restored",
			 "restored: %u heaps, %u of them with a window in force", heaps,
			 windows);
	if (failed > 0)
		log_error("not-restored",
			  "%u heaps of the former run were not taken up: %s", failed,
			  strerror(-why));
}

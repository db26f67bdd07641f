/* SPDX-License-Identifier: MIT */
#include "client/python/internal.h"

#include "client/python/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/python/figures.h"
#include "client/python/gclist.h"
#include "client/python/gcstate.h"
#include "client/python/heap.h"
#include "client/python/helper.h"
#include "client/python/record.h"
#include "client/python/snapshot_child.h"
#include "client/python/snapshot_reap.h"
#include "client/python/snapshot_trial.h"

#define SEC 1000000000ULL

/* Room for the result, of which only what is used costs memory: slots of 8 bytes, up to four an object. */
#define OBJECTS_MIN	 (UINT64_C(1) << 20)
#define BYTES_PER_OBJECT 64

/*
 * How long a child may take, unless $RTGC_SNAPSHOT_LIMIT says it: where it has a CPU to itself, a third of a second
 * for a million objects.
 */
#define CHILD_MIN_S	      20
#define CHILD_OBJECTS_PER_S   50000
#define CHILD_MAX_S	      (24 * 3600)
#define REAP_MAX_NS	      (60 * SEC)
#define FAILURES_IN_A_ROW_MAX 3
#define FORKS		      3 /* the last ones, by which their cost is judged */
#define TRIAL_POLL_US	      200

/*
 * A child disturbs nobody when it runs only where a CPU would idle; but where none does it would not end. One
 * that has had less than that share of a CPU after that time is replaced by one that competes a little, and so
 * are the next ones from the beginning.
 */
#define STARVES_NS    (2 * SEC)
#define STARVES_SHARE 8
#define ROUGH	      16

static struct {
	atomic_bool runs, due;
	atomic_bool working;  /* inside a step */
	unsigned long worker; /* the thread that is */
	_Atomic uint64_t stepped_ns;
	_Atomic pid_t child;	    /* 0: it has been reaped */
	_Atomic uint64_t gentle_ns; /* when it was made, if it does not compete; else 0 */
	unsigned rough;		    /* so many are to compete */
	pid_t owner;		    /* who forked it */
	struct rtgc *rtgc;	    /* who is to be told of the end; NULL: a trial */
	const char *void_later;	    /* what ended it while a step was under way */
	struct snapshot_result *result;
	size_t room;
	uint64_t begin_ns, found_ns, freed, pending_before;
	uint64_t step_ns; /* when the step under way began; 0: none is */
	const char *cause;
	bool ended;	   /* by the step under way */
	const char *why;   /* NULL: all was done */
	unsigned failures; /* in a row */
	uint64_t fork_ns[FORKS];
	unsigned forks;
	struct snapshot_figures figures;
} snapshot;

bool snapshot_runs(void)
{
	return atomic_load(&snapshot.runs);
}

/* (Also without the GIL, while it runs.) */
static bool child_starves(pid_t child)
{
	uint64_t made = atomic_load(&snapshot.gentle_ns);
	uint64_t age = made ? rtgc_now() - made : 0;

	return age > STARVES_NS && snapshot_child_cpu_ns(child) < age / STARVES_SHARE;
}

bool snapshot_waits(void)
{
	pid_t child = atomic_load(&snapshot.child);

	if (!atomic_load(&snapshot.runs) || atomic_load(&snapshot.working))
		return false;
	if (child == 0 || snapshot_child_ended(child) || child_starves(child))
		atomic_store(&snapshot.due, true);
	return atomic_load(&snapshot.due);
}

bool snapshot_due(void)
{
	return atomic_load_explicit(&snapshot.due, memory_order_relaxed) &&
	       atomic_load(&snapshot.runs) && !atomic_load(&snapshot.working);
}

uint64_t snapshot_stepped_ns(void)
{
	return atomic_load(&snapshot.stepped_ns);
}

void snapshot_figures(struct snapshot_figures *ret)
{
	*ret = snapshot.figures;
}

static void note_fork(uint64_t fork_ns)
{
	struct snapshot_figures *f = &snapshot.figures;

	snapshot.fork_ns[snapshot.forks++ % FORKS] = fork_ns;
	f->fork_ns = f->fork_usual_ns = fork_ns;
	for (unsigned i = 0; i < FORKS && i < snapshot.forks; i++)
		if (snapshot.fork_ns[i] < f->fork_usual_ns)
			f->fork_usual_ns = snapshot.fork_ns[i];
	if (fork_ns > f->fork_max_ns)
		f->fork_max_ns = fork_ns;
}

void snapshot_refuse(const char *why)
{
	if (!snapshot.figures.refused)
		snapshot.figures.refused = why;
}

/* ---- Beginning ------------------------------------------------------------------------ */

static bool make_room(uint64_t objects)
{
	void *p;

	if (objects < OBJECTS_MIN)
		objects = OBJECTS_MIN;
	snapshot.room = objects * BYTES_PER_OBJECT;
	p = mmap(NULL, snapshot.room, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return false;
	snapshot.result = p;
	return true;
}

static void give_room_back(void)
{
	if (snapshot.result)
		munmap(snapshot.result, snapshot.room);
	snapshot.result = NULL;
}

static void note_stop(uint64_t stop_ns)
{
	struct snapshot_figures *f = &snapshot.figures;

	if (stop_ns > f->stop_ns)
		f->stop_ns = stop_ns;
	if (stop_ns > f->stop_max_ns)
		f->stop_max_ns = stop_ns;
}

static unsigned child_limit_s(uint64_t objects)
{
	const char *given = getenv("RTGC_SNAPSHOT_LIMIT");
	unsigned long s = given ? strtoul(given, NULL, 10) : 0;

	if (s == 0)
		s = CHILD_MIN_S + objects / CHILD_OBJECTS_PER_S;
	return (unsigned)(s < CHILD_MAX_S ? s : CHILD_MAX_S);
}

/* That looks at the list. begin_ns: when the program was stopped for it. 0 or -errno. */
static int make_child(PyGC_Head *list, bool gentle, uint64_t begin_ns)
{
	uint64_t objects = gclist_count();
	struct gcstate_figures old;
	pid_t child;

	if (!make_room(objects))
		return -errno;
	gcstate_figures(&old);
	snapshot.pending_before = old.pending;
	snapshot_reap_open(list);
	child = snapshot_child_start(list, snapshot.result, snapshot.room,
				     child_limit_s(objects), &gentle);
	note_fork(rtgc_now() - begin_ns);
	if (child < 0) {
		snapshot_reap_close();
		give_room_back();
		return child;
	}
	atomic_store(&snapshot.gentle_ns, gentle ? rtgc_now() : 0);
	atomic_store(&snapshot.due, false);
	atomic_store(&snapshot.child, child);
	return 0;
}

/* (The program waits for the end of a trial.) */
static bool is_gentle(void)
{
	if (snapshot.rough == 0)
		return snapshot.rtgc != NULL;
	snapshot.rough--;
	return false;
}

/* Of a list. 0 or -errno. */
static int begin(PyGC_Head *list, struct rtgc *r, uint64_t begin_ns)
{
	struct snapshot_figures *f = &snapshot.figures;
	int error;

	snapshot.begin_ns = begin_ns;
	snapshot.owner = getpid();
	snapshot.rtgc = r;
	snapshot.freed = 0;
	snapshot.void_later = NULL;
	error = make_child(list, is_gentle(), begin_ns);
	f->stop_ns = 0;
	note_stop(f->fork_ns);
	if (error < 0)
		return error;
	f->taken++;
	atomic_store(&snapshot.stepped_ns, rtgc_now());
	atomic_store(&snapshot.runs, true);
	return 0;
}

/* ---- Ending --------------------------------------------------------------------------- */

static void tell(struct rtgc *r, uint64_t end_ns, bool failed)
{
	struct record record = {
		.kind = "snapshot",
		.cause = snapshot.cause,
		.begin_ns = snapshot.begin_ns,
		.end_ns = end_ns,
		.freed = snapshot.freed,
		.stop_ns = snapshot.figures.stop_ns,
		.fork_ns = snapshot.figures.fork_ns,
	};
	struct rtgc_result result;

	figures_result(snapshot.freed, &result);
	result.stop_ns = snapshot.figures.stop_ns;
	result.failed = failed;
	rtgc_end(r, &result);
	record_add(&record);
	figures_publish(r);
	helper_kick();
}

/* why: NULL when all was done. */
static void end(const char *why)
{
	struct snapshot_figures *f = &snapshot.figures;
	pid_t child = atomic_exchange(&snapshot.child, 0);
	uint64_t left = 0;

	if (child)
		snapshot_child_kill(child);
	snapshot_reap_close();
	if (!why && snapshot.rtgc) {
		if (snapshot.result->objects > snapshot.freed)
			left = snapshot.result->objects - snapshot.freed;
		gclist_settle(left, snapshot.pending_before);
	}
	give_room_back();
	f->freed += snapshot.freed;
	if (why) {
		f->voided++;
		f->void_reason = why;
	}
	atomic_store(&snapshot.runs, false);
	if (snapshot.step_ns)
		note_stop(rtgc_now() - snapshot.step_ns);
	if (snapshot.rtgc && snapshot.rtgc == heap.rtgc)
		tell(snapshot.rtgc, rtgc_now(), why != NULL);
}

void snapshot_void(const char *why)
{
	if (!atomic_load(&snapshot.runs))
		return;
	if (atomic_load(&snapshot.working))
		snapshot.void_later =
			why; /* by one of its own finalizers, or meanwhile */
	else
		end(why);
}

void snapshot_after_fork_child(void)
{
	static const char why[] = "the process forked";
	bool mine = atomic_load(&snapshot.working) &&
		    snapshot.worker == PyThread_get_thread_ident();

	if (!atomic_load(&snapshot.runs))
		return;
	/* It is not ours to wait for. */
	atomic_store(&snapshot.child, 0);
	snapshot.rtgc = NULL;
	if (mine) {
		snapshot.void_later = why; /* a finalizer forked: its step will return */
		return;
	}
	if (atomic_exchange(&snapshot.working, false))
		snapshot_reap_abandon();
	end(why);
}

/* ---- Going on --------------------------------------------------------------------------- */

/* The child has ended. NULL: well, and there is something to free. */
static const char *hear_child(void)
{
	enum snapshot_end ended =
		snapshot_child_reap(atomic_load(&snapshot.child), false);

	if (ended == SNAPSHOT_ALIVE)
		return NULL;
	atomic_store(&snapshot.child, 0);
	snapshot.found_ns = rtgc_now();
	snapshot.figures.run_ns = snapshot.found_ns - snapshot.begin_ns;
	if (ended == SNAPSHOT_DIED)
		return "its child crashed, or took too long";
	if (ended == SNAPSHOT_LOST)
		return "somebody else waited for its child";
	switch (atomic_load(&snapshot.result->outcome)) {
	case SNAPSHOT_FOUND:
		snapshot.figures.objects = snapshot.result->objects;
		return NULL;
	case SNAPSHOT_NO_SENSE:
		return "an object has more references than its count says";
	default:
		return "its child had no room";
	}
}

static void work(uint64_t until_ns)
{
	const char *why = NULL;
	enum reap r = REAP_DONE;

	atomic_store(&snapshot.working, true);
	snapshot.worker = PyThread_get_thread_ident();
	if (snapshot.result->unreachable > 0)
		r = snapshot_reap(snapshot.result, until_ns, &snapshot.freed);
	atomic_store(&snapshot.working, false);
	if (snapshot.void_later)
		why = snapshot.void_later;
	else if (r == REAP_VOID)
		why = "somebody else rearranged the generations";
	else if (r == REAP_MORE && rtgc_now() > snapshot.found_ns + REAP_MAX_NS)
		why = "it was not worked off in time";
	else if (r == REAP_MORE)
		return;
	snapshot.ended = true;
	snapshot.why = why;
}

/* Its child lives. NULL, or why that is the end. */
static const char *replace_starving(void)
{
	pid_t child = atomic_load(&snapshot.child);
	uint64_t begin_ns = rtgc_now();

	if (!child_starves(child)) {
		atomic_store(&snapshot.due, false);
		return NULL;
	}
	atomic_store(&snapshot.child, 0);
	snapshot_child_kill(child);
	snapshot_reap_close();
	give_room_back();
	snapshot.rough = ROUGH;
	if (make_child(gclist_generation(GCLIST_OLD), false, begin_ns) < 0)
		return "no child could be made";
	return NULL;
}

static void step(uint64_t until_ns)
{
	const char *why;

	if (atomic_load(&snapshot.child)) {
		why = hear_child();
		if (!why && atomic_load(&snapshot.child)) {
			why = replace_starving();
			if (!why)
				return;
		}
		if (why) {
			if (++snapshot.failures >= FAILURES_IN_A_ROW_MAX)
				snapshot_refuse(why);
			snapshot.ended = true;
			snapshot.why = why;
			return;
		}
		snapshot.failures = 0;
	}
	work(until_ns);
}

bool snapshot_step(uint64_t until_ns)
{
	uint64_t begin_ns = rtgc_now(), step_end = begin_ns + SNAPSHOT_STEP_NS;
	bool trial = snapshot.rtgc == NULL;

	if (!atomic_load(&snapshot.runs) || atomic_load(&snapshot.working) ||
	    gcstate_collecting() || until_ns <= begin_ns ||
	    (!trial && (!gcstate_enabled() || heap.critical)))
		return false;
	if (snapshot.owner != getpid()) {
		snapshot_after_fork_child(); /* of a fork nobody told of */
		return false;
	}
	step(until_ns < step_end ? until_ns : step_end);
	note_stop(rtgc_now() - begin_ns);
	atomic_store(&snapshot.stepped_ns, rtgc_now());
	if (snapshot.ended) {
		snapshot.ended = false;
		snapshot.step_ns = begin_ns;
		end(snapshot.why);
		snapshot.step_ns = 0;
	}
	return atomic_load(&snapshot.runs) && atomic_load(&snapshot.child) == 0;
}

uint64_t snapshot_need_ns(void)
{
	return snapshot_reap_need_ns();
}

void snapshot_step_between(void)
{
	if (snapshot_due() && rtgc_now() >= snapshot_stepped_ns() + SNAPSHOT_REST_NS)
		snapshot_step(RTGC_NEVER);
}

/* ---- By whom ------------------------------------------------------------------------------ */

bool snapshot_start(enum rtgc_cause cause, const struct rtgc_window *window)
{
	struct rtgc *r = heap.rtgc;
	struct rtgc_result result;
	uint64_t begin_ns;

	if (!r || snapshot.figures.refused || atomic_load(&snapshot.runs) ||
	    gcstate_collecting() || !gcstate_enabled() ||
	    (heap.critical && cause != RTGC_FORCED))
		return false;
	if (rtgc_begin(r, RTGC_SNAPSHOT, cause, window ? window->id : 0) != 0)
		return false;
	begin_ns = rtgc_now();
	figures_begin();
	snapshot.cause = heap_cause_name(cause, true);
	gclist_age();
	if (begin(gclist_generation(GCLIST_OLD), r, begin_ns) == 0) {
		helper_kick();
		return true;
	}
	snapshot.figures.voided++;
	snapshot.figures.void_reason = "no child could be made";
	if (++snapshot.failures >= FAILURES_IN_A_ROW_MAX)
		snapshot_refuse("no child could be made");
	figures_result(0, &result);
	result.stop_ns = snapshot.figures.fork_ns;
	result.failed = true;
	rtgc_end(r, &result);
	return false;
}

const char *snapshot_trial(PyGC_Head *list, uint64_t *ret_objects, uint64_t *ret_freed)
{
	struct snapshot_figures *f = &snapshot.figures;
	uint64_t fork_ns;
	const char *why;

	if (begin(list, NULL, rtgc_now()) < 0)
		return "no child could be made";
	while (!snapshot_child_ended(atomic_load(&snapshot.child)))
		usleep(TRIAL_POLL_US);
	while (snapshot_step(RTGC_NEVER))
		;
	if (atomic_load(&snapshot.runs))
		end("it cannot go on");
	why = f->void_reason;
	fork_ns = f->fork_ns;
	*ret_objects = f->objects;
	*ret_freed = f->freed;
	*f = (struct snapshot_figures){
		.fork_ns = fork_ns, .fork_usual_ns = fork_ns, .refused = f->refused};
	return why;
}

/* SPDX-License-Identifier: MIT */
/* Time slices of threads: each is given back what it had, whoever does it, and nothing else of it is touched. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/slice.h"

#define LONG 100000000

/* 0: the kernel knows of none. */
static uint64_t slice_now(void)
{
	uint64_t attr[6] = {0};

	return syscall(SYS_sched_getattr, 0, attr, sizeof attr, 0) == 0 ? attr[3] : 0;
}

static void need_slices(void)
{
	if (slice_now() == 0) {
		print_message(
			"this kernel has no time slices for threads of their own (Linux 6.12 has)\n");
		skip();
	}
}

static void test_it_is_long_and_as_it_was(void **state)
{
	struct slice outer, inner;
	uint64_t was;

	(void)state;
	need_slices();
	was = slice_now();
	slice_lengthen(&outer);
	assert_int_equal(slice_now(), LONG);
	slice_lengthen(&inner); /* of another heap */
	slice_restore(&inner);
	assert_int_equal(slice_now(), LONG);
	slice_restore(&outer);
	assert_int_equal(slice_now(), was);
	slice_restore(&outer);
	assert_int_equal(slice_now(), was);
}

/* Returns what was wrong; NULL: nothing. (Only the main thread may assert.) */
static const char *in_thread(void *(*run)(void *slice), struct slice *slice)
{
	pthread_t thread;
	void *wrong;

	assert_int_equal(pthread_create(&thread, NULL, run, slice), 0);
	pthread_join(thread, &wrong);
	return wrong;
}

static void *restore(void *slice)
{
	uint64_t was = slice_now();

	slice_restore(slice);
	return slice_now() == was ? NULL : "that thread's own slice";
}

static void test_another_thread_gives_it_back(void **state)
{
	struct slice slice;
	uint64_t was;

	(void)state;
	need_slices();
	was = slice_now();
	slice_lengthen(&slice);
	assert_null(in_thread(restore, &slice));
	assert_int_equal(slice_now(), was);
}

static void *lengthen(void *slice)
{
	slice_lengthen(slice);
	return NULL;
}

/* Nothing happens; nor does it to anybody else. */
static void test_a_thread_that_is_gone(void **state)
{
	struct slice slice;
	uint64_t was = slice_now();

	(void)state;
	assert_null(in_thread(lengthen, &slice));
	slice_restore(&slice);
	assert_int_equal(slice.thread, 0);
	assert_int_equal(slice_now(), was);
}

/* From here on in threads that end then: they may not become again what they were. */

static void *nice_meanwhile(void *slice)
{
	int r;

	slice_lengthen(slice);
	r = setpriority(PRIO_PROCESS, 0, 7);
	slice_restore(slice);
	return r == 0 && getpriority(PRIO_PROCESS, 0) == 7 ? NULL : "its nice value";
}

static bool scheduled_as(int policy)
{
	return syscall(SYS_sched_getscheduler, 0) == policy;
}

static void *of_policy(struct slice *slice, int policy)
{
	struct sched_param param = {0};

	if (syscall(SYS_sched_setscheduler, 0, policy, &param) != 0)
		return "no such policy";
	slice_lengthen(slice);
	if (!scheduled_as(policy))
		return "lengthened, it has another policy";
	/* Whoever wakes up goes before an idle one anyway: it is left alone. */
	if (policy == SCHED_IDLE && slice->thread)
		return "an idle one is lengthened";
	slice_restore(slice);
	return scheduled_as(policy) ? NULL : "it has another policy then";
}

static void *batch(void *slice)
{
	return of_policy(slice, SCHED_BATCH);
}

static void *idle(void *slice)
{
	return of_policy(slice, SCHED_IDLE);
}

static void test_the_rest_stays(void **state)
{
	struct slice slice;

	(void)state;
	assert_null(in_thread(nice_meanwhile, &slice));
	assert_null(in_thread(batch, &slice));
	assert_null(in_thread(idle, &slice));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_is_long_and_as_it_was),
		cmocka_unit_test(test_another_thread_gives_it_back),
		cmocka_unit_test(test_a_thread_that_is_gone),
		cmocka_unit_test(test_the_rest_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

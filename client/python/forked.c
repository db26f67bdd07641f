/* SPDX-License-Identifier: MIT */
#include "client/python/forked.h"

#include "client/python/heap.h"

static pthread_key_t forker; /* set in the thread that forked */
static PyThreadState *spare;

static void on_forker_end(void *unused)
{
	PyGILState_STATE state;

	if (!heap.rtgc || !Py_IsInitialized())
		return;
	state = PyGILState_Ensure();
	heap_close();
	PyGILState_Release(state);
}

int forked_init(void)
{
	return -pthread_key_create(&forker, on_forker_end);
}

/*
 * With the thread that forked its thread state goes, the last one there is, and CPython
 * cannot make another one then. So there is one more, which no thread has.
 */
void forked_by_thread(void)
{
	if (!spare)
		spare = PyThreadState_New(PyInterpreterState_Main());
	if (spare) {
		spare->thread_id = 0;
		pthread_setspecific(forker, spare);
	}
}

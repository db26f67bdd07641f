/* SPDX-License-Identifier: MIT */
/*
 * A type with a flaw: in any other process than the one that imported this, its tp_traverse crashes or does
 * not return. (A snapshot's child is such a process.) Trap(how): "crash", "hang" or "spin".
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <string.h>
#include <unistd.h>

static pid_t home;
static volatile uintptr_t nowhere = 8;

struct trap {
	PyObject_HEAD char how;
};

static int trap_traverse(PyObject *self, visitproc visit, void *arg)
{
	if (getpid() == home)
		return 0;
	switch (((struct trap *)self)->how) {
	case 'c':
		*(volatile int *)nowhere = 1;
		break;
	case 'h':
		for (;;)
			pause();
	default:
		for (;;)
			;
	}
	return 0;
}

static PyObject *trap_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	const char *how;
	struct trap *self;

	if (!PyArg_ParseTuple(args, "s", &how))
		return NULL;
	self = (struct trap *)type->tp_alloc(type, 0);
	if (self)
		self->how = *how;
	return (PyObject *)self;
}

static void trap_dealloc(PyObject *self)
{
	PyObject_GC_UnTrack(self);
	Py_TYPE(self)->tp_free(self);
}

static PyTypeObject trap_type = {
	PyVarObject_HEAD_INIT(NULL, 0).tp_name = "trap.Trap",
	.tp_basicsize = sizeof(struct trap),
	.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
	.tp_new = trap_new,
	.tp_dealloc = trap_dealloc,
	.tp_traverse = trap_traverse,
};

static PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "trap"};

PyMODINIT_FUNC PyInit_trap(void);

PyMODINIT_FUNC PyInit_trap(void)
{
	PyObject *module = PyModule_Create(&definition);

	home = getpid();
	if (module && PyModule_AddType(module, &trap_type) < 0)
		Py_CLEAR(module);
	return module;
}

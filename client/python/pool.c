/* SPDX-License-Identifier: MIT */
#include "client/python/pool.h"

#include <structmember.h>

#include <stdint.h>
#include <string.h>

#include "client/python/ptrmap.h"

#define DEFAULT_MOST 128

enum { /* what a pool knows of an address */
	KNOWN_OUT = 1,
	KNOWN_AT_REST = 2,
};

struct pool {
	PyObject_HEAD PyObject *factory, *reset, *name; /* reset: NULL: none */
	PyObject *weak;					/* weak references to the pool */
	PyObject **at_rest;				/* the last one is taken first */
	Py_ssize_t n, allocated, most;
	struct ptrmap known;
	uint64_t made, reused, dropped, out, high_water;
	struct pool *next, **link; /* all pools */
};

struct loan { /* what pool.get() returns */
	PyObject_HEAD struct pool *pool;
	PyObject *object; /* NULL: not entered, or left */
};

static struct pool *pools;
static PyTypeObject *loan_type;

/* ---- taking and giving back ------------------------------------------------------------ */

static int note_out(struct pool *p, PyObject *o)
{
	bool new;
	uint64_t *known = ptrmap_add(&p->known, o, &new);

	if (!known) {
		PyErr_NoMemory();
		return -1;
	}
	/* Where one was handed out and has died, another one may be made. */
	if (*known != KNOWN_OUT)
		p->out++;
	*known = KNOWN_OUT;
	if (p->out > p->high_water)
		p->high_water = p->out;
	return 0;
}

static PyObject *make(struct pool *p)
{
	PyObject *o = PyObject_CallNoArgs(p->factory);
	uint64_t *known;

	if (!o)
		return NULL;
	known = ptrmap_find(&p->known, o);
	if (known && (*known == KNOWN_AT_REST || Py_REFCNT(o) > 1)) {
		PyErr_SetString(PyExc_ValueError,
				"the factory of a pool must make a new object each time");
		Py_DECREF(o);
		return NULL;
	}
	p->made++;
	if (note_out(p, o) < 0)
		Py_CLEAR(o);
	return o;
}

static PyObject *take(struct pool *p)
{
	PyObject *o;

	if (p->n == 0)
		return make(p);
	o = p->at_rest[p->n - 1];
	if (note_out(p, o) < 0)
		return NULL;
	p->n--;
	p->reused++;
	return o;
}

/* It is no more the pool's. */
static void forget(struct pool *p, PyObject *o)
{
	if (ptrmap_remove(&p->known, o) && p->out > 0)
		p->out--;
	p->dropped++;
}

static bool has_room(struct pool *p)
{
	PyObject **larger;
	Py_ssize_t allocated;

	if (p->n >= p->most)
		return false;
	if (p->n < p->allocated)
		return true;
	allocated = p->allocated ? 2 * p->allocated : 16;
	larger = PyMem_Resize(p->at_rest, PyObject *, (size_t)allocated);
	if (!larger)
		return false;
	p->at_rest = larger;
	p->allocated = allocated;
	return true;
}

/* Lays it to rest, or drops it. */
static void lay_down(struct pool *p, PyObject *o)
{
	uint64_t *known = ptrmap_find(&p->known, o);

	if (!known || *known != KNOWN_OUT)
		return; /* reset() has given it back, or cleared the pool */
	if (!has_room(p)) {
		forget(p, o);
		return;
	}
	*known = KNOWN_AT_REST;
	p->out--;
	Py_INCREF(o);
	p->at_rest[p->n++] = o;
}

static int give_back(struct pool *p, PyObject *o)
{
	const uint64_t *known = ptrmap_find(&p->known, o);
	PyObject *result;

	if (!known || *known != KNOWN_OUT) {
		PyErr_Format(PyExc_ValueError,
			     known ? "%.100s object was released to pool %R already"
				   : "%.100s object was not taken from pool %R",
			     Py_TYPE(o)->tp_name, p->name);
		return -1;
	}
	if (p->reset) {
		result = PyObject_CallOneArg(p->reset, o);
		if (!result) {
			forget(p, o); /* who knows what it is like now */
			return -1;
		}
		Py_DECREF(result);
	}
	lay_down(p, o);
	return 0;
}

static PyObject *pool_acquire(PyObject *self, PyObject *unused)
{
	return take((struct pool *)self);
}

static PyObject *pool_release(PyObject *self, PyObject *o)
{
	if (give_back((struct pool *)self, o) < 0)
		return NULL;
	Py_RETURN_NONE;
}

/* ---- loans ----------------------------------------------------------------------------- */

static PyObject *pool_get(PyObject *self, PyObject *unused)
{
	struct loan *loan = PyObject_GC_New(struct loan, loan_type);

	if (!loan)
		return NULL;
	Py_INCREF(self);
	loan->pool = (struct pool *)self;
	loan->object = NULL;
	PyObject_GC_Track(loan);
	return (PyObject *)loan;
}

static PyObject *loan_enter(PyObject *self, PyObject *unused)
{
	struct loan *loan = (struct loan *)self;
	PyObject *o;

	if (loan->object) {
		PyErr_SetString(PyExc_RuntimeError,
				"one pool.get() is good for one object at a time");
		return NULL;
	}
	o = take(loan->pool);
	if (!o)
		return NULL;
	Py_XSETREF(loan->object, o);
	Py_INCREF(o);
	return o;
}

static PyObject *loan_exit(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
	struct loan *loan = (struct loan *)self;
	PyObject *o = loan->object;
	int r;

	if (!o)
		Py_RETURN_NONE;
	loan->object = NULL;
	r = give_back(loan->pool, o);
	Py_DECREF(o);
	if (r < 0)
		return NULL;
	Py_RETURN_NONE;
}

static int loan_traverse(PyObject *self, visitproc visit, void *arg)
{
	struct loan *loan = (struct loan *)self;

	Py_VISIT(Py_TYPE(self));
	Py_VISIT(loan->pool);
	Py_VISIT(loan->object);
	return 0;
}

static int loan_clear(PyObject *self)
{
	struct loan *loan = (struct loan *)self;

	Py_CLEAR(loan->object);
	return 0;
}

/* It was never left: its object is not known to be at rest, and is the pool's no more. */
static void loan_dealloc(PyObject *self)
{
	struct loan *loan = (struct loan *)self;
	PyTypeObject *type = Py_TYPE(self);

	PyObject_GC_UnTrack(self);
	if (loan->object)
		forget(loan->pool, loan->object);
	Py_CLEAR(loan->object);
	Py_CLEAR(loan->pool);
	PyObject_GC_Del(self);
	Py_DECREF(type);
}

/* ---- looking --------------------------------------------------------------------------- */

static PyObject *pool_stats(PyObject *self, PyObject *unused)
{
	struct pool *p = (struct pool *)self;

#define NUMBER(value) (unsigned long long)(value)
	return Py_BuildValue("{s:O,s:n,s:n,s:K,s:K,s:K,s:K,s:K}", "name", p->name, "max",
			     p->most, "at_rest", p->n, "in_use", NUMBER(p->out), "made",
			     NUMBER(p->made), "reused", NUMBER(p->reused), "dropped",
			     NUMBER(p->dropped), "high_water", NUMBER(p->high_water));
#undef NUMBER
}

PyObject *pool_list(void)
{
	PyObject *list = PyList_New(0);
	struct pool *next, *p = pools;

	/* Making the list may run a collection, and that may be the end of a pool. */
	Py_XINCREF(p);
	for (; p; p = next) {
		PyObject *item = list ? pool_stats((PyObject *)p, NULL) : NULL;

		if (list && (!item || PyList_Append(list, item) < 0))
			Py_CLEAR(list);
		Py_XDECREF(item);
		next = p->next;
		Py_XINCREF(next);
		Py_DECREF(p);
	}
	return list;
}

static PyObject *pool_repr(PyObject *self)
{
	struct pool *p = (struct pool *)self;

	return PyUnicode_FromFormat("<rtgc.Pool %R: %zd at rest, %llu in use>", p->name,
				    p->n, (unsigned long long)p->out);
}

/* ---- life ------------------------------------------------------------------------------ */

static PyObject *pool_clear_method(PyObject *self, PyObject *unused)
{
	struct pool *p = (struct pool *)self;

	/* One at a time: its end may run code that uses the pool. */
	while (p->n > 0) {
		PyObject *o = p->at_rest[--p->n];

		ptrmap_remove(&p->known, o);
		p->dropped++;
		Py_DECREF(o);
	}
	Py_RETURN_NONE;
}

static PyObject *default_name(PyObject *factory)
{
	PyObject *name = PyObject_GetAttrString(factory, "__qualname__");

	if (name && PyUnicode_Check(name))
		return name;
	Py_XDECREF(name);
	PyErr_Clear();
	return PyUnicode_FromString(Py_TYPE(factory)->tp_name);
}

static PyObject *pool_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	static char *names[] = {"factory", "reset", "max", "name", NULL};
	PyObject *factory, *reset = Py_None, *name = NULL;
	Py_ssize_t most = DEFAULT_MOST;
	struct pool *p;

	if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|OnU:Pool", names, &factory,
					 &reset, &most, &name))
		return NULL;
	if (!PyCallable_Check(factory) || (reset != Py_None && !PyCallable_Check(reset)))
		return PyErr_Format(PyExc_TypeError, "Pool() wants callables");
	if (most < 0)
		return PyErr_Format(PyExc_ValueError, "max is a number of objects");
	p = (struct pool *)type->tp_alloc(type, 0);
	if (!p)
		return NULL;
	p->most = most;
	Py_INCREF(factory);
	p->factory = factory;
	if (reset != Py_None) {
		Py_INCREF(reset);
		p->reset = reset;
	}
	Py_XINCREF(name);
	p->name = name ? name : default_name(factory);
	p->next = pools;
	p->link = &pools;
	if (pools)
		pools->link = &p->next;
	pools = p;
	if (!p->name)
		Py_CLEAR(p);
	return (PyObject *)p;
}

static int pool_traverse(PyObject *self, visitproc visit, void *arg)
{
	struct pool *p = (struct pool *)self;

	Py_VISIT(Py_TYPE(self));
	Py_VISIT(p->factory);
	Py_VISIT(p->reset);
	for (Py_ssize_t i = 0; i < p->n; i++)
		Py_VISIT(p->at_rest[i]);
	return 0;
}

static int pool_clear(PyObject *self)
{
	struct pool *p = (struct pool *)self;

	Py_XDECREF(pool_clear_method(self, NULL));
	Py_CLEAR(p->reset);
	return 0;
}

static void pool_dealloc(PyObject *self)
{
	struct pool *p = (struct pool *)self;
	PyTypeObject *type = Py_TYPE(self);

	PyObject_GC_UnTrack(self);
	*p->link = p->next;
	if (p->next)
		p->next->link = p->link;
	if (p->weak)
		PyObject_ClearWeakRefs(self);
	pool_clear(self);
	Py_CLEAR(p->factory);
	Py_CLEAR(p->name);
	ptrmap_deinit(&p->known);
	PyMem_Free(p->at_rest);
	type->tp_free(self);
	Py_DECREF(type);
}

static PyMethodDef pool_methods[] = {
	{"acquire", pool_acquire, METH_NOARGS,
	 "acquire($self, /)\n--\n\n"
	 "An object that rests in the pool, or a new one. It never waits."},
	{"release", pool_release, METH_O,
	 "release($self, object, /)\n--\n\n"
	 "Give back an object that was acquired: reset(object) is called, then it rests\n"
	 "until it is acquired again. Where `max` rest already, it is dropped.\n\n"
	 "ValueError: it rests in the pool already, or was never taken from it. When\n"
	 "reset() fails, its exception goes on, and the object is dropped."},
	{"get", pool_get, METH_NOARGS,
	 "get($self, /)\n--\n\n"
	 "with pool.get() as x: acquires x here and releases it at the end."},
	{"clear", pool_clear_method, METH_NOARGS,
	 "clear($self, /)\n--\n\nDrop the objects at rest."},
	{"stats", pool_stats, METH_NOARGS,
	 "stats($self, /)\n--\n\n"
	 "The counters, as in rtgc.status()[\"pools\"]: made (by the factory), reused\n"
	 "(acquired without making one), dropped, in_use and at_rest now, high_water: the\n"
	 "most that were in use at once. One that its user forgot stays in in_use."},
	{0},
};

PyDoc_STRVAR(
	pool_doc,
	"Pool(factory, reset=None, max=128, name=None)\n--\n\n"
	"Objects that are reused instead of made again.\n\n"
	"    buffers = rtgc.Pool(list, reset=list.clear, max=64)\n"
	"    with buffers.get() as buffer: ...\n\n"
	"factory() makes a new object when none rests in the pool. reset(object) is\n"
	"called when one is given back, and should let go of what its last user put\n"
	"into it: what it refers to lives as long as it rests. max: how many may rest;\n"
	"the number in use has no limit. name: in rtgc.status()[\"pools\"].\n\n"
	"Any thread may use it. A forked child has a copy of its own.");

static PyMemberDef pool_members[] = {
	{"__weaklistoffset__", T_PYSSIZET, offsetof(struct pool, weak), READONLY, NULL},
	{"name", T_OBJECT, offsetof(struct pool, name), READONLY, NULL},
	{"max", T_PYSSIZET, offsetof(struct pool, most), READONLY, NULL},
	{0},
};

static PyType_Slot pool_slots[] = {
	{Py_tp_doc, (void *)pool_doc},
	{Py_tp_new, (void *)pool_new},
	{Py_tp_dealloc, (void *)pool_dealloc},
	{Py_tp_traverse, (void *)pool_traverse},
	{Py_tp_clear, (void *)pool_clear},
	{Py_tp_repr, (void *)pool_repr},
	{Py_tp_methods, pool_methods},
	{Py_tp_members, pool_members},
	{0, NULL},
};

static PyType_Spec pool_spec = {
	.name = "rtgc.Pool",
	.basicsize = sizeof(struct pool),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
	.slots = pool_slots,
};

static PyMethodDef loan_methods[] = {
	{"__enter__", loan_enter, METH_NOARGS, "__enter__()\n--\n\nThe object."},
	{"__exit__", (PyCFunction)(void (*)(void))loan_exit, METH_FASTCALL,
	 "__exit__(*exception)\n--\n\nGive it back."},
	{0},
};

static PyType_Slot loan_slots[] = {
	{Py_tp_dealloc, (void *)loan_dealloc},
	{Py_tp_traverse, (void *)loan_traverse},
	{Py_tp_clear, (void *)loan_clear},
	{Py_tp_methods, loan_methods},
	{0, NULL},
};

static PyType_Spec loan_spec = {
	.name = "rtgc._rtgc.Loan",
	.basicsize = sizeof(struct loan),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
	.slots = loan_slots,
};

int pool_add(PyObject *module)
{
	PyObject *type = PyType_FromSpec(&pool_spec);

	if (!type || PyModule_AddObject(module, "Pool", type) < 0) {
		Py_XDECREF(type);
		return -1;
	}
	if (!loan_type)
		loan_type = (PyTypeObject *)PyType_FromSpec(&loan_spec);
	return loan_type ? 0 : -1;
}

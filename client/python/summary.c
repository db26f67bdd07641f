/* SPDX-License-Identifier: MIT */
#include "client/python/summary.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/python/gcstate.h"
#include "client/python/heap.h"
#include "client/python/ptrmap.h"

#if PY_VERSION_HEX >= 0x030d0000
/* sys.getsizeof(): exported as ever, but its declaration has gone into an internal header. */
PyAPI_FUNC(size_t) _PySys_GetSizeOf(PyObject *);
#endif

/* Objects of one type, and how their size is found. */
struct kind {
	PyTypeObject *type;
	uint64_t count, bytes;
	size_t before;	  /* bytes in front of the object: the collector's header */
	PyCFunction size; /* __sizeof__, when it is not object's and is C; else NULL */
};

struct walk {
	struct ptrmap by_type; /* its number among the kinds, plus one */
	struct kind *kinds;
	size_t n, allocated;
	struct kind *last;
	bool untracked, failed;
	struct ptrmap seen; /* untracked objects */
	PyObject **todo;    /* those of them that refer to others */
	size_t n_todo, todo_allocated;
};

/* ---- sizes -------------------------------------------------------------------------- */

static PyObject *sizeof_name;
static PyMethodDef *sizeof_object; /* object.__sizeof__ */

/* The C function behind type.__sizeof__; NULL: it is Python's. */
static PyMethodDef *find_sizeof(PyTypeObject *type)
{
	PyObject *method = _PyType_Lookup(type, sizeof_name);
	PyMethodDef *found;

	if (!method || !Py_IS_TYPE(method, &PyMethodDescr_Type))
		return NULL;
	found = ((PyMethodDescrObject *)method)->d_method;
	return found->ml_flags == METH_NOARGS ? found : NULL;
}

static int prepare(void)
{
	if (!sizeof_name)
		sizeof_name = PyUnicode_InternFromString("__sizeof__");
	if (!sizeof_name)
		return -ENOMEM;
	sizeof_object = find_sizeof(&PyBaseObject_Type);
	return 0;
}

/* As object.__sizeof__() has it. */
static size_t plain_size(PyObject *o)
{
	PyTypeObject *type = Py_TYPE(o);
	Py_ssize_t items = type->tp_itemsize ? Py_SIZE(o) : 0;

	return (size_t)type->tp_basicsize +
	       (size_t)(items < 0 ? -items : items) * (size_t)type->tp_itemsize;
}

static size_t asked_size(PyCFunction size, PyObject *o)
{
	PyObject *number = size(o, NULL);
	size_t n = number ? PyLong_AsSize_t(number) : 0;

	Py_XDECREF(number);
	if (!PyErr_Occurred())
		return n;
	PyErr_Clear();
	return plain_size(o);
}

static size_t own_size(const struct kind *k, PyObject *o)
{
	return k->size ? asked_size(k->size, o) : plain_size(o);
}

/*
 * What sys.getsizeof() adds differs between versions and types, not between the objects of a
 * type: the first one tells. A __sizeof__() in Python must not be run, so these types have
 * what their class would have.
 */
static void learn_size(struct kind *k, PyObject *o)
{
	PyMethodDef *method = find_sizeof(k->type);
	size_t whole;

	if (!method) {
		k->before = PyObject_IS_GC(o) ? 2 * sizeof(void *) : 0;
#ifdef Py_TPFLAGS_MANAGED_DICT
		if (PyType_HasFeature(k->type, Py_TPFLAGS_MANAGED_DICT))
			k->before += 2 * sizeof(void *);
#endif
		return;
	}
	whole = _PySys_GetSizeOf(o);
	if (whole == (size_t)-1 && PyErr_Occurred()) {
		PyErr_Clear();
		return;
	}
	if (method != sizeof_object)
		k->size = method->ml_meth;
	if (whole < own_size(k, o) || whole - own_size(k, o) > 4 * sizeof(void *))
		k->size = method->ml_meth; /* (object's own knows more than we do) */
	if (whole >= own_size(k, o))
		k->before = whole - own_size(k, o);
}

/* ---- counting ----------------------------------------------------------------------- */

static void *enlarged(void *array, size_t *allocated, size_t size)
{
	size_t n = *allocated ? 2 * *allocated : 256;
	void *larger = realloc(array, n * size);

	if (larger)
		*allocated = n;
	return larger;
}

static struct kind *kind_new(struct walk *w, PyObject *o)
{
	if (w->n == w->allocated) {
		struct kind *kinds = enlarged(w->kinds, &w->allocated, sizeof(*kinds));

		if (!kinds)
			return NULL;
		w->kinds = kinds;
	}
	w->kinds[w->n] = (struct kind){.type = Py_TYPE(o)};
	learn_size(&w->kinds[w->n], o);
	return &w->kinds[w->n++];
}

static struct kind *kind_of(struct walk *w, PyObject *o)
{
	uint64_t *number;
	bool new;

	if (w->last && w->last->type == Py_TYPE(o))
		return w->last;
	number = ptrmap_add(&w->by_type, Py_TYPE(o), &new);
	if (!number)
		return NULL;
	if (new) {
		w->last = kind_new(w, o);
		*number = w->n;
	} else {
		w->last = &w->kinds[*number - 1];
	}
	return w->last;
}

static bool count(struct walk *w, PyObject *o)
{
	struct kind *k = kind_of(w, o);

	if (!k) {
		w->failed = true;
		return false;
	}
	k->count++;
	k->bytes += k->before + own_size(k, o);
	return true;
}

static int visit_referent(PyObject *o, void *userdata)
{
	struct walk *w = userdata;
	bool gc = PyObject_IS_GC(o), new;

	if ((gc && PyObject_GC_IsTracked(o)) || w->failed)
		return 0;
	if (!ptrmap_add(&w->seen, o, &new)) {
		w->failed = true;
		return 0;
	}
	if (!new || !count(w, o) || !gc || !Py_TYPE(o)->tp_traverse)
		return 0;
	if (w->n_todo == w->todo_allocated) {
		PyObject **todo = enlarged(w->todo, &w->todo_allocated, sizeof(*todo));

		if (!todo) {
			w->failed = true;
			return 0;
		}
		w->todo = todo;
	}
	w->todo[w->n_todo++] = o;
	return 0;
}

static int visit_tracked(PyObject *o, void *userdata)
{
	struct walk *w = userdata;

	if (!count(w, o))
		return -1;
	if (!w->untracked || !Py_TYPE(o)->tp_traverse)
		return 0;
	Py_TYPE(o)->tp_traverse(o, visit_referent, w);
	while (w->n_todo && !w->failed) {
		PyObject *next = w->todo[--w->n_todo];

		Py_TYPE(next)->tp_traverse(next, visit_referent, w);
	}
	return w->failed ? -1 : 0;
}

/* ---- rows --------------------------------------------------------------------------- */

/* A new text; NULL: no memory. Names that cannot be had are "?". */
static char *name_of(PyTypeObject *type)
{
	PyHeapTypeObject *heap_type = (PyHeapTypeObject *)type;
	PyObject *module;
	const char *first, *last;
	char *name = NULL;

	if (!PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE))
		return strdup(type->tp_name);
	module = type->tp_dict ? PyDict_GetItemString(type->tp_dict, "__module__") : NULL;
	first = module && PyUnicode_Check(module) ? PyUnicode_AsUTF8(module) : NULL;
	last = heap_type->ht_qualname ? PyUnicode_AsUTF8(heap_type->ht_qualname) : NULL;
	PyErr_Clear();
	if (!last)
		last = "?";
	if (!first || strcmp(first, "builtins") == 0)
		return strdup(last);
	return asprintf(&name, "%s.%s", first, last) < 0 ? NULL : name;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct summary_row *)a)->name,
		      ((const struct summary_row *)b)->name);
}

static int by_bytes(const void *a, const void *b)
{
	const struct summary_row *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? 1 : -1;
	return by_name(a, b);
}

static void unite_names(struct summary *s)
{
	size_t n = 0;

	qsort(s->rows, s->n_rows, sizeof(*s->rows), by_name);
	for (size_t i = 0; i < s->n_rows; i++) {
		if (n && strcmp(s->rows[n - 1].name, s->rows[i].name) == 0) {
			s->rows[n - 1].count += s->rows[i].count;
			s->rows[n - 1].bytes += s->rows[i].bytes;
			free(s->rows[i].name);
		} else {
			s->rows[n++] = s->rows[i];
		}
	}
	s->n_rows = n;
	qsort(s->rows, s->n_rows, sizeof(*s->rows), by_bytes);
}

static int make_rows(const struct walk *w, struct summary *ret)
{
	struct summary s = {.rows = calloc(w->n + 1, sizeof(*s.rows))};

	if (!s.rows)
		return -ENOMEM;
	for (size_t i = 0; i < w->n; i++) {
		const struct kind *k = &w->kinds[i];
		char *name = name_of(k->type);

		if (!name) {
			summary_deinit(&s);
			return -ENOMEM;
		}
		s.rows[s.n_rows++] = (struct summary_row){
			.name = name, .count = k->count, .bytes = k->bytes};
		s.count += k->count;
		s.bytes += k->bytes;
	}
	unite_names(&s);
	*ret = s;
	return 0;
}

int summary_take(bool untracked, struct summary *ret)
{
	struct walk w = {.untracked = untracked};
	uint64_t begin = rtgc_now();
	int r = prepare();

	if (r < 0)
		return r;
	if (!gcstate_hold())
		return SUMMARY_E_COLLECTING;
	if (gcstate_visit(visit_tracked, &w) != 0)
		r = -ENOMEM;
	gcstate_release();
	if (r == 0)
		r = make_rows(&w, ret);
	ptrmap_deinit(&w.by_type);
	ptrmap_deinit(&w.seen);
	free(w.kinds);
	free(w.todo);
	if (r == 0)
		ret->pause_ns = rtgc_now() - begin;
	return r;
}

void summary_deinit(struct summary *s)
{
	for (size_t i = 0; i < s->n_rows; i++)
		free(s->rows[i].name);
	free(s->rows);
	*s = (struct summary){0};
}

/* ---- for Python --------------------------------------------------------------------- */

static PyObject *row_list(const struct summary *s)
{
	PyObject *list = PyList_New(0);

	for (size_t i = 0; list && i < s->n_rows; i++) {
		const struct summary_row *row = &s->rows[i];
		PyObject *item =
			Py_BuildValue("(sKK)", row->name, (unsigned long long)row->count,
				      (unsigned long long)row->bytes);

		if (!item || PyList_Append(list, item) < 0)
			Py_CLEAR(list);
		Py_XDECREF(item);
	}
	return list;
}

PyObject *summary_call(PyObject *module, PyObject *untracked)
{
	int wanted = PyObject_IsTrue(untracked), r;
	struct summary s;
	PyObject *list, *result;

	if (wanted < 0)
		return NULL;
	r = summary_take(wanted, &s);
	if (r < 0)
		return PyErr_NoMemory();
	if (r == SUMMARY_E_COLLECTING) {
		PyErr_SetString(PyExc_RuntimeError, "a collection is running: no summary "
						    "from inside a finalizer");
		return NULL;
	}
	list = row_list(&s);
	result = list ? Py_BuildValue("(KKKO)", (unsigned long long)s.count,
				      (unsigned long long)s.bytes,
				      (unsigned long long)s.pause_ns / 1000, list)
		      : NULL;
	Py_XDECREF(list);
	summary_deinit(&s);
	return result;
}

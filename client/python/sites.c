/* SPDX-License-Identifier: MIT */
#include "client/python/sites.h"

#include <frameobject.h>

#include <stdlib.h>

#include "client/python/gcstate.h"

#define SITES_MOST  4096 /* further ones are not told apart */
#define TYPES_MOST  8	 /* of one site; the rarest make room */
#define NEWEST_MOST 16	 /* objects looked at in one sample */

struct seen {
	PyTypeObject *type;
	uint64_t n;
};

struct site {
	PyCodeObject *code;
	int line;
	uint64_t samples;
	struct seen seen[TYPES_MOST];
};

static struct {
	PyObject *callback; /* NULL: nobody samples */
	struct site *sites;
	size_t n;
	uint64_t samples; /* also of sites there is no room for */
} sampler;

/* ---- sampling ------------------------------------------------------------------------- */

/* (A program has few places that make many objects: they come first, and are found at once.) */
static struct site *site_of(PyCodeObject *code, int line)
{
	struct site *s;

	for (size_t i = 0; i < sampler.n; i++) {
		s = &sampler.sites[i];
		if (s->code == code && s->line == line)
			return s;
	}
	if (sampler.n == SITES_MOST)
		return NULL;
	s = &sampler.sites[sampler.n++];
	Py_INCREF(code);
	*s = (struct site){.code = code, .line = line};
	return s;
}

static void count_type(struct site *s, PyTypeObject *type)
{
	struct seen *least = &s->seen[0];

	for (unsigned i = 0; i < TYPES_MOST; i++) {
		if (s->seen[i].type == type) {
			s->seen[i].n++;
			return;
		}
		if (s->seen[i].n < least->n)
			least = &s->seen[i];
	}
	Py_INCREF(type);
	Py_XDECREF(least->type);
	*least = (struct seen){.type = type, .n = 1};
}

struct newest {
	struct site *site;
	unsigned n;
};

static int look_at(PyObject *o, void *userdata)
{
	struct newest *newest = userdata;

	if (PyFrame_Check(o))
		return 0; /* made by looking, most likely */
	count_type(newest->site, Py_TYPE(o));
	return ++newest->n == NEWEST_MOST;
}

static void sample(void)
{
	PyFrameObject *frame = PyThreadState_GetFrame(PyThreadState_Get());
	struct newest newest = {0};
	PyCodeObject *code;

	sampler.samples++;
	if (!frame)
		return; /* a thread without Python code */
	code = PyFrame_GetCode(frame);
	newest.site = site_of(code, PyFrame_GetLineNumber(frame));
	if (newest.site) {
		newest.site->samples++;
		gcstate_visit_newest(look_at, &newest);
	}
	Py_DECREF(code);
	Py_DECREF(frame);
}

/*
 * Collections of older generations begin when the youngest is full, too. One that somebody
 * has asked for says nothing: then it is mostly not full.
 */
PyObject *sites_on_gc(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
	if (nargs == 2 && sampler.callback && PyUnicode_Check(args[0]) &&
	    PyUnicode_CompareWithASCIIString(args[0], "start") == 0 && gcstate_is_full())
		sample();
	Py_RETURN_NONE;
}

/* ---- beginning and ending --------------------------------------------------------------- */

static int listen(const char *method)
{
	PyObject *module = PyImport_ImportModule("gc");
	PyObject *list = module ? PyObject_GetAttrString(module, "callbacks") : NULL;
	PyObject *result =
		list ? PyObject_CallMethod(list, method, "O", sampler.callback) : NULL;

	Py_XDECREF(module);
	Py_XDECREF(list);
	Py_XDECREF(result);
	return result ? 0 : -1;
}

static void forget(void)
{
	struct site *sites = sampler.sites;
	size_t n = sampler.n;

	sampler.sites = NULL;
	sampler.n = 0;
	Py_CLEAR(sampler.callback);
	for (size_t i = 0; i < n; i++) {
		Py_DECREF(sites[i].code);
		for (unsigned k = 0; k < TYPES_MOST; k++)
			Py_XDECREF(sites[i].seen[k].type);
	}
	free(sites);
}

PyObject *sites_begin(PyObject *module, PyObject *unused)
{
	if (sampler.callback) {
		PyErr_SetString(PyExc_RuntimeError,
				"allocation sites are sampled already");
		return NULL;
	}
	sampler.sites = calloc(SITES_MOST, sizeof(*sampler.sites));
	if (!sampler.sites)
		return PyErr_NoMemory();
	sampler.samples = 0;
	sampler.callback = PyObject_GetAttrString(module, "on_gc_sites");
	if (!sampler.callback || listen("append") < 0) {
		forget();
		return NULL;
	}
	Py_RETURN_NONE;
}

static PyObject *type_list(const struct site *s)
{
	PyObject *list = PyList_New(0);

	for (unsigned i = 0; list && i < TYPES_MOST && s->seen[i].type; i++) {
		PyObject *item = Py_BuildValue("(OK)", s->seen[i].type,
					       (unsigned long long)s->seen[i].n);

		if (!item || PyList_Append(list, item) < 0)
			Py_CLEAR(list);
		Py_XDECREF(item);
	}
	return list;
}

static PyObject *site_list(void)
{
	PyObject *list = PyList_New(0);

	for (size_t i = 0; list && i < sampler.n; i++) {
		const struct site *s = &sampler.sites[i];
		PyObject *types = type_list(s);
		PyObject *item =
			types ? Py_BuildValue("(OiOKN)", s->code->co_filename, s->line,
					      s->code->co_name,
					      (unsigned long long)s->samples, types)
			      : NULL;

		if (!item || PyList_Append(list, item) < 0)
			Py_CLEAR(list);
		Py_XDECREF(item);
	}
	return list;
}

PyObject *sites_end(PyObject *module, PyObject *unused)
{
	PyObject *list, *result;

	if (!sampler.callback) {
		PyErr_SetString(PyExc_RuntimeError, "allocation sites are not sampled");
		return NULL;
	}
	if (listen("remove") < 0)
		PyErr_Clear(); /* somebody took it out before us */
	list = site_list();
	result = list ? Py_BuildValue("(KN)", (unsigned long long)sampler.samples, list)
		      : NULL;
	forget();
	return result;
}

/* SPDX-License-Identifier: MIT */
/*
 * CPython's own declarations of its collector, for the files that read or change it. Comes
 * before every other header: it chooses the feature macros.
 */
#ifndef RTGC_PYTHON_INTERNAL_H
#define RTGC_PYTHON_INTERNAL_H

#define Py_BUILD_CORE_MODULE 1
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wundef"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#include <internal/pycore_interp.h>
#include <internal/pycore_runtime.h>
#pragma GCC diagnostic pop

#if PY_VERSION_HEX < 0x03090000 || PY_VERSION_HEX >= 0x030e0000
#error "the module rtgc knows the collectors of CPython 3.9 to 3.13"
#endif
#ifdef Py_GIL_DISABLED
#error "the module rtgc does not know the collector of free-threaded builds"
#endif

#endif

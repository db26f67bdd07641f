/* SPDX-License-Identifier: MIT */
/*
 * What the shim in a program under test shares with the test that drives it: a file that both map,
 * named by RTGC_FAULT_FILE. The test says which call of which function is to fail; the shim
 * counts. tests/fault/fault.py has the same layout.
 */
#ifndef TESTS_FAULT_SHIM_H
#define TESTS_FAULT_SHIM_H

#include <stdatomic.h>
#include <stdint.h>

#define FAULT_FUNCTIONS 64
#define FAULT_NAME_MAX	24

struct fault_function {
	char name[FAULT_NAME_MAX];
	_Atomic uint64_t calls; /* of the process under test, since it began */
};

struct fault_page {
	/* The process that maps the file after `claim` others is the one under test. */
	_Atomic int32_t claim;
	_Atomic int32_t pid;   /* of the process under test; 0: it has not come yet */
	_Atomic int32_t error; /* the errno of the call that fails */
	_Atomic uint64_t countdown; /* it is the n-th from now on; 0: none */
	_Atomic uint64_t fired;	    /* calls that have failed */
	_Atomic int64_t blocks;	    /* allocated and not freed */
	char function
		[FAULT_NAME_MAX]; /* of this function; written while countdown is 0 */
	struct fault_function functions[FAULT_FUNCTIONS];
};

#endif

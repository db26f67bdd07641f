/* SPDX-License-Identifier: MIT */
/* The methods of io.rtgcd.Supervisor (daemon/io.rtgcd.Supervisor.varlink). */
#ifndef RTGCD_CONTROL_H
#define RTGCD_CONTROL_H

#include <stdbool.h>

#include "daemon/core/histogram.h"
#include "daemon/core/supervisor.h"
#include "daemon/varlink.h"

struct asks;
struct config;
struct hot;
struct metrics;
struct pressure;
struct quota;
struct sessions;
struct subscribers;
struct trace;
struct web;

/* What the methods show and do. */
struct control {
	struct loop *loop;
	struct supervisor *core;
	struct hot *hot;
	struct trace *trace;
	struct subscribers *subscribers;
	struct asks *asks;
	const struct pressure *pressure;
	struct quota *quota;
	const struct sessions *sessions;
	struct varlink *varlink;
	const struct web *web;
	struct metrics *metrics;
	struct config *const *config; /* the one in force */
	const struct histogram *latency;
	uint64_t epoch;
	nsec_t started;
	bool reload_ok; /* how the last reload ended */
	/* 0, or negative with a malloced message. Sets reload_ok. */
	int (*reload)(void *userdata, char **ret_error);
	void *userdata;
};

/* Its methods' userdata is a struct control. */
extern const struct varlink_interface control_interface;

#endif

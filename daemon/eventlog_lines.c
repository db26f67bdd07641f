/* SPDX-License-Identifier: MIT */
#include "daemon/eventlog_lines.h"

#include "daemon/eventlog.h"

#define EVENT(type, key, member) EVENTLOG_FIELD(type, key, struct event, member)
#define LATER(type, key, member) EVENTLOG_LATER_FIELD(type, key, struct event, member)

static const struct eventlog_field join_fields[] = {
	EVENT(U32, "uid", join.uid),
	EVENT(I32, "pid", join.pid),
	LATER(AMOUNT, "former", join.former),
	EVENT(U16, "version_min", join.hello.version_min),
	EVENT(U16, "version_max", join.hello.version_max),
	EVENT(U32, "caps", join.hello.caps),
	EVENT(UNIT, "unit", join.hello.unit),
	EVENT(KINDS, "kinds", join.hello.kinds),
	EVENT(AMOUNT, "budget", join.hello.budget),
	EVENT(AMOUNT, "prev_epoch", join.hello.prev_epoch),
	EVENT(AMOUNT, "prev_window", join.hello.prev_window),
	LATER(KIND, "prev_kind", join.hello.prev_kind),
	EVENT(INSTANT, "prev_closes_ns", join.hello.prev_closes),
	EVENT(NAME, "service", join.hello.service),
	EVENT(NAME, "name", join.hello.heap),
	EVENT(RUNTIME, "runtime", join.hello.runtime),
	{0},
};
static const struct eventlog_field report_fields[] = {
	EVENT(INSTANT, "taken_ns", report.at),
	EVENT(AMOUNT, "used", report.used),
	EVENT(AMOUNT, "allocated", report.allocated),
	EVENT(AMOUNT, "live", report.live),
	EVENT(AMOUNT, "rss_bytes", report.rss_bytes),
	EVENT(AMOUNT, "budget", report.budget),
	LATER(AMOUNT, "step", report.step),
	{0},
};
static const struct eventlog_field idle_fields[] = {
	EVENT(INSTANT, "until_ns", idle.until),
	{0},
};
static const struct eventlog_field deadline_fields[] = {
	EVENT(INSTANT, "deadline_ns", deadline.at),
	{0},
};
static const struct eventlog_field quiet_fields[] = {
	EVENT(AMOUNT, "window", quiet.window),
	{0},
};
static const struct eventlog_field begin_fields[] = {
	EVENT(AMOUNT, "window", begin.window),
	EVENT(INSTANT, "begin_ns", begin.at),
	EVENT(KIND, "kind", begin.kind),
	EVENT(CAUSE, "cause", begin.cause),
	{0},
};
static const struct eventlog_field end_fields[] = {
	EVENT(AMOUNT, "window", end.window),
	EVENT(INSTANT, "begin_ns", end.begin),
	EVENT(INSTANT, "end_ns", end.end),
	EVENT(AMOUNT, "freed", end.freed),
	EVENT(AMOUNT, "used", end.used),
	EVENT(AMOUNT, "live", end.live),
	EVENT(KIND, "kind", end.kind),
	EVENT(CAUSE, "cause", end.cause),
	LATER(FLAG, "failed", end.failed),
	LATER(AMOUNT, "stop_ns", end.stop),
	{0},
};
static const struct eventlog_field decline_fields[] = {
	EVENT(AMOUNT, "window", decline.window),
	EVENT(DECLINE, "why", decline.why),
	{0},
};
static const struct eventlog_field offer_fields[] = {
	EVENT(KINDS, "kinds", offer.kinds),
	{0},
};
static const struct eventlog_field window_fields[] = {
	EVENT(AMOUNT, "window", window),
	{0},
};
static const struct eventlog_field hold_fields[] = {
	EVENT(BOOL, "held", held),
	{0},
};
static const struct eventlog_field no_fields[] = {{0}};

const struct eventlog_line eventlog_events[] = {
	{"join", EVENT_JOIN, join_fields},
	{"leave", EVENT_LEAVE, no_fields},
	{"lost", EVENT_LOST, no_fields},
	{"report", EVENT_REPORT, report_fields},
	{"idle", EVENT_IDLE, idle_fields},
	{"busy", EVENT_BUSY, no_fields},
	{"deadline", EVENT_DEADLINE, deadline_fields},
	{"quiet", EVENT_QUIET, quiet_fields},
	{"begin", EVENT_BEGIN, begin_fields},
	{"end", EVENT_END, end_fields},
	{"decline", EVENT_DECLINE, decline_fields},
	{"offer", EVENT_OFFER, offer_fields},
	{"drained", EVENT_DRAINED, window_fields},
	{"undrainable", EVENT_UNDRAINABLE, window_fields},
	{"hold", EVENT_HOLD, hold_fields},
	{"collect", EVENT_COLLECT, no_fields},
	{NULL, 0, NULL},
};

#define ACTION(type, key, member) \
	EVENTLOG_FIELD(type, key, struct eventlog_action, member)

static const struct eventlog_field announce_fields[] = {
	ACTION(AMOUNT, "window", action.announce.window),
	ACTION(INSTANT, "opens_by_ns", action.announce.opens_by),
	ACTION(AMOUNT, "predicted_ns", action.announce.predicted),
	ACTION(KIND, "kind", action.announce.kind),
	ACTION(FLAG, "drain", action.announce.drain),
	{0},
};
static const struct eventlog_field open_fields[] = {
	ACTION(AMOUNT, "window", action.window.window),
	ACTION(INSTANT, "opens_ns", action.window.opens),
	ACTION(INSTANT, "closes_ns", action.window.closes),
	ACTION(AMOUNT, "predicted_ns", action.window.predicted),
	ACTION(KIND, "kind", action.window.kind),
	ACTION(FLAG, "must", action.window.must),
	ACTION(BOOL, "over_limit", over_limit),
	ACTION(INSTANT, "wanted_ns", wanted),
	ACTION(REASON, "reason", reason),
	{0},
};
static const struct eventlog_field revoke_fields[] = {
	ACTION(AMOUNT, "window", action.revoke.window),
	ACTION(REASON, "reason", reason),
	{0},
};

const struct eventlog_line eventlog_actions[] = {
	{"announce", ACTION_ANNOUNCE, announce_fields},
	{"open", ACTION_OPEN, open_fields},
	{"revoke", ACTION_REVOKE, revoke_fields},
	{"close", ACTION_CLOSE, revoke_fields},
	{NULL, 0, NULL},
};

#define SERVICE(type, key, member) \
	EVENTLOG_FIELD(type, key, struct core_service_config, member)

const struct eventlog_field eventlog_service[] = {
	SERVICE(OPTIONAL, "name", name),
	SERVICE(POLICY, "policy", policy),
	SERVICE(DRAIN, "drain", drain),
	SERVICE(COUNT, "max_concurrent", max_concurrent),
	SERVICE(AMOUNT, "budget_bytes", budget_bytes),
	SERVICE(INSTANT, "lead_ns", lead),
	SERVICE(INSTANT, "max_defer_ns", max_defer),
	SERVICE(PERMILLE, "min_yield_permille", min_yield_permille),
	SERVICE(RIVALS, "never_with", never_with),
	{0},
};

#define CONFIG(type, key, member) EVENTLOG_FIELD(type, key, struct core_config, member)

const struct eventlog_field eventlog_config[] = {
	CONFIG(COUNT, "max_concurrent", max_concurrent),
	CONFIG(AMOUNT, "memory_budget_bytes", memory_budget),
	{0},
};

#define HEADER(type, key, member) \
	EVENTLOG_FIELD(type, key, struct eventlog_header, member)

const struct eventlog_field eventlog_header_fields[] = {
	HEADER(NAME, "rtgcd", rtgcd),
	HEADER(AMOUNT, "epoch", epoch),
	HEADER(COUNT, "cpus", cpus),
	{0},
};

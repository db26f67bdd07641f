/* SPDX-License-Identifier: MIT */
/*
 * Why a decision was made: one table that feeds log, CLI, JSON and documentation. To add
 * one, add a line here; the key is public and never changes its meaning.
 */
#ifndef RTGCD_CORE_REASON_H
#define RTGCD_CORE_REASON_H

/* X(constant, "key", "sentence") */
#define REASONS(X)                                                                       \
	X(REASON_NONE, "none", "nothing was decided yet")                                \
	X(REASON_NOT_DUE, "not-due", "the budget is not in danger before the next look") \
	X(REASON_DUE, "due",                                                             \
	  "the latest start, moved up for those that share the slot, is near")           \
	X(REASON_SLACK, "slack",                                                         \
	  "the heap declared slack long enough for its predicted pause")                 \
	X(REASON_TOGETHER, "together",                                                   \
	  "a member of its service was due, and all collect together")                   \
	X(REASON_OBSERVED, "observed", "Policy=observe: every window opens at once")     \
	X(REASON_WOULD_WAIT, "would-wait",                                               \
	  "Policy=observe: under another policy it would have waited for a slot")        \
	X(REASON_ASKED, "asked", "an operator asked for it (rtgcctl collect)")           \
	X(REASON_HELD, "held", "an operator holds its service back (rtgcctl hold)")      \
	X(REASON_LAST_CALL, "last-call",                                                 \
	  "its service is held back, but its last call has come: memory goes first")     \
	X(REASON_DEFERRED, "deferred", "it wanted to collect for MaxDefer")              \
	X(REASON_SLOT_BUSY, "slot-busy", "every slot of the service was taken")          \
	X(REASON_HOST_BUSY, "host-busy", "every slot of the host was taken")             \
	X(REASON_SNAPSHOT_BUSY, "snapshot-busy", "every slot for snapshots was taken")   \
	X(REASON_RIVAL_BUSY, "rival-busy",                                               \
	  "a service it must never pause with held a slot")                              \
	X(REASON_OVER_LIMIT, "over-limit",                                               \
	  "its last call came with every slot taken: memory goes before latency")        \
	X(REASON_GATES_OPEN, "gates-open",                                               \
	  "the daemon was late or the host stood still: nobody waits for a slot")        \
	X(REASON_DRAINED, "drained", "the balancer reported no current session")         \
	X(REASON_QUIET, "quiet", "the client said it is quiet")                          \
	X(REASON_NO_DRAIN, "no-drain", "there is nothing to drain")                      \
	X(REASON_LEAD_OVER, "lead-over", "Lead ran out before it was drained")           \
	X(REASON_UNDRAINABLE, "undrainable", "the balancer could not drain it")          \
	X(REASON_BEGAN, "began", "the collection began in its window")                   \
	X(REASON_ENDED, "ended", "the collection ended in its window")                   \
	X(REASON_OVERRUN, "overrun", "the pause ended after its window")                 \
	X(REASON_EXPIRED, "expired", "the window closed unused")                         \
	X(REASON_DECLINED, "declined", "the client handed the window back")              \
	X(REASON_LOW_YIELD, "low-yield",                                                 \
	  "collections free less than MinYield: it is declined until more is used")      \
	X(REASON_FORCED, "forced",                                                       \
	  "the heap reached its ceiling and collected without a window")                 \
	X(REASON_UNCOORDINATED, "uncoordinated", "the runtime collected on its own")     \
	X(REASON_ADOPTED, "adopted", "it came back with a window still in force")        \
	X(REASON_LOST, "lost", "its connection ended while its process lives")           \
	X(REASON_LEFT, "left", "it left or its process ended")                           \
	X(REASON_MOOT, "moot", "it collected before its window opened")                  \
	X(REASON_OUTRUN, "outrun",                                                       \
	  "its budget does not last as long as its snapshots run: it has windows for majors instead")

enum reason {
#define REASON_ENUM(constant, key, sentence) constant,
	REASONS(REASON_ENUM)
#undef REASON_ENUM
	REASON_COUNT
};

const char *reason_key(enum reason reason); /* "due"; "unknown" when out of range */
const char *reason_sentence(enum reason reason);

#endif

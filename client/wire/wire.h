/* SPDX-License-Identifier: MIT */
/*
 * The wire: what rtgcd and its clients say to each other over the SOCK_SEQPACKET socket.
 *
 * One message is one frame: an 8-byte header and a payload whose size is fixed by the
 * type. All integers are little endian at fixed offsets, all instants are CLOCK_MONOTONIC
 * nanoseconds (NSEC_NEVER = none), all names are NUL-padded UTF-8 without control
 * characters. The client speaks first (HELLO), the daemon answers WELCOME or ERROR;
 * before WELCOME no other frame is valid. A frame that does not decode, or is out of
 * order, is answered by ERROR naming its serial, and the connection is closed. The
 * layout of each frame stands in wire.c, the conversation in rtgc-protocol(7).
 *
 * Pure: no clock, no allocation, no I/O. Threads: every function may be called from
 * anywhere.
 */
#ifndef RTGC_WIRE_WIRE_H
#define RTGC_WIRE_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "client/wire/nsec.h"

#define WIRE_MAGIC	 UINT32_C(0x43475452) /* the bytes "RTGC" */
#define WIRE_VERSION_MIN 1
#define WIRE_VERSION_MAX 1
#define WIRE_HEADER_SIZE 8
#define WIRE_FRAME_MAX	 256 /* no frame of any version is longer */
#define WIRE_NAME_MAX	 64  /* service and heap names, with the NUL */
#define WIRE_RUNTIME_MAX 32
#define WIRE_DETAIL_MAX	 96
#define WIRE_ROW_MAX	 128 /* the name in a row of an answer, with the NUL */

/* The number on the wire, so values are never reused. */
enum wire_type {
	/* client to daemon */
	WIRE_HELLO = 1,
	WIRE_REPORT = 2,
	WIRE_DEADLINE = 3,
	WIRE_IDLE = 4,
	WIRE_BUSY = 5,
	WIRE_QUIET = 6,
	WIRE_BEGIN = 7,
	WIRE_END = 8,
	WIRE_DECLINE = 9,
	WIRE_BYE = 10,
	WIRE_ANSWER = 11,
	WIRE_OFFER = 12,
	/* either way: sent by the client, echoed by the daemon */
	WIRE_HEARTBEAT = 16,
	/* daemon to client */
	WIRE_WELCOME = 32,
	WIRE_DIRECTIVE = 33,
	WIRE_ANNOUNCE = 34,
	WIRE_WINDOW = 35,
	WIRE_REVOKE = 36,
	WIRE_ERROR = 37,
	WIRE_ASK = 38,
};

enum wire_kind { /* kinds of collection */
	WIRE_MINOR = 0,
	WIRE_MAJOR = 1,
	WIRE_SNAPSHOT = 2,
	WIRE_FREEZE = 3,
	WIRE_KINDS = 4,
};

enum wire_unit { /* what used, budget and allocated count */
	WIRE_BYTES = 0,
	WIRE_OBJECTS = 1,
	WIRE_UNITS = 2,
};

enum wire_cause { /* why a collection ran */
	WIRE_IN_WINDOW = 0,
	WIRE_FORCED = 1,	/* the local ceiling was reached */
	WIRE_UNCOORDINATED = 2, /* the runtime, or somebody else, ran it unasked */
	WIRE_CAUSES = 3,
};

enum wire_decline {		/* why a client hands a window back unused */
	WIRE_DECLINE_LATE = 0,	/* the window ended before a safe point was reached */
	WIRE_DECLINE_UNFIT = 1, /* what is left is shorter than the predicted pause */
	WIRE_DECLINE_APP = 2,	/* the application refused */
	WIRE_DECLINES = 3,
};

/* Capabilities: HELLO offers, WELCOME answers with those in force. */
#define WIRE_CAP_PAGE	 UINT32_C(1) /* shared pages, else all goes over the socket */
#define WIRE_CAP_QUIET	 UINT32_C(2) /* answers an announcement with QUIET once at rest */
#define WIRE_CAP_MARKS	 UINT32_C(4) /* says when it is idle and busy */
#define WIRE_CAP_ANSWERS UINT32_C(8) /* answers ASK */
#define WIRE_CAPS_KNOWN \
	(WIRE_CAP_PAGE | WIRE_CAP_QUIET | WIRE_CAP_MARKS | WIRE_CAP_ANSWERS)

enum wire_what {	       /* what is asked */
	WIRE_HEAP_SUMMARY = 0, /* a row for each type of objects */
	WIRE_WHATS = 1,
};

enum wire_outcome {
	WIRE_ANSWERED = 0,
	WIRE_UNANSWERED = 1, /* it cannot be had */
	WIRE_OUTCOMES = 2,
};

struct wire_hello {
	uint16_t version_min, version_max;
	uint32_t caps;
	uint8_t unit;	      /* enum wire_unit */
	uint8_t kinds;	      /* bit 1 << enum wire_kind for each kind it can run */
	uint8_t prev_kind;    /* enum wire_kind of prev_window */
	uint64_t budget;      /* the heap's own, in units; 0 = it has none */
	uint64_t prev_epoch;  /* of the daemon it was last connected to; 0 = none */
	uint64_t prev_window; /* begun under that epoch and not yet ended; 0 = none */
	nsec_t prev_closes;   /* when that one closes */
	char service[WIRE_NAME_MAX], heap[WIRE_NAME_MAX], runtime[WIRE_RUNTIME_MAX];
};

struct wire_report {
	nsec_t at;	    /* when the figures were taken */
	uint64_t used;	    /* in units, against the budget */
	uint64_t allocated; /* units allocated since the heap was opened; never falls */
	uint64_t live;	    /* what a major walks (the size driver), in units */
	uint64_t rss_bytes; /* 0 = not known */
	uint64_t budget;    /* in units; 0 = none. A runtime's own rule may move it */
	uint64_t
		step; /* taken anew whenever so many units are allocated; 0 = not known */
};

struct wire_deadline {
	nsec_t at; /* must be responsive again at this instant; NSEC_NEVER = withdrawn */
};

struct wire_idle {
	nsec_t until; /* nothing is due before this instant; NSEC_NEVER = not known */
};

struct wire_quiet {
	uint64_t window;
};

struct wire_begin {
	uint64_t window; /* 0 unless cause is WIRE_IN_WINDOW */
	nsec_t at;
	uint8_t kind, cause;
};

struct wire_end {
	uint64_t window;
	nsec_t begin, end;
	uint64_t freed; /* in units */
	uint64_t used, live;
	uint8_t kind, cause;
	uint8_t failed; /* 1: it came to nothing; what it freed does not tell what there was */
	nsec_t stop; /* the longest stop of the program; 0 = from begin to end */
};

struct wire_decline_frame {
	uint64_t window;
	uint8_t why; /* enum wire_decline */
};

/* One row of an answer. The last one has no name: it is the sum of all there is. */
struct wire_answer {
	uint64_t ask;
	uint64_t count, bytes;
	nsec_t took;	 /* in the last row: how long the process stood still for it */
	uint8_t last;	 /* 1: the answer is complete */
	uint8_t outcome; /* enum wire_outcome */
	char name[WIRE_ROW_MAX];
};

struct wire_offer {
	uint8_t kinds; /* as in HELLO, from now on */
};

struct wire_heartbeat {
	nsec_t at;
};

struct wire_welcome {
	uint16_t version;
	uint16_t slot; /* its line in the window page: 1 … PAGE_SLOTS; 0 = no pages */
	uint32_t caps;
	uint64_t epoch; /* new for each start of the daemon; never 0 */
	uint64_t heap;	/* the id shown by rtgcctl */
	nsec_t heartbeat_every, stale_after;
};

/* What the daemon wants to hear. With pages it is a store into the slot, not a frame. */
struct wire_directive {
	uint64_t watermark; /* report when used reaches this; UINT64_MAX = never */
	nsec_t report_by;   /* and at this instant at the latest; NSEC_NEVER = never */
	uint64_t budget;    /* in force, in units; 0 = none, the heap's own rule */
	uint8_t want;	    /* 1: a collection is worth it, say IDLE and BUSY by frame */
};

struct wire_announce {
	uint64_t window;
	nsec_t opens_by; /* opens at this instant at the latest, sooner once drained */
	nsec_t predicted;
	uint8_t kind;
	uint8_t drain; /* 1: become quiet and say so with QUIET */
};

struct wire_window {
	uint64_t window;
	nsec_t opens, closes;
	nsec_t predicted;
	uint8_t kind;
	uint8_t must; /* 0: take it if it suits; 1: the heap's deadline is near */
};

struct wire_revoke {
	uint64_t window;
	uint16_t reason; /* enum reason of the daemon, for the log */
};

/* A newer question takes the place of one that has not been answered. */
struct wire_ask {
	uint64_t ask;
	uint16_t most; /* rows wanted, besides the last */
	uint8_t what;  /* enum wire_what */
};

enum wire_error_code {
	WIRE_ERROR_MALFORMED = 1,  /* the frame did not decode */
	WIRE_ERROR_UNEXPECTED = 2, /* valid, but not now (a second HELLO, …) */
	WIRE_ERROR_VERSION = 3,	   /* no version in common */
	WIRE_ERROR_REFUSED = 4,	   /* not allowed, or a quota is used up */
	WIRE_ERROR_WINDOW = 5,	   /* not a window of this heap. The connection stays */
	WIRE_ERROR_SHUTDOWN = 6,   /* the daemon is going; come back later */
};

struct wire_error {
	uint16_t code;	 /* enum wire_error_code */
	uint16_t type;	 /* of the frame it answers; 0 = none */
	uint32_t serial; /* of the frame it answers */
	char detail[WIRE_DETAIL_MAX];
};

struct wire_frame {
	uint16_t type;	 /* enum wire_type */
	uint32_t serial; /* counts the sender's frames */
	union {
		struct wire_hello hello;
		struct wire_report report;
		struct wire_deadline deadline;
		struct wire_idle idle;
		struct wire_quiet quiet;
		struct wire_begin begin;
		struct wire_end end;
		struct wire_decline_frame decline;
		struct wire_answer answer;
		struct wire_offer offer;
		struct wire_heartbeat heartbeat;
		struct wire_welcome welcome;
		struct wire_directive directive;
		struct wire_announce announce;
		struct wire_window window;
		struct wire_revoke revoke;
		struct wire_error error;
		struct wire_ask ask;
	};
};

/* What is wrong with a frame; 0 is fine. wire_decode_strerror() has the words. */
enum wire_decode_result {
	WIRE_E_SHORT = 1, /* shorter than a header */
	WIRE_E_SIZE,	  /* not the size of its type, or the header disagrees */
	WIRE_E_TYPE,	  /* no such type */
	WIRE_E_MAGIC,	  /* HELLO without the magic */
	WIRE_E_VALUE,	  /* out of the field's range, or a reserved byte not zero */
	WIRE_E_NAME,	  /* without NUL, with bytes behind it, or not a valid name */
};

/* Size of a whole frame of that type, with its header; 0: there is no such type. */
size_t wire_size(uint16_t type);
/* "HELLO", …; NULL: there is no such type. */
const char *wire_type_name(uint16_t type);

/*
 * Writes the frame into buf (at least WIRE_FRAME_MAX bytes) and returns its size. The
 * frame is our own, so it must be encodable: asserted.
 */
size_t wire_encode(const struct wire_frame *frame, uint8_t *buf);
/* Returns 0 and fills *ret, or an enum wire_decode_result and leaves *ret alone. */
int wire_decode(const uint8_t *buf, size_t size, struct wire_frame *ret);
const char *wire_decode_strerror(int result);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The layout of every frame of version 1. Two programs that agree on this table can talk.
 *
 * All integers are unsigned and little endian, [a-b] is the range that is valid. Bytes
 * that no field covers are reserved: sent as zero, refused otherwise. A frame has exactly
 * the size of its type, in bytes. wire.h says what the fields and their values mean.
 *
 *   type frame      size  offset, type, field
 *    all header           0 u16 type, 2 u16 size (of the whole frame), 4 u32 serial
 *      1 HELLO       216  8 u32 magic (the bytes "RTGC"), 12 u16 version_min,
 *                         14 u16 version_max [version_min-], 16 u32 caps,
 *                         20 u8 unit [0-1], 21 u8 kinds [0-15], 22 u8 prev_kind [0-3],
 *                         24 u64 budget,
 *                         32 u64 prev_epoch, 40 u64 prev_window, 48 u64 prev_closes,
 *                         56 name64 service (not empty), 120 name64 heap (not empty),
 *                         184 name32 runtime
 *      2 REPORT       64  8 u64 at, 16 u64 used, 24 u64 allocated, 32 u64 live,
 *                         40 u64 rss_bytes, 48 u64 budget, 56 u64 step
 *      3 DEADLINE     16  8 u64 at
 *      4 IDLE         16  8 u64 until
 *      5 BUSY          8  -
 *      6 QUIET        16  8 u64 window
 *      7 BEGIN        32  8 u64 window, 16 u64 at, 24 u8 kind [0-3], 25 u8 cause [0-2]
 *      8 END          72  8 u64 window, 16 u64 begin, 24 u64 end, 32 u64 freed,
 *                         40 u64 used, 48 u64 live, 56 u8 kind [0-3], 57 u8 cause [0-2],
 *                         58 u8 failed [0-1], 64 u64 stop
 *      9 DECLINE      24  8 u64 window, 16 u8 why [0-2]
 *     10 BYE           8  -
 *     11 ANSWER     176  8 u64 ask [1-], 16 u64 count, 24 u64 bytes, 32 u64 took,
 *                         40 u8 last [0-1], 41 u8 outcome [0-1], 48 name128 name
 *     12 OFFER        16  8 u8 kinds [0-15]
 *     16 HEARTBEAT    16  8 u64 at
 *     32 WELCOME      48  8 u16 version, 10 u16 slot [0-63], 12 u32 caps,
 *                         16 u64 epoch [1-], 24 u64 heap, 32 u64 heartbeat_every,
 *                         40 u64 stale_after
 *     33 DIRECTIVE    40  8 u64 watermark, 16 u64 report_by, 24 u64 budget,
 *                         32 u8 want [0-1]
 *     34 ANNOUNCE     40  8 u64 window [1-], 16 u64 opens_by, 24 u64 predicted,
 *                         32 u8 kind [0-3], 33 u8 drain [0-1]
 *     35 WINDOW       48  8 u64 window [1-], 16 u64 opens, 24 u64 closes,
 *                         32 u64 predicted, 40 u8 kind [0-3], 41 u8 must [0-1]
 *     36 REVOKE       24  8 u64 window, 16 u16 reason
 *     37 ERROR       112  8 u16 code [1-6], 10 u16 type, 12 u32 serial,
 *                         16 name96 detail
 *     38 ASK         24  8 u64 ask [1-], 16 u16 most, 18 u8 what [0-0]
 *
 * nameN: a field of N bytes: UTF-8 without control characters, at least one NUL, nothing
 * but NULs from there on. HELLO keeps its layout in all versions, so that any two
 * programs can find out that they have no version in common; caps may have bits that the
 * receiver does not know.
 */
#include "client/wire/wire.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "client/wire/names.h"
#include "client/wire/page.h"

enum rule {
	RULE_RANGE,    /* an integer from min to max */
	RULE_MAGIC,    /* the integer min, in no member */
	RULE_NAME,     /* a name */
	RULE_OPTIONAL, /* a name that may be empty */
};

struct field {
	uint8_t at; /* offset in the frame */
	uint8_t width;
	uint8_t rule;
	uint16_t member; /* offset in struct wire_frame */
	uint64_t min, max;
};

struct layout {
	const char *name;
	uint16_t size;
	uint16_t n_fields;
	const struct field *fields; /* by ascending offset */
};

#define MEMBER(m) offsetof(struct wire_frame, m)
#define WIDTH(m)  sizeof(((struct wire_frame *)0)->m)

#define RANGE(at, m, min, max)                                    \
	{                                                         \
		at, WIDTH(m), RULE_RANGE, MEMBER(m), (min), (max) \
	}
#define FREE(at, m) RANGE(at, m, 0, UINT64_MAX)
#define SOME(at, m) RANGE(at, m, 1, UINT64_MAX)
#define FLAG(at, m) RANGE(at, m, 0, 1)
#define KIND(at, m) RANGE(at, m, 0, WIRE_KINDS - 1)
#define NAME(at, m)                                      \
	{                                                \
		at, WIDTH(m), RULE_NAME, MEMBER(m), 0, 0 \
	}
#define OPTIONAL(at, m)                                      \
	{                                                    \
		at, WIDTH(m), RULE_OPTIONAL, MEMBER(m), 0, 0 \
	}

static const struct field hello[] = {
	{8, 4, RULE_MAGIC, 0, WIRE_MAGIC, WIRE_MAGIC},
	FREE(12, hello.version_min),
	FREE(14, hello.version_max),
	FREE(16, hello.caps),
	RANGE(20, hello.unit, 0, WIRE_UNITS - 1),
	RANGE(21, hello.kinds, 0, (1 << WIRE_KINDS) - 1),
	KIND(22, hello.prev_kind),
	FREE(24, hello.budget),
	FREE(32, hello.prev_epoch),
	FREE(40, hello.prev_window),
	FREE(48, hello.prev_closes),
	NAME(56, hello.service),
	NAME(120, hello.heap),
	OPTIONAL(184, hello.runtime),
};
static const struct field report[] = {
	FREE(8, report.at),    FREE(16, report.used),	   FREE(24, report.allocated),
	FREE(32, report.live), FREE(40, report.rss_bytes), FREE(48, report.budget),
	FREE(56, report.step),
};
static const struct field deadline[] = {FREE(8, deadline.at)};
static const struct field idle[] = {FREE(8, idle.until)};
static const struct field quiet[] = {FREE(8, quiet.window)};
static const struct field begin[] = {
	FREE(8, begin.window),
	FREE(16, begin.at),
	KIND(24, begin.kind),
	RANGE(25, begin.cause, 0, WIRE_CAUSES - 1),
};
static const struct field end[] = {
	FREE(8, end.window),  FREE(16, end.begin),
	FREE(24, end.end),    FREE(32, end.freed),
	FREE(40, end.used),   FREE(48, end.live),
	KIND(56, end.kind),   RANGE(57, end.cause, 0, WIRE_CAUSES - 1),
	FLAG(58, end.failed), FREE(64, end.stop),
};
static const struct field decline[] = {
	FREE(8, decline.window),
	RANGE(16, decline.why, 0, WIRE_DECLINES - 1),
};
static const struct field answer[] = {
	SOME(8, answer.ask),	   FREE(16, answer.count),
	FREE(24, answer.bytes),	   FREE(32, answer.took),
	FLAG(40, answer.last),	   RANGE(41, answer.outcome, 0, WIRE_OUTCOMES - 1),
	OPTIONAL(48, answer.name),
};
static const struct field offer[] = {RANGE(8, offer.kinds, 0, (1 << WIRE_KINDS) - 1)};
static const struct field heartbeat[] = {FREE(8, heartbeat.at)};
static const struct field welcome[] = {
	FREE(8, welcome.version),      RANGE(10, welcome.slot, 0, PAGE_SLOTS),
	FREE(12, welcome.caps),	       SOME(16, welcome.epoch),
	FREE(24, welcome.heap),	       FREE(32, welcome.heartbeat_every),
	FREE(40, welcome.stale_after),
};
static const struct field directive[] = {
	FREE(8, directive.watermark),
	FREE(16, directive.report_by),
	FREE(24, directive.budget),
	FLAG(32, directive.want),
};
static const struct field announce[] = {
	SOME(8, announce.window),     FREE(16, announce.opens_by),
	FREE(24, announce.predicted), KIND(32, announce.kind),
	FLAG(33, announce.drain),
};
static const struct field window[] = {
	SOME(8, window.window),	    FREE(16, window.opens), FREE(24, window.closes),
	FREE(32, window.predicted), KIND(40, window.kind),  FLAG(41, window.must),
};
static const struct field revoke[] = {
	FREE(8, revoke.window),
	FREE(16, revoke.reason),
};
static const struct field error[] = {
	RANGE(8, error.code, WIRE_ERROR_MALFORMED, WIRE_ERROR_SHUTDOWN),
	FREE(10, error.type),
	FREE(12, error.serial),
	OPTIONAL(16, error.detail),
};
static const struct field ask[] = {
	SOME(8, ask.ask),
	FREE(16, ask.most),
	RANGE(18, ask.what, 0, WIRE_WHATS - 1),
};

#define LAYOUT(text, bytes, array)                                   \
	{                                                            \
		text, bytes, sizeof(array) / sizeof(*(array)), array \
	}

static const struct layout layouts[] = {
	[WIRE_HELLO] = LAYOUT("HELLO", 216, hello),
	[WIRE_REPORT] = LAYOUT("REPORT", 64, report),
	[WIRE_DEADLINE] = LAYOUT("DEADLINE", 16, deadline),
	[WIRE_IDLE] = LAYOUT("IDLE", 16, idle),
	[WIRE_BUSY] = {"BUSY", 8, 0, NULL},
	[WIRE_QUIET] = LAYOUT("QUIET", 16, quiet),
	[WIRE_BEGIN] = LAYOUT("BEGIN", 32, begin),
	[WIRE_END] = LAYOUT("END", 72, end),
	[WIRE_DECLINE] = LAYOUT("DECLINE", 24, decline),
	[WIRE_BYE] = {"BYE", 8, 0, NULL},
	[WIRE_ANSWER] = LAYOUT("ANSWER", 176, answer),
	[WIRE_OFFER] = LAYOUT("OFFER", 16, offer),
	[WIRE_HEARTBEAT] = LAYOUT("HEARTBEAT", 16, heartbeat),
	[WIRE_WELCOME] = LAYOUT("WELCOME", 48, welcome),
	[WIRE_DIRECTIVE] = LAYOUT("DIRECTIVE", 40, directive),
	[WIRE_ANNOUNCE] = LAYOUT("ANNOUNCE", 40, announce),
	[WIRE_WINDOW] = LAYOUT("WINDOW", 48, window),
	[WIRE_REVOKE] = LAYOUT("REVOKE", 24, revoke),
	[WIRE_ERROR] = LAYOUT("ERROR", 112, error),
	[WIRE_ASK] = LAYOUT("ASK", 24, ask),
};

static const struct layout *layout_of(uint16_t type)
{
	if (type >= sizeof(layouts) / sizeof(*layouts) || !layouts[type].name)
		return NULL;
	return &layouts[type];
}

static uint64_t load_le(const uint8_t *bytes, unsigned width)
{
	uint64_t value = 0;

	while (width--)
		value = value << 8 | bytes[width];
	return value;
}

static void store_le(uint8_t *bytes, unsigned width, uint64_t value)
{
	for (unsigned i = 0; i < width; i++, value >>= 8)
		bytes[i] = (uint8_t)value;
}

/* Members are reached by their offset, so their width decides how they are read. */
static uint64_t load_member(const void *member, unsigned width)
{
	switch (width) {
	case 1:
		return *(const uint8_t *)member;
	case 2:
		return *(const uint16_t *)member;
	case 4:
		return *(const uint32_t *)member;
	default:
		return *(const uint64_t *)member;
	}
}

static void store_member(void *member, unsigned width, uint64_t value)
{
	switch (width) {
	case 1:
		*(uint8_t *)member = (uint8_t)value;
		break;
	case 2:
		*(uint16_t *)member = (uint16_t)value;
		break;
	case 4:
		*(uint32_t *)member = (uint32_t)value;
		break;
	default:
		*(uint64_t *)member = value;
	}
}

static bool is_zero(const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i])
			return false;
	return true;
}

/* What is wrong with the bytes of one field; 0: nothing. */
static int field_check(const struct field *f, const uint8_t *bytes)
{
	uint64_t value;

	if (f->rule == RULE_NAME || f->rule == RULE_OPTIONAL)
		return name_field_valid((const char *)bytes, f->width,
					f->rule == RULE_OPTIONAL)
			       ? 0
			       : WIRE_E_NAME;
	value = load_le(bytes, f->width);
	if (value >= f->min && value <= f->max)
		return 0;
	return f->rule == RULE_MAGIC ? WIRE_E_MAGIC : WIRE_E_VALUE;
}

/* What is wrong with the payload; 0: nothing. */
static int payload_check(const struct layout *l, const uint8_t *buf)
{
	size_t done = WIRE_HEADER_SIZE;

	for (unsigned i = 0; i < l->n_fields; i++) {
		const struct field *f = &l->fields[i];
		int r;

		if (!is_zero(buf + done, f->at - done))
			return WIRE_E_VALUE;
		r = field_check(f, buf + f->at);
		if (r)
			return r;
		done = f->at + f->width;
	}
	return is_zero(buf + done, l->size - done) ? 0 : WIRE_E_VALUE;
}

static bool versions_ordered(const struct wire_frame *frame)
{
	return frame->type != WIRE_HELLO ||
	       frame->hello.version_min <= frame->hello.version_max;
}

size_t wire_size(uint16_t type)
{
	const struct layout *l = layout_of(type);

	return l ? l->size : 0;
}

const char *wire_type_name(uint16_t type)
{
	const struct layout *l = layout_of(type);

	return l ? l->name : NULL;
}

size_t wire_encode(const struct wire_frame *frame, uint8_t *buf)
{
	const struct layout *l = layout_of(frame->type);

	assert(l);
	assert(versions_ordered(frame));
	memset(buf, 0, l->size);
	store_le(buf, 2, frame->type);
	store_le(buf + 2, 2, l->size);
	store_le(buf + 4, 4, frame->serial);
	for (unsigned i = 0; i < l->n_fields; i++) {
		const struct field *f = &l->fields[i];
		const uint8_t *member = (const uint8_t *)frame + f->member;

		if (f->rule == RULE_MAGIC)
			store_le(buf + f->at, f->width, f->min);
		else if (f->rule == RULE_RANGE)
			store_le(buf + f->at, f->width, load_member(member, f->width));
		else
			memcpy(buf + f->at, member, f->width);
	}
	assert(payload_check(l, buf) == 0);
	return l->size;
}

int wire_decode(const uint8_t *buf, size_t size, struct wire_frame *ret)
{
	struct wire_frame frame = {0};
	const struct layout *l;
	int r;

	if (size < WIRE_HEADER_SIZE)
		return WIRE_E_SHORT;
	l = layout_of((uint16_t)load_le(buf, 2));
	if (!l)
		return WIRE_E_TYPE;
	if (size != l->size || load_le(buf + 2, 2) != l->size)
		return WIRE_E_SIZE;
	r = payload_check(l, buf);
	if (r)
		return r;

	frame.type = (uint16_t)load_le(buf, 2);
	frame.serial = (uint32_t)load_le(buf + 4, 4);
	for (unsigned i = 0; i < l->n_fields; i++) {
		const struct field *f = &l->fields[i];
		uint8_t *member = (uint8_t *)&frame + f->member;

		if (f->rule == RULE_RANGE)
			store_member(member, f->width, load_le(buf + f->at, f->width));
		else if (f->rule != RULE_MAGIC)
			memcpy(member, buf + f->at, f->width);
	}
	if (!versions_ordered(&frame))
		return WIRE_E_VALUE;
	*ret = frame;
	return 0;
}

const char *wire_decode_strerror(int result)
{
	switch (result) {
	case 0:
		return "the frame is fine";
	case WIRE_E_SHORT:
		return "the message is shorter than a frame header";
	case WIRE_E_SIZE:
		return "the frame does not have the size of its type";
	case WIRE_E_TYPE:
		return "there is no such frame type";
	case WIRE_E_MAGIC:
		return "the HELLO does not begin with the magic";
	case WIRE_E_VALUE:
		return "a value is out of range or a reserved byte is not zero";
	case WIRE_E_NAME:
		return "a name is not NUL-padded UTF-8 without control characters";
	default:
		return "unknown result";
	}
}

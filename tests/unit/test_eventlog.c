/* SPDX-License-Identifier: MIT */
/* Lines of the event log: what is written is read again, and reading bears anything. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/wire/names.h"
#include "daemon/eventlog.h"

#define BIG UINT64_C(0x8000000000000123) /* more than JSON's integers hold */

static char *text_of(json_t *object)
{
	char *text = json_dumps(object, JSON_COMPACT);

	assert_non_null(text);
	json_decref(object);
	return text;
}

/* ---- There and back --------------------------------------------------------------------- */

/* Reads the line of an entry and returns what it means; the same is written again. */
static struct eventlog_entry back(const struct eventlog_entry *entry)
{
	struct eventlog_reader reader = {0};
	struct eventlog_entry read;
	char *text = text_of(eventlog_write(entry)), *again;
	int r = eventlog_read(&reader, text, strlen(text), &read);

	if (r != 0)
		fail_msg("%s: %s", text, reader.error);
	assert_int_equal(reader.line, 1);
	assert_int_equal(read.type, entry->type);
	assert_true(read.at == entry->at);
	assert_int_equal(read.snapshot, entry->snapshot);
	again = text_of(eventlog_write(&read));
	assert_string_equal(text, again);
	free(again);
	free(text);
	return read;
}

static struct event sample(enum event_type type)
{
	struct event e;

	memset(&e, 0, sizeof(e));
	e.type = type;
	e.heap = 7;
	switch (type) {
	case EVENT_JOIN:
		e.join.uid = UINT32_MAX;
		e.join.pid = -1;
		e.join.hello.version_min = 1;
		e.join.hello.version_max = UINT16_MAX;
		e.join.hello.caps = WIRE_CAPS_KNOWN;
		e.join.hello.unit = WIRE_OBJECTS;
		e.join.hello.kinds = 1 << WIRE_MINOR | 1 << WIRE_FREEZE;
		e.join.hello.budget = UINT64_MAX;
		e.join.hello.prev_epoch = BIG;
		e.join.hello.prev_window = 3;
		e.join.hello.prev_closes = NSEC_NEVER;
		name_copy(e.join.hello.service, WIRE_NAME_MAX, "a \"quoted\" ünïcode");
		name_copy(e.join.hello.heap, WIRE_NAME_MAX, "h");
		break;
	case EVENT_REPORT:
		e.report = (struct wire_report){.at = 1,
						.used = BIG,
						.allocated = INT64_MAX,
						.live = 4,
						.rss_bytes = 5,
						.budget = 6};
		break;
	case EVENT_IDLE:
		e.idle.until = NSEC_NEVER;
		break;
	case EVENT_DEADLINE:
		e.deadline.at = 12345;
		break;
	case EVENT_QUIET:
		e.quiet.window = BIG;
		break;
	case EVENT_BEGIN:
		e.begin.window = 0;
		e.begin.at = 9;
		e.begin.kind = WIRE_SNAPSHOT;
		e.begin.cause = WIRE_FORCED;
		break;
	case EVENT_END:
		e.end.window = 1;
		e.end.begin = 2;
		e.end.end = 3;
		e.end.freed = 4;
		e.end.used = 5;
		e.end.live = 6;
		e.end.kind = WIRE_MINOR;
		e.end.cause = WIRE_UNCOORDINATED;
		e.end.failed = 1;
		e.end.stop = 7;
		break;
	case EVENT_OFFER:
		e.offer.kinds = 1 << WIRE_MAJOR | 1 << WIRE_SNAPSHOT;
		break;
	case EVENT_DECLINE:
		e.decline.window = 2;
		e.decline.why = WIRE_DECLINE_APP;
		break;
	case EVENT_DRAINED:
	case EVENT_UNDRAINABLE:
		e.window = 99;
		break;
	case EVENT_HOLD:
		e.held = true;
		break;
	case EVENT_LEAVE:
	case EVENT_LOST:
	case EVENT_BUSY:
	case EVENT_COLLECT:
		break;
	}
	return e;
}

static void test_events(void **state)
{
	for (int type = EVENT_JOIN; type <= EVENT_COLLECT; type++) {
		struct eventlog_entry entry = {.type = EVENTLOG_EVENT,
					       .at = 5,
					       .snapshot = type % 2,
					       .event = sample((enum event_type)type)};
		struct eventlog_entry read = back(&entry);

		assert_memory_equal(&read.event, &entry.event, sizeof(entry.event));
	}
}

static void test_actions(void **state)
{
	struct eventlog_entry entry = {
		.type = EVENTLOG_ACTION,
		.at = 6,
		.action = {.action = {.type = ACTION_OPEN,
				      .heap = 4,
				      .window = {.window = 5,
						 .opens = 6,
						 .closes = NSEC_NEVER,
						 .predicted = 8,
						 .kind = WIRE_MAJOR,
						 .must = 1}},
			   .reason = REASON_OVER_LIMIT,
			   .over_limit = true,
			   .wanted = 3},
	};
	struct eventlog_entry read = back(&entry);

	assert_int_equal(read.action.action.type, ACTION_OPEN);
	assert_true(read.action.action.heap == 4 &&
		    read.action.action.window.window == 5);
	assert_true(read.action.over_limit && read.action.wanted == 3);
	assert_int_equal(read.action.reason, REASON_OVER_LIMIT);
	assert_true(read.action.action.window.closes == NSEC_NEVER);
	entry.action = (struct eventlog_action){
		.action = {.type = ACTION_ANNOUNCE,
			   .heap = 1,
			   .announce = {.window = 2, .opens_by = 3, .drain = 1}}};
	read = back(&entry);
	assert_int_equal(read.action.action.announce.drain, 1);
	for (int type = ACTION_REVOKE; type <= ACTION_CLOSE; type++) {
		entry.action = (struct eventlog_action){
			.action = {.type = (enum action_type)type,
				   .heap = 1,
				   .revoke = {.window = 77}},
			.reason = REASON_MOOT};
		read = back(&entry);
		assert_int_equal(read.action.action.type, type);
		assert_int_equal(read.action.reason, REASON_MOOT);
	}
	assert_false(eventlog_tells(ACTION_LOOK));
	assert_false(eventlog_tells(ACTION_DIRECT));
}

static const struct core_service_config *settings(void)
{
	static struct core_service_config services[2];

	core_service_config_init(&services[0]);
	core_service_config_init(&services[1]);
	name_copy(services[0].name, WIRE_NAME_MAX, "checkout");
	name_copy(services[1].name, WIRE_NAME_MAX, "ledger");
	services[0].policy = POLICY_TOGETHER;
	services[0].drain = DRAIN_EXTERNAL;
	services[0].max_concurrent = 3;
	services[0].budget_bytes = BIG;
	services[0].lead = 5;
	services[0].max_defer = NSEC_NEVER;
	services[0].min_yield_permille = 1000;
	name_copy(services[0].never_with[0], WIRE_NAME_MAX, "ledger");
	name_copy(services[0].never_with[1], WIRE_NAME_MAX, "other");
	return services;
}

static struct eventlog_header header(void)
{
	struct eventlog_header h = {
		.rtgcd = "1.2.3",
		.epoch = BIG,
		.cpus = 8,
		.at = 1000,
		.config = {.max_concurrent = 4,
			   .memory_budget = 1 << 20,
			   .services = settings(),
			   .n_services = 2},
	};

	core_service_config_init(&h.config.defaults);
	return h;
}

static void test_config(void **state)
{
	struct eventlog_header h = header();
	struct eventlog_entry entry = {
		.type = EVENTLOG_CONFIG, .at = 2000, .config = h.config};
	struct eventlog_entry read = back(&entry);

	assert_int_equal(read.config.n_services, 2);
	assert_memory_equal(read.config.services, h.config.services,
			    2 * sizeof(*h.config.services));
	assert_memory_equal(&read.config.defaults, &h.config.defaults,
			    sizeof(h.config.defaults));
	assert_int_equal(read.config.max_concurrent, 4);
	assert_true(read.config.memory_budget == 1 << 20);
	eventlog_entry_deinit(&read);
}

static void test_header(void **state)
{
	struct eventlog_header h = header(), read;
	struct eventlog_reader reader = {0};
	char *text = text_of(eventlog_write_header(&h));

	assert_int_equal(eventlog_read_header(&reader, text, strlen(text), &read), 0);
	assert_string_equal(read.rtgcd, "1.2.3");
	assert_true(read.epoch == BIG && read.at == 1000);
	assert_int_equal(read.cpus, 8);
	assert_memory_equal(read.config.services, h.config.services,
			    2 * sizeof(*h.config.services));
	eventlog_header_deinit(&read);
	free(text);
}

/* ---- What is wrong is named --------------------------------------------------------------- */

static void refused(const char *line, const char *error)
{
	struct eventlog_reader reader = {.line = 6, .at = 10};
	struct eventlog_entry read;

	assert_int_equal(eventlog_read(&reader, line, strlen(line), &read), -EINVAL);
	assert_string_equal(reader.error, error);
}

static void test_bad_lines(void **state)
{
	refused("", "line 7: not JSON (column 0)");
	refused("[]", "line 7: not an object");
	refused("{}", "line 7: \"at_ns\" is missing");
	refused("{\"at_ns\":9}", "line 7: \"at_ns\" is before that of an earlier line");
	refused("{\"at_ns\":1.5}", "line 7: \"at_ns\" is not an instant");
	refused("{\"at_ns\":9223372036854775807}", "line 7: \"at_ns\" is not an instant");
	refused("{\"at_ns\":10}", "line 7: \"event\" is none that is known");
	refused("{\"at_ns\":10,\"event\":\"jump\",\"heap\":1}",
		"line 7: \"event\" is none that is known");
	refused("{\"at_ns\":10,\"action\":3}",
		"line 7: \"action\" is none that is known");
	refused("{\"at_ns\":10,\"event\":\"busy\"}", "line 7: \"heap\" is missing");
	refused("{\"at_ns\":10,\"event\":\"busy\",\"heap\":0}",
		"line 7: \"heap\" is not a heap's number");
	refused("{\"at_ns\":10,\"event\":\"quiet\",\"heap\":1}",
		"line 7: \"window\" is missing");
	refused("{\"at_ns\":10,\"event\":\"quiet\",\"heap\":1,\"window\":-1}",
		"line 7: \"window\" is not an amount");
	refused("{\"at_ns\":10,\"event\":\"quiet\",\"heap\":1,\"window\":"
		"\"18446744073709551616\"}",
		"line 7: \"window\" is not an amount");
	refused("{\"at_ns\":10,\"event\":\"begin\",\"heap\":1,\"window\":1,"
		"\"begin_ns\":1,\"kind\":\"huge\",\"cause\":\"window\"}",
		"line 7: \"kind\" is not one of its names");
	refused("{\"at_ns\":10,\"event\":\"busy\",\"heap\":1,\"heap\":2}",
		"line 7: not JSON (column 42)");
	refused("{\"at_ns\":10,\"event\":\"config\",\"max_concurrent\":0,"
		"\"memory_budget_bytes\":0,\"defaults\":{},\"services\":[]}",
		"line 7: \"max_concurrent\" is not a number from 1 to 65536");
	refused("{\"at_ns\":10,\"event\":\"config\",\"max_concurrent\":1,"
		"\"memory_budget_bytes\":0,\"defaults\":{},\"services\":[]}",
		"line 7: \"name\" is missing");
}

static void test_unknown_keys_and_reasons(void **state)
{
	static const char line[] = "{\"at_ns\":10,\"new\":[{}],\"action\":\"revoke\","
				   "\"heap\":1,\"window\":2,\"reason\":\"fashion\"}";
	struct eventlog_reader reader = {0};
	struct eventlog_entry read;

	assert_int_equal(eventlog_read(&reader, line, strlen(line), &read), 0);
	assert_int_equal(read.action.reason, REASON_NONE);
	assert_true(read.action.action.revoke.window == 2);
}

/* As the first version of the format wrote them: what came later is as if it were not so. */
static void test_lines_of_older_versions(void **state)
{
	static const char join[] =
		"{\"at_ns\":10,\"event\":\"join\",\"heap\":1,\"uid\":1000,\"pid\":77,"
		"\"version_min\":1,\"version_max\":1,\"caps\":3,\"unit\":\"objects\","
		"\"kinds\":[\"major\"],\"budget\":0,\"prev_epoch\":0,\"prev_window\":5,"
		"\"prev_closes_ns\":9,\"service\":\"web\",\"name\":\"a\","
		"\"runtime\":\"CPython\"}";
	static const char end[] =
		"{\"at_ns\":10,\"event\":\"end\",\"heap\":1,\"window\":2,\"begin_ns\":3,"
		"\"end_ns\":4,\"freed\":5,\"used\":6,\"live\":7,\"kind\":\"major\","
		"\"cause\":\"window\"}";
	struct eventlog_reader reader = {0};
	struct eventlog_entry read;

	assert_int_equal(eventlog_read(&reader, join, strlen(join), &read), 0);
	assert_int_equal(read.event.join.hello.prev_window, 5);
	assert_int_equal(read.event.join.former, 0);
	assert_int_equal(eventlog_read(&reader, end, strlen(end), &read), 0);
	assert_int_equal(read.event.end.live, 7);
	assert_int_equal(read.event.end.failed, 0);
	assert_int_equal(read.event.end.stop, 0);
}

static void header_refused(const char *key, const char *value, const char *error)
{
	struct eventlog_header h = header(), read;
	struct eventlog_reader reader = {0};
	json_t *object = eventlog_write_header(&h);
	char *text;

	if (value)
		json_object_set_new(object, key,
				    json_loads(value, JSON_DECODE_ANY, NULL));
	else
		json_object_del(object, key);
	text = text_of(object);
	assert_int_equal(eventlog_read_header(&reader, text, strlen(text), &read),
			 -EINVAL);
	assert_string_equal(reader.error, error);
	free(text);
}

static void test_bad_headers(void **state)
{
	header_refused("format", "\"other\"",
		       "line 1: \"format\" is not \"rtgcd-events\"");
	header_refused("format", NULL, "line 1: \"format\" is not \"rtgcd-events\"");
	header_refused("version", "3",
		       "line 1: \"version\" is 3, and this program reads up to 2: it "
		       "takes a newer one");
	header_refused("version", "0", "line 1: \"version\" is not a number from 1");
	header_refused("clock", "\"wall\"", "line 1: \"clock\" is not \"monotonic\"");
	header_refused("cpus", "0", "line 1: \"cpus\" is not a number from 1 to 65536");
	header_refused("services", "{}", "line 1: \"services\" is not an array");
	header_refused("services", "[3]", "line 1: \"name\" is missing");
	header_refused("defaults", NULL, "line 1: \"defaults\" is not an object");
}

/* ---- Anything at all ------------------------------------------------------------------------ */

static uint64_t rng = 88172645463325252u;

static unsigned random_below(unsigned below)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (unsigned)(rng % below);
}

static bool try_line(const char *text, size_t size)
{
	struct eventlog_reader reader = {0};
	struct eventlog_entry entry;
	struct eventlog_header h;
	bool good = false;
	int r = eventlog_read(&reader, text, size, &entry);

	assert_true(r == 0 || (r == -EINVAL && strlen(reader.error) > 0));
	if (r == 0) {
		char *again = text_of(eventlog_write(&entry));

		good = true;
		free(again);
		eventlog_entry_deinit(&entry);
	}
	memset(&reader, 0, sizeof(reader));
	r = eventlog_read_header(&reader, text, size, &h);
	assert_true(r == 0 || (r == -EINVAL && strlen(reader.error) > 0));
	if (r == 0)
		eventlog_header_deinit(&h);
	return good;
}

static void test_random_bytes(void **state)
{
	char bytes[300];

	for (int n = 0; n < 20000; n++) {
		size_t size = random_below(sizeof(bytes));

		for (size_t i = 0; i < size; i++)
			bytes[i] = (char)random_below(256);
		try_line(bytes, size);
	}
}

static void mutate(char *text, size_t *size)
{
	static const char likely[] = "{}[]\",:-0123456789.enulltrue\\\x80\xff";
	size_t at = random_below((unsigned)*size), n;

	switch (random_below(4)) {
	case 0:
		text[at] = likely[random_below(sizeof(likely) - 1)];
		break;
	case 1: /* cut out */
		n = 1 + random_below(9);
		n = n < *size - at ? n : *size - at;
		memmove(text + at, text + at + n, *size - at - n);
		*size -= n;
		break;
	case 2: /* a part again */
		n = 1 + random_below(9);
		n = n < *size - at ? n : *size - at;
		memmove(text + at + n, text + at, *size - at);
		*size += n;
		break;
	case 3:
		text[at] = (char)random_below(256);
		break;
	}
}

static void test_mutated_lines(void **state)
{
	char *lines[EVENT_COLLECT + 3];
	struct eventlog_header h = header();
	struct eventlog_entry config = {.type = EVENTLOG_CONFIG, .config = h.config};
	unsigned n = 0, good = 0;

	for (int type = EVENT_JOIN; type <= EVENT_COLLECT; type++) {
		struct eventlog_entry entry = {.type = EVENTLOG_EVENT,
					       .event = sample((enum event_type)type)};

		lines[n++] = text_of(eventlog_write(&entry));
	}
	lines[n++] = text_of(eventlog_write_header(&h));
	lines[n++] = text_of(eventlog_write(&config));
	for (int i = 0; i < 60000; i++) {
		const char *line = lines[random_below(n)];
		char text[4096];
		size_t size = strlen(line);

		assert_true(size + 64 < sizeof(text));
		memcpy(text, line, size);
		for (unsigned k = 1 + random_below(3); k > 0 && size > 0; k--)
			mutate(text, &size);
		good += try_line(text, size);
	}
	assert_true(good > 100); /* some mutations change figures only */
	while (n > 0)
		free(lines[--n]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_actions),
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_unknown_keys_and_reasons),
		cmocka_unit_test(test_lines_of_older_versions),
		cmocka_unit_test(test_bad_headers),
		cmocka_unit_test(test_random_bytes),
		cmocka_unit_test(test_mutated_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

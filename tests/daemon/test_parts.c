/* SPDX-License-Identifier: MIT */
/* Parts of the daemon that can be tried without one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/wire/wire.h"
#include "daemon/clock.h"
#include "daemon/config_files.h"
#include "daemon/drain.h"
#include "daemon/haproxy.h"
#include "daemon/loop.h"
#include "daemon/page.h"
#include "daemon/session_queue.h"
#include "daemon/table.h"
#include "daemon/units.h"

/* ---- units ---------------------------------------------------------------------------- */

static void spans(void **state)
{
	static const struct {
		const char *text;
		nsec_t span;
	} good[] = {
		{"20ms", 20 * NSEC_PER_MSEC},
		{"20 ms", 20 * NSEC_PER_MSEC},
		{"1min 30s", 90 * NSEC_PER_SEC},
		{"1min30s", 90 * NSEC_PER_SEC},
		{"0.5s", NSEC_PER_SEC / 2},
		{"1.25h", 4500 * NSEC_PER_SEC},
		{"7", 7 * NSEC_PER_SEC},
		{"3us", 3 * NSEC_PER_USEC},
		{"0", 0},
		{"0.000000001", 1},
		{"0.0000000001", 0},
	};
	static const char *const bad[] = {"",	  "s",	 "-1s",	       "1x",   "1 min x",
					  "1.s",  ".5s", "1s s",       "1..5", " 1s",
					  "1e3s", "inf", "18446744074"};
	nsec_t span;

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		span = 12345;
		assert_true(units_span(good[i].text, &span));
		assert_int_equal(span, good[i].span);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		span = 12345;
		if (units_span(bad[i], &span))
			fail_msg("\"%s\" was taken for a span", bad[i]);
		assert_int_equal(span, 12345);
	}
}

static void amounts(void **state)
{
	uint64_t bytes = 0;
	unsigned n = 0;

	assert_true(units_bytes("2G", &bytes));
	assert_int_equal(bytes, UINT64_C(2) << 30);
	assert_true(units_bytes("1.5K", &bytes));
	assert_int_equal(bytes, 1536);
	assert_true(units_bytes("16777215T", &bytes));
	assert_int_equal(bytes, UINT64_C(16777215) << 40);
	assert_true(units_bytes("0.5T", &bytes));
	assert_int_equal(bytes, UINT64_C(1) << 39);
	assert_false(units_bytes("16777216T", &bytes));
	assert_false(units_bytes("2g", &bytes));
	assert_false(units_bytes("2GB", &bytes));
	assert_true(units_permille("100%", &n));
	assert_int_equal(n, 1000);
	assert_true(units_permille("0.5%", &n));
	assert_int_equal(n, 5);
	assert_false(units_permille("100.1%", &n));
	assert_false(units_permille("5", &n));
	assert_true(units_count("17", 17, &n));
	assert_int_equal(n, 17);
	assert_false(units_count("18", 17, &n));
	assert_false(units_count("0", 17, &n));
	assert_false(units_count("1.0", 17, &n));
	assert_false(units_count("", 17, &n));
	assert_int_equal(n, 17);
}

/* ---- which files ---------------------------------------------------------------------- */

struct tree {
	char root[64];
	char folder[3][96];
	const char *folders[4];
};

static void make(const struct tree *t, int folder, const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", t->folder[folder], name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int make_tree(void **state)
{
	struct tree *t = calloc(1, sizeof *t);
	char path[128], root[] = "/tmp/rtgcd-test-XXXXXX";

	if (!t || !mkdtemp(root))
		return -1;
	strcpy(t->root, root);
	for (int i = 0; i < 3; i++) {
		snprintf(t->folder[i], sizeof t->folder[i], "%s/%d", root, i);
		t->folders[i] = t->folder[i];
		snprintf(path, sizeof path, "%s/c.conf.d", t->folder[i]);
		if (mkdir(t->folder[i], 0755) < 0 || mkdir(path, 0755) < 0)
			return -1;
	}
	*state = t;
	return 0;
}

static int remove_tree(void **state)
{
	struct tree *t = *state;
	char command[128];
	int r;

	snprintf(command, sizeof command, "rm -rf '%s'", t->root);
	r = system(command);
	free(t);
	return r;
}

static void expect_files(const struct tree *t, const char *const *expected)
{
	struct config_files files;
	char path[256];
	size_t i;

	assert_int_equal(config_files_find(t->folders, "c.conf", &files), 0);
	for (i = 0; expected[i]; i++) {
		assert_true(i < files.n);
		snprintf(path, sizeof path, "%s/%s", t->root, expected[i]);
		assert_string_equal(files.paths[i], path);
	}
	assert_int_equal(files.n, i);
	config_files_deinit(&files);
}

static void the_first_main_file_counts(void **state)
{
	struct tree *t = *state;

	expect_files(t, (const char *const[]){NULL});
	make(t, 2, "c.conf", "x");
	expect_files(t, (const char *const[]){"2/c.conf", NULL});
	make(t, 1, "c.conf", "x");
	expect_files(t, (const char *const[]){"1/c.conf", NULL});
	make(t, 0, "c.conf", ""); /* empty: hides the others, and is nothing itself */
	expect_files(t, (const char *const[]){NULL});
}

static void drop_ins_go_by_name_whatever_their_folder(void **state)
{
	struct tree *t = *state;

	make(t, 2, "c.conf", "x");
	make(t, 2, "c.conf.d/10-a.conf", "x");
	make(t, 0, "c.conf.d/30-c.conf", "x");
	make(t, 1, "c.conf.d/20-b.conf", "x");
	make(t, 1, "c.conf.d/readme.txt", "x");
	make(t, 1, "c.conf.d/.hidden.conf", "x");
	make(t, 1, "c.conf.d/.conf", "x");
	expect_files(t, (const char *const[]){"2/c.conf", "2/c.conf.d/10-a.conf",
					      "1/c.conf.d/20-b.conf",
					      "0/c.conf.d/30-c.conf", NULL});
}

static void drop_ins_mask_their_namesakes(void **state)
{
	struct tree *t = *state;
	char path[256];

	make(t, 2, "c.conf.d/10.conf", "x");
	make(t, 1, "c.conf.d/10.conf", "x");
	make(t, 2, "c.conf.d/20.conf", "x");
	make(t, 0, "c.conf.d/20.conf", "");
	make(t, 2, "c.conf.d/30.conf", "x");
	snprintf(path, sizeof path, "%s/c.conf.d/30.conf", t->folder[1]);
	assert_int_equal(symlink("/dev/null", path), 0);
	expect_files(t, (const char *const[]){"1/c.conf.d/10.conf", NULL});
}

static void a_named_file_must_exist(void **state)
{
	struct tree *t = *state;
	struct config_files files;
	char path[256];

	snprintf(path, sizeof path, "%s/c.conf", t->folder[0]);
	assert_int_equal(config_files_of(path, &files), -ENOENT);
	make(t, 0, "c.conf", "x");
	make(t, 0, "c.conf.d/b.conf", "x");
	make(t, 0, "c.conf.d/a.conf", "x");
	assert_int_equal(config_files_of(path, &files), 0);
	assert_int_equal(files.n, 3);
	assert_string_equal(files.paths[0], path);
	assert_non_null(strstr(files.paths[1], "/a.conf"));
	config_files_deinit(&files);
}

/* ---- HAProxy ---------------------------------------------------------------------------- */

static const char servers[] =
	"1\n"
	"# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight\n"
	"4 be 1 a 127.0.0.1 2 0 1\n"
	"4 be 2 b 127.0.0.1 2 8 1\n"
	"4 be 3 c 127.0.0.1 0 0 1\n"
	"4 be 4 d 127.0.0.1 2 0 0\n"
	"4 be 5 e 127.0.0.1 1 0 100\n"
	"4 be 6 short\n"
	"\n";

struct seen {
	char names[64];
	char up[64];
};

static void see(void *userdata, const struct haproxy_server *server)
{
	struct seen *seen = userdata;

	strcat(seen->names, server->name);
	if (haproxy_server_up(server))
		strcat(seen->up, server->name);
}

static void server_states(void **state)
{
	struct seen seen = {0};

	assert_true(haproxy_servers(servers, see, &seen));
	assert_string_equal(seen.names, "abcde");
	assert_string_equal(seen.up, "ae");
	memset(&seen, 0, sizeof seen);
	assert_false(haproxy_servers("Can't find backend.\n\n", see, &seen));
	assert_false(haproxy_servers("", see, &seen));
	assert_true(haproxy_servers("# be_id nothing that is known\n1 2\n", see, &seen));
	assert_string_equal(seen.names, "");
}

static void sessions(void **state)
{
	/* The columns are found by their names, wherever they are. */
	static const char csv[] = "\n# pxname,svname,x,scur,qcur,\n"
				  "be,a,9,3,2,\n"
				  "other,b,9,9,9,\n"
				  "be,b,9,0,0,\n"
				  "be,BACKEND,9,1,1,\n";
	unsigned long n = 77;

	assert_true(haproxy_sessions(csv, "be", "a", &n));
	assert_int_equal(n, 5);
	assert_true(haproxy_sessions(csv, "be", "b", &n));
	assert_int_equal(n, 0);
	n = 77;
	assert_false(haproxy_sessions(csv, "be", "c", &n));
	assert_false(haproxy_sessions("# pxname,svname,scur\nbe,a,1\n", "be", "a", &n));
	assert_false(
		haproxy_sessions("# pxname,svname,scur,qcur\nbe,a,1\n", "be", "a", &n));
	assert_false(haproxy_sessions("Permission denied\n", "be", "a", &n));
	assert_int_equal(n, 77);
}

static void first_line(void **state)
{
	char text[16];

	haproxy_message("\n\nNo such server.\r\nmore", text, sizeof text);
	assert_string_equal(text, "No such server.");
	haproxy_message("a line that is far too long", text, sizeof text);
	assert_string_equal(text, "a line that is ");
	haproxy_message("", text, sizeof text);
	assert_string_equal(text, "");
}

static void names_of_servers(void **state)
{
	char text[16];

	assert_true(drain_expand("%s-%h.x", "h1", "web", text, sizeof text));
	assert_string_equal(text, "web-h1.x");
	assert_true(drain_expand("%h", "a_B-c.d:9", "", text, sizeof text));
	assert_string_equal(text, "a_B-c.d:9");
	for (const char *c = " ;/\n\t\"'\\%,<\xc3\xbc"; *c; c++) {
		char name[] = {'a', *c, 'b', '\0'};

		assert_false(drain_expand("%h", name, "web", text, sizeof text));
	}
	assert_false(drain_expand("%h%%", "h", "s", text, sizeof text));
	assert_false(drain_expand("%h", "", "s", text, sizeof text));
	assert_true(drain_expand("%h", "123456789012345", "s", text, sizeof text));
	assert_false(drain_expand("%h", "1234567890123456", "s", text, sizeof text));
	assert_false(drain_expand("%h%h", "12345678", "s", text, sizeof text));
}

/* ---- tables and queues -------------------------------------------------------------------- */

static void table_finds_what_is_in_it(void **state)
{
	struct table table = {0};
	static struct table_link links[1000];

	assert_null(table_find(&table, 1));
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(table_add(&table, &links[i], 7 * i + 1), 0);
	for (size_t i = 0; i < 1000; i += 2)
		table_remove(&table, &links[i]);
	for (size_t i = 0; i < 1000; i++)
		assert_ptr_equal(table_find(&table, 7 * i + 1), i % 2 ? &links[i] : NULL);
	assert_int_equal(table.n, 500);
	table_deinit(&table);
	assert_null(table_find(&table, 8));
}

static void queue_is_bounded_and_keeps_order(void **state)
{
	struct session_queue *q = NULL;
	uint8_t buf[8] = {0}, got[16];
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	for (buf[0] = 0; buf[0] < SESSION_QUEUE_FRAMES; buf[0]++)
		assert_int_equal(
			session_queue_add(&q, buf[0] == 3 ? WIRE_DIRECTIVE : WIRE_WINDOW,
					  buf, sizeof buf),
			0);
	assert_int_equal(session_queue_add(&q, WIRE_WINDOW, buf, sizeof buf), -ENOBUFS);
	/* A newer directive takes the place of the older, at the end. */
	buf[0] = 100;
	assert_int_equal(session_queue_add(&q, WIRE_DIRECTIVE, buf, sizeof buf), 0);
	assert_int_equal(session_queue_flush(q, fds[0]), 0);
	for (int i = 0; i < SESSION_QUEUE_FRAMES; i++) {
		int expected = i < 3 ? i : i + 1;

		assert_int_equal(recv(fds[1], got, sizeof got, MSG_DONTWAIT), sizeof buf);
		assert_int_equal(got[0],
				 expected < SESSION_QUEUE_FRAMES ? expected : 100);
	}
	assert_int_equal(recv(fds[1], got, sizeof got, MSG_DONTWAIT), -1);
	close(fds[1]);
	session_queue_add(&q, WIRE_WINDOW, buf, sizeof buf);
	assert_int_equal(session_queue_flush(q, fds[0]), -EPIPE);
	close(fds[0]);
	assert_null(session_queue_free(q));
}

/* ---- the loop ------------------------------------------------------------------------------ */

#define TIMERS 50

struct clockwork {
	struct loop *loop;
	struct loop_timer timers[TIMERS];
	nsec_t last;
	unsigned fired, turns;
	bool early;
};

static void fire(void *userdata, nsec_t now)
{
	struct clockwork *c = userdata;

	c->fired++;
	c->early = c->early || now < c->last;
	c->last = now;
	if (c->fired == TIMERS / 2)
		loop_stop(c->loop);
}

static void timers_fire_in_order_and_only_when_armed(void **state)
{
	struct clockwork c = {0};
	nsec_t now;

	assert_int_equal(loop_new(&c.loop), 0);
	now = loop_now(c.loop);
	for (size_t i = 0; i < TIMERS; i++) {
		assert_int_equal(loop_timer_init(c.loop, &c.timers[i], fire, &c), 0);
		loop_timer_set(&c.timers[i], now + (i * 37 % TIMERS) * 100000);
	}
	/* Some are disarmed, some deferred for ever, some moved. */
	for (size_t i = 0; i < TIMERS; i += 2)
		loop_timer_set(&c.timers[i],
			       i % 4 ? NSEC_NEVER : now + NSEC_PER_SEC * 3600);
	for (size_t i = 1; i < TIMERS; i += 4)
		loop_timer_set(&c.timers[i], now + 1000000 - i);
	assert_int_equal(loop_run(c.loop, NULL, NULL), 0);
	assert_int_equal(c.fired, TIMERS / 2);
	assert_false(c.early);
	for (size_t i = 0; i < TIMERS; i++)
		loop_timer_deinit(&c.timers[i]);
	assert_null(loop_free(c.loop));
}

static void fire_again(void *userdata, nsec_t now)
{
	struct clockwork *c = userdata;

	loop_timer_set(&c->timers[0], 1); /* long past */
	if (++c->fired == 5)
		loop_stop(c->loop);
}

static void count_turn(void *userdata)
{
	struct clockwork *c = userdata;

	c->turns++;
}

static void timer_set_to_the_past_waits_for_the_next_turn(void **state)
{
	struct clockwork c = {0};

	assert_int_equal(loop_new(&c.loop), 0);
	assert_int_equal(loop_timer_init(c.loop, &c.timers[0], fire_again, &c), 0);
	loop_timer_set(&c.timers[0], 1);
	assert_int_equal(loop_run(c.loop, count_turn, &c), 0);
	assert_int_equal(c.turns, 5);
	loop_timer_deinit(&c.timers[0]);
	loop_timer_deinit(&c.timers[0]); /* harmless */
	loop_free(c.loop);
}

/* ---- pages ------------------------------------------------------------------------------ */

/* KiB of shared memory that count as this process's. */
static long held_kib(void)
{
	FILE *f = fopen("/proc/self/smaps_rollup", "re");
	char line[128];
	long kib = 0, more;

	assert_non_null(f);
	while (fgets(line, sizeof line, f))
		if (sscanf(line, "Pss_Shmem: %ld kB", &more) == 1)
			kib += more;
	fclose(f);
	return kib;
}

static void pages_that_are_not_looked_at_take_no_memory(void **state)
{
	enum {
		N = 2 * PAGES_HELD
	};
	static struct heap_view view[N];
	long before = held_kib(), kib = sysconf(_SC_PAGESIZE) / 1024;
	struct pages *pages;

	assert_int_equal(pages_new(5, &pages), 0);
	for (unsigned i = 0; i < N; i++) {
		struct heap_page *client;
		int fd;

		assert_int_equal(heap_page_new(5, &fd, &view[i]), 0);
		client = mmap(NULL, PAGE_SIZE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
			      fd, 0);
		assert_ptr_not_equal(client, MAP_FAILED);
		assert_true(page_header_valid(&client->header, 0));
		atomic_store(&client->app.deadline, i);
		munmap(client, PAGE_SIZE_BYTES);
		close(fd);
	}
	assert_int_equal(held_kib(), before);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < N; i++) {
			const struct heap_page *page = heap_page_look(pages, &view[i]);

			assert_int_equal(atomic_load(&page->app.deadline), i);
			assert_ptr_equal(page, heap_page_look(pages, &view[i]));
		}
		assert_int_equal(held_kib(), before + PAGES_HELD * kib);
	}
	for (unsigned i = 0; i < N; i++)
		heap_page_free(pages, &view[i]);
	assert_int_equal(held_kib(), before);
	assert_null(pages_free(pages));
}

static void epochs_fit(void **state)
{
	uint64_t first = clock_epoch(), second = clock_epoch();

	assert_true(first > 0 && first <= second && second <= INT64_MAX);
}

int main(void)
{
#define IN_TREE(test) cmocka_unit_test_setup_teardown(test, make_tree, remove_tree)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spans),
		cmocka_unit_test(amounts),
		IN_TREE(the_first_main_file_counts),
		IN_TREE(drop_ins_go_by_name_whatever_their_folder),
		IN_TREE(drop_ins_mask_their_namesakes),
		IN_TREE(a_named_file_must_exist),
		cmocka_unit_test(server_states),
		cmocka_unit_test(sessions),
		cmocka_unit_test(first_line),
		cmocka_unit_test(names_of_servers),
		cmocka_unit_test(table_finds_what_is_in_it),
		cmocka_unit_test(queue_is_bounded_and_keeps_order),
		cmocka_unit_test(timers_fire_in_order_and_only_when_armed),
		cmocka_unit_test(timer_set_to_the_past_waits_for_the_next_turn),
		cmocka_unit_test(pages_that_are_not_looked_at_take_no_memory),
		cmocka_unit_test(epochs_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/daemon.h"
#include "daemon/guard.h"
#include "daemon/log.h"
#include "daemon/machine.h"

#define EXIT_USAGE 2

static const char usage[] =
	"Usage: rtgcd [OPTION...]\n"
	"Decides when garbage-collected processes may pause.\n\n"
	"  --config FILE    read FILE and FILE.d/*.conf, not the system's rtgcd/rtgcd.conf\n"
	"  --check-config   say what is wrong with the configuration, and exit\n"
	"  --socket PATH    listen for clients there\n"
	"  --control PATH   listen for rtgcctl there\n"
	"  --foreground     do not go into the background\n"
	"  --version        print the version, and exit\n"
	"  --help           print this, and exit\n\n"
	"The sockets lie in /run/rtgcd for root, else in $XDG_RUNTIME_DIR/rtgcd.\n"
	"Exit status: 0 fine, 1 failed, 2 wrong usage. See rtgcd(8).\n";

struct arguments {
	struct daemon_options daemon;
	bool check_config, foreground;
};

enum {
	OPTION_CONFIG = 1,
	OPTION_CHECK_CONFIG,
	OPTION_SOCKET,
	OPTION_CONTROL,
	OPTION_FOREGROUND,
	OPTION_VERSION,
	OPTION_HELP,
};

static const struct option long_options[] = {
	{"config", required_argument, NULL, OPTION_CONFIG},
	{"check-config", no_argument, NULL, OPTION_CHECK_CONFIG},
	{"socket", required_argument, NULL, OPTION_SOCKET},
	{"control", required_argument, NULL, OPTION_CONTROL},
	{"foreground", no_argument, NULL, OPTION_FOREGROUND},
	{"version", no_argument, NULL, OPTION_VERSION},
	{"help", no_argument, NULL, OPTION_HELP},
	{NULL, 0, NULL, 0},
};

static int wrong_usage(const char *what, const char *text)
{
	if (what)
		fprintf(stderr, "rtgcd: %s%s\n", what, text);
	fputs("rtgcd: try --help\n", stderr);
	return EXIT_USAGE;
}

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct arguments *ret)
{
	int c;

	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (c) {
		case OPTION_CONFIG:
			ret->daemon.config = optarg;
			break;
		case OPTION_CHECK_CONFIG:
			ret->check_config = true;
			break;
		case OPTION_SOCKET:
			ret->daemon.socket = optarg;
			break;
		case OPTION_CONTROL:
			ret->daemon.control = optarg;
			break;
		case OPTION_FOREGROUND:
			ret->foreground = true;
			break;
		case OPTION_VERSION:
			puts("rtgcd " PACKAGE_VERSION);
			return EXIT_SUCCESS;
		case OPTION_HELP:
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		default:
			return wrong_usage(NULL, NULL);
		}
	}
	if (optind < argc)
		return wrong_usage("unexpected argument: ", argv[optind]);
	return -1;
}

static int check_config(const char *file)
{
	struct config *config;
	char *error = NULL;
	int r = config_load(file, machine_cpus(), &config, &error);

	if (r < 0) {
		fprintf(stderr, "rtgcd: %s\n", error ? error : strerror(-r));
		free(error);
		return EXIT_FAILURE;
	}
	config_free(config);
	return EXIT_SUCCESS;
}

/* ---- into the background ------------------------------------------------------------------------------- */

/* The one who called waits here until the daemon is ready, or has failed. */
static int wait_until_ready(int fd)
{
	char byte;
	ssize_t n;

	do
		n = read(fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	return n == 1 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* In the daemon: lets the caller go, and lets go of its terminal. */
static void tell_ready(void *userdata)
{
	int *fd = userdata;
	int null;

	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		close(null);
	}
	log_init(LOG_TO_SYSLOG);
	if (write(*fd, "", 1) == 1)
		close(*fd);
}

/* -1 in the daemon; else the exit status of the process that was started. */
static int go_to_background(int *ret_fd)
{
	int fds[2], null;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0) {
		fprintf(stderr, "rtgcd: into the background: %s\n", strerror(errno));
		return EXIT_FAILURE;
	}
	pid = fork();
	if (pid < 0) {
		fprintf(stderr, "rtgcd: into the background: %s\n", strerror(errno));
		return EXIT_FAILURE;
	}
	if (pid > 0) {
		close(fds[1]);
		return wait_until_ready(fds[0]);
	}
	close(fds[0]);
	setsid();
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		close(null);
	}
	*ret_fd = fds[1];
	return -1;
}

/* Who is told to end once more while it does so ends no other way. */
static void defer_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static int run(const struct daemon_options *options)
{
	struct daemon *daemon;
	int r = daemon_new(options, &daemon);

	if (r < 0) /* it has said why */
		return EXIT_FAILURE;
	r = daemon_run(daemon);
	defer_signals();
	daemon_free(daemon);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct arguments arguments = {0};
	struct daemon_options *daemon = &arguments.daemon;
	int fd = -1, r;

	/* Not for people: how the daemon starts its drain guard. */
	if (argc == 3 && strcmp(argv[1], "--drain-guard") == 0)
		return guard_main(atoi(argv[2]));
	r = parse(argc, argv, &arguments);
	if (r >= 0)
		return r;
	if (arguments.check_config)
		return check_config(daemon->config);
	/* Under a service manager the process that was started is the daemon. */
	if (!arguments.foreground && !getenv("NOTIFY_SOCKET") && !getenv("LISTEN_PID")) {
		r = go_to_background(&fd);
		if (r >= 0)
			return r;
		daemon->ready = tell_ready;
		daemon->userdata = &fd;
	}
	log_init(log_choose());
	return run(daemon);
}

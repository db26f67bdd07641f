/* SPDX-License-Identifier: MIT */
#include "daemon/machine.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/config.h"

unsigned machine_cpus(void)
{
	cpu_set_t set;
	long n;

	if (sched_getaffinity(0, sizeof set, &set) == 0)
		return (unsigned)CPU_COUNT(&set);
	n = sysconf(_SC_NPROCESSORS_ONLN); /* more CPUs than the set can hold */
	return n < 1 ? 1 : (unsigned)n;
}

/* Each client takes a socket and a pidfd. */
void machine_raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

void machine_limits(const struct config *config, struct quota_limits *ret)
{
	struct rlimit limit;
	uint64_t descriptors = 1024;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		descriptors = limit.rlim_cur;
	config_limits_resolve(&config->limits, descriptors, ret);
}

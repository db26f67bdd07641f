# SPDX-License-Identifier: MIT
"""Another wall clock for some processes, and jumps of it."""

import os
import pathlib
import struct
import subprocess

DAY = 86400

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long long shift(void)
{
	static const long long *at;
	int fd;

	if (!at) {
		fd = open(getenv("SHIFT"), O_RDONLY | O_CLOEXEC);
		at = mmap(0, 8, PROT_READ, MAP_SHARED, fd, 0);
		close(fd);
	}
	return *(volatile const long long *)at;
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
	static int (*real)(clockid_t, struct timespec *);
	int r;

	if (!real)
		real = dlsym(RTLD_NEXT, "clock_gettime");
	r = real(id, ts);
	if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)
		ts->tv_sec += shift();
	return r;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = ts.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *ret)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (ret)
		*ret = ts.tv_sec;
	return ts.tv_sec;
}
"""


def shifted(folder):
    """The environment of a process with that clock, and what sets it: shift(seconds), from the real one."""
    source, library, file = (pathlib.Path(folder) / name for name in ("shift.c", "shift.so", "shift"))
    source.write_text(SOURCE)
    subprocess.run([*os.environ.get("CC", "cc").split(), "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)

    def shift(seconds):
        with open(file, "r+b" if file.exists() else "wb") as f:
            f.write(struct.pack("@q", seconds))

    shift(0)
    return {"LD_PRELOAD": str(library), "SHIFT": str(file)}, shift

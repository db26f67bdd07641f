/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int complaints = STDERR_FILENO;

static void __attribute__((constructor)) keep_stderr(void)
{
	int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);

	if (fd >= 0)
		complaints = fd;
}

void fuzz_fail(const char *file, int line, const char *format, ...)
{
	va_list args;

	dprintf(complaints, "%s:%d: does not hold: ", file, line);
	va_start(args, format);
	vdprintf(complaints, format, args);
	va_end(args);
	dprintf(complaints, "\n");
	abort();
}

const char *fuzz_file(const uint8_t *data, size_t size)
{
	static char path[64];
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("fuzz", MFD_CLOEXEC);
	fuzz_check(fd >= 0);
	fuzz_check(ftruncate(fd, 0) == 0);
	fuzz_check(pwrite(fd, data, size, 0) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

/* ---- Bytes to values ----------------------------------------------------------------------- */

uint8_t fuzz_byte(struct fuzz_bytes *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->at++;
}

unsigned fuzz_below(struct fuzz_bytes *in, unsigned most)
{
	return fuzz_byte(in) % most;
}

static uint64_t little_endian(struct fuzz_bytes *in, unsigned n)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < n; i++)
		value |= (uint64_t)fuzz_byte(in) << 8 * i;
	return value;
}

uint64_t fuzz_number(struct fuzz_bytes *in)
{
	static const uint64_t absurd[] = {0, 1, INT64_MAX, UINT64_MAX - 1, UINT64_MAX};
	uint8_t what = fuzz_byte(in);

	switch (what % 8) {
	case 0:
	case 1:
		return (uint64_t)fuzz_byte(in) << what / 8; /* up to 2^39 */
	case 2:
	case 3:
	case 4:
		return little_endian(in, 3);
	case 5:
		return little_endian(in, 5);
	case 6:
		return little_endian(in, 8);
	}
	return absurd[what / 8 % 5];
}

nsec_t fuzz_span(struct fuzz_bytes *in)
{
	static const nsec_t units[] = {1,
				       NSEC_PER_USEC,
				       NSEC_PER_MSEC,
				       100 * NSEC_PER_MSEC,
				       NSEC_PER_SEC,
				       15 * NSEC_PER_SEC};
	nsec_t unit = units[fuzz_below(in, 6)];

	return unit * fuzz_byte(in);
}

nsec_t fuzz_instant(struct fuzz_bytes *in, nsec_t now)
{
	switch (fuzz_below(in, 6)) {
	case 0:
		return NSEC_NEVER;
	case 1:
		return nsec_sub(now, fuzz_span(in));
	case 2:
	case 3:
		return nsec_add(now, fuzz_span(in));
	case 4:
		return fuzz_number(in);
	}
	return now;
}

size_t fuzz_take(struct fuzz_bytes *in, uint8_t *ret, size_t n)
{
	if (n > in->left)
		n = in->left;
	if (n > 0)
		memcpy(ret, in->at, n);
	in->at += n;
	in->left -= n;
	return n;
}

/* ---- Frames ---------------------------------------------------------------------------------- */

static uint64_t any_window(struct fuzz_bytes *in, uint64_t window)
{
	return fuzz_below(in, 8) ? window : fuzz_number(in);
}

static void hello(struct fuzz_bytes *in, nsec_t now, uint64_t window,
		  const char *const *services, unsigned n_services,
		  struct wire_hello *ret)
{
	bool again = fuzz_below(in, 4) == 0;
	uint16_t most = fuzz_below(in, 32) ? WIRE_VERSION_MAX : fuzz_byte(in);

	*ret = (struct wire_hello){
		.version_min = most ? WIRE_VERSION_MIN : 0,
		.version_max = most,
		.caps = fuzz_byte(in),
		.unit = (uint8_t)fuzz_below(in, WIRE_UNITS),
		.kinds = (uint8_t)(fuzz_below(in, 16) | 1 << WIRE_MAJOR),
		.prev_kind = (uint8_t)fuzz_below(in, WIRE_KINDS),
		.budget = fuzz_below(in, 2) ? fuzz_number(in) : 0,
		.prev_epoch = again,
		.prev_window = again ? any_window(in, window) : 0,
		.prev_closes = again ? fuzz_instant(in, now) : 0,
	};
	snprintf(ret->service, sizeof(ret->service), "%s",
		 services[fuzz_below(in, n_services)]);
	snprintf(ret->heap, sizeof(ret->heap), "h%u", fuzz_below(in, 4));
}

static void end(struct fuzz_bytes *in, nsec_t now, uint64_t window, struct wire_end *ret)
{
	*ret = (struct wire_end){
		.window = any_window(in, window),
		.begin = nsec_sub(now, fuzz_span(in)),
		.end = fuzz_below(in, 8) ? now : fuzz_instant(in, now),
		.freed = fuzz_number(in),
		.used = fuzz_number(in),
		.live = fuzz_number(in),
		.kind = (uint8_t)fuzz_below(in, WIRE_KINDS),
		.cause = fuzz_below(in, 4) ? WIRE_IN_WINDOW
					   : (uint8_t)fuzz_below(in, WIRE_CAUSES),
		.failed = fuzz_below(in, 8) == 0,
		.stop = fuzz_below(in, 2) ? 0 : fuzz_instant(in, 0),
	};
}

void fuzz_frame(struct fuzz_bytes *in, nsec_t now, uint64_t window,
		const char *const *services, unsigned n_services, struct wire_frame *ret)
{
	static const uint16_t types[] = {
		WIRE_HELLO, WIRE_REPORT, WIRE_DEADLINE,	 WIRE_IDLE,    WIRE_BUSY,
		WIRE_QUIET, WIRE_BEGIN,	 WIRE_END,	 WIRE_DECLINE, WIRE_BYE,
		WIRE_OFFER, WIRE_ANSWER, WIRE_HEARTBEAT, WIRE_REPORT,  WIRE_REPORT,
	};

	*ret = (struct wire_frame){.type = types[fuzz_below(in, 15)], .serial = 1};
	switch (ret->type) {
	case WIRE_HELLO:
		hello(in, now, window, services, n_services, &ret->hello);
		break;
	case WIRE_REPORT:
		ret->report = (struct wire_report){
			.at = fuzz_below(in, 4) ? now : fuzz_instant(in, now),
			.used = fuzz_number(in),
			.allocated = fuzz_number(in),
			.live = fuzz_number(in),
			.rss_bytes = fuzz_number(in),
			.budget = fuzz_below(in, 4) ? fuzz_number(in) : 0,
		};
		break;
	case WIRE_DEADLINE:
		ret->deadline.at = fuzz_instant(in, now);
		break;
	case WIRE_IDLE:
		ret->idle.until = fuzz_instant(in, now);
		break;
	case WIRE_QUIET:
		ret->quiet.window = any_window(in, window);
		break;
	case WIRE_BEGIN:
		ret->begin = (struct wire_begin){
			.window = any_window(in, window),
			.at = fuzz_below(in, 4) ? now : fuzz_instant(in, now),
			.kind = (uint8_t)fuzz_below(in, WIRE_KINDS),
			.cause = fuzz_below(in, 4) ? WIRE_IN_WINDOW
						   : (uint8_t)fuzz_below(in, WIRE_CAUSES),
		};
		break;
	case WIRE_END:
		end(in, now, window, &ret->end);
		break;
	case WIRE_DECLINE:
		ret->decline = (struct wire_decline_frame){
			.window = any_window(in, window),
			.why = (uint8_t)fuzz_below(in, WIRE_DECLINES),
		};
		break;
	case WIRE_OFFER:
		ret->offer.kinds = (uint8_t)fuzz_below(in, 16);
		break;
	case WIRE_ANSWER:
		ret->answer = (struct wire_answer){
			.ask = fuzz_number(in) | 1,
			.count = fuzz_number(in),
			.bytes = fuzz_number(in),
			.took = fuzz_span(in),
			.last = (uint8_t)fuzz_below(in, 2),
		};
		break;
	case WIRE_HEARTBEAT:
		ret->heartbeat.at = fuzz_instant(in, now);
		break;
	}
}

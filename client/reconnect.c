/* SPDX-License-Identifier: MIT */
#include "client/reconnect.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void reconnect_init(struct reconnect *rc, uint64_t seed)
{
	rc->delay = RECONNECT_MIN;
	rc->random = seed | 1; /* the generator never leaves zero */
}

void reconnect_reset(struct reconnect *rc)
{
	rc->delay = RECONNECT_MIN;
}

void reconnect_slow(struct reconnect *rc)
{
	rc->delay = RECONNECT_MAX;
}

/* xorshift64: spreads clients, nothing depends on its quality. */
static uint64_t next_random(struct reconnect *rc)
{
	rc->random ^= rc->random << 13;
	rc->random ^= rc->random >> 7;
	rc->random ^= rc->random << 17;
	return rc->random;
}

nsec_t reconnect_next(struct reconnect *rc, nsec_t now)
{
	nsec_t delay = rc->delay - next_random(rc) % (rc->delay / 2);

	rc->delay = nsec_min(2 * rc->delay, RECONNECT_MAX);
	return nsec_add(now, delay);
}

int reconnect_try(const char *path, int *ret_fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, r;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	do {
		r = connect(fd, (const struct sockaddr *)&address, sizeof(address));
	} while (r < 0 && errno == EINTR);
	if (r == 0) {
		*ret_fd = fd;
		return 0;
	}
	r = -errno;
	close(fd);
	switch (r) {
	case -EAGAIN:
		return RECONNECT_E_FULL;
	case -ENOENT:
	case -ECONNREFUSED:
		return RECONNECT_E_ABSENT;
	default:
		return r;
	}
}

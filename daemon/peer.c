/* SPDX-License-Identifier: MIT */
#include "daemon/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

#define GROUPS_MAX 65536

static int open_pidfd(int fd, pid_t pid)
{
	int pidfd;
	socklen_t size = sizeof pidfd;

	/* Names the very process that connected, also when its pid is used again. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) == 0)
		return pidfd;
	if (errno == EINVAL || errno == ESRCH || errno == ENODATA)
		return -ESRCH;
	if (errno != ENOPROTOOPT)
		return -errno;
	if (pid <= 0)
		return -ENODATA;
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	return pidfd < 0 ? -errno : pidfd;
}

int peer_init(int fd, struct peer *ret)
{
	struct ucred cred;
	socklen_t size = sizeof cred;
	int pidfd = -1;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
		return -errno;
	if (cred.pid > 0) {
		pidfd = open_pidfd(fd, cred.pid);
		if (pidfd < 0)
			return pidfd;
	}
	*ret = (struct peer){
		.uid = cred.uid,
		.gid = cred.gid,
		.pid = cred.pid,
		.pidfd = pidfd,
	};
	return 0;
}

/* The twenty-second field of /proc/PID/stat; the second is a name in brackets, of any bytes. */
uint64_t peer_birth(int32_t pid)
{
	char path[32], text[1024], *at;
	uint64_t birth = 0;
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	at = strrchr(text, ')');
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (at)
		birth = strtoull(at, NULL, 10);
	return birth;
}

int peer_find(uint32_t uid, int32_t pid, uint64_t birth, struct peer *ret)
{
	struct peer peer = {.uid = uid, .gid = UINT32_MAX, .pid = pid};
	uint64_t found;

	peer.pidfd = -1;
	if (pid <= 0) { /* it cannot be seen from here, but it may live */
		*ret = peer;
		return 0;
	}
	peer.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (peer.pidfd < 0)
		return -errno;
	/* Only now: the pid stands for this process as long as it lives. */
	found = peer_birth(pid);
	if (found != birth || peer_dead(&peer)) {
		peer_deinit(&peer);
		return found ? -ESRCH : -EIO; /* it cannot be seen just now */
	}
	*ret = peer;
	return 0;
}

void peer_deinit(struct peer *peer)
{
	if (peer->pidfd >= 0)
		close(peer->pidfd);
	peer->pidfd = -1;
}

bool peer_dead(const struct peer *peer)
{
	struct pollfd p = {.fd = peer->pidfd, .events = POLLIN};

	return peer->pidfd >= 0 && poll(&p, 1, 0) == 1 && (p.revents & POLLIN);
}

bool peer_in_group(int fd, const struct peer *peer, uint32_t gid)
{
	gid_t some[64], *groups = some;
	socklen_t size = sizeof some;
	bool found = peer->gid == gid;

	if (found)
		return true;
	while (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0) {
		if (errno != ERANGE || groups != some ||
		    size > GROUPS_MAX * sizeof(gid_t))
			goto out;
		groups = malloc(size);
		if (!groups)
			return false;
	}
	for (size_t i = 0; i < size / sizeof(gid_t) && !found; i++)
		found = groups[i] == gid;
out:
	if (groups != some)
		free(groups);
	return found;
}

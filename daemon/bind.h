/* SPDX-License-Identifier: MIT */
/* The daemon's own sockets in the file system: where they lie, making and removing them. */
#ifndef RTGCD_BIND_H
#define RTGCD_BIND_H

#include <stdint.h>
#include <sys/stat.h>

struct bound {
	char *path; /* NULL: nothing of ours is there */
	dev_t device;
	ino_t inode;
};

/*
 * The default path of "runtime.sock" or "control.sock": below /run/rtgcd for root, below
 * $XDG_RUNTIME_DIR/rtgcd for others. -ENXIO: that variable is not set. *ret is malloced.
 */
int bind_default_path(const char *name, char **ret);
/*
 * Makes the last folder of the path where it is missing, removes what a dead daemon left
 * there, and listens. type: SOCK_SEQPACKET or SOCK_STREAM. mode: who may connect; group: whose it is,
 * UINT32_MAX: the daemon's own. -EADDRINUSE: a living daemon listens there; -EEXIST: something that is no socket lies there; -ENAMETOOLONG.
 */
int bind_socket(const char *path, int type, mode_t mode, uint32_t group,
		struct bound *ret_bound, int *ret_fd);
/* Removes the socket's file, unless another one has taken its place. */
void bind_remove(struct bound *bound);

#endif

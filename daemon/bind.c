/* SPDX-License-Identifier: MIT */
#include "daemon/bind.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 4096

int bind_default_path(const char *name, char **ret)
{
	const char *base = geteuid() == 0 ? "/run" : getenv("XDG_RUNTIME_DIR");
	char *path;

	if (!base || base[0] != '/')
		return -ENXIO;
	if (asprintf(&path, "%s/rtgcd/%s", base, name) < 0)
		return -ENOMEM;
	*ret = path;
	return 0;
}

/*
 * Two daemons started at once must not both take a dead one's place: the folder is locked
 * from looking at the old socket until listening on the new one.
 */
static int lock_folder(const char *path)
{
	char *folder = strdup(path), *slash;
	int fd, r;

	if (!folder)
		return -ENOMEM;
	slash = strrchr(folder, '/');
	if (slash == folder)
		slash[1] = '\0';
	else if (slash)
		*slash = '\0';
	else
		strcpy(folder, ".");
	if (mkdir(folder, geteuid() == 0 ? 0755 : 0700) < 0 && errno != EEXIST) {
		r = -errno;
		free(folder);
		return r;
	}
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = fd < 0 ? -errno : fd;
	free(folder);
	if (fd >= 0 && flock(fd, LOCK_EX) < 0) {
		r = -errno;
		close(fd);
	}
	return r;
}

/* 0: the way is free. */
static int remove_stale(const struct sockaddr_un *address, int type)
{
	struct stat st;
	int fd, r;

	if (lstat(address->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	r = connect(fd, (const struct sockaddr *)address, sizeof *address) < 0 ? errno
									       : 0;
	close(fd);
	if (r != ECONNREFUSED)
		return -EADDRINUSE;
	return unlink(address->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

static int listen_at(const struct sockaddr_un *address, int type, mode_t mode,
		     gid_t group, struct bound *bound)
{
	struct stat st;
	int fd, r;

	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)address, sizeof *address) < 0 ||
	    lstat(address->sun_path, &st) < 0 ||
	    (group != (gid_t)-1 && chown(address->sun_path, (uid_t)-1, group) < 0 &&
	     errno != EPERM) ||
	    chmod(address->sun_path, mode) < 0 || listen(fd, BACKLOG) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	bound->device = st.st_dev;
	bound->inode = st.st_ino;
	return fd;
}

int bind_socket(const char *path, int type, mode_t mode, uint32_t group,
		struct bound *ret_bound, int *ret_fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct bound bound = {0};
	int folder, r;

	if (strlen(path) >= sizeof address.sun_path)
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	folder = lock_folder(path);
	if (folder < 0)
		return folder;
	r = remove_stale(&address, type);
	if (r == 0)
		r = listen_at(&address, type, mode, (gid_t)group, &bound);
	close(folder);
	if (r < 0)
		return r;
	bound.path = strdup(path);
	if (!bound.path) {
		unlink(path);
		close(r);
		return -ENOMEM;
	}
	*ret_bound = bound;
	*ret_fd = r;
	return 0;
}

void bind_remove(struct bound *bound)
{
	struct stat st;

	if (!bound->path)
		return;
	if (lstat(bound->path, &st) == 0 && st.st_dev == bound->device &&
	    st.st_ino == bound->inode)
		unlink(bound->path);
	free(bound->path);
	bound->path = NULL;
}

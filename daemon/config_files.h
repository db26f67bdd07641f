/* SPDX-License-Identifier: MIT */
/* Which configuration files there are, in the order in which they count. */
#ifndef RTGCD_CONFIG_FILES_H
#define RTGCD_CONFIG_FILES_H

#include <stddef.h>

struct config_files {
	char **paths; /* the main file, if there is one, then drop-ins by their names */
	size_t n;
};

/* The folders of systemd's rule, the weightiest first; ends with NULL. */
extern const char *const config_folders[];

/*
 * The first FOLDER/NAME counts. Of FOLDER/NAME.d/(any).conf, those of one name in a
 * weightier folder mask the others; an empty one, or a link to /dev/null, is masked itself.
 */
int config_files_find(const char *const *folders, const char *name,
		      struct config_files *ret);
/* FILE, and FILE.d/(any).conf. FILE must exist: -ENOENT. */
int config_files_of(const char *file, struct config_files *ret);
void config_files_deinit(struct config_files *files);

#endif

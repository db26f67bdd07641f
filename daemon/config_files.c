/* SPDX-License-Identifier: MIT */
#include "daemon/config_files.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX ".conf"

const char *const config_folders[] = {"/etc", "/run", "/usr/local/lib", "/usr/lib", NULL};

static const char *base_name(const char *path)
{
	return strrchr(path, '/') + 1;
}

/* The path is the callee's. */
static int add(struct config_files *files, char *path)
{
	char **paths = reallocarray(files->paths, files->n + 1, sizeof *paths);

	if (!paths) {
		free(path);
		return -ENOMEM;
	}
	paths[files->n] = path;
	files->paths = paths;
	files->n++;
	return 0;
}

static bool has_name(const struct config_files *files, const char *name)
{
	for (size_t i = 0; i < files->n; i++)
		if (strcmp(base_name(files->paths[i]), name) == 0)
			return true;
	return false;
}

static bool is_drop_in(const char *name)
{
	size_t n = strlen(name);

	return name[0] != '.' && n > strlen(SUFFIX) &&
	       strcmp(name + n - strlen(SUFFIX), SUFFIX) == 0;
}

/* Those of the folder whose names are not taken yet. */
static int add_folder(struct config_files *files, const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	int r = 0;

	if (!dir)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	while (r == 0 && (entry = readdir(dir))) {
		char *path;

		if (!is_drop_in(entry->d_name) || has_name(files, entry->d_name))
			continue;
		if (asprintf(&path, "%s/%s", folder, entry->d_name) < 0)
			r = -ENOMEM;
		else
			r = add(files, path);
	}
	closedir(dir);
	return r;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(base_name(*(char *const *)a), base_name(*(char *const *)b));
}

/* Nothing to read: the file only hides those of its name in the other folders. */
static bool is_mask(const char *path)
{
	struct stat st, null;

	if (stat(path, &st) < 0)
		return false;
	if (S_ISREG(st.st_mode))
		return st.st_size == 0;
	return stat("/dev/null", &null) == 0 && st.st_rdev == null.st_rdev;
}

static int move_drop_ins(struct config_files *from, struct config_files *to)
{
	int r = 0;

	if (from->n > 0)
		qsort(from->paths, from->n, sizeof *from->paths, by_name);
	for (size_t i = 0; i < from->n; i++) {
		char *path = from->paths[i];

		from->paths[i] = NULL;
		if (r < 0 || is_mask(path))
			free(path);
		else
			r = add(to, path);
	}
	return r;
}

static int find_main(const char *const *folders, const char *name,
		     struct config_files *files)
{
	for (; *folders; folders++) {
		char *path;

		if (asprintf(&path, "%s/%s", *folders, name) < 0)
			return -ENOMEM;
		if (access(path, F_OK) == 0) {
			if (!is_mask(path))
				return add(files, path);
			free(path);
			return 0;
		}
		free(path);
	}
	return 0;
}

int config_files_find(const char *const *folders, const char *name,
		      struct config_files *ret)
{
	struct config_files files = {0}, drop_ins = {0};
	int r = find_main(folders, name, &files);

	for (; *folders && r == 0; folders++) {
		char *folder;

		if (asprintf(&folder, "%s/%s.d", *folders, name) < 0) {
			r = -ENOMEM;
			break;
		}
		r = add_folder(&drop_ins, folder);
		free(folder);
	}
	if (r == 0)
		r = move_drop_ins(&drop_ins, &files);
	config_files_deinit(&drop_ins);
	if (r < 0)
		config_files_deinit(&files);
	else
		*ret = files;
	return r;
}

int config_files_of(const char *file, struct config_files *ret)
{
	struct config_files files = {0}, drop_ins = {0};
	char *path, *folder = NULL;
	int r;

	if (access(file, F_OK) < 0)
		return -errno;
	path = strdup(file);
	if (!path || asprintf(&folder, "%s.d", file) < 0) {
		free(path);
		return -ENOMEM;
	}
	r = add(&files, path);
	if (r == 0)
		r = add_folder(&drop_ins, folder);
	if (r == 0)
		r = move_drop_ins(&drop_ins, &files);
	free(folder);
	config_files_deinit(&drop_ins);
	if (r < 0)
		config_files_deinit(&files);
	else
		*ret = files;
	return r;
}

void config_files_deinit(struct config_files *files)
{
	for (size_t i = 0; i < files->n; i++)
		free(files->paths[i]);
	free(files->paths);
	*files = (struct config_files){0};
}

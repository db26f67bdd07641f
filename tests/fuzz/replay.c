/* SPDX-License-Identifier: MIT */
/*
 * A target without a fuzzer: replay FILE|FOLDER… gives it each of those files (of a folder, those
 * right in it), in order of their names, and says how many they were. Without arguments it reads
 * one input from stdin.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

#define MOST (1 << 20)

static unsigned inputs;

static int run(FILE *file, const char *name)
{
	/* As large as what is read, so that a sanitizer sees a byte too many. */
	uint8_t *read = malloc(MOST), *data;
	size_t n = read ? fread(read, 1, MOST, file) : 0;

	data = malloc(n ? n : 1);
	if (!read || !data || ferror(file)) {
		fprintf(stderr, "%s: cannot be read\n", name);
		free(read);
		free(data);
		return -1;
	}
	memcpy(data, read, n);
	free(read);
	LLVMFuzzerTestOneInput(data, n);
	free(data);
	inputs++;
	return 0;
}

static int run_file(const char *path)
{
	FILE *file = fopen(path, "re");
	int r;

	if (!file) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	r = run(file, path);
	fclose(file);
	return r;
}

static int visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int run_path(const char *path)
{
	struct dirent **entries;
	int n = scandir(path, &entries, visible, alphasort), r = 0;

	if (n < 0)
		return run_file(path);
	for (int i = 0; i < n; i++) {
		char *name;

		if (asprintf(&name, "%s/%s", path, entries[i]->d_name) < 0)
			abort();
		/* The one at which it ends is the last that is named. */
		fprintf(stderr, "%s\n", name);
		if (run_file(name) < 0)
			r = -1;
		free(name);
		free(entries[i]);
	}
	free(entries);
	return r;
}

int main(int argc, char **argv)
{
	int r = argc < 2 ? run(stdin, "stdin") : 0;

	for (int i = 1; i < argc; i++)
		if (run_path(argv[i]) < 0)
			r = -1;
	printf("%u inputs\n", inputs);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

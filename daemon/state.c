/* SPDX-License-Identifier: MIT */
#include "daemon/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "rtgcd state 1"
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW)

/* What there is of each heap; of what was learned of pauses there is mostly one. */
#define ALWAYS offsetof(struct core_memory, learned.known)

/*
 * Each of two copies is whole; `valid` names the one that holds: 1 or 2, 0 neither. The other one
 * is written, then named.
 */
struct record {
	_Atomic uint32_t valid;
	uint64_t birth;
	struct {
		_Alignas(struct core_memory) char bytes[ALWAYS];
	} copy[2];
};

struct header {
	char magic[16], version[16];
	uint64_t record_size;  /* of another build it is mostly another one */
	_Atomic uint32_t used; /* no record behind that many has ever been */
	_Atomic uint32_t valid;
	struct state_run copy[2];
};

struct file {
	struct header header;
	struct record record[STATE_HEAPS_MOST];
	/* Lies apart, by how many of them a heap has: of the last ones no page is ever touched. */
	struct predict known[CORE_KNOWN][STATE_HEAPS_MOST][2];
};

struct state {
	struct file *file;
	int fd;
	bool kept;
	uint32_t *free; /* of those that have been used */
	uint32_t n_free;
};

/* ---- the file -------------------------------------------------------------------------------- */

/* -EINVAL: it is another build's. */
static int check(int fd)
{
	struct stat st;
	int seals;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size != (off_t)sizeof(struct file))
		return -EINVAL;
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0)
		return -errno;
	return seals == SEALS ? 0 : -EINVAL;
}

static int make(int *ret_fd)
{
	int fd = memfd_create("rtgcd-state", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, sizeof(struct file)) < 0 || fcntl(fd, F_ADD_SEALS, SEALS) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

static int map(struct state *state, int fd)
{
	void *at = mmap(NULL, sizeof(struct file), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			0);

	if (at == MAP_FAILED)
		return -errno;
	state->file = at;
	state->fd = fd;
	return 0;
}

static void unmap(struct state *state)
{
	if (state->file)
		munmap(state->file, sizeof(struct file));
	if (state->fd >= 0)
		close(state->fd);
	state->file = NULL;
	state->fd = -1;
}

/* The same size says little, the version and the size of what lies in it say more. */
static bool readable(const struct header *header)
{
	return memcmp(header->magic, MAGIC, sizeof MAGIC) == 0 &&
	       strncmp(header->version, PACKAGE_VERSION, sizeof header->version) == 0 &&
	       header->record_size == sizeof(struct record) &&
	       atomic_load(&header->used) <= STATE_HEAPS_MOST;
}

static int start_anew(struct state *state)
{
	struct header *header;
	int fd = -1, r = make(&fd);

	if (r < 0)
		return r;
	r = map(state, fd);
	if (r < 0) {
		close(fd);
		return r;
	}
	header = &state->file->header;
	memcpy(header->magic, MAGIC, sizeof MAGIC);
	strncpy(header->version, PACKAGE_VERSION, sizeof header->version - 1);
	header->record_size = sizeof(struct record);
	return 0;
}

static uint32_t used(const struct state *state)
{
	return atomic_load(&state->file->header.used);
}

/* Records that a former run has left stay where they are. (To look at the others would be to have their memory.) */
static void find_free(struct state *state)
{
	for (uint32_t i = 0; i < used(state); i++)
		if (!atomic_load(&state->file->record[i].valid))
			state->free[state->n_free++] = i;
}

static int take_over(struct state *state, int fd)
{
	int r = check(fd);

	if (r == 0)
		r = map(state, fd);
	if (r < 0) {
		close(fd);
		return r;
	}
	if (!readable(&state->file->header)) {
		unmap(state);
		return -EINVAL;
	}
	state->kept = true;
	find_free(state);
	return 0;
}

int state_new(int fd, struct state **ret)
{
	struct state *state = calloc(1, sizeof *state);
	int r;

	if (!state) {
		if (fd >= 0)
			close(fd);
		return -ENOMEM;
	}
	state->fd = -1;
	state->free = calloc(STATE_HEAPS_MOST, sizeof *state->free);
	if (!state->free) {
		if (fd >= 0)
			close(fd);
		r = -ENOMEM;
	} else {
		/* What is there and cannot be read just now is not given up: the next start may. */
		r = fd >= 0 ? take_over(state, fd) : -EINVAL;
		if (r == -EINVAL)
			r = start_anew(state);
	}
	if (r < 0) {
		state_free(state);
		return r;
	}
	*ret = state;
	return 0;
}

struct state *state_free(struct state *state)
{
	if (!state)
		return NULL;
	unmap(state);
	free(state->free);
	free(state);
	return NULL;
}

int state_to_keep(const struct state *state)
{
	return state->kept ? -1 : state->fd;
}

/* ---- what is in it --------------------------------------------------------------------------- */

/* The copy that does not hold. */
static unsigned spare(const _Atomic uint32_t *valid)
{
	return atomic_load_explicit(valid, memory_order_relaxed) == 1 ? 1 : 0;
}

void state_put_run(struct state *state, const struct state_run *run)
{
	struct header *header = &state->file->header;
	unsigned i = spare(&header->valid);

	header->copy[i] = *run;
	atomic_store_explicit(&header->valid, i + 1, memory_order_release);
}

bool state_run(const struct state *state, struct state_run *ret)
{
	const struct header *header = &state->file->header;
	uint32_t valid = atomic_load(&header->valid);

	if (valid != 1 && valid != 2)
		return false;
	*ret = header->copy[valid - 1];
	return true;
}

static bool take_record(struct state *state, uint32_t *record)
{
	if (state->n_free > 0)
		*record = state->free[--state->n_free] + 1;
	else if (used(state) < STATE_HEAPS_MOST)
		*record = atomic_fetch_add(&state->file->header.used, 1) + 1;
	return *record;
}

void state_put(struct state *state, uint32_t *record, uint64_t birth,
	       const struct core_memory *memory)
{
	struct record *r;
	unsigned i;

	if (!*record && !take_record(state, record))
		return;
	r = &state->file->record[*record - 1];
	i = spare(&r->valid);
	r->birth = birth;
	memcpy(r->copy[i].bytes, memory, ALWAYS);
	for (uint32_t k = 0; k < memory->learned.n_known; k++)
		state->file->known[k][*record - 1][i] = memory->learned.known[k];
	atomic_store_explicit(&r->valid, i + 1, memory_order_release);
}

void state_drop(struct state *state, uint32_t *record)
{
	if (!*record)
		return;
	atomic_store(&state->file->record[*record - 1].valid, 0);
	state->free[state->n_free++] = *record - 1;
	*record = 0;
}

bool state_next(const struct state *state, uint32_t after, uint32_t *ret_record,
		uint64_t *ret_birth, struct core_memory *ret_memory)
{
	for (uint32_t i = after; i < used(state); i++) {
		const struct record *r = &state->file->record[i];
		uint32_t valid = atomic_load(&r->valid);

		if (valid != 1 && valid != 2)
			continue;
		*ret_record = i + 1;
		*ret_birth = r->birth;
		memcpy(ret_memory, r->copy[valid - 1].bytes, ALWAYS);
		if (ret_memory->learned.n_known > CORE_KNOWN)
			continue; /* what a former run has left is not trusted that far */
		for (uint32_t k = 0; k < ret_memory->learned.n_known; k++)
			ret_memory->learned.known[k] =
				state->file->known[k][i][valid - 1];
		return true;
	}
	return false;
}

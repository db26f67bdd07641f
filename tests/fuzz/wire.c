/* SPDX-License-Identifier: MIT */
/*
 * The wire decoder: any bytes. What it takes is a frame that encodes to these very bytes; what it
 * refuses it has a word for, and leaves the caller's frame alone.
 */
#include <string.h>

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_frame frame, before;
	uint8_t again[WIRE_FRAME_MAX];
	int r;

	memset(&before, 0xa5, sizeof(before));
	memcpy(&frame, &before, sizeof(frame));
	r = wire_decode(data, size, &frame);
	if (r != 0) {
		fuzz_check(r > 0 && wire_decode_strerror(r)[0] != '\0');
		fuzz_check(memcmp(&frame, &before, sizeof(frame)) == 0);
		return 0;
	}
	fuzz_check(wire_type_name(frame.type));
	fuzz_check(wire_size(frame.type) == size);
	fuzz_check(wire_encode(&frame, again) == size);
	fuzz_check(memcmp(data, again, size) == 0);
	return 0;
}

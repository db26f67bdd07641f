/* SPDX-License-Identifier: MIT */
#include "client/wire/names.h"

#include <string.h>

#include "client/wire/wire.h"

/*
 * Reads one code point at s, which ends with a NUL: a sequence that is cut off meets the
 * NUL, which is no continuation byte, and never reads past it. Returns how many bytes it
 * takes, or 0 for what is not UTF-8 (RFC 3629).
 */
static size_t utf8_next(const unsigned char *s, uint32_t *ret)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	uint32_t c;
	size_t n;

	if (s[0] < 0x80) {
		*ret = s[0];
		return 1;
	}
	if ((s[0] & 0xe0) == 0xc0) {
		n = 2;
		c = s[0] & 0x1f;
	} else if ((s[0] & 0xf0) == 0xe0) {
		n = 3;
		c = s[0] & 0x0f;
	} else if ((s[0] & 0xf8) == 0xf0) {
		n = 4;
		c = s[0] & 0x07;
	} else {
		return 0;
	}
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < smallest[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*ret = c;
	return n;
}

static bool is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f);
}

bool name_valid(const char *name, size_t size, bool allow_empty)
{
	const unsigned char *s = (const unsigned char *)name;
	const unsigned char *end = memchr(s, 0, size);

	if (!end)
		return false;
	if (s == end)
		return allow_empty;
	while (s < end) {
		uint32_t c;
		size_t n = utf8_next(s, &c);

		if (n == 0 || is_control(c))
			return false;
		s += n;
	}
	return true;
}

bool name_field_valid(const char *field, size_t size, bool allow_empty)
{
	if (!name_valid(field, size, allow_empty))
		return false;
	for (size_t i = strlen(field); i < size; i++)
		if (field[i])
			return false;
	return true;
}

bool name_copy(char *field, size_t size, const char *name)
{
	size_t length = strlen(name);

	if (length >= size)
		return false;
	memset(field, 0, size);
	memcpy(field, name, length);
	return true;
}

void name_cut(char *field, size_t size, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t n = 0;

	memset(field, 0, size);
	while (*s) {
		uint32_t c;
		size_t width = utf8_next(s, &c);

		if (n + (width ? width : 1) >= size)
			return;
		if (width == 0 || is_control(c)) {
			field[n++] = '?';
			s += width ? width : 1;
			continue;
		}
		memcpy(field + n, s, width);
		n += width;
		s += width;
	}
}

bool text_valid(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	uint32_t c;

	for (size_t n; *s; s += n) {
		n = utf8_next(s, &c);
		if (n == 0 || (is_control(c) && c != '\t'))
			return false;
	}
	return true;
}

void text_line(char *ret, size_t size, const char *text)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *s = (const unsigned char *)text;
	char *out = ret, *end = ret + size - 1;

	while (*s) {
		uint32_t c;
		size_t n = utf8_next(s, &c);

		if (n > 0 && !is_control(c)) {
			if (n > (size_t)(end - out))
				break;
			memcpy(out, s, n);
			out += n;
			s += n;
			continue;
		}
		if (end - out < 4)
			break;
		*out++ = '\\';
		*out++ = 'x';
		*out++ = digits[*s >> 4];
		*out++ = digits[*s & 15];
		s++;
	}
	*out = '\0';
}

const char *kind_name(unsigned kind)
{
	static const char *const names[WIRE_KINDS] = {
		[WIRE_MINOR] = "minor",
		[WIRE_MAJOR] = "major",
		[WIRE_SNAPSHOT] = "snapshot",
		[WIRE_FREEZE] = "freeze",
	};

	return kind < WIRE_KINDS ? names[kind] : NULL;
}

const char *unit_name(unsigned unit)
{
	static const char *const names[WIRE_UNITS] = {
		[WIRE_BYTES] = "bytes",
		[WIRE_OBJECTS] = "objects",
	};

	return unit < WIRE_UNITS ? names[unit] : NULL;
}

const char *cause_name(unsigned cause)
{
	static const char *const names[WIRE_CAUSES] = {
		[WIRE_IN_WINDOW] = "window",
		[WIRE_FORCED] = "forced",
		[WIRE_UNCOORDINATED] = "uncoordinated",
	};

	return cause < WIRE_CAUSES ? names[cause] : NULL;
}

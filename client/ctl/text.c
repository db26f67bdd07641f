/* SPDX-License-Identifier: MIT */
#include "client/ctl/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "client/ctl/ctl.h"

/* Decodes one character. Returns its bytes; 0: not UTF-8 (or an end in the middle of it).
 */
static size_t decode(const unsigned char *s, size_t size, uint32_t *ret)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = s[0] < 0x80	 ? 1
		   : s[0] < 0xc2 ? 0
		   : s[0] < 0xe0 ? 2
		   : s[0] < 0xf0 ? 3
				 : 4;
	uint32_t c;

	if (n == 0 || n > size || s[0] > 0xf4)
		return 0;
	c = n == 1 ? s[0] : s[0] & (0x7fU >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	*ret = c;
	return n;
}

/* Characters that a terminal obeys, or that change how their neighbours look. */
static bool is_tricky(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c ||
	       (c >= 0x180b && c <= 0x180e) || (c >= 0x200b && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) ||
	       c == 0xfeff || (c >= 0xfff0 && c <= 0xfffb) ||
	       (c >= 0xe0000 && c <= 0xe0fff);
}

char *text_escape(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t size = strlen(text), n;
	char *escaped = ctl_alloc(size * 10 + 1), *out = escaped;
	uint32_t c;

	for (size_t i = 0; i < size; i += n) {
		n = decode(s + i, size - i, &c);
		if (n == 0) {
			out += sprintf(out, "\\x%02x", s[i]);
			n = 1;
		} else if (c == '\\') {
			out = stpcpy(out, "\\\\");
		} else if (c == '\n') {
			out = stpcpy(out, "\\n");
		} else if (c == '\t') {
			out = stpcpy(out, "\\t");
		} else if (c < 0x80 && is_tricky(c)) {
			out += sprintf(out, "\\x%02x", c);
		} else if (is_tricky(c) || (c >= 0x80 && wcwidth((wchar_t)c) < 0)) {
			out += sprintf(out, c > 0xffff ? "\\U%08x" : "\\u%04x", c);
		} else {
			memcpy(out, s + i, n);
			out += n;
		}
	}
	*out = '\0';
	return escaped;
}

char *text_escape_json(const char *json)
{
	const unsigned char *s = (const unsigned char *)json;
	size_t size = strlen(json), n;
	char *escaped = ctl_alloc(size * 12 + 1), *out = escaped;
	uint32_t c;

	for (size_t i = 0; i < size; i += n) {
		n = decode(s + i, size - i, &c);
		if (n == 0) { /* never: the JSON library gives valid UTF-8 only */
			*out++ = '?';
			n = 1;
		} else if (c == '\n' || !is_tricky(c)) {
			memcpy(out, s + i, n);
			out += n;
		} else if (c > 0xffff) {
			out += sprintf(out, "\\u%04x\\u%04x", 0xd7c0 + (c >> 10),
				       0xdc00 + (c & 0x3ff));
		} else {
			out += sprintf(out, "\\u%04x", c);
		}
	}
	*out = '\0';
	return escaped;
}

/* Bytes of the first character of escaped text that is not empty; *ret_width: its
 * columns. */
static size_t step(const char *text, size_t *ret_width)
{
	uint32_t c = 0;
	size_t n = decode((const unsigned char *)text, strlen(text), &c);
	int width = c < 0x80 ? 1 : wcwidth((wchar_t)c);

	*ret_width = width > 0 ? (size_t)width : 0;
	return n > 0 ? n : 1;
}

size_t text_width(const char *text)
{
	size_t width = 0, w;

	while (*text != '\0') {
		text += step(text, &w);
		width += w;
	}
	return width;
}

char *text_shorten(const char *text, size_t columns, bool middle)
{
	size_t room = middle ? columns / 2 : columns - 1, left = text_width(text), n, w;
	char *shortened = ctl_alloc(strlen(text) + sizeof("…"));
	const char *rest = text;

	if (left <= columns) {
		strcpy(shortened, text);
		return shortened;
	}
	for (; n = step(rest, &w), w <= room; rest += n, room -= w, left -= w)
		;
	memcpy(shortened, text, (size_t)(rest - text));
	strcat(shortened, "…");
	for (room = middle ? columns - columns / 2 - 1 : 0; left > room; left -= w)
		rest += step(rest, &w);
	/* Accents of what was left out. */
	while (*rest != '\0' && (n = step(rest, &w), w == 0))
		rest += n;
	strcat(shortened, rest);
	return shortened;
}

char *text_wrap(const char *text, size_t columns, size_t begun, size_t indent)
{
	size_t n, width, used = begun;
	char *wrapped, *out, *word, *cut;
	bool first = true; /* of its line */

	if (columns <= indent || columns <= begun)
		indent = used = 0;
	/* Each word may get a line of its own, or a sign of being cut. */
	wrapped = out = ctl_alloc((strlen(text) + 1) * (indent + sizeof("…")));
	for (; *text != '\0'; text += n + (text[n] == ' ')) {
		n = strcspn(text, " ");
		word = ctl_format("%.*s", (int)n, text);
		cut = text_shorten(word, columns > 0 ? columns - indent : SIZE_MAX / 2,
				   false);
		width = text_width(cut);
		if (columns > 0 && used + !first + width > columns) {
			out += sprintf(out, "\n%*s", (int)indent, "");
			used = indent;
			first = true;
		}
		out = stpcpy(stpcpy(out, first ? "" : " "), cut);
		used += !first + width;
		first = false;
		free(cut);
		free(word);
	}
	return wrapped;
}

/* Two digits of which the reader sees the size at once: 1.2G, 12G, 125G. */
static struct human scaled(double value, double base, const char *const *suffix, size_t n)
{
	struct human h;
	size_t i = 0;

	while (i + 1 < n && value >= base - 0.5) {
		value /= base;
		i++;
	}
	snprintf(h.text, sizeof(h.text), i > 0 && value < 9.95 ? "%.1f%s" : "%.0f%s",
		 value, suffix[i]);
	return h;
}

struct human human_bytes(uint64_t bytes)
{
	static const char *const suffix[] = {"B", "K", "M", "G", "T", "P", "E"};

	return scaled((double)bytes, 1024, suffix, 7);
}

struct human human_count(uint64_t count)
{
	static const char *const suffix[] = {"", "k", "M", "G", "T", "P", "E"};

	return scaled((double)count, 1000, suffix, 7);
}

struct human human_amount(uint64_t amount, bool bytes)
{
	return bytes ? human_bytes(amount) : human_count(amount);
}

struct human human_time(int64_t us)
{
	static const char *const suffix[] = {"us", "ms"};
	const char *sign = us < 0 ? "-" : "";
	uint64_t span = us < 0 ? 0 - (uint64_t)us : (uint64_t)us;
	uint64_t s = (span + 500000) / 1000000;
	struct human h, small;

	if (span < 999500) {
		small = scaled((double)span, 1000, suffix, 2);
		snprintf(h.text, sizeof(h.text), "%s%.20s", sign, small.text);
	} else if (span < 59500000) {
		snprintf(h.text, sizeof(h.text), span < 9950000 ? "%s%.1fs" : "%s%.0fs",
			 sign, (double)span / 1e6);
	} else if (s < 3600) {
		snprintf(h.text, sizeof(h.text), "%s%um%02us", sign, (unsigned)(s / 60),
			 (unsigned)(s % 60));
	} else if (s < 86400) {
		snprintf(h.text, sizeof(h.text), "%s%uh%02um", sign, (unsigned)(s / 3600),
			 (unsigned)(s / 60 % 60));
	} else {
		snprintf(h.text, sizeof(h.text), "%s%llud%02uh", sign,
			 (unsigned long long)(s / 86400), (unsigned)(s / 3600 % 24));
	}
	return h;
}

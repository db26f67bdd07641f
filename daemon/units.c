/* SPDX-License-Identifier: MIT */
#include "daemon/units.h"

#include <string.h>

#define NANO UINT64_C(1000000000)

struct number { /* whole + nano / 10^9 */
	uint64_t whole, nano;
};

struct unit {
	const char *name;
	uint64_t factor;
};

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Moves *text behind the number. */
static bool number(const char **text, struct number *ret)
{
	const char *c = *text;
	struct number n = {0};
	uint64_t place = NANO;

	if (!digit(*c))
		return false;
	for (; digit(*c); c++)
		if (__builtin_mul_overflow(n.whole, 10, &n.whole) ||
		    __builtin_add_overflow(n.whole, *c - '0', &n.whole))
			return false;
	if (*c == '.') {
		if (!digit(*++c))
			return false;
		for (; digit(*c); c++) {
			place /= 10;
			n.nano += (uint64_t)(*c - '0') * place;
		}
	}
	*text = c;
	*ret = n;
	return true;
}

static void skip_spaces(const char **text)
{
	*text += strspn(*text, " \t");
}

/* The longest unit that the text begins with; the one without a name is the default. */
static const struct unit *unit_of(const char **text, const struct unit *units)
{
	const struct unit *best = NULL;

	for (const struct unit *u = units; u->name; u++)
		if (strncmp(*text, u->name, strlen(u->name)) == 0 &&
		    (!best || strlen(u->name) > strlen(best->name)))
			best = u;
	if (best)
		*text += strlen(best->name);
	return best;
}

static bool scale(const struct number *n, uint64_t factor, uint64_t *ret)
{
	uint64_t whole, part = 0;

	if (__builtin_mul_overflow(n->whole, factor, &whole))
		return false;
	if (factor >= NANO)
		part = factor / NANO * n->nano + factor % NANO * n->nano / NANO;
	else
		part = factor * n->nano / NANO;
	return !__builtin_add_overflow(whole, part, ret);
}

bool units_span(const char *text, nsec_t *ret)
{
	static const struct unit units[] = {
		{"us", NSEC_PER_USEC},
		{"ms", NSEC_PER_MSEC},
		{"s", NSEC_PER_SEC},
		{"min", 60 * NSEC_PER_SEC},
		{"h", 3600 * NSEC_PER_SEC},
		{"", NSEC_PER_SEC},
		{NULL, 0},
	};
	nsec_t sum = 0;

	do {
		const struct unit *unit;
		struct number n;
		nsec_t span;

		if (!number(&text, &n))
			return false;
		skip_spaces(&text);
		unit = unit_of(&text, units);
		if (!scale(&n, unit->factor, &span) ||
		    __builtin_add_overflow(sum, span, &sum) || sum == NSEC_NEVER)
			return false;
		skip_spaces(&text);
	} while (*text);
	*ret = sum;
	return true;
}

bool units_bytes(const char *text, uint64_t *ret)
{
	static const struct unit units[] = {
		{"K", UINT64_C(1) << 10},
		{"M", UINT64_C(1) << 20},
		{"G", UINT64_C(1) << 30},
		{"T", UINT64_C(1) << 40},
		{"", 1},
		{NULL, 0},
	};
	struct number n;
	uint64_t bytes;

	if (!number(&text, &n) || !scale(&n, unit_of(&text, units)->factor, &bytes) ||
	    *text)
		return false;
	*ret = bytes;
	return true;
}

bool units_permille(const char *text, unsigned *ret)
{
	struct number n;
	uint64_t permille;

	if (!number(&text, &n) || strcmp(text, "%") != 0 || !scale(&n, 10, &permille) ||
	    permille > 1000)
		return false;
	*ret = (unsigned)permille;
	return true;
}

bool units_count(const char *text, unsigned most, unsigned *ret)
{
	struct number n;

	if (strspn(text, "0123456789") != strlen(text) || !number(&text, &n) ||
	    n.whole < 1 || n.whole > most)
		return false;
	*ret = (unsigned)n.whole;
	return true;
}

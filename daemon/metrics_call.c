/* SPDX-License-Identifier: MIT */
#include "daemon/metrics_call.h"

#include <stdlib.h>
#include <string.h>

#include "client/wire/names.h"
#include "daemon/metrics.h"
#include "daemon/parameters.h"
#include "daemon/varlink.h"

#define PAGE_MOST 32768 /* bytes, in whole lines */

struct asked {
	struct metrics_waiter waiter;
	struct varlink_call *call;
};

/* ---- pages ------------------------------------------------------------------------------------------ */

static size_t page_end(const struct metrics_text *t, size_t from)
{
	const char *end;

	if (t->size - from <= PAGE_MOST)
		return t->size;
	end = memrchr(t->data + from, '\n', PAGE_MOST);
	return end ? (size_t)(end - t->data) + 1 : from + PAGE_MOST;
}

static void reply_page(struct varlink_call *call, const struct metrics_text *t,
		       size_t from)
{
	size_t end = page_end(t, from);
	json_t *next = end < t->size ? json_integer((json_int_t)end) : json_null();
	json_t *again = NULL;

	if (end < t->size && varlink_wants_more(call))
		again = json_pack("{s:O}", "after", next);
	varlink_reply_page(call,
			   json_pack("{s:s, s:[s%], s:o}", "content_type", t->type,
				     "text", t->data + from, end - from, "next", next),
			   again);
	if (end == t->size)
		varlink_keep(call, NULL, NULL);
}

/* ---- the first one ------------------------------------------------------------------------------------- */

static void done(struct metrics_waiter *w, struct metrics_text *text)
{
	struct asked *asked = (struct asked *)w;
	struct varlink_call *call = asked->call;

	free(asked);
	if (text) {
		varlink_keep(call, metrics_text_ref(text), metrics_text_unref);
		reply_page(call, text, 0);
	} else {
		varlink_reply(call, NULL);
	}
	varlink_resume(call);
}

static void ended(void *userdata)
{
	struct asked *asked = userdata;

	metrics_forget(&asked->waiter);
	free(asked);
}

static bool get_want(struct varlink_call *call, json_t *parameters,
		     struct metrics_want *ret)
{
	json_t *format = json_object_get(parameters, "format");
	json_t *heaps = json_object_get(parameters, "heaps");
	json_t *service = json_object_get(parameters, "service");
	const char *text = json_string_value(format), *name = json_string_value(service);

	if (format && !json_is_null(format) &&
	    (!text ||
	     (strcmp(text, "prometheus") != 0 && strcmp(text, "openmetrics") != 0)))
		varlink_invalid(call, "format");
	else if (heaps && !json_is_null(heaps) && !json_is_boolean(heaps))
		varlink_invalid(call, "heaps");
	else if (service && !json_is_null(service) &&
		 (!name || !name_copy(ret->service, sizeof(ret->service), name)))
		varlink_invalid(call, "service");
	else {
		ret->format =
			text && *text == 'o' ? METRICS_OPENMETRICS : METRICS_PROMETHEUS;
		ret->heaps = json_is_true(heaps);
		return true;
	}
	return false;
}

void metrics_call(struct metrics *m, struct varlink_call *call, json_t *parameters)
{
	static const char *const keys[] = {"format", "heaps", "service", "after", NULL};
	const struct metrics_text *kept = varlink_kept(call);
	struct metrics_want want = {0};
	struct asked *asked;
	int64_t after = 0;

	if (!parameters_known(call, parameters, keys) ||
	    !parameters_int(call, parameters, "after", 0, INT64_MAX, &after) ||
	    !get_want(call, parameters, &want))
		return;
	if (!varlink_sees_all(call)) {
		varlink_error(call, "org.varlink.service.PermissionDenied",
			      json_object());
		return;
	}
	if (after > 0) {
		if (kept && (size_t)after < kept->size)
			reply_page(call, kept, (size_t)after);
		else
			varlink_invalid(call, "after");
		return;
	}
	asked = calloc(1, sizeof(*asked));
	if (!asked) {
		varlink_reply(call, NULL);
		return;
	}
	asked->call = call;
	asked->waiter.want = want;
	asked->waiter.done = done;
	varlink_defer(call, ended, asked);
	metrics_ask(m, &asked->waiter);
}

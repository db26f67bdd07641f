/* SPDX-License-Identifier: MIT */
#include "daemon/web_page.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "client/wire/names.h"
#include "daemon/control.h"
#include "daemon/http.h"

#define JSON_TYPE "application/json"

struct web_file {
	const char *path, *type, *etag;
	const void *data;
	size_t size;
};

#include "daemon/web_files.h" /* made of daemon/web/ */

static void show_file(struct http_request *r, void *userdata)
{
	const struct web_file *file = userdata;

	http_reply(r, &(struct http_answer){
			      .status = 200,
			      .type = file->type,
			      .cache = "no-cache",
			      .etag = file->etag,
			      .data = file->data,
			      .size = file->size,
		      });
}

/* As the method would have it: what is a number is one. NULL: memory has run out. */
static json_t *value_of(const char *key, const char *text)
{
	static const char *const texts[] = {"heap", "service"};
	long long number;
	char *end;

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (strcmp(texts[i], key) == 0)
			return json_string(text);
	errno = 0;
	number = strtoll(text, &end, 10);
	return errno || end == text || *end ? json_string(text) : json_integer(number);
}

/* -EINVAL: it is no text. */
static int take_parameter(const struct http_request *r, const char *key,
			  json_t *parameters)
{
	char *text;
	int e = http_parameter(r, key, &text);

	if (e < 0 || !text)
		return e;
	if (!text_valid(text))
		e = -EINVAL;
	else if (json_object_set_new(parameters, key, value_of(key, text)) < 0)
		e = -ENOMEM;
	free(text);
	return e;
}

static int take_parameters(const struct http_request *r, json_t **ret)
{
	static const char *const keys[] = {"heap",	    "service", "seconds",
					   "changed_after", "after",   "limit"};
	json_t *parameters = json_object();
	int e = parameters ? 0 : -ENOMEM;

	for (size_t i = 0; e == 0 && i < sizeof(keys) / sizeof(*keys); i++)
		e = take_parameter(r, keys[i], parameters);
	if (e < 0)
		json_decref(parameters);
	else
		*ret = parameters;
	return e;
}

static void free_text(const void *data, size_t size, void *owner)
{
	free(owner);
}

static void answer(struct http_request *r, struct control *control, const char *method)
{
	json_t *parameters = NULL;
	char *text = NULL;
	int e = take_parameters(r, &parameters);

	if (e == -EINVAL) {
		http_reply_text(r, 400, JSON_TYPE, "{\"error\":\"not UTF-8\"}");
		return;
	}
	if (e == 0)
		text = varlink_ask(control->varlink, method, parameters);
	if (!text) {
		http_reply_text(r, 503, JSON_TYPE, "{\"error\":\"out of memory\"}");
		return;
	}
	http_reply(r, &(struct http_answer){
			      .status = strncmp(text, "{\"error\"", 8) == 0 ? 400 : 200,
			      .type = JSON_TYPE,
			      .data = text,
			      .size = strlen(text),
			      .release = free_text,
			      .owner = text,
		      });
}

#define METHODS(X)      \
	X(GetStatus)    \
	X(ListServices) \
	X(ListHeaps)    \
	X(ListWindows)  \
	X(ListPauses)   \
	X(Explain)

#define METHOD_ROUTE(name)                                             \
	static void api_##name(struct http_request *r, void *userdata) \
	{                                                              \
		answer(r, userdata, #name);                            \
	}
METHODS(METHOD_ROUTE)

static const struct {
	const char *path;
	http_fn fn;
} api[] = {
#define METHOD_ENTRY(name) {"/api/" #name, api_##name},
	METHODS(METHOD_ENTRY)};

int web_page_route(struct http *http, struct control *control)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(web_files) / sizeof(*web_files); i++)
		r = http_route(http, web_files[i].path, show_file, (void *)&web_files[i]);
	for (size_t i = 0; r == 0 && i < sizeof(api) / sizeof(*api); i++)
		r = http_route(http, api[i].path, api[i].fn, control);
	return r;
}

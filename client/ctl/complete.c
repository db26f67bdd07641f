/* SPDX-License-Identifier: MIT */
/*
 * rtgcctl complete WORD…: what the last WORD, as far as it is typed, could become behind
 * the others: one candidate a line, then a tab and what it means. One that ends with "." or
 * "=" goes on without a space. A line without a candidate says that files are wanted. For
 * the shells' completions, so in no help text.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl/call.h"
#include "client/ctl/complete.h"
#include "client/ctl/field.h"
#include "client/ctl/text.h"

struct line {
	struct ctl *ctl;
	const struct ctl_verb *verb; /* NULL: not there yet, or unknown */
	const char *typed;
	int n_args; /* those of the verb that are there */
	bool has_verb, options_over;
};

static bool begins(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static void offer(const struct line *line, const char *word, const char *meaning)
{
	if (begins(word, line->typed))
		printf("%s\t%s\n", word, meaning);
}

static void offer_files(void)
{
	puts("\tfiles");
}

/* ---- what the daemon knows ------------------------------------------------------------- */

/* Names that would upset a terminal are left to those who copy them. */
static bool is_plain(const char *name)
{
	char *escaped = text_escape(name);
	bool plain = strcmp(escaped, name) == 0;

	free(escaped);
	return plain && name[0] != '\0';
}

static bool is_unique(const json_t *list, const char *name)
{
	json_t *entry;
	unsigned n = 0;
	size_t i;

	json_array_foreach(list, i, entry) n +=
		strcmp(field_text(entry, "name"), name) == 0;
	return n == 1;
}

static json_t *ask(const struct line *line, const char *method, const char *key)
{
	json_t *reply;

	if (call_once_list(line->ctl, method, json_object(), key, &reply) != CTL_OK)
		return NULL;
	return reply;
}

/* By name; by id where the name does not tell. */
static void offer_heaps(const struct line *line)
{
	json_t *reply = ask(line, "ListHeaps", "heaps"), *heap;
	const json_t *list = json_object_get(reply, "heaps");
	size_t i;

	json_array_foreach(list, i, heap)
	{
		const char *name = field_text(heap, "name");
		char *service = text_escape(field_text(heap, "service"));
		struct human id = field_id(heap, "id");

		offer(line, is_plain(name) && is_unique(list, name) ? name : id.text,
		      service);
		free(service);
	}
	json_decref(reply);
}

static void offer_services(const struct line *line, const char *before, const char *after)
{
	json_t *reply = ask(line, "ListServices", "services"), *service;
	size_t i;

	json_array_foreach(json_object_get(reply, "services"), i, service)
	{
		const char *name = field_text(service, "name");
		char *word = ctl_format("%s%s%s", before, name, after);

		if (is_plain(name))
			offer(line, word, field_text(service, "policy"));
		free(word);
	}
	json_decref(reply);
}

/* ---- --set ------------------------------------------------------------------------------ */

#define OF_SERVICE "Service."

struct keys {
	const struct line *line;
	const char *before;
	char *service; /* "Service.NAME." as it was typed; NULL: not so far yet */
};

static void offer_key(void *userdata, bool of_service, const char *key,
		      const char *initial)
{
	const struct keys *keys = userdata;
	const char *section = of_service ? keys->service : "Daemon.";
	char *word, *meaning;

	if (section == NULL)
		return;
	word = ctl_format("%s%s%s=", keys->before, section, key);
	meaning = ctl_format("else %s", initial[0] != '\0' ? initial : "empty");
	offer(keys->line, word, meaning);
	free(meaning);
	free(word);
}

/* Of a service any name will do: the log may be another machine's. */
static void offer_keys(const struct line *line, const char *before)
{
	const char *typed = line->typed + strlen(before), *dot = strrchr(typed, '.');
	char *services = ctl_format("%s" OF_SERVICE, before);
	struct keys keys = {.line = line, .before = before};

	if (strchr(typed, '=') != NULL) {
		free(services);
		return;
	}
	if (begins(typed, OF_SERVICE) && dot > typed + strlen(OF_SERVICE))
		keys.service = ctl_format("%.*s", (int)(dot + 1 - typed), typed);
	complete_each_key(offer_key, &keys);
	if (keys.service == NULL && begins(typed, OF_SERVICE))
		offer_services(line, services, ".");
	else if (keys.service == NULL)
		offer(line, services, "of one service");
	free(keys.service);
	free(services);
}

/* ---- what may come next ----------------------------------------------------------------- */

/* before: what of the word stands before the value, "--service=" or "". */
static void offer_values(const struct line *line, const struct ctl_option *option,
			 const char *before)
{
	char *choices, *rest, *choice;

	if (option == &ctl_options[OPTION_SERVICE])
		offer_services(line, before, "");
	if (option == &ctl_options[OPTION_SET])
		offer_keys(line, before);
	if (option == &ctl_options[OPTION_CONTROL] ||
	    option == &ctl_options[OPTION_OUTPUT])
		offer_files();
	if (!ctl_option_has_choices(option))
		return;
	rest = choices = ctl_format("%s", option->value);
	while ((choice = strsep(&rest, "|")) != NULL) {
		char *word = ctl_format("%s%s", before, choice);

		offer(line, word, option->help);
		free(word);
	}
	free(choices);
}

/* The option that a word names, with its value behind "=" or not; NULL: none. */
static const struct ctl_option *find_option(const char *word)
{
	size_t n;

	if (!begins(word, "--"))
		return NULL;
	n = strcspn(word += 2, "=");
	for (const struct ctl_option *option = ctl_options; option->name != NULL;
	     option++)
		if (strlen(option->name) == n && strncmp(option->name, word, n) == 0)
			return option;
	return NULL;
}

static bool is_taken(const struct line *line, const struct ctl_option *option)
{
	return line->verb == NULL || option->takes == 0 ||
	       (line->verb->takes & option->takes) != 0;
}

static void offer_options(const struct line *line)
{
	for (const struct ctl_option *option = ctl_options; option->name != NULL;
	     option++) {
		char *word, *before;

		if (!is_taken(line, option))
			continue;
		word = ctl_format(option->name[1] != '\0' ? "--%s" : "-%s", option->name);
		before = ctl_format("%s=", word);
		if (ctl_option_has_choices(option))
			offer_values(line, option, before);
		else
			offer(line, word, option->help);
		free(before);
		free(word);
	}
}

static void offer_words(const struct line *line)
{
	const struct ctl_option *option = find_option(line->typed);
	const char *equals = strchr(line->typed, '=');

	if (line->typed[0] == '-' && !line->options_over) {
		if (option != NULL && equals != NULL) {
			char *before = ctl_format("--%s=", option->name);

			offer_values(line, option, before);
			free(before);
		} else {
			offer_options(line);
		}
	} else if (!line->has_verb) {
		for (const struct ctl_verb *verb = ctl_verbs; verb->name != NULL; verb++)
			offer(line, verb->name, verb->help);
	} else if (line->verb != NULL && line->n_args < line->verb->n_args) {
		if (strcmp(line->verb->synopsis, "HEAP") == 0)
			offer_heaps(line);
		else if (strcmp(line->verb->synopsis, "SERVICE") == 0)
			offer_services(line, "", "");
		else
			offer_files();
	}
}

static void set_control(struct ctl *ctl, const char *path)
{
	free(ctl->control);
	ctl->control = ctl_format("%s", path);
}

/* One word that is there. *wants: the option whose value the next one is; NULL: none. */
static void take_word(struct line *line, const char *word,
		      const struct ctl_option **wants)
{
	const struct ctl_option *option = *wants;

	*wants = NULL;
	if (option != NULL) {
		if (option == &ctl_options[OPTION_CONTROL])
			set_control(line->ctl, word);
	} else if (line->options_over || word[0] != '-') {
		if (line->has_verb)
			line->n_args++;
		else
			line->verb = ctl_find_verb(word);
		line->has_verb = true;
	} else if (strcmp(word, "--") == 0) {
		line->options_over = true;
	} else {
		option = find_option(word);
		if (option != NULL && option->value != NULL && strchr(word, '=') == NULL)
			*wants = option;
		else if (begins(word, "--control="))
			set_control(line->ctl, strchr(word, '=') + 1);
	}
}

void complete_line(struct ctl *ctl, int n_words, char **words)
{
	const struct ctl_option *wants = NULL;
	struct line line = {.ctl = ctl, .typed = ""};

	for (int i = 0; i + 1 < n_words; i++)
		take_word(&line, words[i], &wants);
	if (n_words > 0)
		line.typed = words[n_words - 1];
	if (ctl->control == NULL)
		ctl->control = ctl_default_control();
	if (wants != NULL)
		offer_values(&line, wants, "");
	else
		offer_words(&line);
}

/* SPDX-License-Identifier: MIT */
/* rtgcctl config: what is in force, as a file of it would be, and where each value was said. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl/field.h"
#include "client/ctl/show.h"
#include "client/ctl/text.h"

#define WIDTH 34 /* of KEY=VALUE, mostly */

static void put_origin(const json_t *setting)
{
	char *file = text_escape(field_text(setting, "file"));

	if (field_present(setting, "file"))
		printf(" # %s:%d\n", file, (int)field_int(setting, "line", 0));
	else
		puts(" # default");
	free(file);
}

static void put_setting(const json_t *setting)
{
	char *value = text_escape(field_text(setting, "value"));
	int n = printf("%s=%s", field_text(setting, "key"), value);

	printf("%*s", n < WIDTH ? WIDTH - n : 0, "");
	put_origin(setting);
	free(value);
}

static void put_settings(const struct screen *screen, const json_t *reply)
{
	const json_t *list = json_object_get(reply, "settings");
	const char *section = "";
	const json_t *setting;
	size_t i;

	json_array_foreach(list, i, setting)
	{
		const char *now = field_present(setting, "section")
					  ? field_text(setting, "section")
					  : NULL;

		if (!now && section)
			puts(*section ? "\n# all other services" : "# all services");
		if (now && (!section || strcmp(section, now) != 0)) {
			char *name = text_escape(now);

			printf("%s[%s]\n", i ? "\n" : "", name);
			free(name);
		}
		section = now;
		put_setting(setting);
	}
}

int verb_config(struct ctl *ctl)
{
	return show_pages(ctl, "GetConfig", "settings", put_settings);
}

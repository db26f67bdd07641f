/* SPDX-License-Identifier: MIT */
/* What the client is told of its window: by its page if it has one, and by a frame. */
#include "daemon/session.h"

void session_direct(struct session *s, const struct wire_directive *directive)
{
	struct wire_frame frame = {.type = WIRE_DIRECTIVE, .directive = *directive};

	if (s->place.page)
		page_slot_direct(page_slot(&s->place), directive);
	else
		session_send(s, &frame);
}

void session_announce(struct session *s, const struct wire_announce *announce)
{
	struct wire_frame frame = {.type = WIRE_ANNOUNCE, .announce = *announce};

	s->opens_by = announce->opens_by;
	if (s->place.page)
		page_slot_announce(page_slot(&s->place), announce);
	session_send(s, &frame);
}

void session_open(struct session *s, const struct wire_window *window)
{
	struct wire_frame frame = {.type = WIRE_WINDOW, .window = *window};

	s->closes = window->closes;
	if (s->place.page)
		page_slot_open(page_slot(&s->place), window);
	session_send(s, &frame);
}

void session_close(struct session *s, const struct wire_revoke *revoke, bool tell)
{
	struct wire_frame frame = {.type = WIRE_REVOKE, .revoke = *revoke};

	if (s->place.page)
		page_slot_close(page_slot(&s->place));
	if (tell)
		session_send(s, &frame);
}

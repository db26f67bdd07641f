# SPDX-License-Identifier: MIT
"""Users= and Groups=: who may have heaps in a service, by what the kernel says of the socket."""

import contextlib
import os

import pytest
from common import harness
from frames import DIRECTIVE, ERROR, HELLO, REFUSED, WELCOME, Client

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several users")

ONE, TWO, GROUP, OTHER = 54321, 54322, 54331, 54332


@contextlib.contextmanager
def user(uid, gid=OTHER, groups=()):
    """Who connects in here is that user."""
    before = os.getgroups()
    os.setgroups(groups)
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(before)


def answer(d, service, *who, **more):
    """WELCOME or ERROR."""
    with user(*who, **more):
        client = Client(d)
    with client:
        client.send(HELLO, service=service)
        frame = client.expect(WELCOME, ERROR)
        assert frame.type == WELCOME or frame.code == REFUSED
        return frame


def admitted(d, service, *who, **more):
    return answer(d, service, *who, **more).type == WELCOME


def test_users_and_groups():
    config = f"[Service:web]\nUsers={ONE} nobody\nGroups={GROUP}\n[Service:open]\nLead=1s\n"
    with harness.Daemon(config=config) as d:
        assert admitted(d, "web", ONE) and admitted(d, "web", 0)
        assert admitted(d, "web", TWO, gid=GROUP) and admitted(d, "web", TWO, groups=[7, GROUP])
        assert not admitted(d, "web", TWO, groups=[7])
        # Nothing was said of these.
        assert admitted(d, "open", TWO) and admitted(d, "another", TWO)
        frame = answer(d, "web", TWO)
        assert frame.detail == 'not in Users= or Groups= of "web"'
        lines = [line for line in d.log.splitlines() if "refused" in line or "Users=" in line]
        assert lines and all(f"uid {TWO}" in line and line.endswith("disconnected") for line in lines)
        assert d.call("GetStatus")["heaps"] <= 8


def test_who_names_the_server_is_named():
    drain = "[Service:web]\nDrain=haproxy:/nowhere/admin.sock:app/%h\n"
    with harness.Daemon(config=drain) as d:
        assert admitted(d, "web", 0) and not admitted(d, "web", ONE)
        d.write_config(drain + f"Users={ONE}\n")
        d.call("Reload")
        assert admitted(d, "web", ONE) and not admitted(d, "web", TWO)


def test_a_reload_shows_the_door():
    with harness.Daemon(config="[Service:web]\n") as d:
        with user(ONE):
            one = Client(d, service="web")
        with user(TWO):
            two = Client(d, service="web")
        with one, two:
            d.write_config(f"[Service:web]\nUsers={ONE}\n")
            d.call("Reload")
            frame = two.expect(ERROR)
            assert frame.code == REFUSED
            two.expect_closed()
            one.nothing_pending()
            assert [h["uid"] for h in d.heaps() if h["state"] != "lost"] == [ONE]


def test_a_line_stays_a_line():
    with harness.Daemon(config='[Service:a "b" c]\nUsers=nobody\n') as d:
        assert not admitted(d, 'a "b" c', ONE)
        with user(ONE):
            client = Client(d)
        with client:
            client.send(HELLO, service="two\nlines", heap="\x1b[31m")
            client.expect(ERROR, skip=(DIRECTIVE,))
        assert all(line.startswith("rtgcd: ") for line in d.log.splitlines())
        assert "\x1b" not in d.log

# SPDX-License-Identifier: MIT
"""The two control sockets the demo talks to: rtgcd's (Varlink) and HAProxy's (its runtime API)."""

import json
import socket

INTERFACE = "io.rtgcd.Supervisor."
TIMEOUT = 10
# `show servers state`: the columns by number (after the version line), and the bits of the
# administrative state that mean "no new requests".
STATE_NAME, STATE_ADMIN = 3, 6
ADMIN_DRAIN = 0x08 | 0x10


class VarlinkError(Exception):
    pass


def _connect(path):
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(TIMEOUT)
    try:
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection


def varlink(path, method, **parameters):
    """One call of rtgcd. OSError when nobody answers."""
    with _connect(path) as connection:
        call = {"method": INTERFACE + method, "parameters": parameters}
        connection.sendall(json.dumps(call).encode() + b"\0")
        reply = b""
        while not reply.endswith(b"\0"):
            piece = connection.recv(65536)
            if not piece:
                raise ConnectionResetError("rtgcd hung up")
            reply += piece
    answer = json.loads(reply[:-1])
    if "error" in answer:
        raise VarlinkError(answer["error"], answer.get("parameters"))
    return answer["parameters"]


def varlink_list(path, method, key):
    """All pages of a list call."""
    found, after = [], None
    while True:
        page = varlink(path, method, **({} if after is None else {"after": after}))
        found += page[key]
        after = page.get("next")
        if after is None:
            return found


def haproxy(path, command):
    with _connect(path) as connection:
        connection.sendall(command.encode() + b"\n")
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return answer.decode().strip()


def drained_servers(path, backend):
    """The names of the servers to which HAProxy sends nothing new."""
    lines = haproxy(path, f"show servers state {backend}").splitlines()
    rows = [line.split() for line in lines[2:]]
    return [row[STATE_NAME] for row in rows if int(row[STATE_ADMIN]) & ADMIN_DRAIN]

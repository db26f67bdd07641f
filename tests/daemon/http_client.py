# SPDX-License-Identifier: MIT
"""Clients of the daemon's HTTP listener: one that keeps to the protocol, and bare sockets for all others."""

import http.client
import socket

import harness

LISTENING = "[Daemon]\nListenHTTP=127.0.0.1:0\n"


def address(daemon):
    """Where it listens: a path, or a pair for socket.create_connection()."""
    text = daemon.call("GetStatus")["http"]
    if text.startswith("/"):
        return text
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def connect(where, timeout=harness.PATIENCE):
    """A bare connection."""
    if not isinstance(where, str):
        return socket.create_connection(where, timeout)
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(timeout)
    s.connect(where)
    return s


class Connection(http.client.HTTPConnection):
    """One that may be used again and again."""

    def __init__(self, where):
        super().__init__("localhost")
        self.where = where
        self.sock = connect(where)

    def connect(self):
        self.sock = connect(self.where)

    def get(self, path, method="GET", **headers):
        """(status, headers, body)"""
        self.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        reply = self.getresponse()
        return reply.status, reply.headers, reply.read().decode()


def get(daemon, path, method="GET", **headers):
    connection = Connection(address(daemon))
    try:
        return connection.get(path, method, **headers)
    finally:
        connection.close()


def read_to_end(s):
    """All that comes until the daemon hangs up."""
    data = b""
    while True:
        try:
            more = s.recv(65536)
        except ConnectionResetError:
            more = b""
        if not more:
            return data
        data += more

# SPDX-License-Identifier: MIT
"""
A control socket on which a test decides byte by byte what comes back: for what no sound
daemon would ever send, and rtgcctl has to bear nevertheless.
"""

import json
import os
import socket
import tempfile
import threading


class Answering:
    """
    answer(method, parameters) returns the bytes to send, or an object (sent as one Varlink
    reply), or None: hang up. A context manager; `path` is the socket, `calls` what came in.
    """

    def __init__(self, answer):
        self.answer = answer
        self.calls = []
        self._dir = tempfile.mkdtemp(prefix="rtgcctl-test-", dir="/tmp")
        self.path = os.path.join(self._dir, "control.sock")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen(8)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        os.unlink(self.path)
        os.rmdir(self._dir)

    def _serve(self):
        while True:
            try:
                connection = self._listener.accept()[0]
            except OSError:
                return
            with connection:
                self._converse(connection)

    def _converse(self, connection):
        pending = b""
        while True:
            while b"\0" not in pending:
                data = connection.recv(65536)
                if not data:
                    return
                pending += data
            call, pending = pending.split(b"\0", 1)
            call = json.loads(call)
            self.calls.append(call)
            answer = self.answer(call["method"], call.get("parameters", {}))
            if answer is None:
                return
            if not isinstance(answer, bytes):
                answer = json.dumps(answer).encode() + b"\0"
            try:
                connection.sendall(answer)
            except OSError:
                return

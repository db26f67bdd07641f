# SPDX-License-Identifier: MIT
"""rtgc-load against small servers whose behaviour is known."""

import json
import os
import selectors
import socket
import subprocess
import threading
import time

import pytest

LOAD = os.path.join(os.environ["RTGC_BUILDDIR"], "tests", "bench", "rtgc-load")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Server:
    """One thread, one request at a time over all connections: what it stalls, queues."""

    def __init__(self, answer):
        self.answer = answer  # (number of the request, its path) -> bytes, or None: hang up
        self.paths = []
        self.accepted = 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        self.stop_read, self.stop_write = socket.socketpair()
        self.thread = threading.Thread(target=self.serve)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *unused):
        self.stop_write.close()
        self.thread.join()
        self.listener.close()
        self.stop_read.close()

    def serve(self):
        with selectors.DefaultSelector() as selector:
            selector.register(self.listener, selectors.EVENT_READ)
            selector.register(self.stop_read, selectors.EVENT_READ)
            open_connections = set()
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self.stop_read:
                        for connection in open_connections:
                            connection.close()
                        return
                    if key.fileobj is self.listener:
                        connection = self.listener.accept()[0]
                        self.accepted += 1
                        open_connections.add(connection)
                        selector.register(connection, selectors.EVENT_READ)
                        continue
                    connection = key.fileobj
                    if not self.request(connection):
                        selector.unregister(connection)
                        open_connections.discard(connection)
                        connection.close()

    def request(self, connection):
        try:
            text = connection.recv(4096)
        except ConnectionError:
            return False
        if not text:
            return False
        self.paths.append(text.split()[1].decode())
        answer = self.answer(len(self.paths), self.paths[-1])
        if answer is None:
            return False
        pieces = answer if isinstance(answer, list) else [answer]
        for piece in pieces:
            connection.sendall(piece)
        return b"Connection: close" not in b"".join(pieces)


def load(port, *args, path="/", status=0):
    done = subprocess.run([LOAD, *map(str, args), f"http://127.0.0.1:{port}{path}"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout) if status == 0 else done.stderr


def test_a_stall_is_charged_to_every_request_that_fell_due_in_it(tmp_path):
    stall = 0.3

    def answer(number, _):
        if number == 100:
            time.sleep(stall)
        return OK

    series = tmp_path / "series.csv"
    with Server(answer) as server:
        result = load(server.port, "--rate", 200, "--seconds", 2, "--series", series)
    assert result["sent"] == result["ok"] == 400
    assert result["errors"] == 0
    assert result["max_ms"] >= 300
    # 60 requests fell due in the stall; a closed loop would have sent one and seen one.
    latencies = [int(line.split(",")[1]) for line in series.read_text().splitlines()[1:]]
    assert len(latencies) == 400
    assert sum(ns >= 150_000_000 for ns in latencies) >= 28
    assert sum(ns >= 50_000_000 for ns in latencies) >= 48
    assert max(latencies) / 1e6 == pytest.approx(result["max_ms"], abs=0.001)
    # Each of those needed a connection of its own: the loop stayed open.
    assert result["connections"] >= 48
    assert server.accepted == result["connections"]


def test_quantiles_are_exact(tmp_path):
    series = tmp_path / "series.csv"
    with Server(lambda number, _: OK) as server:
        result = load(server.port, "--rate", 1000, "--seconds", 1.5, "--series", series)
    latencies = sorted(int(line.split(",")[1]) for line in series.read_text().splitlines()[1:])
    assert len(latencies) == 1500
    # Nearest rank: the smallest value that at least so many thousandths do not exceed.
    for key, permille in ("p50_ms", 500), ("p99_ms", 990), ("p999_ms", 999), ("max_ms", 1000):
        rank = -(-1500 * permille // 1000)
        assert result[key] == pytest.approx(latencies[rank - 1] / 1e6, abs=0.0006), key


def test_the_rate_is_kept_and_the_intended_times_are_even(tmp_path):
    series = tmp_path / "series.csv"
    with Server(lambda number, _: OK) as server:
        result = load(server.port, "--rate", 500, "--seconds", 1, "--series", series)
    rows = [list(map(int, line.split(","))) for line in series.read_text().splitlines()[1:]]
    gaps = [b[0] - a[0] for a, b in zip(rows, rows[1:])]
    assert all(abs(gap - 2_000_000) <= 2 for gap in gaps)
    assert {row[2] for row in rows} == {200}
    # A machine under load sends late, but what is late is said, and nothing is left out.
    seconds_late = result["send_lag_max_ms"] / 1000
    assert 500 / (1 + seconds_late) - 1 <= result["rate"] <= 500 * (1 + seconds_late) + 1
    assert result["send_lag_p999_ms"] <= result["send_lag_max_ms"] <= result["max_ms"]


def test_warm_up_is_sent_but_not_counted(tmp_path):
    bad = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
    with Server(lambda number, _: OK if number > 40 else bad) as server:
        result = load(server.port, "--rate", 100, "--warmup", 0.5, "--seconds", 0.5)
    assert len(server.paths) == 100
    assert result["sent"] == result["ok"] == 50 and result["errors"] == 0


def test_every_kind_of_failure_is_counted_by_its_name():
    def answer(number, _):
        if number % 10 == 1:
            return b"HTTP/1.1 503 Busy\r\nContent-Length: 3\r\n\r\nbad"
        if number % 10 == 2:
            return None
        if number % 10 == 3:
            return b"SSH-2.0-Nonsense\r\n\r\n"
        return OK

    with Server(answer) as server:
        result = load(server.port, "--rate", 100, "--seconds", 1)
    assert result["errors_status"] == 10
    assert result["errors_reset"] == 10
    assert result["errors_protocol"] == 10
    assert result["errors"] == 30 and result["ok"] == 70


def test_an_unanswered_request_is_an_error_and_its_wait_counts():
    def answer(number, _):
        return b"" if number == 5 else OK

    with Server(answer) as server:
        result = load(server.port, "--rate", 50, "--seconds", 0.5, "--timeout", 5)
    assert result["errors"] == result["errors_timeout"] == 1
    assert result["max_ms"] >= 5000


def test_requests_that_find_no_connection_wait_and_are_charged():
    def answer(number, _):
        if number == 1:
            time.sleep(0.2)
        return OK

    with Server(answer) as server:
        result = load(server.port, "--rate", 100, "--seconds", 0.5, "--connections", 1)
    assert result["ok"] == 50 and result["connections"] == 1
    assert result["max_ms"] >= 200
    assert result["send_lag_max_ms"] >= 150


def test_nobody_listening_fails_every_request():
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    result = load(port, "--rate", 100, "--seconds", 0.2)
    assert result["errors_connect"] == result["errors"] == 20 and result["ok"] == 0


def test_responses_in_pieces_and_closed_connections():
    def answer(number, _):
        if number % 2:
            return [b"HTTP/1.1 200 OK\r\nContent-Le", b"ngth: 4\r\n", b"\r\nab", b"cd"]
        return b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end"

    with Server(answer) as server:
        result = load(server.port, "--rate", 50, "--seconds", 0.4)
    assert result["ok"] == 20, result
    assert server.accepted >= 10


def test_keys_repeat_with_the_seed_and_stay_in_range():
    def paths(seed):
        with Server(lambda number, _: OK) as server:
            load(server.port, "--rate", 500, "--seconds", 0.2, "--keys", 50, "--seed", seed,
                 path="/item/%k?x=1")
        return sorted(server.paths)

    first = paths(7)
    assert first == paths(7) != paths(8)
    keys = [int(path.removeprefix("/item/").removesuffix("?x=1")) for path in first]
    assert min(keys) >= 0 and max(keys) < 50 and len(set(keys)) > 20


def test_stopped_early_it_reports_what_it_has():
    reached = threading.Event()

    def answer(number, _):
        if number == 20:
            reached.set()
        return OK

    with Server(answer) as server:
        url = f"http://127.0.0.1:{server.port}/"
        running = subprocess.Popen([LOAD, "--rate", "200", "--seconds", "1000", url],
                                   stdout=subprocess.PIPE, text=True)
        assert reached.wait(60)
        running.terminate()
        result = json.loads(running.communicate(timeout=60)[0])
    assert running.returncode == 0
    assert result["ok"] == result["sent"] == len(server.paths) >= 20


def test_stopped_in_its_warm_up_it_has_nothing_to_report():
    reached = threading.Event()

    def answer(number, _):
        reached.set()
        return OK

    with Server(answer) as server:
        url = f"http://127.0.0.1:{server.port}/"
        running = subprocess.Popen([LOAD, "--warmup", "1000", url],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert reached.wait(60)
        running.terminate()
        out, err = running.communicate(timeout=60)
    assert running.returncode == 1 and out == ""
    assert "before the measured time" in err


@pytest.mark.parametrize("args", [["--rate", "0"], ["--rate", "x"], ["--seconds", "-1"], ["--no"]])
def test_wrong_usage_is_refused(args):
    assert "usage: rtgc-load" in load(1, *args, status=2)

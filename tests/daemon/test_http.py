# SPDX-License-Identifier: MIT
"""The HTTP listener: who may ask what, where it listens, and that hostile clients cost nobody anything."""

import os
import socket
import stat
import subprocess

import pytest
from common import harness
from http_client import LISTENING, Connection, address, connect, get, read_to_end

FIXED = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Content-Type": "text/plain; charset=utf-8",
}


@pytest.fixture(scope="module")
def daemon():
    with harness.Daemon(config=LISTENING) as d:
        yield d


def reload(daemon, text):
    daemon.write_config(text)
    daemon.call("Reload")


def refused(daemon, text):
    """What Reload says to it."""
    daemon.write_config(text)
    with pytest.raises(harness.Error) as e:
        daemon.call("Reload")
    return e.value.parameters["message"]


# ---- what is answered ----------------------------------------------------------------------------


def test_nobody_listens_unless_told_to():
    with harness.Daemon() as d:
        assert d.call("GetStatus")["http"] is None


@pytest.mark.parametrize("method, path, status", [("GET", "/nothing", 404), ("HEAD", "/nothing", 404),
                                                  ("POST", "/", 405), ("DELETE", "/", 405), ("PUT", "/", 405)])
def test_every_answer_has_its_headers(daemon, method, path, status):
    found, headers, body = get(daemon, path, method)
    assert found == status
    assert {key: headers[key] for key in FIXED} == FIXED
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'; ")
    assert (headers["Allow"] == "GET, HEAD") == (status == 405)
    assert int(headers["Content-Length"]) > 0 and (body == "") == (method == "HEAD")
    assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize("host, status", [
    ("localhost", 404), ("LOCALHOST:9", 404), ("127.0.0.1", 404), ("127.0.0.1:80", 404), ("127.3.2.1:80", 404),
    ("[::1]", 404), ("[::1]:65535", 404), ("", 421), ("example.org", 421), ("localhost.example.org", 421),
    ("127.0.0.1.example.org:80", 421), ("10.0.0.1", 421), ("localhost:", 421), ("localhost:x", 421),
    ("localhost:123456", 421), ("[::1", 421), ("::1", 421), (":80", 421), ("x" * 300, 421)])
def test_only_this_host_is_asked(daemon, host, status):
    assert get(daemon, "/nothing", Host=host)[0] == status


def test_without_any_host(daemon):
    with connect(address(daemon)) as s:
        s.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert read_to_end(s).startswith(b"HTTP/1.0 421 ")


def test_a_connection_is_used_again(daemon):
    connection = Connection(address(daemon))
    local = connection.sock.getsockname()
    for _ in range(50):
        assert connection.get("/nothing")[0] == 404
        assert connection.sock.getsockname() == local
    connection.close()


def test_many_requests_at_once(daemon):
    request = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connect(address(daemon)) as s:
        s.sendall(request * 40 + request.replace(b"Host", b"Connection: close\r\nHost"))
        assert read_to_end(s).count(b"HTTP/1.1 404 ") == 41


def test_who_asks_too_much_is_told_so():
    with harness.Daemon(config=LISTENING + "RequestsPerSecond=5\n") as d:
        connection = Connection(address(d))
        found = [connection.get("/nothing") for _ in range(30)]
        connection.close()
        assert [status for status, _, _ in found[:5]] == [404] * 5
        late = [headers for status, headers, _ in found if status == 429]
        assert late and all(headers["Retry-After"] == "1" for headers in late)


# ---- where it listens ----------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "unix:"])
def test_a_unix_socket(prefix):
    with harness.Daemon() as d:
        path = os.path.join(d.dir, "http.sock")
        reload(d, f"[Daemon]\nListenHTTP={prefix}{path}\n")
        assert d.call("GetStatus")["http"] == path
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
        assert get(d, "/nothing", Host="whatever")[0] == 404
        reload(d, "")
        assert not os.path.exists(path)
        d.stop()


def test_ipv6():
    with harness.Daemon() as d:
        try:
            reload(d, "[Daemon]\nListenHTTP=[::1]:0\n")
        except harness.Error:
            pytest.skip("this host has no ::1")
        assert d.call("GetStatus")["http"].startswith("[::1]:")
        assert get(d, "/nothing")[0] == 404


@pytest.mark.parametrize("value", ["0.0.0.0:9190", "10.1.2.3:9190", "[::]:9190", "[fe80::1]:9190", "[::ffff:127.0.0.1]:80"])
def test_other_hosts_are_kept_out(daemon, value):
    message = refused(daemon, f"[Daemon]\n\nListenHTTP={value}\n")
    assert message == (f"{daemon.config_file}:3: ListenHTTP={value}: not a loopback address: it would be open to "
                       "others than this host")


@pytest.mark.parametrize("value", ["9190", ":9190", "localhost:9190", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",
                                   "127.0.0.1:-1", "127.0.0.1:0x1", "127.1:80", "[::1:80", "::1:80", "[127.0.0.1]:80",
                                   "http.sock", "unix:http.sock", "unix:", "unix:127.0.0.1:1", "/" + 107 * "x"])
def test_what_is_no_address(daemon, value):
    message = refused(daemon, f"[Daemon]\nListenHTTP={value}\n")
    assert message.startswith(f"{daemon.config_file}:2: ListenHTTP={value}: ")


def test_another_address_is_in_force_at_once():
    with harness.Daemon(config=LISTENING) as d:
        before = address(d)
        old = Connection(before)
        assert old.get("/nothing")[0] == 404
        reload(d, LISTENING + "# the same\n")
        assert address(d) == before and old.get("/nothing")[0] == 404
        reload(d, "[Daemon]\nListenHTTP=127.0.0.2:0\n")
        assert address(d)[0] == "127.0.0.2" and get(d, "/nothing")[0] == 404
        assert read_to_end(old.sock) == b""
        with pytest.raises(ConnectionRefusedError):
            connect(before)
        reload(d, "")
        assert d.call("GetStatus")["http"] is None


def test_an_address_in_use_is_refused():
    with harness.Daemon(config=LISTENING) as d, socket.create_server(("127.0.0.1", 0)) as other:
        before = address(d)
        value = "127.0.0.1:%d" % other.getsockname()[1]
        message = refused(d, f"[Daemon]\nMaxConcurrent=3\nListenHTTP={value}\n")
        assert message == f"{d.config_file}:3: ListenHTTP={value}: Address already in use"
        assert address(d) == before and get(d, "/nothing")[0] == 404
        assert not d.call("GetStatus")["reload_ok"] and d.call("GetStatus")["max_concurrent"] != 3


def test_the_address_is_in_use_at_the_start(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        config = "[Daemon]\nListenHTTP=127.0.0.1:%d\n" % other.getsockname()[1]
        with pytest.raises(AssertionError, match="Address already in use"):
            harness.Daemon(config=config, activate=False)


@pytest.mark.parametrize("family, where", [(socket.AF_INET, ("127.0.0.1", 0)), (socket.AF_UNIX, None)])
def test_a_socket_of_the_service_manager(tmp_path, family, where):
    with socket.socket(family) as s:
        s.bind(where or str(tmp_path / "http.sock"))
        s.listen()
        shown = s.getsockname() if family == socket.AF_UNIX else "%s:%d" % s.getsockname()
        with harness.Daemon(handed={"http": s}) as d:
            assert d.call("GetStatus")["http"] == shown
            assert get(d, "/nothing")[0] == 404
            d.restart()
            assert get(d, "/nothing")[0] == 404
            # What the configuration says comes on top.
            before = address(d)
            reload(d, LISTENING)
            assert address(d) != before and get(d, "/nothing")[0] == 404
            with connect(before) as again:
                again.sendall(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                assert read_to_end(again).startswith(b"HTTP/1.1 404 ")


def test_a_socket_that_is_open_to_others(tmp_path):
    (tmp_path / "conf").write_text("")
    with socket.create_server(("0.0.0.0", 0)) as s:
        fd = s.fileno()
        move = f'exec 3<&{fd} {fd}<&-; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=http exec "$@"'
        done = subprocess.run(
            ["/bin/bash", "-c", move, "bash", harness.RTGCD, "--foreground", "--config", tmp_path / "conf",
             "--socket", tmp_path / "runtime.sock", "--control", tmp_path / "control.sock"],
            pass_fds=[fd], capture_output=True, text=True, timeout=harness.PATIENCE)
    assert done.returncode == 1 and "the socket that was handed over is open to others than this host" in done.stderr


# ---- hostile clients -------------------------------------------------------------------------------


def baseline(daemon, before):
    """Everything is given back."""
    daemon.wait(lambda d: d.descriptors() == before, f"{before} descriptors, as before")
    status = daemon.call("GetStatus")
    assert status["callers"] == 1 and status["queued_bytes"] <= 8192


def test_slow_requests_end():
    with harness.Daemon(config=LISTENING + "HelloTimeout=2s\n") as d:
        before = d.descriptors()
        slow = [connect(address(d)) for _ in range(20)]
        for s in slow:
            s.sendall(b"GET / HTTP/1.1\r\nX-Header: ")
        open_yet = slow
        while open_yet:
            assert get(d, "/nothing")[0] == 404
            open_yet = [s for s in open_yet if dribble(s)]
        for s in slow:
            s.close()
        baseline(d, before)


def dribble(s):
    """One more byte of a request without an end; false: the daemon has hung up."""
    try:
        s.sendall(b"x")
        s.setblocking(False)
        return s.recv(1) != b""
    except BlockingIOError:
        return True
    except (ConnectionResetError, BrokenPipeError):
        return False


def test_many_connections():
    with harness.Daemon(config=LISTENING + "MaxCallersPerUser=8\n") as d:
        before = d.descriptors()
        silent = []
        for _ in range(10):
            silent += [connect(address(d)) for _ in range(20)]
            assert get(d, "/nothing")[0] == 404
            assert d.call("GetStatus")["callers"] <= 9 + 1
        # Those that were silent longest made room, so the first has gone.
        assert read_to_end(silent[0]) == b""
        assert d.call("GetStatus")["refused"]["user_callers"] > 0
        for s in silent:
            s.close()
        baseline(d, before)


HOSTILE = {
    "a long line": b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
    "no end of a line": b"x" * 100_000,
    "long headers": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
    "a body that is too long": b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 100_000,
    "a body of a negative length": b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\nx",
    "chunks": b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffff\r\nx",
    "no method": b"/ HTTP/1.1\r\n\r\n",
    "another method": b"BREW / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "another version": b"GET / HTTP/9.9\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "a version that is none": b"GET / HTTQ/1.1\r\n\r\n",
    "NULs": b"GET /\0 HTTP/1.1\r\nHost: local\0host\r\nConnection: close\r\n\r\n",
    "a proxy's request": b"GET http://example.org/ HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n",
    "a path that climbs": b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "no path": b"GET ? HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "a header without a name": b"GET /nothing HTTP/1.1\r\n: x\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "a line that goes on": b"GET /nothing HTTP/1.1\r\n x\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "TLS": bytes.fromhex("16030100c8010000c40303") + b"\xff" * 200 + b"\n\n",
    "Varlink": b'{"method":"io.rtgcd.Supervisor.GetStatus"}\0',
    "nothing but line ends": b"\r\n" * 10_000,
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_requests(daemon, what):
    before = daemon.descriptors()
    for _ in range(5):
        with connect(address(daemon)) as s:
            try:
                s.sendall(HOSTILE[what])
                s.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it has hung up already
            answer = read_to_end(s)
            assert not answer or answer.startswith(b"HTTP/1."), answer
            assert b" 200 " not in answer.splitlines()[0] if answer else True
    assert get(daemon, "/nothing")[0] == 404
    baseline(daemon, before)


def test_who_hangs_up_is_forgotten(daemon):
    before = daemon.descriptors()
    for n in range(100):
        with connect(address(daemon)) as s:
            s.sendall(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"[:n])
    assert get(daemon, "/nothing")[0] == 404
    baseline(daemon, before)

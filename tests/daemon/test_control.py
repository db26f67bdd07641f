# SPDX-License-Identifier: MIT
"""The control socket: Varlink to the letter, and what our methods tell."""

import json
import os
import re
import socket
import subprocess

import pytest

from common import BUDGET, due, harness, window
from frames import BYE, CAP_PAGE, MAJOR, MINOR, Client

SERVICE = "org.varlink.service"


@pytest.fixture(name="d", scope="module")
def daemon():
    with harness.Daemon(config="[Service:web]\nMaxConcurrent=1\n") as d:
        yield d


def refuses(v):
    assert v.receive() is None


def test_get_info(d):
    info = d.call(f"{SERVICE}.GetInfo")
    assert set(info) == {"vendor", "product", "version", "url", "interfaces"}
    assert info["interfaces"] == [SERVICE, harness.INTERFACE]


@pytest.mark.parametrize("name", [SERVICE, harness.INTERFACE])
def test_descriptions(d, name):
    text = d.call(f"{SERVICE}.GetInterfaceDescription", interface=name)["description"]
    assert re.search(rf"^interface {re.escape(name)}$", text, re.M)
    with open(os.path.join(harness.SRCDIR, "daemon", "io.rtgcd.Supervisor.varlink"), encoding="utf-8") as f:
        if name == harness.INTERFACE:
            assert text == f.read()


def members(text, kind):
    """name -> its fields, of the types or methods of an interface."""
    text = re.sub(r"#.*", "", text)
    found = {}
    for name, body in re.findall(rf"{kind} (\w+)\s*\(([^()]*)\)", text):
        found[name] = dict(re.findall(r"(\w+):\s*([^,\s]+)", body))
    return found


def check(value, type_name, types, where):
    if type_name.startswith("?"):
        return value is None or check(value, type_name[1:], types, where)
    if type_name.startswith("[]"):
        assert isinstance(value, list), where
        return all(check(v, type_name[2:], types, where) for v in value)
    plain = {"int": int, "string": str, "bool": bool}
    if type_name in plain:
        assert type(value) is plain[type_name], (where, value, type_name)
        return True
    fields = types[type_name]
    assert set(value) == set(fields), where
    return all(check(value[k], t, types, f"{where}.{k}") for k, t in fields.items())


def test_replies_are_as_described(d):
    """Every key and type of the interface, on a heap in a window and one at rest."""
    text = d.call(f"{SERVICE}.GetInterfaceDescription", interface=harness.INTERFACE)["description"]
    types = members(text, "type")
    with Client(d, budget=BUDGET, heap="a", kinds=1 << MAJOR | 1 << MINOR) as a, \
            Client(d, budget=BUDGET, heap="b") as b:
        due(a, live=30 << 30)  # a window of minutes
        a.begin(window(a).window)
        a.sync()
        due(b)
        b.sync()
        heaps, services, windows = d.heaps(), d.services(), d.windows()
        explained = d.call("Explain", heap="b")
        status = d.call("GetStatus")
        a.send(BYE)
        b.send(BYE)
    assert check(heaps, "[]Heap", types, "heaps") and len(heaps) == 2
    assert check(services, "[]Service", types, "services") and len(services) == 1
    assert check(windows, "[]Window", types, "windows") and len(windows) == 1
    assert check(explained["decisions"], "[]Decision", types, "decisions") and explained["decisions"]
    assert check(explained["heap"], "Heap", types, "heap")
    body = re.search(r"method GetStatus\(\) -> \((.*?)\)", re.sub(r"#.*", "", text), re.S).group(1)
    assert check(status, "Status", {**types, "Status": dict(re.findall(r"(\w+):\s*([^,\s]+)", body))}, "status")
    assert heaps[0]["predicted_pause_us"]["snapshot"] is None
    assert heaps[1]["exhaustion_us"] > 0 > heaps[1]["latest_start_us"]
    assert windows[0]["heap_name"] == "a" and windows[0]["closes_in_us"] > 0 >= windows[0]["opens_in_us"]
    assert explained["decisions"][-1]["holder"] == "a"
    assert status["pid"] == d.pid and status["mode"] == "normal" and status["epoch"] > 0
    for shown in heaps[0], services[0]:
        assert shown["predictions"] == 0 and shown["prediction_coverage_permille"] is None \
            and shown["over_prediction_p50_permille"] is None
    assert services[0]["policy"] == "stagger" and services[0]["uid"] == os.getuid()


@pytest.mark.parametrize("call, error, parameters", [
    ({"method": "io.rtgcd.Nothing.GetStatus"}, "InterfaceNotFound", {"interface": "io.rtgcd.Nothing"}),
    ({"method": "GetStatus"}, "InterfaceNotFound", {"interface": ""}),
    ({"method": "io.rtgcd.Supervisor.Nothing"}, "MethodNotFound", {"method": "io.rtgcd.Supervisor.Nothing"}),
    ({"method": "org.varlink.service.Nothing"}, "MethodNotFound", {"method": "org.varlink.service.Nothing"}),
    ({"method": "org.varlink.service.GetInterfaceDescription"}, "InvalidParameter", {"parameter": "interface"}),
    ({"method": "org.varlink.service.GetInterfaceDescription", "parameters": {"interface": "a.b"}},
     "InterfaceNotFound", {"interface": "a.b"}),
    ({"method": "io.rtgcd.Supervisor.GetStatus", "parameters": {"x": 1}}, "InvalidParameter", {"parameter": "x"}),
    ({"method": "io.rtgcd.Supervisor.ListHeaps", "parameters": {"limit": 0}},
     "InvalidParameter", {"parameter": "limit"}),
    ({"method": "io.rtgcd.Supervisor.ListHeaps", "parameters": {"after": -1}},
     "InvalidParameter", {"parameter": "after"}),
    ({"method": "io.rtgcd.Supervisor.ListHeaps", "parameters": {"service": 1}},
     "InvalidParameter", {"parameter": "service"}),
    ({"method": "io.rtgcd.Supervisor.ListServices", "parameters": {"service": "web"}},
     "InvalidParameter", {"parameter": "service"}),
    ({"method": "io.rtgcd.Supervisor.Explain"}, "InvalidParameter", {"parameter": "heap"}),
])
def test_errors(d, call, error, parameters):
    with d.varlink() as v:
        v.send(call)
        assert v.receive() == {"error": f"{SERVICE}.{error}", "parameters": parameters}
        assert v.call("GetStatus")["pid"] == d.pid  # the connection stays


def test_only_known_keys_in_replies(d):
    with d.varlink() as v:
        for call in ({"method": f"{SERVICE}.GetInfo"}, {"method": "x.y"},
                     {"method": f"{harness.INTERFACE}.ListHeaps", "more": True}):
            v.send(call)
            assert set(v.receive()) <= {"parameters", "continues", "error"}


def test_null_parameters(d):
    with d.varlink() as v:
        v.send({"method": f"{harness.INTERFACE}.ListHeaps", "parameters": None, "more": None, "oneway": False})
        assert "heaps" in v.receive()["parameters"]
        v.send({"method": f"{harness.INTERFACE}.ListHeaps", "parameters": {"after": None, "service": None}})
        assert "heaps" in v.receive()["parameters"]


def test_oneway_has_no_reply(d):
    """Not even an error."""
    with d.varlink() as v:
        v.send({"method": f"{SERVICE}.GetInfo", "oneway": True})
        v.send({"method": "no.such.Method", "oneway": True})
        v.send({"method": f"{harness.INTERFACE}.ListHeaps", "oneway": True, "more": True})
        assert v.call("GetStatus")["pid"] == d.pid


def test_calls_in_a_row(d):
    with d.varlink() as v:
        v.send(b"".join(json.dumps({"method": f"{SERVICE}.GetInterfaceDescription",
                                    "parameters": {"interface": f"x.y{i}"}}).encode() + b"\0" for i in range(50)))
        for i in range(50):
            assert v.receive()["parameters"] == {"interface": f"x.y{i}"}


def test_call_in_pieces(d):
    with d.varlink() as v:
        for byte in json.dumps({"method": f"{SERVICE}.GetInfo"}).encode() + b"\0":
            v.send(bytes([byte]))
        assert v.receive()["parameters"]["product"] == "rtgcd"


@pytest.mark.parametrize("text", [
    b"{", b"", b"nonsense", b"[]", b"1", b"\xff\xfe", b'{"method": 1}', b'{"parameters": {}}',
    b'{"method": "a.b", "parameters": []}', b'{"method": "a.b", "more": 1}', b'{"method": "a.b", "x": 1}',
    b'{"method": "a.b", "method": "a.c"}', b'{"method": "a.b"} {}',
    b'{"method": "a.b", "parameters": {"x": 99999999999999999999}}',
])
def test_unreadable_is_closed(d, text):
    with d.varlink() as v:
        v.send(text + b"\0")
        refuses(v)
    assert d.call("GetStatus")["pid"] == d.pid


def nested(depth):
    """A call of that many levels in all."""
    inner = depth - 2
    return b'{"method": "a.b", "parameters": {"x": ' + b"[" * inner + b"]" * inner + b"}}\0"


def test_depth(d):
    with d.varlink() as v:
        v.send(nested(16))
        assert v.receive()["error"] == f"{SERVICE}.InterfaceNotFound"
        v.send(b'{"method": "a.b", "parameters": {"x": "' + b"[" * 50 + b'\\"{{{"}}\0')
        assert v.receive()["error"] == f"{SERVICE}.InterfaceNotFound"  # in a string
        v.send(nested(17))
        refuses(v)


def sized(size):
    text = b'{"method": "a.b", "parameters": {"x": "'
    return text + b"x" * (size - len(text) - 3) + b'"}}'


def test_size(d):
    with d.varlink() as v:
        v.send(sized(65536) + b"\0")
        assert v.receive()["error"] == f"{SERVICE}.InterfaceNotFound"
        try:
            v.send(sized(65537) + b"\0")
        except BrokenPipeError:
            pass  # it has seen enough before all was sent
        refuses(v)


def test_endless_request(d):
    with d.varlink() as v:
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while True:
                v.send(b"x" * 65536)


def test_who_does_not_read_is_disconnected(d):
    """A queue of MaxQueue=, not more."""
    with d.varlink() as v:
        call = json.dumps({"method": f"{SERVICE}.GetInterfaceDescription",
                           "parameters": {"interface": harness.INTERFACE}}).encode() + b"\0"
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            for _ in range(10_000):
                v.send(call)
    assert d.call("GetStatus")["pid"] == d.pid


def test_half_closed_callers_are_answered(d):
    with d.varlink() as v:
        v.send({"method": f"{SERVICE}.GetInfo"})
        v.socket.shutdown(socket.SHUT_WR)
        assert v.receive()["parameters"]["product"] == "rtgcd"


@pytest.fixture(name="many", scope="module")
def many_heaps():
    with harness.Daemon() as d:
        clients = [Client(d, budget=1, heap=f"h{i}", service=f"s{i % 120}") for i in range(250)]
        yield d
        for c in clients:
            c.close()


def pages_of(d, method, key, **parameters):
    after, pages = None, []
    while True:
        page = d.call(method, **parameters, **({} if after is None else {"after": after}))
        pages.append(page[key])
        after = page["next"]
        if after is None:
            return pages


def test_pages_of_heaps(many):
    pages = pages_of(many, "ListHeaps", "heaps")
    assert [len(p) for p in pages] == [100, 100, 50]
    assert [h["name"] for p in pages for h in p] == [f"h{i}" for i in range(250)]
    assert [len(p) for p in pages_of(many, "ListHeaps", "heaps", limit=7)] == [7] * 35 + [5]
    assert [len(p) for p in pages_of(many, "ListHeaps", "heaps", limit=10**6)] == [100, 100, 50]
    assert [len(p) for p in pages_of(many, "ListHeaps", "heaps", limit=125)] == [100, 100, 50]


def test_pages_of_services(many):
    pages = pages_of(many, "ListServices", "services")
    assert [len(p) for p in pages] == [100, 20]
    assert sorted({s["name"] for p in pages for s in p}) == sorted({f"s{i}" for i in range(120)})


def test_heaps_of_a_service(many):
    assert [[h["name"] for h in p] for p in pages_of(many, "ListHeaps", "heaps", service="s3")] == [["h3", "h123", "h243"]]
    assert pages_of(many, "ListHeaps", "heaps", service="none") == [[]]


def test_a_full_page_that_is_the_last(many):
    assert [len(p) for p in pages_of(many, "ListHeaps", "heaps", limit=50)] == [50] * 5


@pytest.mark.parametrize("limit, sizes", [(None, [100, 100, 50]), (30, [30] * 8 + [10])])
def test_more(many, limit, sizes):
    with many.varlink() as v:
        v.send({"method": f"{harness.INTERFACE}.ListHeaps", "more": True, "parameters": {"limit": limit}})
        got, names = [], []
        while True:
            reply = v.receive()
            got.append(len(reply["parameters"]["heaps"]))
            names += [h["name"] for h in reply["parameters"]["heaps"]]
            if not reply.get("continues"):
                break
        assert got == sizes and names == [f"h{i}" for i in range(250)]
        assert v.call("GetStatus")["heaps"] == 250


def test_more_for_a_slow_reader(many):
    """Many streams asked for at once go out as they are read, however slowly."""
    with many.varlink() as v:
        call = {"method": f"{harness.INTERFACE}.ListHeaps", "more": True, "parameters": {"limit": 1}}
        for _ in range(20):
            v.send(call)
        for _ in range(20):
            for i in range(250):
                reply = v.receive()
                assert reply["parameters"]["heaps"][0]["name"] == f"h{i}"
                assert reply.get("continues", False) == (i < 249)


def test_explain_finds_heaps(d):
    with Client(d, budget=1, heap="one") as one, Client(d, budget=1, heap="twin") as first, \
            Client(d, budget=1, heap="twin") as second, Client(d, budget=1, heap="12345678") as digits:
        assert d.call("Explain", heap="one")["heap"]["id"] == one.welcome.heap
        assert d.call("Explain", heap=str(second.welcome.heap))["heap"]["name"] == "twin"
        assert d.call("Explain", heap="12345678")["heap"]["id"] == digits.welcome.heap
        for name, error in (("twin", "AmbiguousHeap"), ("nobody", "NoSuchHeap"), ("99999999999999999999", "NoSuchHeap"),
                            ("", "NoSuchHeap"), ("0", "NoSuchHeap")):
            with pytest.raises(harness.Error) as e:
                d.call("Explain", heap=name)
            assert e.value.name == f"{harness.INTERFACE}.{error}" and e.value.parameters == {"heap": name}
        for c in (one, first, second, digits):
            c.send(BYE)


OTHER_USER = """
import os, sys
sys.path[:0] = sys.argv[3:]
import harness
from frames import Client
os.setgroups([]); os.setgid(65534); os.setuid(65534)
class D: socket = sys.argv[1]
c = Client(D, budget=1, heap="theirs")
v = harness.Varlink(sys.argv[2])
names = [h["name"] for h in v.call("ListHeaps")["heaps"]]
services = [s["uid"] for s in v.call("ListServices")["services"]]
errors = []
for method, parameters in (("Explain", {"heap": "ours"}), ("Reload", {})):
    try:
        v.call(method, **parameters)
    except harness.Error as e:
        errors.append(e.name)
print(names, services, errors, v.call("GetStatus")["heaps"])
"""


def test_others_see_their_own():
    if os.geteuid() != 0:
        pytest.skip("needs root to be two users")
    here = os.path.dirname(os.path.abspath(__file__))
    with harness.Daemon() as d, Client(d, budget=1, heap="ours"):
        done = subprocess.run([os.environ["PYTHON"], "-c", OTHER_USER, d.socket, d.control, here,
                               os.path.dirname(here)], capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout == str(["theirs"]) + " [65534] " + str(
            [f"{harness.INTERFACE}.NoSuchHeap", f"{SERVICE}.PermissionDenied"]) + " 2\n"


def test_rates_of_a_paged_heap(d):
    with Client(d, budget=BUDGET, heap="rate", caps=CAP_PAGE) as c:
        due(c)
        c.sync()
        heap = d.call("Explain", heap="rate")["heap"]
        assert 9_000 < heap["alloc_rate_per_s"] < 11_000
        c.send(BYE)

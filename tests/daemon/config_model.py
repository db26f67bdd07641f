# SPDX-License-Identifier: MIT
"""rtgcd.conf(5) once more, from its manual page: what a file says, or the line at which it is refused."""

import decimal
import grp
import ipaddress
import pwd
import re

NUMBER = r"\d+(?:\.\d+)?"
SPAN = rf"({NUMBER})[ \t]*(us|ms|s|min|h)?[ \t]*"
SECONDS = {"us": "1e-6", "ms": "1e-3", "s": "1", "min": "60", "h": "3600", "": "1"}
NAME_MOST, RIVALS_MOST, SLOTS_MOST, PATH_MOST, LIMIT_MOST = 63, 4, 65536, 107, 1_000_000
LINE_MOST = 1001


class Refused(Exception):
    """.args: the line, counted from 1."""


def is_text(data):
    """UTF-8 without control characters but tabs."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return False
    return not re.search("[\x00-\x08\x0a-\x1f\x7f-\x9f]", text)


def is_name(text):
    return 1 <= len(text.encode()) <= NAME_MOST and "\t" not in text and is_text(text.encode())


def is_count(text, most=SLOTS_MOST):
    return bool(re.fullmatch("[0-9]+", text)) and 1 <= int(text) <= most


def is_span(text, most=None):
    if not re.fullmatch(f"(?:{SPAN})+", text):
        return False
    seconds = sum(decimal.Decimal(n) * decimal.Decimal(SECONDS[unit]) for n, unit in re.findall(SPAN, text))
    return most is None or seconds <= most


def is_size(text, least=0):
    if not re.fullmatch(f"{NUMBER}[KMGT]?", text):
        return False
    factor = 1024 ** (" KMGT".index(text[-1]) if text[-1] in "KMGT" else 0)
    return int(decimal.Decimal(text.rstrip("KMGT")) * factor) >= least


def is_limit(value):
    return is_count(value, LIMIT_MOST)


def is_share(text):
    return bool(re.fullmatch(f"{NUMBER}%", text)) and int(decimal.Decimal(text[:-1]) * 10) <= 1000


def is_drain(text):
    found = re.fullmatch(r"haproxy:(/[^:]*):([^/]+)/([^/]+)", text)
    if text in ("none", "client"):
        return True
    part = r"(?:[-A-Za-z0-9_.:]|%[hs%])+"
    return bool(found and len(found[1].encode()) <= PATH_MOST and re.fullmatch(part, found[2])
                and re.fullmatch(part, found[3]))


def is_rivals(text, service):
    names = []
    while text:
        found = re.match(r'(?:"([^"]*)"|([^" \t][^ \t]*))(?:[ \t]+|$)', text)
        if not found:
            return False
        names.append(found[1] if found[2] is None else found[2])
        text = text[found.end():]
    return len(names) <= RIVALS_MOST and service not in names and all(map(is_name, names))


def is_known(text, find):
    def known(name):
        if re.fullmatch("[0-9]+", name) and int(name) < 2**32 - 1:
            return True
        try:
            find(name)
        except KeyError:
            return False
        return True
    return all(known(name) for name in re.split("[ \t]+", text) if name)


def is_listening(text):
    path = text.removeprefix("unix:")
    if path.startswith("/"):
        return len(path.encode()) <= PATH_MOST
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):([0-9]{1,5})", text)
    try:
        return bool(found and ipaddress.ip_address(found[1] or found[2]).is_loopback and int(found[3]) <= 65535
                    and (found[2] is None) == (ipaddress.ip_address(found[1] or found[2]).version == 6))
    except ValueError:
        return False


DAEMON = {
    "MaxConcurrent": lambda value: value == "auto" or is_count(value),
    "MemoryBudget": lambda value: is_share(value) or is_size(value),
    "GateLag": is_span,
    "GatePressure": is_share,
    "ListenHTTP": is_listening,
    "GatePressureFile": lambda value: value.startswith("/"),
    "MaxConnections": lambda value: value == "auto" or is_limit(value),
    "MaxConnectionsPerUser": lambda value: value == "auto" or is_limit(value),
    "MaxUngreeted": is_limit,
    "HelloTimeout": lambda value: is_span(value, 3600) and not is_span(value, 0),
    "FramesPerSecond": is_limit,
    "FramesPerSecondPerUser": is_limit,
    "MaxCallers": is_limit,
    "MaxCallersPerUser": is_limit,
    "RequestsPerSecond": is_limit,
    "MaxQueue": lambda value: is_size(value, 4096),
    "QueueMemory": lambda value: is_size(value, 2**20),
}
SERVICE = {
    "Policy": lambda value: value in ("stagger", "together", "idle", "observe"),
    "MaxConcurrent": is_count,
    "NeverWith": None,  # needs the service's name
    "Budget": is_size,
    "Drain": is_drain,
    "Lead": lambda value: is_span(value, 60),
    "MaxDefer": is_span,
    "MinYield": is_share,
    "Users": lambda value: is_known(value, pwd.getpwnam),
    "Groups": lambda value: is_known(value, grp.getgrnam),
}


def is_valid(section, key, value):
    keys = DAEMON if section == "Daemon" else SERVICE
    if key not in keys:
        return False
    if not value:
        return True
    if key == "NeverWith":
        return is_rivals(value, section.partition(":")[2])
    return keys[key](value)


def is_section(data):
    if not is_text(data):
        return False
    kind, colon, name = data.decode().partition(":")
    return data == b"Daemon" or bool(kind == "Service" and colon and is_name(name))


def parse(data):
    """{(section, key): (value, line)}; the last one counts."""
    section, found = None, {}
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if b"\0" in line or len(line.strip(b" \t\r")) > LINE_MOST:
            raise Refused(number)
        line = re.split(rb"(?:^|(?<=\s))[;#]", line.strip(b" \t\r"), maxsplit=1)[0].strip()
        if not line:
            continue
        head = re.match(rb"\[([^]]*)\]", line)
        key, separator, value = re.match(rb"([^=:]*)([=:]?)(.*)", line, re.S).groups()
        if head and is_section(head[1]):
            section = head[1].decode()
        elif head or line.startswith(b"[") or not separator or section is None or not is_text(value):
            raise Refused(number)
        else:
            key, value = key.strip().decode(errors="replace"), value.strip().decode()
            if not is_valid(section, key, value):
                raise Refused(number)
            found[section, key] = (value, number)
    return found

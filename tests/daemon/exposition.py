# SPDX-License-Identifier: MIT
"""Reads the two text formats of metrics, strictly: what they forbid fails."""

import re

NAME = r"[a-z][a-z0-9_]*"
LABEL = r'([a-z_]+)="((?:[^"\\]|\\["\\n])*)"'
SAMPLE = re.compile(rf'({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (\S+)')
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "info": ("_info",), "histogram": ("_bucket", "_sum", "_count")}


def unescape(text):
    return re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), text)


def parse(text, openmetrics=False):
    """({family: (type, help)}, {(sample, labels as a frozenset of pairs): value}), in the order of the text."""
    families, samples, family, seen = {}, {}, None, None
    lines = text.split("\n")
    assert lines.pop() == ""
    if openmetrics:
        assert lines.pop() == "# EOF"
    for line in lines:
        if line.startswith("# HELP "):
            _, _, family, said = line.split(" ", 3)
            assert family not in families and family.startswith("rtgcd_") and said.strip()
            families[family] = (None, said)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == family and families[name][0] is None
            families[name] = (kind, families[name][1])
        else:
            name, labels, value = read_sample(line)
            kind = families[family][0]
            suffixes = SUFFIXES[kind] if openmetrics or kind == "histogram" else ("",)
            assert name in [family + suffix for suffix in suffixes], line
            assert (name, labels) not in samples, line
            samples[name, labels] = value
            seen = seen or line
    assert seen and all(kind in SUFFIXES for kind, _ in families.values())
    check_histograms(families, samples)
    return families, samples


def read_sample(line):
    found = SAMPLE.fullmatch(line)
    assert found, line
    labels = [(key, unescape(value)) for key, value in re.findall(LABEL, found[2] or "")]
    assert len(dict(labels)) == len(labels), line
    return found[1], frozenset(labels), float(found[found.lastindex])


def check_histograms(families, samples):
    for family in (name for name, (kind, _) in families.items() if kind == "histogram"):
        rows = {}
        for (name, labels), value in samples.items():
            if name == family + "_bucket":
                bound = float(dict(labels)["le"])
                rows.setdefault(frozenset(p for p in labels if p[0] != "le"), []).append((bound, value))
        for labels, buckets in rows.items():
            assert buckets == sorted(buckets) and [n for _, n in buckets] == sorted(n for _, n in buckets)
            assert buckets[-1] == (float("inf"), samples[family + "_count", labels])
            assert (family + "_sum", labels) in samples


def key(name, **labels):
    return name, frozenset((k, str(v)) for k, v in labels.items())

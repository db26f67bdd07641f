# SPDX-License-Identifier: MIT
"""
The manual pages: mdoc without a warning, and in step with what they describe: the library's
header, the verbs, options, reasons and messages of the programs, the functions of the module.
"""

import os
import re
import shutil
import subprocess
import sys

import pytest
import sources

sys.path.insert(0, str(sources.ROOT / "tests" / "python"))
import program  # noqa: E402

PAGES = sorted(path.name for path in (sources.ROOT / "man").glob("*.[1-8]"))
BUILD = os.environ["RTGC_BUILDDIR"]
PYTHON = os.environ.get("PYTHON", "/usr/bin/python3")


def page(name):
    return sources.read(sources.ROOT, f"man/{name}")


def section(text, title):
    """The lines of a section, without its heading."""
    found = re.search(rf'^\.Sh "?{title}"?\n(.*?)(?=^\.Sh |\Z)', text, re.M | re.S)
    return found.group(1) if found else ""


def names(text):
    return re.findall(r"^\.Nm ([\w.-]+)", section(text, "NAME"), re.M)


# ---- form ----------------------------------------------------------------------------------


def complaints(path):
    """What mandoc and man say about a page."""
    found = []
    for command in (["mandoc", "-T", "lint", "-W", "warning"], ["man", "-l", "--warnings"]):
        if not shutil.which(command[0]):
            pytest.skip(f"{command[0]} is not installed")
        env = {**os.environ, "LC_ALL": "C.UTF-8", "MANPAGER": "cat", "MANWIDTH": "80"}
        done = subprocess.run([*command, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
        said = done.stdout if command[0] == "mandoc" else ""
        # About the machine's index of pages, not about the page.
        found += [line for line in (said + done.stderr).splitlines() if "mandoc.db" not in line]
    return found


@pytest.mark.parametrize("name", PAGES)
def test_page_is_clean(name):
    sources.expect_none(complaints(sources.ROOT / "man" / name))


@pytest.mark.parametrize("line", [".Xx what", ".Bl -tag", ".Cm a Ns : Ns b"])
def test_the_check_finds(tmp_path, line):
    (tmp_path / "x.1").write_text(page("rtgc.1").replace(".Sh DESCRIPTION\n", f".Sh DESCRIPTION\n{line}\n"))
    assert complaints(tmp_path / "x.1")


@pytest.mark.parametrize("name", PAGES)
def test_page_has_its_sections(name):
    text = page(name)
    assert text.startswith('.\\" SPDX-License-Identifier: MIT\n.Dd ')
    assert names(text)[0] == name.rpartition(".")[0]
    for title in ("DESCRIPTION", "SEE ALSO"):
        assert section(text, title)


def test_every_page_is_installed():
    listed = sources.read(sources.ROOT, "man/local.mk")
    assert re.findall(r"^\tman/(\S+)", listed, re.M) == PAGES


# ---- the library ---------------------------------------------------------------------------

HEADER = re.sub(r"/\*.*?\*/", "", sources.read(sources.ROOT, "client/rtgc.h"), flags=re.S)
GROUPS = [name for name in PAGES if name.endswith(".3") and name != "libruntime.3"]


def squeeze(text):
    return re.sub(r"\s*([(){};,*])\s*", r"\1", re.sub(r"\s+", " ", text)).strip()


def declared():
    """{function: its declaration} of the header."""
    found = {}
    for text, name in re.findall(r"^((?:[a-z]\w* )+?\*?(rtgc_\w+)\([^;{]*?\))(?:;|\n\{)", HEADER, re.M):
        found[name] = squeeze(text.replace("static inline ", ""))
    return found


def synopsis(text):
    """The same of a page."""
    found = {}
    for kind, name, arguments in re.findall(r'^\.Ft "?(.*?)"?\n\.Fn (\w+)(.*)$', section(text, "SYNOPSIS"), re.M):
        arguments = re.findall(r'"([^"]*)"', arguments) or ["void"]
        found[name] = squeeze(f"{kind} {name}({', '.join(arguments)})")
    return found


def test_every_exported_function_has_a_page():
    exported = subprocess.run(["nm", "-D", "--defined-only", os.path.join(BUILD, ".libs", "libruntime.so")],
                              capture_output=True, text=True, check=True).stdout
    exported = {line.split()[-1].split("@")[0] for line in exported.splitlines() if " T " in line}
    exported = {name for name in exported if name.startswith("rtgc_")}
    assert exported == set(declared()) - {"rtgc_pending"} and len(exported) > 20
    described = [name for group in GROUPS for name in names(page(group))]
    assert sorted(described) == sorted(declared())


def test_pages_and_header_declare_the_same():
    found = {}
    for group in GROUPS:
        assert list(synopsis(page(group))) and set(synopsis(page(group))) == set(names(page(group)))
        found.update(synopsis(page(group)))
    assert found == declared()
    assert synopsis(page("libruntime.3")) == declared()


def test_pages_and_header_have_the_same_structures():
    found = {}
    for group in GROUPS:
        for text, name in re.findall(r"^(struct (rtgc_\w+) \{.*?^\});$", page(group), re.M | re.S):
            found[name] = squeeze(text)
            members = re.findall(r"(\w+)(?:\[\d+\])?[;,]|\(\*(\w+)\)", re.sub(r"\)\(.*?\)", ")", text))
            described = set(re.findall(r"\w+", " ".join(re.findall(r"^\.(?:It )?Va (.*)$", page(group), re.M))))
            # A row's count and bytes are those of the answer it is in.
            assert {a or b for a, b in members} - {"userdata"} <= described, (group, name)
    expected = {name: squeeze(text) for text, name in re.findall(r"^(struct (rtgc_\w+) \{.*?^\});", HEADER, re.M | re.S)}
    assert found == expected and len(found) == 8


def test_every_constant_is_described():
    constants = set(re.findall(r"\bRTGC_[A-Z_]+\b", HEADER)) - {"RTGC_H"}
    text = "".join(page(name) for name in PAGES if name.endswith(".3"))
    described = set(re.findall(r"\.(?:It )?Dv (RTGC_[A-Z_]+)", text))
    assert described == constants


def test_a_page_by_every_functions_name():
    links = set(re.findall(r"^\t(\w+):(\w+)", sources.read(sources.ROOT, "man/local.mk"), re.M))
    assert links == {(name, names(page(group))[0]) for group in GROUPS for name in names(page(group))[1:]}


def test_links_are_installed(tmp_path):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    for target in ("install-man", "install-man-links"):
        subprocess.run(["make", "-s", "-C", BUILD, f"DESTDIR={tmp_path}", target], check=True, env=env)
    man3, = tmp_path.rglob("man3")
    for name in declared():
        text = (man3 / f"{name}.3").read_text()
        link = re.fullmatch(r"\.so man3/(\w+\.3)\n", text)
        assert name in names((man3 / link.group(1)).read_text() if link else text)
    subprocess.run(["make", "-s", "-C", BUILD, f"DESTDIR={tmp_path}", "uninstall-man-links"], check=True, env=env)
    assert {path.name for path in man3.iterdir()} == {name for name in PAGES if name.endswith(".3")}


# ---- the programs --------------------------------------------------------------------------


def help_of(*command):
    env = {**os.environ, "PYTHONPATH": os.path.join(BUILD, "client", "python", "stage"),
           "LD_LIBRARY_PATH": os.path.join(BUILD, ".libs")}
    if command[0] == PYTHON:
        program.harness.sanitized(env)
    done = subprocess.run([*command, "--help"], stdout=subprocess.PIPE, text=True, check=True, env=env)
    return done.stdout


@pytest.mark.parametrize("name, command", [
    ("rtgcctl.1", [os.path.join(BUILD, "rtgcctl")]),
    ("rtgcd.8", [os.path.join(BUILD, "rtgcd")]),
    ("rtgc.1", [PYTHON, "-m", "rtgc"]),
])
def test_every_option_is_described(name, command):
    offered = set(re.findall(r"^  --([a-z-]+)", help_of(*command), re.M)) | {"help", "version"}
    items = " ".join(re.findall(r"^\.It Fl (.*)$", page(name), re.M))
    described = set(re.findall(r"(?<!\S)-([a-z][a-z-]+)|(?<=Fl )version|, (version)", items))
    described = {a or b for a, b in described} | set(re.findall(r"\b(help|version)\b", items))
    assert offered <= described
    assert described - {"help", "version"} <= offered


def test_every_reason_is_described():
    table = re.findall(r'X\(REASON_\w+, "([\w-]+)",[\s\\]*"([^"]*)"\)',
                       sources.read(sources.ROOT, "daemon/core/reason.h"))
    items = dict(re.findall(r"^\.It Cm ([\w-]+)\n(.*)$", page("rtgcctl.1"), re.M))
    assert len(table) >= 30
    sources.expect_none([key for key, sentence in table if items.get(key) != sentence])


def test_every_message_is_described():
    logged = set()
    for path in (sources.ROOT / "daemon").glob("*.c"):
        logged |= set(re.findall(r'log_(?:info|error|peer|seldom)\((?:[^";]*,)?\s*"([a-z-]+)",', path.read_text()))
    messages = re.search(r"^\.Ss Messages\n(.*?)^\.Sh ", page("rtgcd.8"), re.M | re.S).group(1)
    described = " , ".join(re.findall(r"^\.It Cm (.*)$", messages, re.M)).split(" , ")
    assert len(described) >= 10 and set(described) == logged and len(set(described)) == len(described)


def test_the_guide_quotes_the_demo_as_the_readme_has_it():
    table = re.search(r"<!-- demo-table -->\n```\n(.*?)```", sources.read(sources.ROOT, "README.md"), re.S).group(1)
    titles = re.split(r"  +", "run  p50  p99  p99.9  max  longest pause  at once  RSS start  RSS end  forced  over limit")
    rows = {line.split()[0]: dict(zip(titles, line.split())) for line in table.splitlines()[3:]}
    tail = {run: f"{float(row['p99.9']):.0f} ms" for run, row in rows.items()}
    memory = {run: f"{row['RSS end']} MB" for run, row in rows.items()}
    guide = " ".join(line for line in page("rtgc-guide.7").splitlines() if line[:1] != "." or line.startswith(".Nm"))
    guide = guide.replace(".Nm ", "")
    for words in (
        f"(p99.9 {tail['freeze']} against {tail['rtgcd']}), and {memory['freeze']} at the end against {memory['rtgcd']}",
        f"the demo {memory['off']} against {memory['rtgcd']}",
        f"p99.9 {tail['default']} by CPython's own policy, {tail['rtgcd']} under rtgcd , {tail['off']} with the collector off",
    ):
        assert words in guide, words


def test_every_method_and_error_of_the_control_socket_is_described():
    interface = sources.read(sources.ROOT, "daemon/io.rtgcd.Supervisor.varlink")
    for kind, title in (("method", "Methods"), ("error", "Errors")):
        listed = re.search(rf"^\.S[sh] {title}\n(.*?)^\.S", page("rtgc-control.7"), re.M | re.S).group(1)
        described = " , ".join(re.findall(r"^\.It Cm (.*)$", listed, re.M)).split(" , ")
        assert sorted(described) == sorted(re.findall(rf"^{kind} (\w+)", interface, re.M)) and len(described) >= 7


def test_every_function_of_the_module_is_described():
    init = sources.read(sources.ROOT, "client/python/rtgc/__init__.py")
    names_of_all = re.findall(r'"(\w+)"', re.search(r"__all__ = \[(.*?)\]", init, re.S).group(1))
    described = re.findall(r"^\.It Fn rtgc\.(\w+)", page("rtgc.1"), re.M)
    assert sorted(described) == sorted(names_of_all) and len(described) >= 13

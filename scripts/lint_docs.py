#!/usr/bin/env python3
"""Keep specification, parity matrix, fix plan, tests, parity cases and help texts together.

    python scripts/lint_docs.py [--write]

One line a fault, exit status 1 if there is any. ``--write`` stores the current help texts first. Checked are:

- every acceptance id in specs/ is given once, has one row in specs/parity-matrix.md, and no row is without its id;
- every row names a test, and every test named can be collected;
- every comparison test has cases in tests/parity_cases.yaml, the row names them all, no case belongs to no id,
  golden images exist, and limits in the text, in the row and in the YAML are the same;
- files, commands and golden images that matrix and fix plan name exist, and so do links between documents and the
  documents that the code names;
- an open failure in the fix plan says how to see it, where it starts, what was tried and when it is done;
- the help of each command is stored under specs/help/ and current.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from click.testing import CliRunner

from cubragg.cli.exit_errors import CommandLineError
from cubragg.cli.main import cli
from cubragg.cli.parser import parse
from cubragg.errors import CubraggError

ROOT = Path(__file__).resolve().parent.parent
MATRIX, PLAN, CASES = "specs/parity-matrix.md", "specs/fix-plan.md", "tests/parity_cases.yaml"
COMPARISONS = "specs/parallel.md"
#: Documents about documents: what they say about ids defines none.
NOT_NORMATIVE = ("parity-matrix.md", "fix-plan.md")
#: Parts of the description of every open failure.
PLAN_PARTS = ("Reproduction", "First divergence", "Attempts", "Exit criterion")
HELP_WIDTH = 100

_ITEM = re.compile(r"^- \*\*(AT-[A-Z]+-\d{3})\*\*(.*?)(?=^- |^#|^\||\Z)", re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^\| (AT-[A-Z]+-\d{3}) \|(.*)\|$", re.MULTILINE)
_SPAN = re.compile(r"`([^`]+)`")
_LIMIT = re.compile(r"([a-z_]+) = ([-+.0-9e]+)")
_LINK = re.compile(r"\]\(([^)#:]+)\)")
_FAILURE = re.compile(r"^### (F-\d{3})\b(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
_PATH = re.compile(r"(?:cubragg|kernels|reports|scripts|specs|tests)/[\w./-]*")
_GOLDEN = re.compile(r"(?:p\d{3}|f)-[\w.-]+")
_NAMED_DOCUMENT = re.compile(r"\bspecs/[\w/-]+\.md\b")

Limits = frozenset[tuple[str, float]]


class Row(NamedTuple):
    """A row of the matrix: tests, cases, limits and state of an id."""

    tests: list[str]
    cases: list[str]
    limits: Limits
    state: str


def faults(root: Path, nodes: set[str]) -> Iterator[str]:
    """Every fault in the documents under ``root``; ``nodes`` are the tests that exist."""
    texts = {path.name: path.read_text() for path in sorted((root / "specs").glob("*.md"))}
    spec = {}
    for name, text in texts.items():
        if name in NOT_NORMATIVE:
            continue
        for match in _ITEM.finditer(text):
            if match[1] in spec:
                yield f"specs/{name}: {match[1]} is given a second time"
            spec[match[1]] = limits_in(match[2])
    rows = dict(_rows(texts["parity-matrix.md"]))
    document = yaml.safe_load((root / CASES).read_text())
    yield from _ids(spec, rows, texts["parity-matrix.md"])
    yield from _tests(rows, nodes)
    yield from _cases(root, spec, rows, document)
    yield from _plan(rows, texts["fix-plan.md"])
    yield from _named(root, texts)
    yield from _links(root)
    yield from help_faults(root)
    yield from old_words(root)


def spans(text: str) -> list[str]:
    """The code spans of a text, which may run over the end of a line."""
    return [" ".join(span.split()) for span in _SPAN.findall(text)]


def limits_in(text: str) -> Limits:
    """The limits that a text states, as ``name = value`` in code spans."""
    pairs = (match for span in spans(text) if (match := _LIMIT.fullmatch(span)))
    return frozenset((match[1], float(match[2])) for match in pairs)


def _rows(text: str) -> Iterator[tuple[str, Row]]:
    for match in _ROW.finditer(text):
        cells = [cell.strip() for cell in match[2].split("|")]
        if len(cells) == 5:
            yield match[1], Row(spans(cells[1]), spans(cells[2]), limits_in(cells[3]), cells[4])


def _ids(spec: dict[str, Limits], rows: dict[str, Row], matrix: str) -> Iterator[str]:
    for at_id in sorted(spec.keys() - rows.keys()):
        yield f"{MATRIX}: {at_id} has no row of six columns"
    for at_id in sorted(rows.keys() - spec.keys()):
        yield f"{MATRIX}: {at_id} has a row, but no document requires it"
    for at_id, times in Counter(match[1] for match in _ROW.finditer(matrix)).items():
        if times > 1:
            yield f"{MATRIX}: {at_id} has {times} rows"


def _tests(rows: dict[str, Row], nodes: set[str]) -> Iterator[str]:
    functions = {node.partition("[")[0] for node in nodes}
    for at_id, row in rows.items():
        if not row.tests:
            yield f"{MATRIX}: {at_id} names no test"
        for test in row.tests:
            if test not in nodes and test not in functions:
                yield f"{MATRIX}: {at_id} names {test}; there is no such test"


def _cases(root: Path, spec: dict[str, Limits], rows: dict[str, Row], document: dict[str, Any]) -> Iterator[str]:
    cases = document["cases"]
    golden = {case["id"] for case in json.loads((root / "tests/golden/data/manifest.json").read_text())}
    for at_id in sorted(cases.keys() - spec.keys()):
        yield f"{CASES}: {at_id} has cases, but no document requires it"
    for at_id in sorted(spec.keys() - cases.keys()):
        if at_id.startswith("AT-PARALLEL-"):
            yield f"{CASES}: {at_id} has no case"
    for at_id, row in rows.items():
        its_cases = cases.get(at_id, [])
        names = {case["id"] for case in its_cases}
        for case in its_cases:
            for failure in case.get("open", {}).values():
                if failure not in row.state:
                    yield f"{MATRIX}: {at_id}, case {case['id']} is open with {failure}; the state does not say so"
        for name in sorted(names ^ set(row.cases)):
            where = "the row does not name it" if name in names else "the YAML does not have it"
            yield f"{MATRIX}: {at_id}, case {name}: {where}"
        limits = frozenset().union(*(_limits_of(case) for case in its_cases))
        for place, stated in ((MATRIX, row.limits), ("specs", spec.get(at_id, frozenset()))):
            for name, value in sorted(stated ^ limits):
                side = f"not in {CASES}" if (name, value) in stated else f"in {CASES} only"
                yield f"{place}: {at_id}, limit {name} = {value:g}: {side}"
    for at_id, its_cases in cases.items():
        for case in its_cases:
            for name in case.get("golden", ()):
                if name not in golden:
                    yield f"{CASES}: {at_id}, case {case['id']}: there is no golden image {name}"
            if "thresholds" in case and not case.get("reason"):
                yield f"{CASES}: {at_id}, case {case['id']}: thresholds of its own without a reason"
    stated = limits_in((root / COMPARISONS).read_text().partition("## The tests")[0])
    defaults = frozenset((name, float(value)) for name, value in document["defaults"].items())
    for name, value in sorted(stated ^ defaults):
        yield f"{COMPARISONS}: default limit {name} = {value:g} is not the same in {CASES}"


def _limits_of(case: dict[str, Any]) -> Limits:
    return frozenset((name, float(value)) for part in ("limits", "thresholds")
                     for name, value in case.get(part, {}).items())


def _plan(rows: dict[str, Row], plan: str) -> Iterator[str]:
    failures = {match[1]: match[2] for match in _FAILURE.finditer(plan)}
    for failure, text in failures.items():
        for part in PLAN_PARTS:
            if f"**{part}.**" not in text:
                yield f"{PLAN}: {failure} has no {part}"
    for at_id, row in rows.items():
        for failure in re.findall(r"F-\d{3}", row.state):
            if failure not in failures:
                yield f"{MATRIX}: {at_id} is open with {failure}, which is not in the fix plan"
        if row.state != "holds" and not re.search(r"F-\d{3}", row.state):
            yield f"{MATRIX}: {at_id} is in state {row.state!r}; accepted are holds, or a failure of the fix plan"


def _named(root: Path, texts: dict[str, str]) -> Iterator[str]:
    """Files, golden images and commands in code spans of matrix and fix plan."""
    golden = {case["id"] for case in json.loads((root / "tests/golden/data/manifest.json").read_text())}
    for place in (MATRIX, PLAN):
        for span in spans(texts[Path(place).name]):
            if _PATH.fullmatch(span):
                if not (root / span).exists():
                    yield f"{place}: there is no file {span}"
            elif _GOLDEN.fullmatch(span):
                if span not in golden:
                    yield f"{place}: there is no golden image {span}"
            elif " " in span and "::" not in span:
                problem = _command_problem(root, shlex.split(span))
                if problem:
                    yield f"{place}: {span}: {problem}"


def _command_problem(root: Path, words: list[str]) -> str:
    """What is wrong with a command; empty for none, and for a span that is no command."""
    words = [word for place, word in enumerate(words) if not re.fullmatch(r"[A-Z_]+=\S*", word) or place > 0]
    for word in words:
        path, _, _ = word.partition("::")
        if _PATH.fullmatch(path) and not path.startswith("reports/") and not (root / path).exists():
            return f"there is no file {path}"
    if words[0] != "cubragg":
        return ""
    if words[1] in cli.list_commands(None) and words[1] != "simulate":
        return ""
    try:
        parse(words[2:] if words[1] == "simulate" else words[1:])
    except (CommandLineError, CubraggError) as error:
        return str(error)
    return ""


def _links(root: Path) -> Iterator[str]:
    """Links between documents, and documents that the code names."""
    for path in sorted((root / "specs").rglob("*.md")):
        for target in _LINK.findall(path.read_text()):
            if not (path.parent / target).exists():
                yield f"{path.relative_to(root)}: a link to {target}, which does not exist"
    for folder in ("cubragg", "kernels"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".py", ".cu", ".cuh"):
                for named in _NAMED_DOCUMENT.findall(path.read_text()):
                    if not (root / named).exists():
                        yield f"{path.relative_to(root)}: names {named}, which does not exist"


# Help texts

def help_texts() -> dict[str, str]:
    """The help of the program and of each of its commands, by name of the file that holds it."""
    runner = CliRunner()
    lines = {"cubragg": ["--help"], **{name: [name, "--help"] for name in cli.list_commands(None)}}
    return {f"{name}.txt": runner.invoke(cli, line, prog_name="cubragg", terminal_width=HELP_WIDTH).output
            for name, line in lines.items()}


def help_faults(root: Path) -> Iterator[str]:
    """Help texts that are missing, old, or of no command."""
    texts = help_texts()
    stored = {path.name: path.read_text() for path in (root / "specs/help").glob("*.txt")}
    for name in sorted(texts.keys() | stored.keys()):
        if name not in stored:
            yield f"specs/help/{name}: missing; scripts/lint_docs.py --write stores it"
        elif name not in texts:
            yield f"specs/help/{name}: there is no such command"
        elif texts[name] != stored[name]:
            yield f"specs/help/{name}: not the current help; scripts/lint_docs.py --write stores it"


def write_help(root: Path) -> None:
    """Store the current help texts, and no others."""
    folder = root / "specs/help"
    folder.mkdir(exist_ok=True)
    texts = help_texts()
    for path in folder.glob("*.txt"):
        if path.name not in texts:
            path.unlink()
    for name, text in texts.items():
        (folder / name).write_text(text)


#: Words of the old prose of this code, for which `specs/` has a term of the field.
_OLD_WORDS = re.compile(
    r"\b([Nn]otices?|[Rr]emarks?|[Tt]old|complain\w*|ledgers?|tally|tallies|[Aa]ccounts?|lone|[Ss]tands?|placing|"
    r"standing|settles?|[Pp]ieces?|named_by|[Ww]hoever|heirs?|[Nn]obody|kept_share)\b")
_SOURCES = ("*.py", "*.cu", "*.cuh", "*.cpp", "*.hpp")


def old_words(root: Path) -> Iterator[str]:
    """Lines of the sources with a word that has a better term."""
    for folder in ("cubragg", "kernels"):
        for path in sorted(path for pattern in _SOURCES for path in (root / folder).rglob(pattern)):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
                for found in _OLD_WORDS.finditer(line):
                    yield f"{path.relative_to(root)}:{number}: {found[0]!r} is not a term of the field"


def collected(root: Path) -> set[str]:
    """The ids of all tests under ``root``."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-n", "0", "-m", "",
               "tests"]
    output = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False).stdout
    nodes = {line.strip() for line in output.splitlines() if line.startswith("tests/") and "::" in line}
    if not nodes:
        raise SystemExit(f"lint_docs: no tests could be collected:\n{output}")
    return nodes


def main() -> None:
    """Print the faults."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="store the current help texts first")
    options = parser.parse_args()
    if options.write:
        write_help(ROOT)
    found = list(faults(ROOT, collected(ROOT)))
    for fault in found:
        print(fault)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()

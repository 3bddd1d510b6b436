#!/usr/bin/env python3
"""Keep specification, parity matrix, fix plan, tests, parity cases and help texts together.

    python scripts/lint_docs.py [--write]

One line a fault, exit status 1 if there is any. ``--write`` stores specs/parity-matrix.md and the current help texts
first. Checked are:

- every acceptance id in specs/ is given once and has a title in specs/requirements.toml; no title is without its id;
- every id has a test with its marker, or a case; every marker is on a test and its id exists;
- every comparison test has cases in tests/parity_cases.yaml, no case belongs to no id, golden images exist, and limits
  in the text and in the YAML are the same;
- specs/parity-matrix.md is the current one;
- files, commands and golden images that the fix plan names exist, and so do links between documents, their anchors,
  and the documents that the code names;
- an open failure in the fix plan says how to see it, where it starts, what was tried and when it is done;
- the help of each command is stored under specs/help/ and current;
- docstrings describe no parameter or attribute that the code does not have.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from cubragg.cli.commands import cli
from cubragg.cli.exit_errors import CommandLineError
from cubragg.cli.parser import parse
from cubragg.errors import CubraggError

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "scripts"))

from docstring_names import unknown_names  # noqa: E402
from parity_matrix import CASES, MATRIX, TITLES, cases, limits_of, markers, matrix, requirements, titles  # noqa: E402
from run_page import blocks  # noqa: E402

PLAN, COMPARISONS = "specs/fix-plan.md", "specs/parallel.md"
#: Parts of the description of every open failure.
PLAN_PARTS = ("Reproduction", "First divergence", "Attempts", "Exit criterion")
HELP_WIDTH = 100

_SPAN = re.compile(r"`([^`]+)`")
_LIMIT = re.compile(r"([a-z_]+) = ([-+.0-9e]+)")
_ADDRESS = re.compile(r"\bhttps?:[^\s<>\"'`)\]]*")
_WELL_FORMED = re.compile(r"https://[a-z0-9-]+(\.[a-z0-9-]+)+(/[\w.~/#?=&%+-]*)?[.,;:]?")
_LINK = re.compile(r"\]\(([^)#:\s]*)(#[^)\s]+)?\)")
_FAILURE = re.compile(r"^### (F-\d{3})\b(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
_PATH = re.compile(r"(?:cubragg|kernels|reports|scripts|specs|tests)/[\w./-]*")
_GOLDEN = re.compile(r"(?:p\d{3}|f)-[\w.-]+")
_NAMED_DOCUMENT = re.compile(r"\bspecs/[\w/-]+\.md\b")

Limits = frozenset[tuple[str, float]]


def faults(root: Path) -> Iterator[str]:
    """Every fault in the documents, markers and cases under ``root``."""
    spec = {}
    for at_id, name, text in requirements(root):
        if at_id in spec:
            yield f"specs/{name}: {at_id} is given a second time"
        spec[at_id] = limits_in(text)
    title, failures = titles(root)
    document = cases(root)
    yield from _titles(spec, title, failures)
    yield from _tests(root, spec, document)
    yield from _cases(root, spec, failures, document)
    yield from _plan(root, failures)
    if not (root / MATRIX).exists() or (root / MATRIX).read_text() != matrix(root):
        yield f"{MATRIX}: not the current one; scripts/lint_docs.py --write stores it"
    yield from _named(root)
    yield from _links(root)
    yield from help_faults(root)
    yield from old_words(root)
    yield from unknown_names(root)


def spans(text: str) -> list[str]:
    """The code spans of a text, which may run over the end of a line."""
    return [" ".join(span.split()) for span in _SPAN.findall(text)]


def limits_in(text: str) -> Limits:
    """The limits that a text states, as ``name = value`` in code spans."""
    pairs = (match for span in spans(text) if (match := _LIMIT.fullmatch(span)))
    return frozenset((match[1], float(match[2])) for match in pairs)


def _titles(spec: dict[str, Limits], title: dict[str, str], failures: dict[str, list[str]]) -> Iterator[str]:
    for at_id in sorted(spec.keys() - title.keys()):
        yield f"{TITLES}: {at_id} has no title"
    for at_id in sorted((title.keys() | failures.keys()) - spec.keys()):
        yield f"{TITLES}: {at_id} is named, but no document requires it"


def _tests(root: Path, spec: dict[str, Limits], document: dict[str, Any]) -> Iterator[str]:
    """Markers of no requirement or no test, and requirements without either marker or case."""
    marked = markers(root)
    for at_id, file, line, on_a_test in marked:
        if at_id not in spec:
            yield f"{file}:{line}: a test is marked with {at_id}, but no document requires it"
        if not on_a_test:
            yield f"{file}:{line}: {at_id} marks what is no test"
    tested = {marker.at_id for marker in marked} | document["cases"].keys() | document["golden"].keys()
    for at_id in sorted(spec.keys() - tested):
        yield f"specs: no test is marked with {at_id}"


def _cases(root: Path, spec: dict[str, Limits], failures: dict[str, list[str]],
           document: dict[str, Any]) -> Iterator[str]:
    golden = _golden_images(root)
    for section in ("cases", "golden"):
        for at_id in sorted(document[section].keys() - spec.keys()):
            yield f"{CASES}: {at_id} has {section}, but no document requires it"
    for at_id, names in document["golden"].items():
        for name in names:
            if name not in golden:
                yield f"{CASES}: {at_id}: there is no golden image {name}"
    for at_id, text_limits in spec.items():
        its_cases = document["cases"].get(at_id, [])
        if at_id.startswith("AT-PARALLEL-") and not its_cases:
            yield f"{CASES}: {at_id} has no case"
        for name, value in sorted(text_limits ^ frozenset().union(*map(limits_of, its_cases))):
            side = f"not in {CASES}" if (name, value) in text_limits else f"in {CASES} only"
            yield f"specs: {at_id}, limit {name} = {value:g}: {side}"
    for at_id, its_cases in document["cases"].items():
        for case in its_cases:
            where = f"{CASES}: {at_id}, case {case['id']}"
            for failure in case.get("open", {}).values():
                if failure not in failures.get(at_id, ()):
                    yield f"{where} is open with {failure}; {TITLES} does not say so"
            for name in case.get("golden", ()):
                if name not in golden:
                    yield f"{where}: there is no golden image {name}"
            if "thresholds" in case and not case.get("reason"):
                yield f"{where}: thresholds of its own without a reason"
    stated = limits_in((root / COMPARISONS).read_text().partition("## The tests")[0])
    defaults = frozenset((name, float(value)) for name, value in document["defaults"].items())
    for name, value in sorted(stated ^ defaults):
        yield f"{COMPARISONS}: default limit {name} = {value:g} is not the same in {CASES}"


def _golden_images(root: Path) -> set[str]:
    return {case["id"] for case in json.loads((root / "tests/golden/data/manifest.json").read_text())}


def _plan(root: Path, failures: dict[str, list[str]]) -> Iterator[str]:
    plan = {match[1]: match[2] for match in _FAILURE.finditer((root / PLAN).read_text())}
    for failure, text in plan.items():
        for part in PLAN_PARTS:
            if f"**{part}.**" not in text:
                yield f"{PLAN}: {failure} has no {part}"
    for at_id, its_failures in failures.items():
        for failure in its_failures:
            if failure not in plan:
                yield f"{TITLES}: {at_id} is open with {failure}, which is not in the fix plan"


def _named(root: Path) -> Iterator[str]:
    """Files, golden images and commands in code spans of the fix plan that do not exist."""
    golden = _golden_images(root)
    for span in spans((root / PLAN).read_text()):
        if _PATH.fullmatch(span):
            if not (root / span).exists():
                yield f"{PLAN}: there is no file {span}"
        elif _GOLDEN.fullmatch(span):
            if span not in golden:
                yield f"{PLAN}: there is no golden image {span}"
        elif " " in span and "::" not in span:
            problem = _command_problem(root, shlex.split(span))
            if problem:
                yield f"{PLAN}: {span}: {problem}"


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
    """Links between documents, their anchors, and documents that the code names."""
    for path in sorted([*root.glob("*.md"), *(root / "specs").rglob("*.md")]):
        text = path.read_text()
        made = [block.code for block in blocks(text)]
        for target, anchor in _LINK.findall(text):
            linked = path.parent / target if target else path
            if not linked.exists():
                if not any(target in code for code in made):  # a picture that the code of the page makes
                    yield f"{path.relative_to(root)}: a link to {target}, which does not exist"
            elif anchor and anchor[1:] not in anchors(linked.read_text()):
                yield f"{path.relative_to(root)}: a link to {target}{anchor}, which is no heading there"
        for address in _ADDRESS.findall(text):
            if not _WELL_FORMED.fullmatch(address):
                yield f"{path.relative_to(root)}: the address {address}; https, a host and a path are accepted"
    for folder in ("cubragg", "kernels"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".py", ".cu", ".cuh"):
                for named in _NAMED_DOCUMENT.findall(path.read_text()):
                    if not (root / named).exists():
                        yield f"{path.relative_to(root)}: names {named}, which does not exist"


def anchors(text: str) -> set[str]:
    """The anchors that GitHub and MkDocs give the headings of a document."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", _LINK.sub("]", title)).strip().lower().replace(" ", "-") for title in titles}


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


#: Words of the old prose of this code, alone or in a name, for which `specs/` has a term of the field.
_OLD_WORDS = re.compile(
    r"(?<![A-Za-z])([Nn]otices?|[Rr]emarks?|[Tt]old|[Cc]omplain\w*|ledgers?|tally|tallies|[Aa]ccounts?|lone|[Ss]tands?|"
    r"placing|standing|settles?|[Pp]ieces?|named_by|[Ww]hoever|heirs?|[Nn]obody|kept_share)(?![A-Za-z])")
#: Words and other programs' names with one of them in it.
_ACCEPTED = re.compile(r"[Ss]tand[-_]in|raw_remarks")
_SOURCES = ("*.py", "*.cu", "*.cuh", "*.cpp", "*.hpp")
#: Files that name the words.
_ABOUT_WORDS = ("scripts/lint_docs.py", "tests/unit/test_lint_docs.py")


def old_words(root: Path) -> Iterator[str]:
    """Lines of the sources with a word that has a better term."""
    for folder in ("cubragg", "kernels", "scripts", "tests"):
        for path in sorted(path for pattern in _SOURCES for path in (root / folder).rglob(pattern)):
            name = path.relative_to(root).as_posix()
            if name in _ABOUT_WORDS:
                continue
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
                for found in _OLD_WORDS.finditer(_ACCEPTED.sub("", line)):
                    yield f"{name}:{number}: {found[0]!r} is not a term of the field"


def write(root: Path) -> None:
    """Store what is generated: the parity matrix and the help texts."""
    (root / MATRIX).write_text(matrix(root))
    write_help(root)


def main() -> None:
    """Print the faults."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="store the parity matrix and the current help texts first")
    options = parser.parse_args()
    if options.write:
        write(ROOT)
    found = list(faults(ROOT))
    for fault in found:
        print(fault)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()

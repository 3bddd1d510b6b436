"""The lint of the documents: quiet on ours, and it names each kind of fault that is planted in a copy."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from support.scripts import script

ROOT = Path(__file__).resolve().parents[2]
lint_docs = script("lint_docs")

MATRIX, PLAN, CASES = "specs/parity-matrix.md", "specs/fix-plan.md", "tests/parity_cases.yaml"
TITLES, TESTS = "specs/requirements.toml", "tests/unit/test_detector.py"


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the documents and tests, with the rest of the project behind links."""
    tmp_path = tmp_path_factory.mktemp("tree")
    shutil.copytree(ROOT / "specs", tmp_path / "specs")
    for path in ROOT.glob("*.md"):
        shutil.copyfile(path, tmp_path / path.name)
    (tmp_path / ".ci").symlink_to(ROOT / ".ci")
    for name in ("LICENSE", "CITATION.cff"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    for folder in ("scripts", "kernels"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    shutil.copytree(ROOT / "cubragg", tmp_path / "cubragg", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__", "data"))
    for folder in ("tests/data", "tests/golden/data"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    lint_docs.write(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def before(tree):
    """Faults of the copy as it is, if any."""
    return set(lint_docs.faults(tree))


@pytest.fixture
def plant(tree):
    """Change the first match of a pattern in a document, until the test ends."""
    whole = {}

    def change(place: str, pattern: str, replacement: str) -> None:
        path = tree / place
        whole[path] = path.read_text()
        text, times = re.subn(pattern, replacement, whole[path], count=1, flags=re.MULTILINE)
        assert times == 1, f"nothing like {pattern} in {place}"
        path.write_text(text)

    yield change
    for path, text in whole.items():
        path.write_text(text)


def test_our_documents_are_in_order():
    assert list(lint_docs.faults(ROOT)) == []


FAULTS = {
    "a requirement without a title": (
        TITLES, r"^AT-GEO-009 = .*\n", "", f"{TITLES}: AT-GEO-009 has no title"),
    "a title without a requirement": (
        "specs/geometry.md", r"^- \*\*AT-GEO-009\*\*", "-",
        f"{TITLES}: AT-GEO-009 is named, but no document requires it"),
    "a marker without a requirement": (
        TESTS, r'"AT-GEO-009"', '"AT-GEO-099"',
        f"{TESTS}: a test is marked with AT-GEO-099, but no document requires it"),
    "a requirement without a test": (
        TESTS, r'requirement\("AT-GEO-009"\)', "usefixtures()", "specs: no test is marked with AT-GEO-009"),
    "a marker that is no string": (
        TESTS, r'"AT-GEO-009"', "f'AT-{9}'", f"{TESTS}: a test is marked with f'AT-{{9}}', "
        "but no document requires it"),
    "a marker on a helper": (
        TESTS, r"def test_a_detector_behind_the_sample", "def a_detector_behind_the_sample",
        f"{TESTS}: AT-GEO-009 marks what is no test"),
    "an old matrix": (
        MATRIX, r"detector behind the sample", "detectors", f"{MATRIX}: not the current one; "
        "scripts/lint_docs.py --write stores it"),
    "an id given twice": (
        "specs/geometry.md", r"^- \*\*AT-GEO-009\*\*", "- **AT-GEO-008**",
        "specs/geometry.md: AT-GEO-008 is given a second time"),
    "a comparison without a case": (
        CASES, r"^  AT-PARALLEL-008:\n.*\n", "", f"{CASES}: AT-PARALLEL-008 has no case"),
    "an old word in the sources": (
        "cubragg/units.py", r'\A"""', '"""Told. ', "cubragg/units.py:1: 'Told' is not a term of the field"),
    "an old word in a name": (
        TESTS, r"def test_a_detector_behind", "def test_a_lone_detector_behind",
        f"{TESTS}: 'lone' is not a term of the field"),
    "an attribute that was renamed": (
        "cubragg/cli/settings_builder.py", r"^    provenance$", "    origins",
        "cubragg/cli/settings_builder.py: Replay has no origins, which its docstring describes"),
    "cases of no id": (
        CASES, r"^  AT-POL-002:", "  AT-POL-022:", f"{CASES}: AT-POL-022 has cases, but no document requires it"),
    "a limit in the text that the YAML has not": (
        "specs/parallel.md", r"`bragg_distance_px = 0.75`", "`bragg_distance_px = 0.7`",
        "specs: AT-PARALLEL-006, limit bragg_distance_px = 0.7: not in tests/parity_cases.yaml"),
    "a limit that the text does not tell": (
        "specs/parallel.md", r"`bragg_distance_px = 0.75`", "",
        "specs: AT-PARALLEL-006, limit bragg_distance_px = 0.75: in tests/parity_cases.yaml only"),
    "another default": (
        "specs/parallel.md", r"`sum_ratio = 1e-6`", "`sum_ratio = 1e-7`",
        f"specs/parallel.md: default limit sum_ratio = 1e-07 is not the same in {CASES}"),
    "thresholds without a reason": (
        CASES, r"\{id: triclinic, golden", "{id: triclinic, thresholds: {correlation: 0.9}, golden",
        f"{CASES}: AT-PARALLEL-008, case triclinic: thresholds of its own without a reason"),
    "a golden image that is not there": (
        CASES, r"golden: \[p025-max\]", "golden: [p025-least]",
        f"{CASES}: AT-PARALLEL-025, case maximum: there is no golden image p025-least"),
    "a golden image of a requirement that is not there": (
        CASES, r"\[f-curved\]", "[f-flat]", f"{CASES}: AT-GEO-005: there is no golden image f-flat"),
    "golden images of no id": (
        CASES, r"^  AT-GEO-005: ", "  AT-GEO-095: ", f"{CASES}: AT-GEO-095 has golden, but no document requires it"),
    "an open case that is not open in the titles": (
        CASES, r"\{id: maximum, ", "{id: maximum, open: {numpy: F-001}, ",
        f"{CASES}: AT-PARALLEL-025, case maximum is open with F-001; {TITLES} does not say so"),
    "a failure that the plan does not have": (
        TITLES, r'^AT-PARALLEL-003 = \["F-001"\]', 'AT-PARALLEL-003 = ["F-099"]',
        f"{TITLES}: AT-PARALLEL-003 is open with F-099, which is not in the fix plan"),
    "a failure without its end": (
        PLAN, r"\*\*Exit criterion\.\*\*", "", f"{PLAN}: F-001 has no Exit criterion"),
    "a file that is not there": (
        PLAN, r"`cubragg/engine/reference/lattice.py`", "`cubragg/render/lettuce.py`",
        f"{PLAN}: there is no file cubragg/render/lettuce.py"),
    "an artifact that is not there": (
        PLAN, r"^## Explained", "See `reports/2026-01-01-AT-PARALLEL-001/sizes/`.\n\n## Explained",
        f"{PLAN}: there is no file reports/2026-01-01-AT-PARALLEL-001/sizes/"),
    "a golden image in the plan that is not there": (
        PLAN, r"`p012-tilted`", "`p012-upright`", f"{PLAN}: there is no golden image p012-upright"),
    "a command with an unknown flag": (
        PLAN, r"^## Explained", "Run `cubragg -default_F 100 -cel 100`.\n\n## Explained",
        f"{PLAN}: cubragg -default_F 100 -cel 100: No such option '-cel'. Did you mean '-cell'?"),
    "a command without its script": (
        PLAN, r"^## Explained", "Run `python scripts/nothing.py --all`.\n\n## Explained",
        f"{PLAN}: python scripts/nothing.py --all: there is no file scripts/nothing.py"),
    "a link to no heading": (
        "README.md", r"\(#how-to-cite\)", "(#how-to-site)",
        "README.md: a link to #how-to-site, which is no heading there"),
    "a picture that no code makes": (
        "specs/guide/gallery.md", r"\(fire\.png\)", "(water.png)",
        "specs/guide/gallery.md: a link to water.png, which does not exist"),
    "an address without its host": (
        "README.md", r"https://github\.com/bl831", "https:/bl831",
        "README.md: the address https:/bl831/nanoBragg; https, a host and a path are accepted"),
    "a link to nowhere": (
        "specs/README.md", r"\]\(noise.md\)", "](noises.md)",
        "specs/README.md: a link to noises.md, which does not exist"),
    "code that names no document": (
        "cubragg/plan/pixel_factors.py", r"specs/geometry.md", "specs/geometries.md",
        "cubragg/plan/pixel_factors.py: names specs/geometries.md, which does not exist"),
    "an old help text": (
        "specs/help/simulate.txt", r"-cell", "-cll",
        "specs/help/simulate.txt: not the current help; scripts/lint_docs.py --write stores it"),
}


@pytest.mark.requirement("AT-TOOLS-003")
@pytest.mark.parametrize(("place", "pattern", "replacement", "expected"), FAULTS.values(), ids=FAULTS)
def test_each_planted_fault_is_named(tree, before, plant, place, pattern, replacement, expected):
    plant(place, pattern, replacement)
    found = [fault for fault in lint_docs.faults(tree) if fault not in before]
    # The line of a test changes with the tests above it.
    assert expected in found or expected in [re.sub(r"\.py:\d+:", ".py:", fault) for fault in found]
    # A fault may bring company: what is renamed is missing under one name, with its case and limits, and new under
    # the other. It never floods the list.
    assert len(found) <= 4


def test_help_files_come_and_go(tree):
    assert list(lint_docs.help_faults(tree)) == []
    (tree / "specs/help/simulate.txt").unlink()
    (tree / "specs/help/nothing.txt").write_text("Usage: nothing\n")
    assert list(lint_docs.help_faults(tree)) == [
        "specs/help/nothing.txt: there is no such command",
        "specs/help/simulate.txt: missing; scripts/lint_docs.py --write stores it"]
    lint_docs.write_help(tree)
    assert list(lint_docs.help_faults(tree)) == []


@pytest.mark.parametrize(("planted", "status"), [(False, 0), (True, 1)])
def test_exit_status_and_one_line_a_fault(tree, plant, planted, status, monkeypatch, capsys):
    if planted:
        plant(PLAN, r"`p012-tilted`", "`p012-upright`")
    monkeypatch.setattr(lint_docs, "ROOT", tree)
    monkeypatch.setattr(sys, "argv", ["lint_docs.py"])
    with pytest.raises(SystemExit) as end:
        lint_docs.main()
    lines = capsys.readouterr().out.splitlines()
    assert (end.value.code, len(lines)) == (status, status)

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


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the documents, with the rest of the project behind links."""
    tmp_path = tmp_path_factory.mktemp("tree")
    shutil.copytree(ROOT / "specs", tmp_path / "specs")
    shutil.copyfile(ROOT / "CHANGELOG.md", tmp_path / "CHANGELOG.md")
    for folder in ("scripts", "kernels"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    shutil.copytree(ROOT / "cubragg", tmp_path / "cubragg", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "tests").mkdir()
    for path in (ROOT / "tests").iterdir():
        if path.name != "parity_cases.yaml":
            (tmp_path / "tests" / path.name).symlink_to(path)
    shutil.copyfile(ROOT / CASES, tmp_path / CASES)
    lint_docs.write_help(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def nodes():
    """Every test that the matrix names: whether they exist is what `test_our_documents_are_in_order` asks pytest."""
    rows = lint_docs._rows((ROOT / MATRIX).read_text())
    return {test for _, row in rows for test in row.tests}


@pytest.fixture(scope="module")
def before(tree, nodes):
    """Faults of the copy as it is, if any."""
    return set(lint_docs.faults(tree, nodes))


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


@pytest.mark.slow
def test_our_documents_are_in_order():
    assert list(lint_docs.faults(ROOT, lint_docs.collected(ROOT))) == []


FAULTS = {
    "a requirement without a row": (
        "specs/geometry.md", r"^- \*\*AT-GEO-009\*\*", "- **AT-GEO-099** More.\n- **AT-GEO-009**",
        f"{MATRIX}: AT-GEO-099 has no row of six columns"),
    "a row without a requirement": (
        "specs/geometry.md", r"^- \*\*AT-GEO-009\*\*", "-",
        f"{MATRIX}: AT-GEO-009 has a row, but no document requires it"),
    "an id given twice": (
        "specs/noise.md", r"^- \*\*AT-NOISE-003\*\*", "- **AT-NOISE-002**",
        "specs/noise.md: AT-NOISE-002 is given a second time"),
    "two rows of one id": (
        MATRIX, r"^(\| AT-GEO-009 .*)$", r"\1\n\1", f"{MATRIX}: AT-GEO-009 has 2 rows"),
    "a row without a test": (
        MATRIX, r"^\| AT-GEO-009 \|([^|]*)\|[^|]*\|", r"| AT-GEO-009 |\1| |", f"{MATRIX}: AT-GEO-009 names no test"),
    "a test that does not exist": (
        MATRIX, r"test_a_detector_behind_the_sample", "test_nothing",
        f"{MATRIX}: AT-GEO-009 names tests/unit/test_detector.py::test_nothing; there is no such test"),
    "a parameter that does not exist": (
        MATRIX, r"test_float_image\[f-curved\]", "test_float_image[f-flat]",
        f"{MATRIX}: AT-GEO-005 names tests/golden/test_golden.py::test_float_image[f-flat]; there is no such test"),
    "a comparison without a case": (
        CASES, r"^  AT-PARALLEL-008:\n.*\n", "", f"{CASES}: AT-PARALLEL-008 has no case"),
    "an old word in the sources": (
        "cubragg/units.py", r'\A"""', '"""Told. ', "cubragg/units.py:1: 'Told' is not a term of the field"),
    "cases of no id": (
        CASES, r"^  AT-POL-002:", "  AT-POL-022:", f"{CASES}: AT-POL-022 has cases, but no document requires it"),
    "a case that the row leaves out": (
        MATRIX, r" `slope-of-cells`", "", f"{MATRIX}: AT-PARALLEL-009, case slope-of-cells: the row does not name it"),
    "a case that is not there": (
        CASES, r"id: slope-of-cells", "id: slope",
        f"{MATRIX}: AT-PARALLEL-009, case slope-of-cells: the YAML does not have it"),
    "a limit in the text that the YAML has not": (
        "specs/parallel.md", r"`bragg_distance_px = 0.75`", "`bragg_distance_px = 0.7`",
        "specs: AT-PARALLEL-006, limit bragg_distance_px = 0.7: not in tests/parity_cases.yaml"),
    "a limit that the text does not tell": (
        "specs/parallel.md", r"`bragg_distance_px = 0.75`", "",
        "specs: AT-PARALLEL-006, limit bragg_distance_px = 0.75: in tests/parity_cases.yaml only"),
    "a limit in the row that the YAML has not": (
        MATRIX, r"`bragg_distance_px = 0.75`", "`bragg_distance_px = 0.5`",
        f"{MATRIX}: AT-PARALLEL-006, limit bragg_distance_px = 0.5: not in {CASES}"),
    "another default": (
        "specs/parallel.md", r"`sum_ratio = 1e-6`", "`sum_ratio = 1e-7`",
        f"specs/parallel.md: default limit sum_ratio = 1e-07 is not the same in {CASES}"),
    "thresholds without a reason": (
        CASES, r"\{id: triclinic, golden", "{id: triclinic, thresholds: {correlation: 0.9}, golden",
        f"{CASES}: AT-PARALLEL-008, case triclinic: thresholds of its own without a reason"),
    "a golden image that is not there": (
        CASES, r"golden: \[p025-max\]", "golden: [p025-least]",
        f"{CASES}: AT-PARALLEL-025, case maximum: there is no golden image p025-least"),
    "an open case that the row takes for done": (
        CASES, r"\{id: maximum, ", "{id: maximum, open: {numpy: F-001}, ",
        f"{MATRIX}: AT-PARALLEL-025, case maximum is open with F-001; the state does not say so"),
    "a state that is none": (
        MATRIX, r"^(\| AT-GEO-009 .*)\| holds \|$", r"\1| mostly |",
        f"{MATRIX}: AT-GEO-009 is in state 'mostly'; accepted are holds, or a failure of the fix plan"),
    "a failure that the plan does not have": (
        MATRIX, r"^(\| AT-GEO-009 .*)\| holds \|$", r"\1| open: F-099 |",
        f"{MATRIX}: AT-GEO-009 is open with F-099, which is not in the fix plan"),
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


@pytest.mark.parametrize(("place", "pattern", "replacement", "expected"), FAULTS.values(), ids=FAULTS)
def test_each_planted_fault_is_named(tree, nodes, before, plant, place, pattern, replacement, expected):
    plant(place, pattern, replacement)
    found = [fault for fault in lint_docs.faults(tree, nodes) if fault not in before]
    assert expected in found
    # A fault may bring company: what is renamed is missing under one name, with its case and limits, and new under
    # the other. It never floods the list.
    assert len(found) <= 4


def test_help_files_come_and_go(tree, nodes):
    assert list(lint_docs.help_faults(tree)) == []
    (tree / "specs/help/simulate.txt").unlink()
    (tree / "specs/help/nothing.txt").write_text("Usage: nothing\n")
    assert list(lint_docs.help_faults(tree)) == [
        "specs/help/nothing.txt: there is no such command",
        "specs/help/simulate.txt: missing; scripts/lint_docs.py --write stores it"]
    lint_docs.write_help(tree)
    assert list(lint_docs.help_faults(tree)) == []


@pytest.mark.parametrize(("planted", "status"), [(False, 0), (True, 1)])
def test_exit_status_and_one_line_a_fault(tree, nodes, plant, planted, status, monkeypatch, capsys):
    if planted:
        plant(PLAN, r"`p012-tilted`", "`p012-upright`")
    monkeypatch.setattr(lint_docs, "ROOT", tree)
    monkeypatch.setattr(lint_docs, "collected", lambda root: nodes)
    monkeypatch.setattr(sys, "argv", ["lint_docs.py"])
    with pytest.raises(SystemExit) as end:
        lint_docs.main()
    lines = capsys.readouterr().out.splitlines()
    assert (end.value.code, len(lines)) == (status, status)

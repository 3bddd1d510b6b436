"""The code of the guide, run as it is printed; and that the guide has every page, command and name."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import cubragg
from support.scripts import script

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "specs/guide"
PAGES = sorted(GUIDE.glob("*.md"))
run_page = script("run_page")
#: Pages that take seconds, for the quick tests.
_QUICK = ("README", "benchmarks", "install", "theory")
_WITH_CODE = [page for page in PAGES if list(run_page.blocks(page.read_text(encoding="utf-8")))]


@pytest.mark.parametrize("page", [pytest.param(page, id=page.stem, marks=[pytest.mark.slow] * (page.stem not in _QUICK))
                                  for page in _WITH_CODE])
def test_the_code_of_a_page_runs(page, tmp_path):
    if lacking := run_page.missing(page.read_text(encoding="utf-8")):
        pytest.skip(f"needs {', '.join(lacking)}")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}
    done = subprocess.run([sys.executable, str(ROOT / "scripts/run_page.py"), str(page)], cwd=tmp_path, text=True,
                          env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout
    for name in run_page.pictures(page.read_text(encoding="utf-8")):
        assert (tmp_path / name).stat().st_size > 1000


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_of_a_page_is_run_or_is_no_code(page):
    text = page.read_text(encoding="utf-8")
    languages = re.findall(r"^ *```(\S+)", text, re.MULTILINE)
    assert set(languages) <= {"sh", "console", "python", "py", "pycon", "text"}
    assert not re.search(r"^\s*(\.\.\.|# \.\.\.)\s*$", text, re.MULTILINE), "code is left out"


@pytest.mark.parametrize(("block", "fault"), [
    ("sh\nfalse\ntrue", "exit status 1"), ("console\n$ echo one; echo two\ntwo\none", "does not print 'one'"),
    ("pycon\n>>> 1 + 1\n3", "Expected"), ("python\nassert 1 == 2", "AssertionError"), ("perl\n1", "cannot be run"),
    ("py\nabsent = 1", "no script")])
def test_a_fault_in_a_page_is_found(tmp_path, block, fault):
    page = tmp_path / "page.md"
    page.write_text(f"Text\n\n```sh\ntrue\n```\n\n```{block}\n```\n")
    done = subprocess.run([sys.executable, str(ROOT / "scripts/run_page.py"), str(page)], cwd=tmp_path, text=True,
                          capture_output=True, check=False)
    assert done.returncode == 1
    assert fault in done.stderr
    assert re.search(r"page\.md.*line 7|page\.md\", line 8", done.stderr)


def test_the_site_lists_pages_that_exist():
    text = (ROOT / ".ci/site/mkdocs.yml").read_text()
    listed = re.findall(r"[\w/.-]+\.md", text.partition("\nnav:")[2])
    pages = {path.relative_to(ROOT / "specs").as_posix() for path in (ROOT / "specs").rglob("*.md")}
    assert sorted(set(listed)) == sorted(listed)
    assert set(listed) <= pages  # the hooks add the others


def test_the_reference_has_every_command_and_every_name():
    commands = set(re.findall(r'--8<-- "help/(\S+)\.txt"', (GUIDE / "commands.md").read_text()))
    assert commands == {path.stem for path in (ROOT / "specs/help").glob("*.txt")}
    names = set(re.findall(r"^::: cubragg\.(\w+)$", (GUIDE / "api.md").read_text(), re.MULTILINE))
    assert names == {*cubragg.__all__, "testing", "torch"}


def test_pictures_of_pages_have_different_names():
    names = [name for page in PAGES for name in run_page.pictures(page.read_text(encoding="utf-8"))]
    assert sorted(set(names)) == sorted(names)

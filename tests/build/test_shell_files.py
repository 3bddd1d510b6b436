"""Man page and completions, made from the commands, and the recipes of the release."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from cubragg.cli.flags import FLAGS
from support.scripts import script

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """A prefix with the files."""
    folder = tmp_path_factory.mktemp("prefix")
    subprocess.run([sys.executable, ROOT / "scripts/shell_files.py", folder], check=True, capture_output=True)
    return folder


@pytest.mark.skipif(not shutil.which("groff"), reason="no groff")
def test_groff_accepts_the_man_page_and_prints_every_command_and_flag(prefix):
    page = prefix / "share/man/man1/cubragg.1"
    done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-P-cbu", page], check=True, capture_output=True,
                          text=True)
    assert done.stderr == ""
    words = set(re.split(r"[\s,|]+", done.stdout))
    assert {name for flag in FLAGS for name in flag.names[:1]} <= words
    for name in ("simulate", "sweep", "stills", "sf", "view", "compare", "trace", "doctor"):
        assert f"CUBRAGG {name.upper()}" in done.stdout


@pytest.mark.parametrize(("line", "expected"), [("cubragg dep", ""), ("cubragg comp", "compare"),
                                                ("cubragg simulate --backe", "--backend"),
                                                ("cubragg -default_", "-default_F")])
def test_bash_completes_with_the_installed_file(prefix, tmp_path, line, expected):
    program = tmp_path / "cubragg"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cubragg "$@"\n')
    program.chmod(0o755)
    file = prefix / "share/bash-completion/completions/cubragg"
    words = line.split()
    shell = (f"source {file}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _cubragg_completion cubragg; "
             'echo "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "-c", shell], check=True, capture_output=True, text=True,
                          env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)})
    assert done.stdout.split() == expected.split()


def test_files_are_where_the_build_looks_for_them(prefix):
    made = {path.relative_to(prefix).as_posix() for path in prefix.rglob("*") if path.is_file()}
    assert made == set(script("shell_files").PLACES.values())


def test_the_conda_recipe_has_the_requirements_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    text = re.sub(r"{%.*?%}\n|{{.*?}}", "", (ROOT / ".ci/conda/meta.yaml").read_text())
    recipe = yaml.safe_load(text)["requirements"]
    names = {"msgpack": "msgpack-python"}  # as conda-forge has it

    def plain(requirements):
        pairs = (re.fullmatch(r"([\w-]+)\s*(.*)", one).groups() for one in requirements)
        return {names.get(name, name): limits for name, limits in pairs}

    expected = plain(project["project"]["dependencies"]) | {"python": project["project"]["requires-python"]}
    assert plain(recipe["run"]) == expected
    host = plain(project["build-system"]["requires"]) | {"python": expected["python"], "pip": ""}
    assert plain(recipe["host"]) == host


def test_workflows_name_files_that_exist():
    for path in (ROOT / ".github/workflows").glob("*.yml"):
        for job in yaml.safe_load(path.read_text())["jobs"].values():
            for step in job["steps"]:
                for named in re.findall(r"(?<![\w/])(?:\.ci|scripts|tests)/[\w./-]+", step.get("run", "")):
                    assert (ROOT / named).exists(), f"{path.name}: {named}"

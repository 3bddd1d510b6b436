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
RECIPE = ROOT / ".ci/conda/recipe.yaml"


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


def cubragg_command(folder: Path) -> None:
    """Make a command cubragg in a folder."""
    program = folder / "cubragg"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cubragg "$@"\n')
    program.chmod(0o755)


def environment(folder: Path) -> dict[str, str]:
    """The environment in which shells find that command."""
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize(("line", "expected"), [("cubragg dep", ""), ("cubragg comp", "compare"),
                                                ("cubragg simulate --backe", "--backend"),
                                                ("cubragg -default_", "-default_F")])
def test_bash_completes_with_the_installed_file(prefix, tmp_path, line, expected):
    cubragg_command(tmp_path)
    file = prefix / "share/bash-completion/completions/cubragg"
    words = line.split()
    shell = (f"source {file}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _cubragg_completion cubragg; "
             'echo "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "-c", shell], check=True, capture_output=True, text=True, env=environment(tmp_path))
    assert done.stdout.split() == expected.split()


@pytest.mark.skipif(not shutil.which("fish"), reason="no fish")
@pytest.mark.parametrize(("line", "expected"), [("cubragg comp", "compare"), ("cubragg view --png-sc", "--png-scale"),
                                                ("cubragg view --png-scale l", "linear log")])
def test_fish_completes(prefix, tmp_path, line, expected):
    cubragg_command(tmp_path)
    file = prefix / "share/fish/vendor_completions.d/cubragg.fish"
    done = subprocess.run(["fish", "-N", "-c", f"source {file}; complete -C '{line}'"], check=True, capture_output=True,
                          text=True, env=environment(tmp_path))
    assert [row.split("\t")[0] for row in done.stdout.splitlines()] == expected.split()


@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh")
def test_zsh_completes(prefix, tmp_path):
    """The file with stubs of zsh's completion system that print what they are given."""
    cubragg_command(tmp_path)
    file = prefix / "share/zsh/site-functions/_cubragg"
    stubs = "compdef() { }; compadd() { print -rl -- $completions }; _describe() { print -rl -- ${(P)3} }"
    for line, expected in (("cubragg view --png-scale l", ["linear", "log"]), ("cubragg st", ["stills"])):
        words = line.split()
        shell = f"{stubs}; words=({line}); CURRENT={len(words)}; source {file}; _cubragg_completion"
        done = subprocess.run(["zsh", "-f", "-c", shell], capture_output=True, text=True, env=environment(tmp_path))
        assert [row.partition(":")[0] for row in done.stdout.splitlines()] == expected, done.stderr


def test_files_are_where_the_build_looks_for_them(prefix):
    made = {path.relative_to(prefix).as_posix() for path in prefix.rglob("*") if path.is_file()}
    assert made == set(script("shell_files").PLACES.values())


def test_the_conda_recipe_has_the_requirements_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    recipe = yaml.safe_load(RECIPE.read_text())["requirements"]
    names = {"msgpack": "msgpack-python"}  # as conda-forge has it

    def plain(requirements):
        pairs = (re.fullmatch(r"([\w-]+)\s*(.*)", one).groups() for one in requirements)
        return {names.get(name, name): limits for name, limits in pairs}

    expected = plain(project["project"]["dependencies"]) | {"python": project["project"]["requires-python"]}
    assert plain(recipe["run"]) == expected
    host = plain(project["build-system"]["requires"]) | {"python": expected["python"], "pip": ""}
    assert plain(recipe["host"]) == host


def test_rattler_build_renders_the_conda_recipe():
    """It refuses keys and kinds of values that a recipe does not have."""
    rattler_build = pytest.importorskip("rattler_build", reason="needs py-rattler-build (extra ci-lint)")
    recipe = rattler_build.Stage0Recipe.from_yaml(RECIPE.read_text())
    variant, = recipe.render(rattler_build.VariantConfig())
    assert variant.recipe.package.name == "cubragg"
    with pytest.raises(rattler_build.RattlerBuildError):
        rattler_build.Stage0Recipe.from_yaml(RECIPE.read_text().replace("noarch", "noarchs"))


def test_workflows_name_files_that_exist():
    for path in (ROOT / ".github/workflows").glob("*.yml"):
        for job in yaml.safe_load(path.read_text())["jobs"].values():
            for step in job["steps"]:
                for named in re.findall(r"(?<![\w/])(?:\.ci|scripts|tests)/[\w./-]+", step.get("run", "")):
                    assert (ROOT / named).exists(), f"{path.name}: {named}"

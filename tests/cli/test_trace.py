"""``cubragg trace`` from the command line."""

from __future__ import annotations

import json
import os
import shlex
import stat
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cubragg.cli import trace as module
from cubragg.cli.commands import cli
from support.messages import refused, states

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("NB_C_BIN")
FLAGS = "-default_F 100 -cell 60 60 60 90 90 90 -N 5 -misset 10 20 30 -lambda 1.2 -detpixels 32 -pixel 0.8 " \
        "-oversample 1"


def run(line: str):
    return CliRunner().invoke(cli, ["trace", *shlex.split(line)], prog_name="cubragg")


def executable(name: str, command_line: str) -> str:
    """A program that runs ``command_line`` with its own flags at ``$@``."""
    path = Path(name).absolute()
    path.write_text(f"#!/bin/sh\n{command_line}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def stand_in(flags: str = "") -> str:
    """A program that takes the C program's flags: cubragg, with flags planted at the end."""
    path = shlex.quote(str(ROOT))
    return executable("nb", f'PYTHONPATH={path} exec {sys.executable} -m cubragg "$@" {flags} --backend numpy --quiet')


def planted(flags: str) -> str:
    """The C program with flags planted at the end of its command line."""
    return executable("planted", f'exec {PROGRAM} "$@" {flags}')


def first(result) -> str:
    assert result.exit_code == 3, result.output
    return result.output.splitlines()[0].partition(", after")[0].removeprefix("first divergence: ")


def test_every_step_and_the_short_form():
    result = run(f"12 14 {FLAGS}")
    assert result.exit_code == 0
    assert result.output.startswith("experiment\n  wavelength                 1.2e-10 m\ndetector\n")
    assert "\nlayer 0\n  sub-pixel 0 0 (slow fast)\n    position   " in result.output
    short = run(f"12 14 --last {FLAGS}")
    assert short.output.startswith("  12   14 : stol = ")
    assert result.output.endswith("\nas the C program prints it\n" + short.output)


def test_json_against_itself_and_against_others():
    assert run(f"12 14 --json t.json {FLAGS}").exit_code == 0
    steps = json.loads(Path("t.json").read_text())["steps"]
    same = run(f"12 14 {FLAGS} --against t.json")
    assert same.exit_code == 0
    states(same.output.removesuffix("\n"), "no divergence", f"{len(steps)}", "1e-09")
    for flags, named in (("-distance 100.0001", "detector: distance [m]"),
                         ("-lambda 1.2000012", "experiment: wavelength [m]"),
                         ("-default_F 100.001", "layer 0, sub-pixel 0 0 (slow fast), source 0, phi 0, domain 0: F_cell "
                                                "[electrons]"),
                         ("-misset 10 20 30.0001", "crystal: misset [deg]"), ("-N 6", "crystal: cells"),
                         ("-xds", "detector: convention"), ("-Xbeam 12.8001", "detector: pix0 [m]"),
                         ("-polar 0.5", "beam: Kahn factor"), ("-phi 1e-4", "rotation: phi 0 [deg]")):
        assert first(run(f"12 14 {FLAGS} {flags} --against t.json")) == named
    assert run(f"12 14 {FLAGS} -distance 100.0001 --against t.json --tolerance 1e-3").exit_code == 0
    off = run(f"12 14 {FLAGS} -distance 100.0001 --against t.json").output.splitlines()
    assert [line.split()[0] for line in off[1:3]] == ["here", "there"]
    assert [line.split()[1] for line in off[1:3]] == ["0.1000001", "0.1"]
    states(off[3], "1e-07", "9.99999e-07", "absolute", "relative")


def test_swapped_axes_are_named():
    axes = "-fdet_vector {} -sdet_vector {}"
    assert run(f"12 14 --json t.json {FLAGS} {axes.format('0 0 1', '0 -1 0')}").exit_code == 0
    assert first(run(f"12 14 {FLAGS} {axes.format('0 -1 0', '0 0 1')} --against t.json")) == "detector: fast axis"


@pytest.mark.requirement("AT-TOOLS-002")
def test_against_a_program():
    same = run(f"12 14 {FLAGS} --against {stand_in()}")
    assert same.exit_code == 0, same.output
    states(same.output.splitlines()[0], "no divergence", "15", "digits")
    assert first(run(f"12 14 {FLAGS} --against {stand_in(flags='-distance 101')}")) == "pixel: position [m]"


@pytest.mark.requirement("AT-TOOLS-006")
@pytest.mark.parametrize(("line", "status", "says"), [
    (f"12 {FLAGS}", 2, ("SLOW", "-default_F", "integer")),
    ("12", 2, ("SLOW", "", "argument")),
    (f"-1 2 {FLAGS}", 2, ("FAST", "-1", "x>=0")),
    (f"12 32 {FLAGS}", 2, ("trace", "12 32", "0 to 31 fast", "0 to 31 slow")),
    (f"12 14 {FLAGS} --semantics physical", 2,
     ("semantics", "physical", "nanobragg", "trace")),
    (f"12 14 {FLAGS} -lambda 0", 2, ("-lambda", "0 A", "wavelength")),
    (f"12 14 {FLAGS} --last --json x.json", 2, ("--last", "--json", "--against")),
    (f"12 14 {FLAGS} --tolerance 2", 2, ("--tolerance", "2", "from 0", "below 1")),
    (f"12 14 {FLAGS} --tolerance x", 2, ("--tolerance", "x", "number")),
    (f"12 14 {FLAGS} --against", 2, ("--against", "", "argument")),
    (f"12 14 {FLAGS} --tolerance nan", 2, ("--tolerance", "nan", "finite")),
    (f"12 14 {FLAGS} --tolerence 1e-3", 2, ("--tolerence", "", "--tolerance")),
    (f"12 14 {FLAGS} -lamda 1", 2, ("-lamda", "", "-lambda")),
    (f"12 14 {FLAGS} --against none", 2,
     ("--against", "none", "JSON", "program")),
    (f"12 14 {FLAGS} --against none.json", 2, ("--against", "none.json", "no such file")),
    (f"12 14 {FLAGS} --against other.json", 2,
     ("--against", "1 2", "12 14")),
    (f"12 14 {FLAGS} --against /bin/true --tolerance 1e-3", 2,
     ("--tolerance", "", "program", "digits")),
    (f"12 14 {FLAGS} --against broken.json", 1,
     ("broken.json", "", "trace", "'steps'", "cubragg trace --json")),
    (f"12 14 {FLAGS} --against /bin/false", 1, ("/bin/false", "1", "exit status")),
    (f"12 14 {FLAGS} --json none/x.json", 1, ("none/x.json", "", "No such file")),
])
def test_how_it_ends(line, status, says):
    Path("broken.json").write_text("{}")
    Path("other.json").write_text('{"fast": 1, "slow": 2, "steps": []}')
    refused(run(line), status, *says)


def test_help():
    for line in ("-h", "12 14 -phi 5 -help", "12 --help"):
        result = run(line)
        assert result.exit_code == 0
        for name in (*module.command.spellings(), "3 if a quantity differs"):
            assert name in " ".join(result.output.split())
    assert run("").exit_code == 2


@pytest.mark.c_program
@pytest.mark.parametrize(("flags", "named"), [
    ("", ""), ("-distance 100.001", "detector: distance [m]"),
    # Six digits do not show it, ten do.
    ("-distance 100.0001", "pixel: solid angle [sr]"),
    ("-lambda 1.20001", "experiment: wavelength [m]"), ("-polar 0.1", "beam: Kahn factor"),
    ("-mosaic_seed 3", "pixel: a [A]"), ("-default_F 100.001", "pixel: F_cell"),
    ("-Xbeam 12.81", "detector: DIALS origin [mm]"),
    ("-fdet_vector 0 -1 0 -sdet_vector 0 0 1", "detector: fast axis"),
])
def test_the_c_program_itself(flags, named):
    line = f"12 14 {FLAGS} -mosaic 1 -mosaic_domains 3 -phi 1 -osc 1 -phisteps 2 -beam_vector 1 0 0"
    result = run(f"{line} --against {planted(flags)}")
    if named:
        assert first(result) == named
    else:
        assert result.exit_code == 0, result.output
        assert int(result.output.split()[2]) >= 45


@pytest.mark.c_program
def test_a_pixel_that_the_c_program_does_not_render():
    result = run(f"12 14 {FLAGS} --against {planted('-roi 0 3 0 3')}")
    assert result.exit_code == 1
    states(result.stderr.splitlines()[-1], "the C program", "12 14", "pixel")
    assert os.listdir() == ["planted"]

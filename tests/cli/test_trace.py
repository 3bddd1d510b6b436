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
from cubragg.cli.main import cli

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
    assert (same.exit_code, same.output) == (0, f"no divergence: {len(steps)} quantities agree within 1e-09\n")
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
    assert off[1:] == ["  here      0.1000001", "  there     0.1", "  off by    1e-07 absolute, 9.99999e-07 relative"]


def test_swapped_axes_are_named():
    axes = "-fdet_vector {} -sdet_vector {}"
    assert run(f"12 14 --json t.json {FLAGS} {axes.format('0 0 1', '0 -1 0')}").exit_code == 0
    assert first(run(f"12 14 {FLAGS} {axes.format('0 -1 0', '0 0 1')} --against t.json")) == "detector: fast axis"


def test_against_a_program():
    same = run(f"12 14 {FLAGS} --against {stand_in()}")
    assert same.exit_code == 0, same.output
    assert same.output.startswith("no divergence: 15 quantities agree to the digits that the program prints")
    assert first(run(f"12 14 {FLAGS} --against {stand_in(flags='-distance 101')}")) == "pixel: position [m]"


@pytest.mark.parametrize(("line", "status", "message"), [
    (f"12 {FLAGS}", 2, ("'SLOW'", "-default_F", "integer")),
    ("12", 2, ("argument 'SLOW'",)),
    (f"-1 2 {FLAGS}", 2, ("'FAST'", "-1", "x>=0")),
    (f"12 32 {FLAGS}", 2, "trace: got pixel 12 32; the region is 0 to 31 fast and 0 to 31 slow"),
    (f"12 14 {FLAGS} --semantics physical", 2,
     "semantics: got physical; pixels are traced in nanobragg semantics only: type --semantics nanobragg"),
    (f"12 14 {FLAGS} -lambda 0", 2, "-lambda: got 0 A; wavelength must be > 0 A"),
    (f"12 14 {FLAGS} --last --json x.json", 2, "--last: got --json or --against as well; those need "
                                           "all steps, leave one of them out"),
    (f"12 14 {FLAGS} --tolerance 2", 2, ("'--tolerance'", "2", "0.0<=x<1.0")),
    (f"12 14 {FLAGS} --tolerance x", 2, ("'--tolerance'", "'x'", "float")),
    (f"12 14 {FLAGS} --against", 2, ("'--against'", "requires an argument")),
    (f"12 14 {FLAGS} --tolerance nan", 2, ("'--tolerance'", "nan", "not a finite number")),
    (f"12 14 {FLAGS} --tolerence 1e-3", 2, "No such option '--tolerence'. Did you mean '--tolerance'?"),
    (f"12 14 {FLAGS} -lamda 1", 2, "No such option '-lamda'. Did you mean '-lambda'?"),
    (f"12 14 {FLAGS} --against none", 2,
     "--against: got 'none'; it is neither a trace in JSON nor a program that can be run"),
    (f"12 14 {FLAGS} --against none.json", 2, "--against: got 'none.json'; there is no such file"),
    (f"12 14 {FLAGS} --against other.json", 2,
     "--against: got a trace of pixel 1 2 (fast slow); one of pixel 12 14 is accepted"),
    (f"12 14 {FLAGS} --against /bin/true --tolerance 1e-3", 2,
     "--tolerance: got a program as --against, compared at its printed digits; leave it out"),
    (f"12 14 {FLAGS} --against broken.json", 1,
     "broken.json: not a trace (KeyError: 'steps'); the output of 'cubragg trace --json' is accepted"),
    (f"12 14 {FLAGS} --against /bin/false", 1, "/bin/false: ended with exit status 1"),
    (f"12 14 {FLAGS} --json none/x.json", 1, "none/x.json: No such file or directory"),
])
def test_how_it_ends(line, status, message):
    Path("broken.json").write_text("{}")
    Path("other.json").write_text('{"fast": 1, "slow": 2, "steps": []}')
    result = run(line)
    assert result.exit_code == status
    if isinstance(message, str):
        assert result.stderr == f"Error: {message}\n"
    error, = result.stderr.splitlines()
    assert error.startswith("Error: ")
    assert all(part in error for part in message)


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
    assert "the C program: no line for pixel 12 14" in result.stderr
    assert os.listdir() == ["planted"]

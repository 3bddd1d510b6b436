"""The table of flags: nothing forgotten, nothing that does not exist, and all of it in the help."""

from __future__ import annotations

import re

import pytest

from cubragg.cli.build import MARKS, Settings, build
from cubragg.cli.flags import FLAGS, NO_EFFECT, SPELLINGS
from cubragg.cli.parser import parse
from cubragg.experiment import Beam, Crystal, Detector, Experiment, Goniometer, Sampling, StructureFactors
from cubragg.experiment.conventions import CONVENTIONS, DISTANCE_MM, PIXEL_MM, SIZE_MM
from cubragg.view.colours import Style
from support.command import SMALL
from support.flag_lines import HANDWRITTEN

SECTIONS = {"beam": Beam, "crystal": Crystal, "detector": Detector, "goniometer": Goniometer, "sampling": Sampling,
            "structure_factors": StructureFactors}



@pytest.mark.parametrize("line", HANDWRITTEN)
def test_every_spelling_builds(line, inputs):
    (inputs / "exp.toml").write_text("[beam]\nwavelength_A = 6.0\n")
    words = line.split()
    job = build(parse([*SMALL.split(), *words]))
    assert isinstance(job.experiment, Experiment)
    given = parse(words)
    assert [one.spelling for one in given] == [words[0]]
    setting = given[0].flag.fields[0].partition("[")[0] if given[0].flag.fields else None
    if setting is not None and setting not in ("input.config", "run.misset_seed"):
        assert setting in job.replay.flagged or setting == "crystal.misset_deg"


def test_the_handwritten_list_has_every_flag_of_the_table():
    flags = {SPELLINGS[line.split()[0]] for line in HANDWRITTEN}
    # C reads the first two as well, without effect, and the specification leaves them out; a detector by name
    # contradicts the size that the lines begin with (test_cli_detectors.py).
    assert {flag.name for flag in FLAGS} - {flag.name for flag in flags} == {"-density", "-MW", "--detector"}


@pytest.mark.parametrize("name", sorted({name for flag in FLAGS for name in flag.names}))
def test_one_dash_or_two(name):
    bare = name.lstrip("-")
    assert SPELLINGS[f"-{bare}"] is SPELLINGS[f"--{bare}"]


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.name)
def test_settings_exist(flag):
    for path in [*flag.fields, *(path for path, _ in flag.also)]:
        section, _, name = path.partition("[")[0].partition(".")
        if section in SECTIONS:
            assert name in SECTIONS[section].__dataclass_fields__
        elif section == "run":
            assert name in {*Settings.__dataclass_fields__, "semantics", "misset_seed", "printout_pixel", "trace_pixel"}
        else:
            assert section in ("input", "output") or name in {*Style.__dataclass_fields__, *MARKS}
    assert bool(flag.fields) != (flag.group == NO_EFFECT)


#: What settings that are ``None`` mean.
LEFT_OUT = {"detector.distance_mm": DISTANCE_MM, "detector.pixel_size_mm": PIXEL_MM, "detector.fast_size_mm": SIZE_MM,
            "detector.slow_size_mm": SIZE_MM}


@pytest.mark.parametrize("flag", [flag for flag in FLAGS if re.fullmatch(r"[\d.]+", flag.default)],
                         ids=lambda flag: flag.name)
def test_defaults_in_the_help_are_those_in_force(flag):
    for path in flag.fields:
        section, _, name = path.partition("[")[0].partition(".")
        owner = Settings if section == "run" else SECTIONS[section]
        value = getattr(owner, name)
        value = LEFT_OUT.get(path, value)
        value = value[0] if isinstance(value, tuple) else value
        assert float(flag.default) == (value or 0.0)


@pytest.mark.parametrize(("name", "axis"), [
    ("-beam_vector", "beam"), ("-fdet_vector", "fast"), ("-sdet_vector", "slow"), ("-odet_vector", "normal"),
    ("-polar_vector", "polar"), ("-twotheta_axis", "twotheta"), ("-spindle_axis", "spindle")])
def test_default_axes_in_the_help_are_those_in_force(name, axis):
    stated = tuple(float(word) for word in SPELLINGS[name].default.split())
    assert stated == getattr(CONVENTIONS["custom"], axis)


def test_help_shows_every_flag_and_fits_a_terminal(run):
    result = run("simulate -h")
    shown = set(re.findall(r"(?<![\w-])--?[A-Za-z0-9][\w-]*", result.stdout))
    assert result.exit_code == 0
    assert {name for flag in FLAGS for name in flag.names} <= shown
    assert max(len(line) for line in result.stdout.splitlines()) <= 80
    for flag in FLAGS:
        if flag.unit and flag.help:
            assert flag.metavar in result.stdout


@pytest.mark.parametrize("line", ["simulate --help", "simulate -help", "-N 5 -h", "-lamda -help"])
def test_help_wins(run, line):
    result = run(line)
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: cubragg simulate ")
    assert result.stderr == ""


@pytest.mark.parametrize("line", ["-h", "--help", "-help"])
def test_help_of_the_group(run, line):
    result = run(line)
    assert result.exit_code == 0
    assert "simulate  Render an image" in result.stdout


def test_a_bare_command_shows_help_and_fails(run):
    for line, start in (("", "Usage: cubragg [OPTIONS]"), ("simulate", "Usage: cubragg simulate")):
        result = run(line)
        assert result.exit_code == 2
        assert result.stderr.startswith(start)


def test_version(run):
    result = run("--version")
    assert result.exit_code == 0
    assert re.fullmatch(r"cubragg \S+\n", result.stdout)

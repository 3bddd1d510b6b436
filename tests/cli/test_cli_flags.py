"""The table of flags: nothing forgotten, nothing that does not exist, and all of it in the help."""

from __future__ import annotations

import re

import pytest

from cubragg.cli.build import NO_STYLE, Settings, build
from cubragg.cli.flags import FLAGS, NO_EFFECT, SPELLINGS
from cubragg.cli.parser import parse
from cubragg.experiment import (
    Beam,
    BeamStop,
    Crystal,
    Detector,
    Experiment,
    Goniometer,
    Sampling,
    Scatterer,
    StructureFactors,
)
from cubragg.experiment.conventions import CONVENTIONS, DISTANCE_MM, PIXEL_MM, SIZE_MM
from cubragg.experiment.physical_only import PHYSICAL_ONLY
from cubragg.view.colours import Style
from support.command import SMALL
from support.flag_lines import HANDWRITTEN

SECTIONS = {"beam": Beam, "crystal": Crystal, "detector": Detector, "goniometer": Goniometer, "sampling": Sampling,
            "structure_factors": StructureFactors, "beamstop": BeamStop}


def _semantics(line: str) -> list[str]:
    """The flags that a setting of physical semantics, and one of a beam stop, need besides."""
    section, _, name = (*SPELLINGS[line.split()[0]].fields, "")[0].partition(".")
    others = "--spectrum", "--background", "--response", "--beamstop"
    physical = name in PHYSICAL_ONLY.get(section, ()) or line.startswith(others)
    stop = ["--beamstop", "2"] if line.startswith("--beamstop-") else []
    return ["--semantics", "physical", *stop] if physical else []


@pytest.mark.requirement("AT-CLI-001")
def test_every_spelling_builds(inputs):
    (inputs / "exp.toml").write_text("[beam]\nwavelength_A = 6.0\n")
    for line in HANDWRITTEN:
        job = build(parse([*SMALL.split(), *line.split(), *_semantics(line)]))
        assert isinstance(job.experiment, Experiment), line
        given, = parse(line.split())
        setting = given.flag.fields[0].partition("[")[0] if given.flag.fields else None
        if setting not in (None, "input.config", "run.misset_seed", "crystal.misset_deg"):
            assert setting in job.replay.flagged, line


#: Settings of the material of ``-stol``, which is a `Scatterer`.
AMORPHOUS = {"stol": None, "4stol": None, "Q": None, "density": Scatterer.density_g_cm3,
             "MW": Scatterer.molecular_weight}


def test_the_handwritten_list_has_every_flag_of_the_table():
    flags = {SPELLINGS[line.split()[0]] for line in HANDWRITTEN}
    # C reads the first two as well, without effect, and the specification leaves them out; a detector by name
    # contradicts the size that the lines begin with (test_cli_detectors.py), and a crystal needs an experiment list.
    assert {flag.name for flag in FLAGS} - {flag.name for flag in flags} == {"-density", "-MW", "--detector",
                                                                             "--crystal"}


def test_settings_exist():
    known = {section: set(owner.__dataclass_fields__) for section, owner in SECTIONS.items()}
    known["run"] = {*Settings.__dataclass_fields__, "semantics", "misset_seed", "printout_pixel", "trace_pixel",
                    "background", "response"}
    known["amorphous"] = AMORPHOUS
    known["picture"] = {*Style.__dataclass_fields__, *NO_STYLE}
    for flag in FLAGS:
        for path in [*flag.fields, *(path for path, _ in flag.also)]:
            section, _, name = path.partition("[")[0].partition(".")
            assert section in ("input", "output") or name in known[section], f"{flag.name}: {path}"
        assert bool(flag.fields) != (flag.group == NO_EFFECT), flag.name


#: What settings that are ``None`` mean.
LEFT_OUT = {"detector.distance_mm": DISTANCE_MM, "detector.pixel_size_mm": PIXEL_MM, "detector.fast_size_mm": SIZE_MM,
            "detector.slow_size_mm": SIZE_MM}


def test_defaults_in_the_help_are_those_in_force():
    stated = [flag for flag in FLAGS if re.fullmatch(r"[\d.]+", flag.default)]
    assert len(stated) > 20
    for flag in stated:
        for path in flag.fields:
            section, _, name = path.partition("[")[0].partition(".")
            owner = Settings if section == "run" else SECTIONS.get(section)
            value = AMORPHOUS[name] if owner is None else LEFT_OUT.get(path, getattr(owner, name))
            value = value[0] if isinstance(value, tuple) else value
            assert float(flag.default) == (value or 0.0), f"{flag.name}: {path}"


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
    assert re.search(r"simulate +Render an image", result.stdout)


def test_a_bare_command_shows_help_and_fails(run):
    for line, start in (("", "Usage: cubragg [OPTIONS]"), ("simulate", "Usage: cubragg simulate")):
        result = run(line)
        assert result.exit_code == 2
        assert result.stderr.startswith(start)


def test_version(run):
    result = run("--version")
    assert result.exit_code == 0
    assert re.fullmatch(r"cubragg \S+\n", result.stdout)

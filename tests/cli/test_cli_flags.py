"""The table of flags: nothing forgotten, nothing that does not exist, and all of it in the help."""

from __future__ import annotations

import re

import pytest

from cli.conftest import SMALL
from cubragg.cli.build import MARKS, Settings, build
from cubragg.cli.flags import FLAGS, NO_EFFECT, SPELLINGS
from cubragg.cli.parser import parse
from cubragg.experiment import Beam, Crystal, Detector, Experiment, Goniometer, Sampling, StructureFactors
from cubragg.experiment.conventions import CONVENTIONS, DISTANCE_MM, PIXEL_MM, SIZE_MM
from cubragg.view.colours import Style

SECTIONS = {"beam": Beam, "crystal": Crystal, "detector": Detector, "goniometer": Goniometer, "sampling": Sampling,
            "structure_factors": StructureFactors}

#: Section 2 of the specification of nanoBragg's behaviour, spelled out by hand, and cubragg's own flags.
LINES = """
-Na 3|-Nb 3|-Nc 3|-N 3|-N 5.0|-cell 100|-cell 100 90|-cell 100 100 100 90 90 90|-misset 1 2 3|-misset -10 20 -30
-misset random|-misset rand|-misset_seed 5|-samplesize 0.0001|-sample_size 0.0001|-xtalsize 0.0001|-xtal_size 0.0001
-sample_thick 0.0001|-sample_x 0.0001|-xtal_thick 0.0001|-xtal_x 0.0001|-sample_width 0.0001|-sample_y 0.0001
-width 0.0001|-xtal_width 0.0001|-xtal_y 0.0001|-sample_height 0.0001|-sample_z 0.0001|-height 0.0001
-xtal_height 0.0001|-xtal_z 0.0001|-Xbeam 3|-Ybeam 3|-Xclose 3|-Yclose 3|-ORGX 5|-ORGY 5|-pivot sample|-pivot beam
-mosflm|-xds|-adxv|-denzo|-dials|-fdet_vector 0 0 1|-sdet_vector 0 -1 0|-odet_vector 1 0 0|-beam_vector 1 0 0
-polar_vector 0 0 1|-spindle_axis 0 0 1|-twotheta_axis 0 0 1|-pix0_vector 0.1 0 0|-distance 100|-close_distance 100
-detector_abs 300|-detector_abs inf|-detector_abs 0|-detector_absorb 300|-detector_thick 200|-detector_thicksteps 2
-thicksteps 2|-twotheta 5|-detector_rotx 5|-detector_roty -5|-detector_rotz 5|-detsize 6|-detsize_f 6|-detsize_s 6
-detpixels 12|-detpixels_f 12|-detpixels_x 12|-detpixels_s 12|-detpixels_y 12|-curved_det|-pixel 0.5|-point_pixel
-polar -0.5|-nopolar|-oversample 2|-oversample_thick|-oversample_polar|-oversample_omega|-roi 0 5 0 5|-lambda 6
-wave 6|-wavelength 6|-energy 2000|-fluence 1e25|-flux 1e12|-exposure 0.1|-beamsize 0.1|-mosaic 0.5|-mosaici 0.5
-mosaicity 0.5|-mosaic_spread 0.5|-mosaic_dom 3|-mosaic_domains 3|-mosaic_seed 7|-dispersion 1|-dispsteps 3
-divergence 1|-hdivrange 1|-vdivrange 1|-hdivstep 1|-vdivstep 1|-hdivsteps 2|-vdivsteps 2|-divsteps 2|-round_div
-square_div|-adc 10|-phi 5|-osc 1|-phistep 0.5|-phisteps 2|-dmin 3|-mat A.mat|-hkl P1.hkl|-default_F 100|-dump F.bin
-img i.img|-mask m.img|-stol stol.txt|-4stol stol.txt|-Q stol.txt|-stolout o.txt|-sourcefile s.txt|-floatfile f.bin
-floatimage f.bin|-intfile i.smv|-intimage i.smv|-pgmfile p.pgm|-pgmimage p.pgm|-noisefile n.img|-noiseimage n.img
-nonoise|-nopgm|-scale 2|-pgmscale 2|-coherent|-printout|-printout_pixel 3 4|-trace_pixel 3 4|-noprogress|-progress
-interpolate|-nointerpolate|-round_xtal|-square_xtal|-gauss_xtal|-binary_spots|-tophat_spots|-fudge 1.1|-seed 3|-water 1
--column FC|--cbffile c.cbf|-cbffile c.cbf|--backend auto|--backend numpy|--backend cpu
--backend cuda|--precision auto|--precision double|--precision mixed
--precision single|--device 0|--semantics nanobragg|--semantics physical|--threads 1
--nxmx a.h5|--nxmx-type uint32|--nxmx-type int32|--nxmx-type uint16|--nxmx-type float32|--tiff a.tif
--tiff-type int32|--tiff-type uint16|--tiff-type float32|--cbf-convention auto|--cbf-convention generic
--cbf-convention pilatus|--smv-flavor nanobragg|--smv-flavor adsc|--images 3
--from i.img|--expt e.expt|--geom e.geom|--cell-file e.cell|--xds-inp XDS.INP
--config exp.toml|--save-config exp2.toml|--noise-rng numpy|--noise-rng reference|--png p.png|--quiet|--all-outputs
--cull 1e-8|-v|--verbose
--png-colors grey|--png-colours sea|--png-scale log|--png-range 1 99|--png-rings|--png-zoom|--png-spots
--truth t.csv|--truth-min 5|--crystal-shape round
"""
HANDWRITTEN = [line for row in LINES.strip().splitlines() for line in row.split("|")]


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

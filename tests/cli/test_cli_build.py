"""From flags to an experiment: order, conventions, pivots, headers, files, experiment files."""

from __future__ import annotations

import dataclasses
import math
import tomllib

import numpy as np
import pytest

from cubragg import ConfigError, Experiment, FormatError, units
from cubragg.cli.build import Job, build
from cubragg.cli.parser import parse
from support.command import SMALL, smv
from support.messages import refusal, states

CUSTOM = "-fdet_vector 0 0 1"


def job(line: str, start: str = SMALL) -> Job:
    return build(parse((start + line).split()))


def warnings(line: str) -> list[str]:
    return job(line).warnings


@pytest.mark.requirement("AT-CLI-002")
@pytest.mark.parametrize(("line", "cells"), [
    ("-N 5 -Na 3", (3, 5, 5)), ("-Na 3 -N 5", (5, 5, 5)), ("-Nb 2 -Nc 7 -Nc 4", (5, 2, 4)), ("-N 0", (0, 0, 0))])
def test_cells_in_order(line, cells):
    assert job(line).experiment.crystal.cells == cells


@pytest.mark.requirement("AT-CLI-005")
@pytest.mark.parametrize(("line", "size"), [
    ("-xtalsize 1 -width 2", (1.0, 2.0, 1.0)), ("-width 2 -samplesize 1", (1.0, 1.0, 1.0)),
    ("-sample_x 1 -xtal_height 3", (1.0, 0.0, 3.0))])
def test_sizes_in_order(line, size):
    assert job(line).experiment.crystal.sample_size_mm == size


@pytest.mark.requirement("AT-CLI-001")
@pytest.mark.parametrize(("line", "cell"), [
    ("-cell 60", (60.0, 0.0, 0.0, 0.0, 0.0, 0.0)), ("-cell 60 70", (60.0, 70.0, 0.0, 0.0, 0.0, 0.0)),
    # As in C, a second -cell sets what it gives.
    ("-cell 1 2 3 80 85 95 -cell 60 70", (60.0, 70.0, 3.0, 80.0, 85.0, 95.0))])
def test_short_cells(line, cell):
    assert job(line, "-default_F 1 ").experiment.crystal.cell == cell


@pytest.mark.requirement("AT-GEO-002")
@pytest.mark.parametrize(("line", "pivot"), [
    (CUSTOM, None), (f"{CUSTOM} -distance 100", "beam"), (f"{CUSTOM} -close_distance 100", "sample"),
    (f"-twotheta 5 {CUSTOM}", "sample"), (f"{CUSTOM} -twotheta 5 -distance 100", "beam"),
    (f"{CUSTOM} -ORGX 3", "sample"), (f"{CUSTOM} -ORGX 3 -Ybeam 4", "beam"), (f"{CUSTOM} -Yclose 3", "sample"),
    (f"-xds {CUSTOM}", "sample"), (f"-dials {CUSTOM}", "beam"), (f"-pivot sample -Xbeam 3 {CUSTOM}", "beam"),
    (f"-Xbeam 3 -pivot sample {CUSTOM}", "sample"), ("-twotheta_axis 0 0 1", "sample"),
    ("-pivot sample -distance 100", "sample"), ("-distance 100", None), ("-twotheta 5", None),
    (f"{CUSTOM} -twotheta 5 -mosflm", None)])
def test_pivot(line, pivot):
    """Under CUSTOM the last flag that sets one; under a named convention only what -pivot says."""
    assert job(line, "-default_F 1 -cell 50 ").experiment.detector.pivot == pivot


@pytest.mark.parametrize(("line", "convention"), [
    ("", "mosflm"), ("-xds -adxv", "adxv"), (CUSTOM, "custom"), (f"{CUSTOM} -xds", "xds"), (f"-xds {CUSTOM}", "custom"),
    ("-spindle_axis 0 1 0", "custom"), ("-pix0_vector 1 2 3", "custom"), ("-twotheta_axis 0 1 0", "custom")])
def test_convention(line, convention):
    assert job(line).experiment.detector.convention == convention


def test_vectors_before_a_named_convention_are_warned_of():
    warning, = warnings(f"{CUSTOM} -spindle_axis 0 1 0 -xds")
    states(warning, "-fdet_vector", "-spindle_axis", "effect", "-xds")


@pytest.mark.requirement("AT-CLI-008")
@pytest.mark.parametrize(("line", "angle", "lost"), [
    ("-twotheta 15 -twotheta_axis 0 0 -1", 0.0, ("0 deg", "15.0 deg")),
    ("-twotheta_axis 0 0 -1 -twotheta 15", 15.0, None), ("-twotheta_axis 0 0 -1", 0.0, None),
    ("-twotheta_axis 1 0 0", 1.0, ("1 deg", "0.0 deg")),
    ("-twotheta 15 -twotheta_axis 0 0 1 -twotheta 15", 15.0, None),
    ("-twotheta 15 -twotheta_axis 1 0 0 --semantics physical", 15.0, None)])
def test_twotheta_axis_is_taken_for_twotheta(line, angle, lost):
    built = job(line)
    assert built.experiment.detector.twotheta_deg == angle
    found = [warning for warning in built.warnings if "twotheta" in warning]
    assert len(found) == (lost is not None)
    for warning in found:
        states(warning, "-twotheta_axis", *lost, "nanoBragg", "-twotheta")


@pytest.mark.requirement("AT-ABS-001")
@pytest.mark.parametrize(("line", "thickness", "depth"), [
    ("-detector_thick 300 -detector_abs inf", 0.0, math.inf), ("-detector_abs 0 -detector_thick 300", 300.0, math.inf),
    ("-detector_thick 300 -detector_abs 0 -detector_abs 500", 0.0, 500.0), ("-detector_thick 300", 300.0, None)])
def test_infinite_absorption_depth_acts_at_its_place(line, thickness, depth):
    detector = job(line).experiment.detector
    assert (detector.thickness_um, detector.attenuation_um) == (thickness, depth)


def test_beam_flags():
    line = "-energy 12398.42 -divergence 2 -vdivrange 1 -divsteps 3 -hdivsteps 4 -nopolar -polar 0.9"
    beam = job(line).experiment.beam
    assert (beam.wavelength_A, beam.polarized, beam.kahn_factor) == (1.0, True, 0.9)
    assert (beam.hdiv_range_mrad, beam.vdiv_range_mrad, beam.hdiv_steps, beam.vdiv_steps) == (2.0, 1.0, 4, 3)
    assert job("-polar 0.9 -nopolar").experiment.beam.polarized is False
    assert job("-energy 1000 -lambda 2").experiment.beam.wavelength_A == 2.0


@pytest.mark.parametrize(("line", "shape"), [
    ("-round_xtal", "round"), ("-gauss_xtal -square_xtal", "square"), ("-binary_spots", "tophat")])
def test_shapes(line, shape):
    assert job(line).experiment.crystal.shape == shape


@pytest.mark.requirement("AT-CELL-006")
def test_misset_seed():
    assert job("-misset random -misset_seed 7 -seed 3").experiment.crystal.misset_seed == 7
    assert job("-misset_seed 7 -misset random").experiment.crystal.misset_seed == 7
    assert job("-misset random -seed 3").experiment.crystal.misset_seed == 3
    drawn = job("-misset random", "-default_F 1 -cell 50 ")
    assert drawn.settings.seed_drawn
    assert drawn.experiment.crystal.misset_seed == drawn.settings.seed > 0
    last = job("-misset random -misset 1 2 3").experiment.crystal
    assert (last.misset_seed, last.misset_deg) == (None, (1.0, 2.0, 3.0))
    last = job("-misset 1 2 3 -misset random -misset_seed 4").experiment.crystal
    assert (last.misset_seed, last.misset_deg) == (4, None)


@pytest.mark.requirement("AT-CLI-003")
@pytest.mark.parametrize(("line", "says"), [
    ("-misset_seed 7", ("-misset_seed", "", "effect", "-misset random")),
    ("-dump d.bin", ("-dump", "d.bin", "effect", "-hkl")),
    ("-coherent", ("-coherent", "", "effect", "nanoBragg")),
    ("-4stol f.txt -4stol g.txt", ("-4stol", "", "effect", "nanoBragg")),
    ("-close_distance 90", ("-close_distance", "-distance", "overrule")),
    ("-detsize 4", ("-detpixels", "-detsize", "overrule")),
    ("-fluence 1e20 -flux 1e10", ("-flux", "-fluence", "overrule")),
    ("-xtalsize 0.0001", ("-xtalsize", "-N", "overrule")),
    ("-ORGX 3 -Yclose 2", ("-Yclose", "-ORGX", "effect", "mosflm", "beam", "-Xbeam", "-Ybeam")),
    ("-xds -Xbeam 3", ("-Xbeam", "", "effect", "xds", "sample", "-ORGX", "-ORGY")),
    ("-pix0_vector 0.1 0 0 -Xbeam 3 --semantics physical",
     ("-Xbeam", "", "effect", "custom", "beam", "-pix0_vector")),
    ("-sourcefile s.txt -divergence 1 -dispsteps 3",
     ("-dispsteps", "-divergence", "effect", "-sourcefile")),
    ("-hkl dup.hkl", ("dup.hkl", "2", "duplicate", "last", "1 0 0")),
    ("-hkl once.hkl", ("once.hkl", "1", "duplicate", "last", "1 0 0")),
])
def test_warnings(line, says, inputs):
    (inputs / "dup.hkl").write_text("1 0 0 5\n2 0 0 1\n1 0 0 6\n2 0 0 7\n")
    (inputs / "once.hkl").write_text("1 0 0 5\n1 0 0 6\n")
    warning, = warnings(line)
    states(warning, *says)


@pytest.mark.parametrize("line", ["", "-Xbeam 3 -Ybeam 4", "-xds -ORGX 3 -ORGY 4", f"{CUSTOM} -Xbeam 3 -Yclose 2",
                                  "-sample_x 0.0001", "-flux 0 -fluence 1"])
def test_no_warning_without_reason(line):
    assert warnings(line) == []


def test_the_last_of_duplicates_counts(inputs):
    (inputs / "dup.hkl").write_text("1 0 0 5\n1 0 0 6 0.1 90 # sigma, phase\n")
    factors = job("-hkl dup.hkl").experiment.structure_factors
    assert (factors.grid.tolist(), factors.origin) == ([[[6.0]]], (1, 0, 0))


def test_files(inputs):
    built = job("-hkl P1.hkl -mat A.mat -sourcefile s.txt -mask m.img -distance 100", "-lambda 6.2 -default_F 3 ")
    experiment = built.experiment
    assert built.from_hkl
    assert experiment.structure_factors.grid.shape == (5, 5, 5)
    assert experiment.structure_factors.default_F == 3.0
    # A.mat is times the wavelength of 6.2 A.
    np.testing.assert_allclose(experiment.crystal.a_matrix, np.diag([0.01] * 3), rtol=1e-15)
    assert [source.weight for source in experiment.beam.sources] == [1.0, 2.0]
    assert int((~experiment.sampling.mask).sum()) == 1
    assert not experiment.sampling.mask[3, 4]


def test_header_of_an_image(inputs):
    experiment = job("-img i.img", "-default_F 1 -cell 50 -lambda 2 ").experiment
    detector = experiment.detector
    assert (detector.fast_pixels, detector.slow_pixels, detector.pixel_size_mm) == (12, 12, 0.5)
    assert (detector.xbeam_mm, detector.ybeam_mm) == (3.0, 2.0)
    # DISTANCE is found in CLOSE_DISTANCE as well; flags count last wherever they are.
    assert (detector.distance_mm, detector.close_distance_mm) == (90.0, 90.0)
    assert experiment.beam.wavelength_A == 2.0
    assert (experiment.goniometer.phi_deg, experiment.goniometer.osc_deg) == (4.0, 1.0)
    assert experiment.sampling.mask is None


@pytest.mark.requirement("AT-PRE-001")
def test_header_of_a_mask_counts_y_from_the_other_edge(inputs):
    experiment = job("-mask m.img", "-default_F 1 -cell 50 ").experiment
    expected = 0.5 / 1000.0 * 12 - 2 / 1000.0
    assert units.m_from_mm(experiment.detector.ybeam_mm) == expected
    assert experiment.beam.wavelength_A == 5.0


@pytest.mark.requirement("AT-PRE-001")
@pytest.mark.parametrize("line", ["-img i.img -mask m.img", "-mask m.img -img i.img"])
def test_the_image_header_wins_over_that_of_the_mask(line, inputs):
    smv(inputs / "i.img", np.ones((12, 12)), DISTANCE=77, BEAM_CENTER_Y=2)
    experiment = job(line, "-default_F 1 -cell 50 ").experiment
    assert (experiment.detector.distance_mm, experiment.detector.ybeam_mm) == (77.0, 2.0)
    assert experiment.detector.pixel_size_mm == 0.5
    assert experiment.sampling.mask is not None


@pytest.mark.requirement("AT-PRE-002")
def test_header_keys_match_inside_longer_ones(inputs):
    smv(inputs / "i.img", np.ones((12, 12)), DISTANCE=100, XDS_ORGX=6.5, CLOSE_DISTANCE=80, OSC_RANGE=-1, TWOTHETA=5)
    built = job("-img i.img", "-default_F 1 -cell 50 ")
    detector = built.experiment.detector
    assert (detector.orgx, detector.distance_mm, detector.twotheta_deg) == (6.5, 80.0, 0.0)
    assert built.experiment.goniometer.osc_deg is None
    oscillation, arm = built.warnings
    states(oscillation, "i.img", "OSC_RANGE -1", "effect", "-osc")
    states(arm, "i.img", "TWOTHETA 5", "effect", "-twotheta")


def test_a_header_can_overrule_a_flag(inputs):
    smv(inputs / "i.img", np.ones((12, 12)), CLOSE_DISTANCE=80)
    warning, = job("-img i.img -distance 200", "-default_F 1 -cell 50 ").warnings
    states(warning, "i.img", "CLOSE_DISTANCE", "overrule", "-distance")


@pytest.mark.requirement("AT-IO-003")
def test_dump_is_read_without_a_list(run, inputs):
    assert run(SMALL + "-hkl P1.hkl -dump d.bin -floatfile a.bin --quiet").exit_code == 0
    assert run(SMALL + "-dump d.bin -floatfile b.bin --quiet").exit_code == 0
    assert (inputs / "a.bin").read_bytes() == (inputs / "b.bin").read_bytes()
    (inputs / "d.bin").rename("Fdump.bin")
    built = job("-nopgm")
    assert not built.from_hkl
    warning, = built.warnings
    states(warning, "Fdump.bin", "-hkl", "structure factors", "nanoBragg")
    np.testing.assert_array_equal(built.experiment.structure_factors.grid,
                                  job("-hkl P1.hkl").experiment.structure_factors.grid)


# experiment files

def test_config_then_flags(inputs):
    (inputs / "exp.toml").write_text("""
semantics = "physical"
[crystal]
cell = [60, 70, 80, 90, 90, 90]
cells = [3, 4, 5]
[structure_factors]
default_F = 7
[detector]
distance_mm = 250
fast_pixels = 8
""")
    experiment = job("-distance 120 -Na 9 -N 8 -Nb 2 --config exp.toml", "").experiment
    assert experiment.semantics == "physical"
    assert experiment.crystal.cell == (60.0, 70.0, 80.0, 90.0, 90.0, 90.0)
    assert experiment.crystal.cells == (8, 2, 8)
    assert experiment.detector.distance_mm == 120.0
    assert experiment.detector.fast_pixels == 8
    assert job("--config exp.toml --semantics nanobragg", "").experiment.semantics == "nanobragg"
    assert job("--config exp.toml -Na 1", "").experiment.crystal.cells == (1, 4, 5)


def test_config_refers_to_files_beside_it(inputs):
    folder = inputs / "sub"
    folder.mkdir()
    for name in ("P1.hkl", "A.mat", "s.txt", "m.img"):
        (inputs / name).rename(folder / name)
    (folder / "exp.toml").write_text("""
crystal.matrix_file = "A.mat"
beam.source_file = "s.txt"
structure_factors = {hkl_file = "P1.hkl", default_F = 4.0}
sampling.mask_file = "m.img"
detector = {fast_pixels = 12, slow_pixels = 12}
""")
    built = job("--config sub/exp.toml", "")
    experiment = built.experiment
    assert experiment.structure_factors.grid.shape == (5, 5, 5)
    assert experiment.structure_factors.default_F == 4.0
    assert experiment.crystal.a_matrix[0] == pytest.approx((0.062 / experiment.beam.wavelength_A, 0.0, 0.0))
    assert len(experiment.beam.sources) == 2
    assert not experiment.sampling.mask[3, 4]
    # Only the mask's pixels count here, not its header.
    assert experiment.placed().frame.distance == 0.1
    assert Experiment.from_toml(experiment.to_toml()) == experiment


@pytest.mark.parametrize(("config", "line", "section", "expected"), [
    ("beam.flux = 1e10", "-fluence 1e20", "beam", {"flux": 0.0, "fluence": 1e20}),
    ("crystal.sample_size_mm = [1, 1, 1]", "-N 7", "crystal", {"sample_size_mm": (0.0, 0.0, 0.0), "cells": (7, 7, 7)}),
    ("detector.close_distance_mm = 50", "-distance 80", "detector", {"close_distance_mm": None, "distance_mm": 80.0}),
    ("detector.fast_pixels = 9", "-detsize 5", "detector", {"fast_pixels": None, "fast_size_mm": 5.0}),
    ("crystal.misset_seed = 5", "-misset 1 2 3", "crystal", {"misset_seed": None, "misset_deg": (1.0, 2.0, 3.0)}),
    ("crystal.misset_deg = [1, 2, 3]", "-misset random -misset_seed 9", "crystal",
     {"misset_seed": 9, "misset_deg": None}),
    ("crystal.misset_seed = 5", "-misset_seed 6", "crystal", {"misset_seed": 6}),
    ("crystal.misset_seed = 5", "-seed 6", "crystal", {"misset_seed": 5}),
    ("crystal.cell = [50, 60, 70, 80, 90, 100]", "-cell 40", "crystal", {"cell": (40.0, 0.0, 0.0, 0.0, 0.0, 0.0)}),
    # A matrix without a cell says all; a cell beside a matrix sets the lengths.
    ("crystal.a_matrix = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]", "-cell 40", "crystal",
     {"a_matrix": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))}),
    ("crystal.cell = [50, 60, 70, 80, 90, 100]", "-mat A.mat", "crystal", {"cell": None}),
    ("detector = {convention = 'custom', pivot = 'sample'}", "-distance 80", "detector", {"pivot": "sample"}),
    ("detector = {convention = 'custom', pivot = 'sample'}", "-pivot beam", "detector", {"pivot": "beam"}),
    ("detector = {convention = 'custom'}", "-ORGX 3", "detector", {"pivot": "sample"}),
])
def test_a_flag_replaces_what_would_overrule_it_in_a_config(config, line, section, expected, inputs):
    (inputs / "exp.toml").write_text(f"structure_factors.default_F = 1\n{config}\n"
                                     + ("" if "cell" in line + config or "mat" in line else
                                        "crystal.a_matrix = [[0.02, 0, 0], [0, 0.02, 0], [0, 0, 0.02]]\n"))
    part = getattr(job(f"--config exp.toml {line}", "").experiment, section)
    assert {name: getattr(part, name) for name in expected} == expected


@pytest.mark.parametrize(("text", "says"), [
    ("[beam]\nwavelength_A = -1", ("exp.toml", "-1 A", "beam.wavelength_A")),
    ("[beam]\nwavelenth_A = 1", ("exp.toml", "beam.wavelenth_A", "beam.wavelength_A")),
    ("[cristal]\ncell = 1", ("exp.toml", "cristal", "crystal")),
    ("[output]\nseed = 1", ("exp.toml", "output", "section", "beam", "crystal", "detector", "goniometer", "sampling",
                         "structure_factors")),
    ("crystal = 5", ("exp.toml", "5", "crystal", "table")),
    ("[crystal]\ncells = [1, 2]", ("exp.toml", "[1, 2]", "crystal.cells", "3 numbers")),
    ("[crystal]\ncells = [1, -2, 3]", ("exp.toml", "-2", "crystal.cells", "unit cell")),
    ("semantics = 'other'", ("exp.toml", "other", "semantics", "nanobragg", "physical")),
    ("[structure_factors]\nhkl_file = 5", ("exp.toml", "5", "structure_factors.hkl_file", "file")),
    ("[structure_factors]\nhkl_file = 'no.hkl'",
     ("exp.toml", "no.hkl", "structure_factors.hkl_file", "no such file")),
    ("[beam]\nflux = 'much'", ("exp.toml", "much", "beam.flux", "number")),
])
def test_faults_in_a_config_name_the_setting(text, says, folder):
    (folder / "exp.toml").write_text(text)
    with refusal(ConfigError, *says):
        job("-default_F 1 -cell 50 --config exp.toml", "")


@pytest.mark.parametrize("data", [b"[beam\n", b"a = \xff\n"])
def test_a_config_that_is_not_toml(data, folder):
    (folder / "exp.toml").write_bytes(data)
    with refusal(FormatError, "exp.toml", "", "TOML"):
        job("--config exp.toml")


def test_a_saved_experiment_is_the_same_experiment(run, inputs):
    line = ("-hkl P1.hkl -misset random -seed 5 -sourcefile s.txt -mask m.img -detector_abs inf -cell 60 70 80 "
            "-twotheta_axis 0 1 0 -twotheta 3 -pix0_vector 0.1 0 0 -osc 2 -phisteps 3 ")
    start = "-default_F 100 -N 5 -oversample 1 -lambda 6.2 "
    result = run(start + line + "--save-config exp.toml -floatfile a.bin --quiet")
    assert (result.exit_code, result.stderr) == (0, "")
    assert tomllib.loads((inputs / "exp.toml").read_text())["semantics"] == "nanobragg"
    assert job("--config exp.toml", "").experiment == job(line, start).experiment
    assert run("--config exp.toml -floatfile b.bin --quiet").exit_code == 0
    assert (inputs / "a.bin").read_bytes() == (inputs / "b.bin").read_bytes()


def test_settings_of_the_run():
    line = ("-adc 7 -scale 2 -pgmscale 3 -seed 9 --noise-rng reference --threads 2 -printout_pixel 1 2 "
            "-trace_pixel 3 4 -intfile i.img -noprogress")
    settings = job(line).settings
    assert dataclasses.asdict(settings)["outputs"] == {"int": ("i.img", "-intfile")}
    assert (settings.adc, settings.scale, settings.pgm_scale, settings.seed, settings.noise_rng, settings.threads) == (
        7.0, 2.0, 3.0, 9, "reference", 2)
    assert settings.pixels == (("-printout_pixel", 1, 2), ("-trace_pixel", 4, 3))
    assert not settings.progress
    assert not settings.seed_drawn

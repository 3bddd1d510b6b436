"""``--from``, and the files that describe an image: order of precedence, words, refusals."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from cubragg import StructureFactors, read
from cubragg.cli.build import build
from cubragg.cli.parser import parse
from cubragg.errors import FormatError
from cubragg.experiment.sensor import sensor_of
from cubragg.io.geometry.experiment_models import models_of
from cubragg.io.geometry.expt import read_expt
from cubragg.io.images.raw import read_float
from support.crystfel_files import CELL, GEOM
from support.messages import mentioned, refusal, refused, states, warned

SCENE = ("-default_F 100 -cell 50 60 70 90 95 90 -misset 10 20 30 -lambda 1.5 -N 5 -distance 90 -pixel 0.5 "
         "-detpixels_f 24 -detpixels_s 20 -oversample 1 -seed 1 ")


def experiment(line: str):
    return build(parse(line.split())).experiment


TWO_PANELS = GEOM + "p/coffset = 0.002\ncoffset = 0.0007\nq/min_fs = 12\nq/max_fs = 20\nq/min_ss = 0\nq/max_ss = 9\n" \
    "q/fs = x\nq/ss = y\nq/corner_x = 8\nq/corner_y = -4\n"


@pytest.mark.requirement("AT-FROM-060")
@pytest.mark.parametrize("unknown", ["clen = /LCLS/encoder_1/z", ""])
def test_a_camera_length_in_a_data_file_is_a_flag(folder, unknown):
    """-distance is that of the panel that the beam hits; offsets of panels stay."""
    Path("known.geom").write_text(TWO_PANELS)
    Path("a.geom").write_text(TWO_PANELS.replace("clen = 80 mm", unknown))
    wanted = models_of(experiment("--from known.geom -default_F 1 -cell 50 60 70 90 90 90"))
    found = models_of(experiment("--from a.geom -distance 82 -default_F 1 -cell 50 60 70 90 90 90"))
    for panel, other in zip(found.panels, wanted.panels, strict=True):
        assert panel.origin_mm == pytest.approx(other.origin_mm, abs=1e-9)
    with refusal(FormatError, "a.geom", "", "-distance", "panel", "beam"):
        experiment("--from a.geom -default_F 1 -cell 50 60 70 90 90 90")
    experiment("--from a.geom --from known.geom -default_F 1 -cell 50 60 70 90 90 90")


@pytest.fixture
def described(run, folder) -> Path:
    """The folder with a.expt, a.geom and a.cell of a tilted detector."""
    result = run(SCENE + "-detector_rotx 8 -twotheta 12 -phi 7 -osc 0.5 -polar 0.9 -floatfile a.bin "
                 "--expt a.expt --geom a.geom --cell-file a.cell --xds-inp XDS.INP --quiet")
    assert (result.exit_code, result.stderr) == (0, "")
    return folder


@pytest.mark.requirement("AT-FROM-050")
@pytest.mark.parametrize("convention", ["mosflm", "denzo", "adxv", "xds", "dials"])
@pytest.mark.parametrize("semantics", ["nanobragg", "physical"])
def test_the_image_of_a_description_is_the_one_described(run, folder, convention, semantics):
    """Orientation, polarization and sense of rotation included, left-handed pictures too."""
    sampling = f"--semantics {semantics} -N 5 -oversample 2 -phisteps 4 -default_F 100 -floatfile"
    scene = (f"{SCENE}-{convention} -detector_rotx 8 -detector_roty -5 -twotheta 12 -phi 7 -osc 8 -polar 0.9 "
             f"-Xbeam 4.3 -Ybeam 5.1 {sampling} a.bin --expt a.expt")
    for line in (scene, f"--from a.expt {sampling} b.bin"):
        assert run(line).exit_code == 0
    first, second = (read_float(folder / f"{name}.bin", (20, 24)) for name in "ab")
    assert first.max() > 100.0 * first.min()
    assert np.allclose(first, second, rtol=1e-5, atol=1e-6 * first.max())


@pytest.mark.requirement("AT-FROM-051")
def test_what_was_taken_is_printed(run, described):
    """On stderr, from which file what; not when quiet."""
    line = "--from a.expt --from a.cell -default_F 100 -N 3 -oversample 1 -seed 1 -floatfile b.bin"
    models, cell, *_ = run(line).stderr.splitlines()
    states(models, "a.expt", "", "wavelength 1.5 A", "polarization", "0.95", "24 x 20 pixels", "0.5 mm", "1 0 0",
           "phi 7 deg", "osc 0.5 deg", "1 s", "cell 50 60 70 90 95 90", "orientation")
    states(cell, "a.cell", "", "cell 50 60 70 90 95 90")
    assert run(line + " --quiet").stderr == ""


@pytest.mark.requirement("AT-FROM-052")
def test_files_lie_over_a_config_and_flags_over_files(described):
    """A detector, scan or crystal from a file replaces what the experiment file says of one."""
    (described / "c.toml").write_text(
        "[beam]\nwavelength_A = 9.0\nfluence = 1e20\n[detector]\nconvention = 'xds'\nrotz_deg = 50.0\ncurved = true\n"
        "pixel_size_mm = 3.0\n[goniometer]\nphi_deg = 80.0\nphi_step_deg = 0.1\n[crystal]\n"
        "cell = [9, 9, 9, 90, 90, 90]\nmisset_deg = [1, 2, 3]\ncells = [4, 4, 4]\n"
        "[structure_factors]\ndefault_F = 7.0\n")
    both = experiment("--config c.toml --from a.expt -distance 200")
    alone = experiment("--from a.expt -default_F 7 -N 4 -fluence 1e20 -distance 200")
    assert both == alone
    assert both.detector.distance_mm == 200.0
    assert models_of(both).panels[0].origin_mm[2] != models_of(experiment("--from a.expt -default_F 7")
                                                               ).panels[0].origin_mm[2]
    assert (both.beam.wavelength_A, both.beam.kahn_factor, both.goniometer.phi_deg) == (1.5, pytest.approx(0.9), 7.0)


@pytest.mark.requirement("AT-FROM-053")
def test_a_wavelength_of_its_own_leaves_the_crystal_as_it_is(described):
    for line in ("", " -lambda 0.7", " -energy 9000"):
        a_matrix = models_of(experiment("--from a.expt -default_F 1" + line)).crystal.a_matrix
        assert a_matrix == pytest.approx(read_expt("a.expt").crystal.a_matrix, abs=1e-15)


@pytest.mark.requirement("AT-FROM-053")
def test_flags_of_the_crystal_count_more_than_a_file(described):
    """A matrix replaces it, a misset turns it, a cell gives the lengths."""
    (described / "A.mat").write_text("0.03 0 0\n0 0.03 0\n0 0 0.03\n")
    base = "--from a.expt -default_F 1 "
    crystal = experiment(base + "-mat A.mat").crystal
    np.testing.assert_allclose(crystal.a_matrix, np.diag([0.03 / 1.5] * 3), rtol=1e-15)
    assert experiment(base + "-misset 0 0 90").crystal.misset_deg == (0.0, 0.0, 90.0)
    assert experiment(base + "-cell 100 120 140 90 95 90").crystal.cell == (100.0, 120.0, 140.0, 90.0, 95.0, 90.0)


@pytest.mark.requirement("AT-FROM-054")
def test_geometry_and_cell_of_crystfel_together(run, folder):
    (folder / "x.geom").write_text(GEOM)
    (folder / "x.cell").write_text(CELL)
    made = experiment("--from x.geom --from x.cell -default_F 1")
    assert made.crystal.cell == (50.0, 60.0, 70.0, 90.0, 90.0, 90.0)
    assert made.beam.wavelength_A == 12398.42 / 9000.0
    panel, = models_of(made).panels
    assert panel.origin_mm == pytest.approx((2.5, -2.0, -80.0), abs=1e-12)


@pytest.mark.requirement("AT-FROM-054")
def test_a_wavelength_that_no_file_says_is_asked_for(run, folder):
    (folder / "x.geom").write_text(GEOM.replace("9000 eV", "/LCLS/photon_energy_eV"))
    line = "--from x.geom -default_F 1 -cell 50 -seed 1 --quiet"
    refused(run(line), 1, "x.geom:1", "/LCLS/photon_energy_eV", "photon_energy", "-lambda", "-energy")
    assert run(line + " -lambda 1").exit_code == 0


@pytest.mark.requirement("AT-FROM-032")
def test_one_of_several_experiments(described):
    """list.expt#1 is the second, unless a file bears that name."""
    document = json.loads(Path("a.expt").read_text())
    document["experiment"].append({**document["experiment"][0], "beam": 1})
    document["beam"].append({**document["beam"][0], "wavelength": 2.5})
    (described / "two.expt").write_text(json.dumps(document))
    assert experiment("--from two.expt -default_F 1").beam.wavelength_A == 1.5
    assert experiment("--from two.expt#1 -default_F 1").beam.wavelength_A == 2.5
    (described / "two.expt#1").write_text(Path("a.expt").read_text())
    assert experiment("--from two.expt#1 -default_F 1").beam.wavelength_A == 1.5


@pytest.mark.requirement("AT-FROM-055")
def test_a_saved_experiment_has_the_models(run, described):
    """Panels and masks included."""
    (described / "x.geom").write_text(GEOM + "bad/min_fs = 1\nbad/max_fs = 2\nbad/min_ss = 1\nbad/max_ss = 1\n")
    first = experiment("--from a.expt --from x.geom -default_F 1")
    (described / "x.toml").write_text(first.to_toml())
    assert experiment("--config x.toml") == first
    assert first.detector.panels[0].mask.sum() == 118


@pytest.mark.requirement("AT-FROM-052")
def test_a_mask_gives_its_pixels_but_no_geometry(described):
    """Beside a detector from a file, the header of a mask is not listened to."""
    from support.command import smv

    pixels = np.ones((20, 24))
    pixels[3, 4] = 0
    smv(described / "m.img", pixels, DISTANCE=1, PIXEL_SIZE=7)
    masked = experiment("--from a.expt -mask m.img -default_F 1")
    assert masked.detector == experiment("--from a.expt -default_F 1").detector
    assert np.argwhere(~masked.sampling.mask).tolist() == [[3, 4]]


@pytest.mark.requirement("AT-FROM-056")
def test_warnings(run, described):
    """What a user would not expect."""
    (described / "x.geom").write_text(GEOM + "bad/min_fs = 1\nbad/max_fs = 2\nbad/min_ss = 1\nbad/max_ss = 1\n")
    for steps, early in (("", True), (" -phisteps 10", False)):
        found = build(parse(f"--from a.expt -default_F 1{steps}".split())).warnings
        assert mentioned(found, "-phisteps", "0.125 deg") == early
    document = json.loads(Path("a.expt").read_text())
    document["detector"][0]["panels"][0].update(thickness=0.3, mu=4.0,
                                                px_mm_strategy={"type": "ParallaxCorrectedPxMmStrategy"})
    (described / "thick.expt").write_text(json.dumps(document))
    for semantics, expected in (("nanobragg", True), ("physical", False)):
        job = build(parse(f"--from thick.expt -default_F 1 --semantics {semantics}".split()))
        assert mentioned(job.warnings, "", "", "sensor layer", "--semantics physical") == expected
        assert (job.experiment.detector.thickness_um, job.experiment.detector.attenuation_um) == (300.0, 250.0)
        assert job.experiment.detector.thick_steps is None


@pytest.mark.requirement("AT-FROM-013")
def test_flags_change_the_sensor_of_panels(described):
    """Also where a mask makes the detector a list of panels."""
    document = json.loads(Path("a.expt").read_text())
    document["detector"][0]["panels"][0].update(thickness=0.3, mu=4.0, mask=[[0, 0, 2, 2]],
                                                px_mm_strategy={"type": "ParallaxCorrectedPxMmStrategy"})
    Path("thick.expt").write_text(json.dumps(document))
    for flags, expected in (("", (300e-6, 4000.0)), ("-detector_thick 0", (0.0, 4000.0)),
                            ("-detector_thick 450 -detector_abs 500", (450e-6, 2000.0))):
        detector = experiment(f"--from thick.expt -default_F 1 {flags}").detector
        panel, = detector.placed().panels
        assert sensor_of(panel.thickness_um, panel.attenuation_um)[:2] == pytest.approx(expected)


@pytest.mark.requirement("AT-FROM-061")
def test_a_sensor_brings_physical_semantics(run, described):
    """Where neither a flag nor an experiment file says the semantics, they are printed and saved."""
    document = json.loads(Path("a.expt").read_text())
    document["detector"][0]["panels"][0].update(thickness=0.3, mu=4.0,
                                                px_mm_strategy={"type": "ParallaxCorrectedPxMmStrategy"})
    Path("thick.expt").write_text(json.dumps(document))
    Path("said.toml").write_text("semantics = 'nanobragg'\n[detector]\nthick_steps = 7\n")

    def semantics(line):
        job = build(parse(f"{line} -default_F 1".split()))
        printed = any("semantics physical" in line and "--semantics nanobragg" in line for line in job.provenance_lines)
        return job.experiment.semantics, printed

    assert semantics("--from thick.expt") == ("physical", True)
    assert semantics("--from a.expt") == ("nanobragg", False)
    for line in ("--semantics nanobragg --from thick.expt", "--from thick.expt --semantics nanobragg",
                 "--config said.toml --from thick.expt"):
        assert semantics(line) == ("nanobragg", False)
    assert semantics("--config said.toml --from thick.expt --semantics physical") == ("physical", False)
    assert experiment("--config said.toml --from thick.expt -default_F 1").detector.thick_steps is None
    assert experiment("--config said.toml --from thick.expt -thicksteps 3 -default_F 1").detector.thick_steps == 3
    result = run("--from thick.expt -default_F 1 -roi 0 1 0 1 -floatfile f.bin --save-config saved.toml")
    assert result.exit_code == 0
    assert 'semantics = "physical"' in Path("saved.toml").read_text()
    traced = run("--from thick.expt -default_F 1 -printout_pixel 1 1")
    assert traced.exit_code == 2
    states(traced.stderr.splitlines()[-1], "thick.expt", "physical", "--semantics", "sensor")


@pytest.mark.requirement("AT-FROM-005")
@pytest.mark.parametrize(("flags", "motion"), [
    ("-distance 200", {"distance_mm": 200.0}), ("-close_distance 150", {"close_distance_mm": 150.0}),
    ("-Xbeam 3 -Ybeam 2", {"beam_centre_mm": (3.0, 2.0)}),
    ("-detector_rotx 5 -detector_rotz 20", {"rotation_deg": (5.0, 0.0, 20.0)}),
    ("-detector_rotx 5 -twotheta_axis 1 0 0 -twotheta 12", {"rotation_deg": (17.0, 0.0, 0.0)}),
    ("-pivot sample -detector_roty 5", {"rotation_deg": (0.0, 5.0, 0.0), "pivot": "sample"})])
def test_flags_that_place_a_detector_move_that_of_a_file(described, flags, motion):
    """By name; and of a saved experiment too."""
    found = experiment(f"--from a.expt -default_F 1 {flags}").detector
    for name, value in motion.items():
        assert getattr(found, name) == pytest.approx(value, abs=1e-12)
    saved = experiment("--from a.expt -default_F 1")
    Path("saved.toml").write_text(saved.to_toml())
    assert experiment(f"--config saved.toml {flags}").detector == found


@pytest.mark.requirement("AT-FROM-005")
def test_one_beam_coordinate_leaves_the_other(described):
    placed = experiment("--from a.expt -default_F 1 -Xbeam 3").placed()
    before = experiment("--from a.expt -default_F 1").placed()
    assert placed.frame.fbeam == pytest.approx(3e-3, abs=1e-15)
    assert placed.frame.sbeam == pytest.approx(before.frame.sbeam, abs=1e-15)


@pytest.mark.requirement("AT-FROM-005")
def test_a_single_panel_takes_other_pixels(described):
    """Its corner and its axes stay."""
    before, = experiment("--from a.expt -default_F 1").detector.panels
    after, = experiment("--from a.expt -default_F 1 -pixel 0.25 -detpixels 7").detector.panels
    assert after.origin_mm == before.origin_mm
    assert after.fast == pytest.approx(before.fast, abs=1e-15)
    assert (after.pixel_mm, after.fast_pixels, after.slow_pixels) == ((0.25, 0.25), 7, 7)


@pytest.mark.requirement("AT-FROM-067")
def test_oblique_panels_are_written_with_a_warning(run, folder):
    """In NXmx, .expt and XDS.INP; a .geom has them as they are."""
    (folder / "x.geom").write_text(GEOM.replace("ss = y", "ss = 1.0y +0.02x"))
    line = "--from x.geom -cell 50 -default_F 1 -N 3 -osc 1 -fluence 1e27 -seed 1 "
    errors = run(line + "--nxmx a.h5 --expt a.expt --geom b.geom --xds-inp X").stderr
    warning, = (row for row in errors.splitlines() if "perpendicular" in row)
    states(warning, "--nxmx", "", "warning", "--expt", "--xds-inp", "panel", "perpendicular", "pixel")
    assert float(re.search(r"\b0\.\d+", warning)[0]) > 0.0
    oblique, = experiment("--from x.geom -cell 50 -default_F 1").detector.panels
    again, = experiment("--from b.geom -cell 50 -default_F 1").detector.panels
    assert again.slow_mm == pytest.approx(oblique.slow_mm, abs=1e-12)
    for name in ("a.h5", "a.expt"):
        panel, = experiment(f"--from {name} -cell 50 -default_F 1").detector.panels
        assert abs(sum(a * b for a, b in zip(panel.fast, panel.slow, strict=True))) < 1e-12
    assert not warned(run(line + "--geom b.geom -floatfile f.bin").stderr, "", "", "perpendicular")
    (folder / "x.geom").write_text(GEOM.replace("ss = y", "ss = 1.0y +0.5x"))
    for flag, code in (("--nxmx c.h5", 2), ("--expt c.expt", 1), ("--xds-inp Y", 1)):
        result = run(line + flag)
        assert result.exit_code == code
        states(result.stderr.splitlines()[-1], flag.split()[0], "", "perpendicular")


@pytest.mark.requirement("AT-FROM-020")
@pytest.mark.parametrize(("line", "code", "says"), [
    ("--from nowhere.expt", 2, ("--from", "nowhere.expt", "no such file")),
    ("--from .", 2, ("--from", ".", "folder")),
    ("--from a.expt -mosflm", 2, ("-mosflm", "", "convention", "a.expt")),
    ("--from a.expt -distance 0", 2, ("-distance", "0 mm", "distance")),
    ("--from a.expt#3", 1, ("a.expt", "experiment 3", "1")),
    ("--from a.geom#0", 1, ("a.geom", "0", ".expt", "several")),
    ("--from empty", 1, ("empty", "", "empty")),
    ("--from cut.expt", 1, ("cut.expt:5", "", "JSON")),
    ("--from behind.expt", 1, ("behind.expt", "0 mm", "panel", "plane", "crystal")),
    ("--from a.expt -ORGX 3", 2, ("-ORGX", "3.0", "panels", "a.expt")),
    ("--from a.expt -fdet_vector 1 0 0", 2, ("-fdet_vector", "1.0 0.0 0.0", "panels", "a.expt")),
    ("--from a.expt --detector pilatus6m", 2, ("--detector", "pilatus6m", "panels", "a.expt")),
    ("--from a.geom --from b.geom -pixel 0.1", 2, ("-pixel", "", "size", "panels", "b.geom")),
    ("--from a.expt --expt a.expt", 2, ("--expt", "a.expt", "--from", "read")),
    ("--from a.expt -phi 3 -osc 0 --xds-inp X", 1, ("--xds-inp", "", "rotation")),
    ("--from a.expt -curved_det --expt b.expt", 2, ("-curved_det", "", "curved")),
    ("--from a.expt --geom nowhere/b.geom", 1, ("--geom", "nowhere/b.geom", "folder", "nowhere")),
])
def test_refusals_come_before_rendering(run, described, line, code, says):
    """One line, the right status, and no file."""
    (described / "empty").write_text("")
    text = Path("a.expt").read_text()
    (described / "cut.expt").write_text(text[:60])
    document = json.loads(text)
    document["detector"][0]["panels"][0]["origin"] = [0, 0, 0]
    (described / "behind.expt").write_text(json.dumps(document))
    (described / "b.geom").write_text(TWO_PANELS)
    before = sorted(path.name for path in described.iterdir())
    refused(run(line + " -default_F 1 -N 3 --quiet"), code, *says)
    assert sorted(path.name for path in described.iterdir()) == before


@pytest.mark.requirement("AT-FROM-057")
def test_descriptions_go_with_any_images(run, folder):
    """They are no images themselves; the .expt names the one that DIALS reads best."""
    assert run(SCENE + "-phi 1 -osc 1 --expt a.expt --quiet").exit_code == 0
    assert {path.name for path in folder.iterdir()} == {"floatimage.bin", "intimage.img", "noiseimage.img", "image.pgm",
                                                        "a.expt"}
    image, = json.loads(Path("a.expt").read_text())["imageset"]
    assert image["template"] == str(folder / "noiseimage.img")
    assert run(SCENE + "-phi 1 -osc 1 --expt b.expt -cbffile x_0001.cbf -intfile i.img --quiet").exit_code == 0
    image, = json.loads(Path("b.expt").read_text())["imageset"]
    assert image["template"] == str(folder / "x_0001.cbf")


def with_profile(path: Path, **profile) -> None:
    """Add a profile model to an experiment list, as `to_dict` of DIALS's gaussian_rs writes it."""
    document = json.loads(path.read_text())
    document["profile"] = [{"__id__": "gaussian_rs", "n_sigma": 3.0, **profile}]
    document["experiment"][0]["profile"] = 0
    path.write_text(json.dumps(document))


SIGMAS = {"sigma_b": 0.03, "sigma_m": 0.05}


@pytest.mark.requirement("AT-FROM-084")
@pytest.mark.parametrize(("flags", "mosaicity", "divergence"), [
    ("", 0.04, 0.03),
    ("--mosaicity 0.2", 0.2, 0.03),
    ("--beam-divergence-deg 0.01", 0.04, 0.01),
    ("-divergence 2", 0.04, None),
    ("-mosaic 0.3 -mosaic_domains 2 --beam-divergence 0.4 0.2", None, None),
    ("--semantics nanobragg", None, None),
])
def test_the_profile_of_an_integration_gives_mosaicity_and_divergence(described, flags, mosaicity, divergence):
    with_profile(Path("a.expt"), **SIGMAS)
    semantics = "" if "--semantics" in flags else "--semantics physical"
    found = experiment(f"{semantics} --from a.expt -default_F 1 -N 5 {flags}")
    assert found.crystal.mosaicity_deg == (None if mosaicity is None else pytest.approx(mosaicity, rel=1e-12))
    assert found.beam.divergence_deg == divergence


@pytest.mark.requirement("AT-FROM-084")
def test_profiles_that_vary_and_others(run, described):
    plain = Path("a.expt").read_text()
    with_profile(Path("a.expt"), sigma_b=[0.02, 0.04], sigma_m=[0.05, 0.05])
    line = "--semantics physical --method analytic --from a.expt -default_F 1 -N 5 "
    assert experiment(line).beam.divergence_deg == pytest.approx(0.03)
    models, spread, *_ = run(line + "-floatfile b.bin").stderr.splitlines()
    states(models, "a.expt", "", "sigma_b 0.03", "sigma_m 0.05")
    states(spread, "", "", "mosaicity 0.04 deg", "divergence 0.03 deg", "--mosaicity", "--beam-divergence")
    parts = read("a.expt")
    assert (parts.crystal.mosaicity_deg, parts.beam.divergence_deg) == (pytest.approx(0.04), pytest.approx(0.03))
    assert parts.complete(StructureFactors(1.0), semantics="nanobragg").beam.divergence_deg is None
    # Spots wider than the rocking curve are those of a large crystal, not of a divergence.
    Path("a.expt").write_text(plain)
    with_profile(Path("a.expt"), sigma_b=0.05, sigma_m=0.02)
    found = experiment(line)
    assert (found.crystal.mosaicity_deg, found.beam.divergence_deg) == (0.02, None)
    for profile in ({"__id__": "ellipsoid", "parameterisation": "simple6"}, {"__id__": "gaussian_rs", "n_sigma": 3.0,
                                                                             "sigma_b": -1.0, "sigma_m": 0.1}):
        Path("a.expt").write_text(plain)
        with_profile(Path("a.expt"), **profile)
        if profile["__id__"] == "ellipsoid":
            assert experiment(line).crystal.mosaicity_deg is None
        else:
            with refusal(FormatError, "a.expt.profile[0].sigma_b", "-1", "10"):
                experiment(line)

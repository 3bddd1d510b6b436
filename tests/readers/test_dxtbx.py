"""Geometry and pixels of our files as DIALS (dxtbx) understands them, against matrices written down by hand."""

from __future__ import annotations

import dataclasses
import os
from datetime import datetime

import numpy as np
import pytest

from cubragg import Detector, simulate
from cubragg.cli.build import build
from cubragg.cli.parser import parse
from cubragg.detect.noise import noise_counts
from cubragg.experiment.conventions import panel_frame
from cubragg.experiment.panel import live_pixels
from cubragg.io.images.cbf import minicbf_header, write_cbf
from cubragg.io.images.image_panels import facing_frame
from cubragg.io.images.nxmx import NxmxWriter
from cubragg.io.images.scene import Scene
from cubragg.io.images.smv import read_smv
from support.command import simulated
from support.dials import read_by_dxtbx
from support.experiments import Hung, hung

pytestmark = [pytest.mark.dials, pytest.mark.slow]

#: Laboratory to DIALS, rows x, y, z: beam to -z, spindle to +x, and no mirror.
X_BEAM = [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]  # beam +x, spindle +z
Z_BEAM = [[1, 0, 0], [0, -1, 0], [0, 0, -1]]  # beam +z, spindle +x
Z_BEAM_Y_SPINDLE = [[0, 1, 0], [1, 0, 0], [0, 0, -1]]
FRAMES = {"mosflm": X_BEAM, "denzo": X_BEAM, "adxv": Z_BEAM, "xds": Z_BEAM, "dials": Z_BEAM_Y_SPINDLE,
          "custom": X_BEAM}
ONE = ("-default_F 100 -cell 60 70 80 90 90 90 -lambda 1.1 -N 3 -distance 80 -pixel 0.7 -detpixels_f 41 "
       "-detpixels_s 33 -oversample 1 -phi 3 -osc 0.5 -exposure 0.2 -fluence 1e28 -seed 5 --quiet ")
BASE = f"{ONE}--images 2 "
CENTRES = {"mosflm": "-Xbeam 9 -Ybeam 17", "denzo": "-denzo -Xbeam 9 -Ybeam 17", "adxv": "-adxv -Xbeam 17 -Ybeam 9",
           "xds": "-xds -ORGX 25.25 -ORGY 14.5", "dials": "-dials -ORGX 25.25 -ORGY 14.5",
           "custom": "-beam_vector 1 0 0 -Xbeam 17 -Ybeam 9"}
TILT = "-detector_rotx 4 -detector_roty -3 -detector_rotz 7 -twotheta 11"
FILES = {"smv": "--smv-flavor adsc -noisefile {}.img", "cbf": "-cbffile {}.cbf", "nxmx": "--nxmx {}.h5"}
#: What SMV and miniCBF cannot say of the straight detectors; they can say nothing of tilted ones.
UNSAID = {"adxv": "got an image whose fast axis, slow axis and beam are left-handed",
          "dials": "got a spindle that is not along the fast axis"}
FORMS = {"smv": ("-noisefile", "an ADSC header"), "cbf": ("-cbffile", "a miniCBF header")}
#: dxtbx and we add up a few products of lengths in another order.
EXACT_MM = 1e-9


def name_of(convention: str, tilted: bool) -> str:
    return f"{convention}{'_tilted' if tilted else ''}"


def line_of(convention: str, tilted: bool) -> str:
    return f"{BASE}{CENTRES[convention]} {TILT if tilted else ''} "


def names_of(name: str, form: str) -> str:
    suffix = {"smv": "img", "cbf": "cbf", "nxmx": "h5"}[form]
    return f"{name}.h5" if form == "nxmx" else ",".join(f"{name}_000{i}.{suffix}" for i in (1, 2))


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """All files of this module, read by dxtbx in one go."""
    folder, sets = tmp_path_factory.mktemp("dxtbx"), []
    before = os.getcwd()
    os.chdir(folder)
    try:
        for convention in FRAMES:
            for tilted in (False, True):
                for form, flags in FILES.items():
                    name = name_of(convention, tilted)
                    if form != "nxmx" and (tilted or convention in UNSAID):
                        continue
                    assert simulated(line_of(convention, tilted) + flags.format(name)) == (0, "")
                    sets.append(names_of(name, form))
        for convention in ("mosflm", "denzo", "adxv", "xds", "dials"):
            assert simulated(f"{line_of(convention, False)} -noisefile plain_{convention}.img") == (0, "")
            sets.append(f"plain_{convention}_0001.img,plain_{convention}_0002.img")
        for line in SENSORS.values():
            assert simulated(f"{line_of('mosflm', False)} {line}") == (0, "")
        sets += SENSORS
        assert simulated(f"{ONE} -detpixels_f 487 -detpixels_s 407 -pixel 0.172 -cbffile p_0001.cbf") == (0, "")
        assert simulated(f"{ONE} -osc 0 -dials -cbffile still_0001.cbf --nxmx still.h5") == (0, "")
        sets += ["p_0001.cbf", "still_0001.cbf", "still.h5", *panel_files()]
        yield read_by_dxtbx(folder, sets), folder
    finally:
        os.chdir(before)


def expected_pixels(convention: str, tilted: bool) -> list[np.ndarray]:
    """Counts of both images: noise around what simulate renders."""
    experiment = build(parse(line_of(convention, tilted).split())).experiment
    counts = []
    for number in range(2):
        goniometer = dataclasses.replace(experiment.goniometer, phi_deg=3.0 + 0.5 * number)
        image = simulate(dataclasses.replace(experiment, goniometer=goniometer))
        counts.append(noise_counts(image.photons, image.plan.roi, 5, shot=number))
    return counts


def check_panel(panel: dict, geometry, frame) -> None:
    """A panel of dxtbx is where one of ours is."""
    frame = np.array(frame)
    np.testing.assert_allclose(panel["origin_mm"], 1000.0 * frame @ geometry.pix0, rtol=0, atol=EXACT_MM)
    np.testing.assert_allclose(panel["fast"], frame @ geometry.fast, rtol=0, atol=1e-12)
    np.testing.assert_allclose(panel["slow"], frame @ geometry.slow, rtol=0, atol=1e-12)
    np.testing.assert_allclose(panel["pixel_mm"], (1000.0 * geometry.pixel_size, 1000.0 * geometry.slow_pixel_size),
                               rtol=1e-12)
    assert panel["size"] == [geometry.fast_pixels, geometry.slow_pixels]
    np.testing.assert_allclose(panel["distance_mm"], 1000.0 * geometry.close_distance, rtol=0, atol=EXACT_MM)


@pytest.mark.requirement("AT-FMT-001", "AT-FMT-002", "AT-FMT-004")
@pytest.mark.parametrize("form", FILES)
@pytest.mark.parametrize("tilted", [False, True])
@pytest.mark.parametrize("convention", FRAMES)
def test_geometry(convention, tilted, form, read, tmp_path, monkeypatch):
    line, name = line_of(convention, tilted), name_of(convention, tilted)
    if form != "nxmx" and (tilted or convention in UNSAID):
        monkeypatch.chdir(tmp_path)
        flag, words = FORMS[form]
        reason = "got a detector that does not face the beam" if tilted else UNSAID[convention]
        code, said = simulated(line + FILES[form].format("a"))
        assert (code, said.splitlines()[-1]) == (
            2, f"Error: {flag}: {reason}, which {words} cannot describe; --nxmx can")
        assert list(tmp_path.iterdir()) == []
        return
    model = read[0].models[names_of(name, form)]
    experiment = build(parse(line.split())).experiment
    geometry = experiment.detector.geometry(experiment.goniometer.axis, "nanobragg")
    np.testing.assert_allclose(model["beam"]["s0"], (0, 0, -1), rtol=0, atol=1e-12)
    assert model["beam"]["wavelength_A"] == pytest.approx(1.1, rel=1e-12)
    np.testing.assert_allclose(model["axis"], (1, 0, 0), rtol=0, atol=1e-12)
    assert model["oscillation_deg"] == pytest.approx([3.0, 0.5], rel=1e-9)
    assert (model["images"], model["exposures_s"]) == (2, pytest.approx([0.2, 0.2]))
    (panel,) = model["panels"]
    check_panel(panel, geometry, FRAMES[convention])


@pytest.mark.requirement("AT-FMT-002")
@pytest.mark.parametrize("form", FILES)
def test_pixels(form, read):
    sets = names_of("mosflm", form)
    offset = 40 if form == "smv" else 0
    for number, counts in enumerate(expected_pixels("mosflm", False)):
        assert counts.max() > 30
        np.testing.assert_array_equal(read[0].pixels[f"{sets}-{number}-0"], counts + offset)


def test_which_class_reads(read):
    formats = [read[0].models[names_of("mosflm", form)]["format"] for form in FILES]
    assert formats == ["FormatSMVADSCNoDateStamp", "FormatCBFMini", "FormatNXmx"]
    assert read[0].models["p_0001.cbf"]["format"] == "FormatCBFMiniPilatus"
    assert read[0].models["plain_mosflm_0001.img,plain_mosflm_0002.img"]["format"] == "FormatSMVJHSim"


@pytest.mark.requirement("AT-FMT-002")
@pytest.mark.parametrize(("form", "trusted", "gain", "pedestal"), [
    ("smv", [-41.0, 65495.0], 1.0, 40.0), ("cbf", [-1.0, 2.0**31 - 1.0], 1.0, 0.0),
    ("nxmx", [-1.0, 2.0**31 - 3.0], 1.0, 0.0)])
def test_trusted_range_and_gain(form, trusted, gain, pedestal, read):
    (panel,) = read[0].models[names_of("mosflm", form)]["panels"]
    assert (panel["trusted"], panel["gain"], panel["pedestal"]) == (trusted, gain, pedestal)


@pytest.mark.requirement("AT-FMT-003")
@pytest.mark.parametrize("convention", ["mosflm", "denzo", "adxv", "xds", "dials"])
def test_the_header_of_the_c_program_is_taken_in_another_sense(convention, read):
    """JHSim's class counts BEAM_CENTER in ADXV's sense and adds a pixel: with it no convention has a true origin."""
    model = read[0].models[f"plain_{convention}_0001.img,plain_{convention}_0002.img"]
    header = read_smv(read[1] / f"plain_{convention}_0001.img").header
    x, y, pixel = (float(header[key]) for key in ("BEAM_CENTER_X", "BEAM_CENTER_Y", "PIXEL_SIZE"))
    height = 33 * pixel
    (panel,) = model["panels"]
    np.testing.assert_allclose(panel["origin_mm"], (-x - pixel, height - y + pixel, -80.0), rtol=0, atol=1e-9)
    experiment = build(parse(line_of(convention, False).split())).experiment
    geometry = experiment.detector.geometry(None, "nanobragg")
    true = 1000.0 * np.array(FRAMES[convention]) @ geometry.pix0
    assert np.abs(panel["origin_mm"] - true).max() > 0.4 * pixel


# sensors: a thickness only where layers were rendered

SENSORS = {
    "thin_0001.cbf,thin_0002.cbf": "-cbffile thin.cbf", "thin.h5": "--nxmx thin.h5",
    "thick_0001.cbf,thick_0002.cbf": "-cbffile thick.cbf -detector_thick 450 -detector_abs 300 -thicksteps 2",
    "thick.h5": "--nxmx thick.h5 -detector_thick 450 -detector_abs 300 -thicksteps 2",
}


@pytest.mark.requirement("AT-FMT-006")
@pytest.mark.parametrize(("sets", "thickness_mm", "shift_mm"), [
    ("thin_0001.cbf,thin_0002.cbf", 0.0, 0.0), ("thin.h5", 0.0, 0.0),
    ("thick_0001.cbf,thick_0002.cbf", 0.45, 0.02), ("thick.h5", 0.45, 0.02)])
def test_parallax_is_corrected_for_only_where_it_was_rendered(sets, thickness_mm, shift_mm, read):
    (panel,) = read[0].models[sets]["panels"]
    place = (41 / 2 + 40.0) * 0.7, (33 / 2 + 30.0) * 0.7
    shift = np.subtract(panel["place_mm"], place)
    assert panel["thickness_mm"] == pytest.approx(thickness_mm, abs=1.1e-6)
    if shift_mm:
        assert (np.abs(shift) > shift_mm).all()
        assert panel["material"] == "Si"
    else:
        np.testing.assert_allclose(shift, 0.0, rtol=0, atol=1e-6)


@pytest.mark.requirement("AT-FMT-005")
def test_modules_of_a_pilatus(read):
    pixels, mask = read[0].pixels["p_0001.cbf-0-0"], read[0].pixels["mask-p_0001.cbf-0-0"]
    gap = np.zeros((407, 487), dtype=bool)
    gap[195:212] = True
    np.testing.assert_array_equal(pixels == -1, gap)
    np.testing.assert_array_equal(mask, ~gap)


@pytest.mark.requirement("AT-FMT-001")
@pytest.mark.parametrize("name", ["still_0001.cbf", "still.h5"])
def test_stills_of_any_spindle(name, read):
    model = read[0].models[name]
    assert model["oscillation_deg"] is None or model["oscillation_deg"][1] == 0.0
    (panel,) = model["panels"]
    handed = np.cross(panel["fast"], panel["slow"])
    np.testing.assert_allclose(handed, (0, 0, -1), atol=1e-12)


# many panels

PANELS = hung(
    Detector("xds", distance_mm=90.0, fast_pixels=60, slow_pixels=50, pixel_size_mm=0.5, rotx_deg=3.0,
             twotheta_deg=8.0),
    (
        Hung(20, 16, 0.1, 0.3, name="left", material="CdTe"),
        Hung(30, 10, 0.25, 0.2, origin_mm=(12.0, 1.0, 0.4), fast=(0.8, 0.6, 0.0), slow=(-0.6, 0.8, 0.0),
              offset=(25, 3), name="turned", material="CdTe"),
        Hung(12, 11, 0.2, 0.2, origin_mm=(2.0, 12.0, -3.0), fast=(1.0, 0.0, 0.0), slow=(0.0, 0.6, 0.8),
              offset=(2, 18), name="leaning", material="CdTe")))
GRID = hung(
    Detector("mosflm", distance_mm=90.0, pixel_size_mm=0.2, fast_pixels=50, slow_pixels=40),
    (Hung(20, 16, 0.2, 0.2, name="a"), Hung(24, 16, 0.2, 0.2, origin_mm=(26 * 0.2, 0.0, 0.0), offset=(26, 0)),
     Hung(50, 20, 0.2, 0.2, origin_mm=(0.0, 20 * 0.2, 0.0), offset=(0, 20))))


def panel_counts(detector: Detector, number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 1000, detector.shape())


def panel_files() -> list[str]:
    scene = Scene(*PANELS.placed(), live_pixels(PANELS.panels), 1.2, 10.0, 0.25, 0.1, datetime(2026, 1, 2),
                      trusted=(0.0, 900.0))
    with NxmxWriter("panels.h5", scene, 3, "int32") as writer:
        for number in range(2):  # fewer than were announced
            writer.append(np.where(scene.live, panel_counts(PANELS, number), -1).astype(np.int32))
    panels, frame = GRID.placed()
    whole = facing_frame(panels, frame.laboratory, rotating=True)
    header = minicbf_header(whole, wavelength_A=1.2, start_angle_deg=0.0, angle_increment_deg=0.5, exposure_s=0.1,
                            timestamp=datetime(2026, 1, 2))
    write_cbf("grid_0001.cbf", np.where(live_pixels(GRID.panels), panel_counts(GRID, 0), -1).astype(np.int32), header)
    return ["panels.h5", "grid_0001.cbf"]


@pytest.mark.requirement("AT-FMT-002")
def test_panels_of_nxmx(read):
    model = read[0].models["panels.h5"]
    placed = [panel_frame(panel, PANELS.placed().frame.laboratory) for panel in PANELS.panels]
    assert (len(model["panels"]), model["images"], model["oscillation_deg"]) == (3, 2, [10.0, 0.25])
    for number, (panel, geometry, ours) in enumerate(zip(model["panels"], placed, PANELS.panels, strict=True)):
        check_panel(panel, geometry, Z_BEAM)
        assert (panel["material"], panel["trusted"]) == ("CdTe", [-1.0, 900.0])
        for image in range(2):
            counts = panel_counts(PANELS, image)[ours.window]
            np.testing.assert_array_equal(read[0].pixels[f"panels.h5-{image}-{number}"], counts)
            np.testing.assert_array_equal(read[0].pixels[f"mask-panels.h5-{image}-{number}"], counts <= 900)


def test_panels_on_one_grid_make_one_picture(read):
    geometry = GRID.geometry(None, "nanobragg")
    (panel,) = read[0].models["grid_0001.cbf"]["panels"]
    np.testing.assert_allclose(panel["origin_mm"], 1000.0 * np.array(X_BEAM) @ geometry.pix0, rtol=0, atol=EXACT_MM)
    np.testing.assert_array_equal(read[0].pixels["mask-grid_0001.cbf-0-0"], live_pixels(GRID.panels))

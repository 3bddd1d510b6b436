"""Detectors known by name: published figures, and other programs' masks of the same detectors."""

from __future__ import annotations

import json
import os
import subprocess

import numpy as np
import pytest

from cubragg import ConfigError, Detector
from cubragg.experiment.catalog import CATALOG, find
from cubragg.experiment.panel import image_shape, live_pixels
from support.messages import refusal

#: A Python that has pyFAI, which need not be this one.
PYFAI_PYTHON = os.environ.get("PYFAI_PYTHON", "/usr/bin/python3")
#: Widths, heights [pixel] and pixels [mm] as their makers publish them (specs/panels.md).
PUBLISHED = {
    "pilatus100k": (487, 195, 0.172), "pilatus300k": (487, 619, 0.172), "pilatus300k-w": (1475, 195, 0.172),
    "pilatus1m": (981, 1043, 0.172), "pilatus2m": (1475, 1679, 0.172), "pilatus6m": (2463, 2527, 0.172),
    "eiger500k": (1030, 514, 0.075), "eiger1m": (1030, 1065, 0.075), "eiger4m": (2070, 2167, 0.075),
    "eiger9m": (3110, 3269, 0.075), "eiger16m": (4150, 4371, 0.075),
    "eiger2-500k": (1028, 512, 0.075), "eiger2-1m": (1028, 1062, 0.075), "eiger2-4m": (2068, 2162, 0.075),
    "eiger2-9m": (3108, 3262, 0.075), "eiger2-16m": (4148, 4362, 0.075),
    "jungfrau4m": (2068, 2164, 0.075), "jungfrau16m": (4215, 4432, 0.075),
    "rayonix-mx225hs-2x2": (2880, 2880, 0.078125), "rayonix-mx300hs-4x4": (1920, 1920, 0.15625),
    "rayonix-mx340hs": (7680, 7680, 0.0442708), "rayonix-mx340hs-4x4": (1920, 1920, 0.1770833),
    "adsc-q210-2x2": (2048, 2048, 0.1024), "adsc-q315": (6144, 6144, 0.0513), "adsc-q315-2x2": (3072, 3072, 0.1026),
}
#: pyFAI's class of each, and the binning it is to be asked for. Its pixels of ADSC detectors are rounded to a micron.
PYFAI = {
    "pilatus100k": "Pilatus100k", "pilatus300k": "Pilatus300k", "pilatus300k-w": "Pilatus300kw",
    "pilatus1m": "Pilatus1M", "pilatus2m": "Pilatus2M", "pilatus6m": "Pilatus6M",
    "eiger500k": "Eiger500k", "eiger1m": "Eiger1M", "eiger4m": "Eiger4M", "eiger9m": "Eiger9M", "eiger16m": "Eiger16M",
    "eiger2-500k": "Eiger2_500k", "eiger2-1m": "Eiger2_1M", "eiger2-4m": "Eiger2_4M", "eiger2-9m": "Eiger2_9M",
    "eiger2-16m": "Eiger2_16M", "rayonix-mx225hs-2x2": "RayonixMx225hs", "rayonix-mx300hs-2x2": "RayonixMx300hs",
    "rayonix-mx340hs-2x2": "RayonixMx340hs", "adsc-q315": "ADSC_Q315", "adsc-q210": "ADSC_Q210",
}
_ASK_PYFAI = """
import json, sys
import numpy as np
from pyFAI import detectors
for name in json.loads(sys.argv[1]):
    known = getattr(detectors, name)()
    mask = known.mask
    live = np.ones(known.shape, dtype=bool) if mask is None else np.asarray(mask) == 0
    edges = np.flatnonzero(np.diff(np.concatenate([[False], live.ravel(), [False]])))
    print(json.dumps([name, known.shape, known.pixel1, known.pixel2, edges.tolist()]))
"""


@pytest.fixture(scope="module")
def pyfai():
    """pyFAI's (shape, pixel edges [m], ends of runs of live pixels in scan order), by class."""
    try:
        found = subprocess.run([PYFAI_PYTHON, "-c", _ASK_PYFAI, json.dumps(sorted(set(PYFAI.values())))],
                               capture_output=True, text=True, timeout=120, check=False)
    except OSError as error:
        pytest.skip(f"no Python with pyFAI: {error}")
    if "No module named 'pyFAI'" in found.stderr:
        pytest.skip(f"{PYFAI_PYTHON} has no pyFAI")
    assert found.returncode == 0, found.stderr
    rows = [json.loads(line) for line in found.stdout.splitlines() if line.startswith("[")]
    return {name: (tuple(shape), pixels, edges) for name, shape, *pixels, edges in rows}


def live(model):
    mask = live_pixels(Detector(model=model.name).placed().panels)
    return np.ones(model.shape, dtype=bool) if mask is None else mask


@pytest.mark.requirement("AT-MODEL-001")
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sizes(name):
    width, height, pixel_mm = PUBLISHED[name]
    detector = Detector.named(name)
    panels, frame = detector.placed()
    assert detector.shape() == image_shape(panels) == (height, width)
    assert (frame.fast_pixels, frame.slow_pixels) == (width, height)
    for panel in panels:
        assert panel.pixel_mm == pytest.approx((pixel_mm, pixel_mm), rel=1e-6)


@pytest.mark.requirement("AT-MODEL-001")
@pytest.mark.parametrize("name", PYFAI)
def test_pixels_are_those_of_pyfai(pyfai, name):
    shape, pixels_m, edges = pyfai[PYFAI[name]]
    model = CATALOG[name]
    assert model.shape == shape
    rounded = 0.01 if name.startswith("adsc") else 1e-6
    assert [1e3 * pixel for pixel in pixels_m] == pytest.approx([model.module.pixel_mm] * 2, rel=rounded)
    mine = np.flatnonzero(np.diff(np.concatenate([[False], live(model).ravel(), [False]])))
    np.testing.assert_array_equal(mine, edges)


@pytest.mark.requirement("AT-MODEL-001")
def test_modules_of_the_jungfrau_16m():
    """Corners that PSI publishes for the modules of JF07T32V01 (fast, slow), some of them."""
    positions = CATALOG["jungfrau16m"].positions
    assert len(positions) == len(set(positions)) == 32
    assert [positions[number] for number in (0, 1, 3, 12, 15, 16, 19, 28, 31)] == [
        (68, 0), (1107, 0), (3185, 68), (68, 1650), (3185, 1718), (0, 2200), (3117, 2268), (0, 3850), (3117, 3918)]
    # In the middle a hole for the beam: columns 2146 to 2177 on both sides of row 2200 belong to no module.
    assert not live(CATALOG["jungfrau16m"])[2170:2195, 2100:2140].any()


def test_numbers_of_live_pixels():
    """Modules times their pixels."""
    assert live(CATALOG["pilatus6m"]).sum() == 60 * 487 * 195
    assert live(CATALOG["eiger16m"]).sum() == 32 * 1030 * 514
    assert live(CATALOG["eiger2-9m"]).sum() == 18 * 1028 * 512
    assert live(CATALOG["jungfrau16m"]).sum() == 32 * 1030 * 514


@pytest.mark.requirement("AT-MODEL-005")
def test_highest_counts():
    assert CATALOG["pilatus2m"].modules()[0].trusted == (0.0, 1048575.0)
    assert CATALOG["adsc-q315-2x2"].modules()[0].trusted == (0.0, 65535.0)
    assert CATALOG["jungfrau4m"].modules()[0].trusted is None


@pytest.mark.parametrize(("spelled", "name"), [
    ("PILATUS 6M", "pilatus6m"), ("Eiger2 16M", "eiger2-16m"), ("EIGER2_16M", "eiger2-16m"), ("eiger16m", "eiger16m"),
    ("ADSC Q315-2x2", "adsc-q315-2x2"), ("Rayonix MX340-HS-4x4", "rayonix-mx340hs-4x4")])
def test_spellings(spelled, name):
    assert find("name", spelled).name == name


@pytest.mark.requirement("AT-MODEL-004")
@pytest.mark.parametrize(("spelled", "says"), [
    ("pilatus7m", ("--detector", "pilatus7m", "pilatus6m", "pilatus2m", "pilatus1m")),
    ("", ("--detector", "''", "pilatus100k")),
])
def test_unknown_names(spelled, says):
    with refusal(ConfigError, *says):
        find("--detector", spelled)


def test_the_beam_goes_to_the_middle():
    for name in ("pilatus6m", "jungfrau16m"):
        model = CATALOG[name]
        for convention in ("mosflm", "denzo", "adxv", "xds", "dials"):
            geometry = Detector.named(name, convention=convention).geometry(None, "nanobragg")
            place = geometry.fbeam / geometry.pixel_size, geometry.sbeam / geometry.pixel_size
            assert place == pytest.approx((model.shape[1] / 2, model.shape[0] / 2), abs=1.01)

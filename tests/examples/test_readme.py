"""README's Python, run as it is printed; and short scripts for what people do first."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_blocks_run_one_after_the_other(folder):
    names: dict[str, object] = {}
    for number, block in enumerate(BLOCKS):
        exec(compile(block, f"README.md, Python block {number + 1}", "exec"), names)
    assert "image" in names


@pytest.mark.slow
def test_the_three_commands_of_the_first_screen(folder):
    block = next(block for block in re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
                 if "cubragg sweep" in block)
    for line in block.strip().splitlines():
        subprocess.run([sys.executable, "-m", *shlex.split(line)], check=True, capture_output=True,
                       env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert (folder / "still.png").exists()
    for name in ("sweep", "stills"):
        assert json.loads((folder / name / "summary.json").read_text())["shots"] == 10


def run(script: str) -> dict[str, object]:
    """Run a script, which has 20 lines at most."""
    assert len(script.strip().splitlines()) <= 20
    names: dict[str, object] = {}
    exec(compile(script, "script", "exec"), names)
    return names


EXPERIMENT = """
import cubragg as cb
experiment = cb.Experiment(
    crystal=cb.Crystal(cell=(40, 50, 60, 90, 90, 90), cells=(12, 12, 12)),
    structure_factors=cb.StructureFactors(default_F=300),
    beam=cb.Beam(wavelength_A=1.0, fluence=1e26),
    detector=cb.Detector(distance_mm=100, pixel_size_mm=0.2, fast_pixels=90, slow_pixels=70))
"""


def test_a_still_as_nxmx_and_cbf(folder):
    import fabio
    import h5py

    run(EXPERIMENT + """
image = cb.simulate(experiment)
image.save("still.nxs", seed=1)
image.save("still.cbf", seed=1)
""")
    with h5py.File("still.nxs") as file:
        stored = file["entry/data/data"][0]
    with fabio.open("still.cbf") as image:
        np.testing.assert_array_equal(image.data, stored)
    assert stored.sum() > 1000


def test_a_rotation_series(folder):
    import fabio

    run(EXPERIMENT + """
from dataclasses import replace
series = replace(experiment, goniometer=cb.Goniometer(phi_deg=0, osc_deg=0.5, phi_steps=5))
for number, image in enumerate(cb.render_series(series, images=3)):
    image.save(f"sweep_{number + 1:04d}.cbf", seed=number)
""")
    starts = []
    for number in (1, 2, 3):
        with fabio.open(f"sweep_{number:04d}.cbf") as image:
            starts.append(re.search(r"Start_angle ([\d.]+)", image.header["_array_data.header_contents"])[1])
    assert [float(start) for start in starts] == [0.0, 0.5, 1.0]


def test_labelled_spots_as_arrays(folder):
    names = run(EXPERIMENT + """
images, labels = [], []
for number, image in enumerate(cb.render_many(experiment, cb.random_orientations(3, seed=1))):
    spots = image.reflections(min_photons=5).as_dict()
    images.append(image.counts(seed=number))
    labels.append([spots[name] for name in ("image_fast", "image_slow", "h", "k", "l", "photons")])
""")
    for counts, (fast, slow, *_, photons) in zip(names["images"], names["labels"], strict=True):
        assert len(photons) >= 1
        # The brightest label lies on bright pixels.
        column, row = int(fast[0]), int(slow[0])
        around = counts[max(row - 1, 0):row + 2, max(column - 1, 0):column + 2]
        assert around.sum() > 0.3 * photons[0]

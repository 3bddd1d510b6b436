"""Images, data sets and fixtures for the tests of other programs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cubragg import read, simulate, testing

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = "cubragg.testing.pytest_fixtures"
FIXTURES_IN_USE = """
import json
import h5py
import numpy as np
import pytest
import cubragg.testing

def test_image(cubragg_image, cubragg_experiment):
    assert cubragg_image.fingerprint() == cubragg.testing.FINGERPRINTS["image"]["photons"][0]
    assert cubragg_image.experiment.detector == cubragg_experiment.detector
    with pytest.raises(ValueError, match="read-only"):
        cubragg_image.photons[0, 0] = 1

@pytest.mark.parametrize("suffix", [".cbf", ".img", ".nxs", ".npy", ".tif"])
def test_file(cubragg_image_file, cubragg_image, suffix):
    image = cubragg.read(cubragg_image_file(suffix))
    np.testing.assert_array_equal(image.counts(), cubragg_image.counts(seed=0))
    assert cubragg_image_file(suffix) == cubragg_image_file(suffix)

@pytest.mark.parametrize(("kind", "shots", "crystals"), [("sweep", 5, 1), ("stills", 4, 4)])
def test_data_set(kind, shots, crystals, request):
    folder, data = (request.getfixturevalue(f"cubragg_{kind}{end}") for end in ("_folder", ""))
    with h5py.File(folder / "master.nxs") as file:
        pixels = file["entry/data/data"][()]
    assert len(pixels) == len(data) == shots
    np.testing.assert_array_equal(pixels[2], data[2].counts)
    assert len(json.loads((folder / "models.expt").read_text())["experiment"]) == crystals
"""


def run_pytest(folder: Path, *arguments: str) -> str:
    """What pytest prints for the tests of a folder, as another program runs it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("PYTEST_ADDOPTS", None)
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments], cwd=folder,
                          env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.requirement("AT-STAB-004")
def test_fixtures_in_the_tests_of_another_program(tmp_path):
    (tmp_path / "test_theirs.py").write_text(FIXTURES_IN_USE)
    assert "8 passed" in run_pytest(tmp_path, "-p", PLUGIN)


@pytest.mark.requirement("AT-STAB-004")
def test_loading_the_fixtures_imports_nothing_heavy(tmp_path):
    (tmp_path / "test_theirs.py").write_text(
        "import sys\ndef test_modules():\n"
        "    assert 'cubragg.testing.pytest_fixtures' in sys.modules\n"
        "    ours = {name for name in sys.modules if name.startswith('cubragg')}\n"
        "    assert ours == {'cubragg', 'cubragg.errors', 'cubragg.testing', 'cubragg.testing.tiny_sets',\n"
        "                    'cubragg.testing.pytest_fixtures'}\n"
        "    assert not {'numpy', 'h5py', 'fabio', 'gemmi'} & set(sys.modules)\n")
    environment = ("-p", "no:hypothesispytest", "-p", PLUGIN)
    assert "1 passed" in run_pytest(tmp_path, *environment)


@pytest.mark.requirement("AT-STAB-003")
@pytest.mark.parametrize("kind", ["image", "sweep", "stills"])
def test_fingerprints_are_those_that_are_promised(kind):
    made = getattr(testing, kind)()
    images = [made] if kind == "image" else [shot.image for shot in made]
    for what, promised in testing.FINGERPRINTS[kind].items():
        assert tuple(image.fingerprint(what) for image in images) == promised
    assert not any(image.warnings for image in images)


@pytest.mark.requirement("AT-STAB-001")
@pytest.mark.parametrize("kind", ["sweep", "stills"])
def test_data_sets_have_one_fingerprint_on_both_backends(kind):
    from dataclasses import replace

    data = getattr(testing, kind)()
    for number, promised in enumerate(testing.FINGERPRINTS[kind]["photons"]):
        shot = data.shot(number, replace(data.rendering, backend="cpu"))
        assert shot.image.backend == "cpu"
        assert shot.image.fingerprint() == promised


@pytest.mark.requirement("AT-STAB-003")
@pytest.mark.c_program
def test_the_image_is_the_c_programs(tmp_path):
    experiment = testing.experiment()
    factors = experiment.structure_factors
    places = np.argwhere(factors.grid)
    rows = np.column_stack([places + np.array(factors.origin), factors.grid[factors.grid != 0]])
    np.savetxt(tmp_path / "F.hkl", rows, fmt=["%d", "%d", "%d", "%g"])
    line = ("-hkl F.hkl -cell 40 50 60 90 90 90 -misset 10 20 30 -Na 8 -Nb 7 -Nc 6 -gauss_xtal -lambda 1 -fluence 1e27 "
            "-distance 60 -pixel 0.2 -detpixels_x 96 -detpixels_y 64 -oversample 4 -nonoise -floatfile c.bin")
    subprocess.run([os.environ["NB_C_BIN"], *line.split()], cwd=tmp_path, check=True, capture_output=True)
    pixels = np.fromfile(tmp_path / "c.bin", dtype=np.float32).reshape(64, 96)
    np.save(tmp_path / "c.npy", pixels)
    assert read(tmp_path / "c.npy").fingerprint() == testing.FINGERPRINTS["image"]["photons"][0]


@pytest.mark.requirement("AT-STAB-003")
def test_structure_factors_are_those_of_the_docstring():
    factors = testing.experiment().structure_factors
    for hkl in ((1, 2, 3), (-1, 2, -3), (-10, 12, 15), (0, 0, 1)):
        place = tuple(index - first for index, first in zip(hkl, factors.origin, strict=True))
        assert factors.grid[place] == 100 + 20 * (np.dot((7, 11, 13), np.square(hkl)) % 17)



def test_an_image_on_the_kernels_has_the_promised_counts():
    image = simulate(testing.experiment(), backend="cpu", precision="double")
    assert image.fingerprint("counts") == testing.FINGERPRINTS["image"]["counts"][0]

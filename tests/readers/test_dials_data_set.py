"""A sweep of one command, which DIALS indexes without a cell and integrates: cell, orientation and intensities."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

import cubragg
from support.command import invoke
from support.dials import dials_python, ran, table_columns

pytestmark = [pytest.mark.dials, pytest.mark.slow]

MODEL = Path(cubragg.__file__).parent / "examples" / "helix_bundle.pdb"
#: Images on either side of a reflection's centre that hold all of its photons.
AROUND = 8


def axes(path: Path) -> np.ndarray:
    """a, b, c of the only crystal [A] as rows, in the frame of DIALS."""
    (crystal,) = json.loads(path.read_text())["crystal"]
    return np.array([crystal[f"real_space_{name}"] for name in "abc"])


def true_photons(folder: Path, hkl: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Photons of reflections in the images around their frames, from the truth of the set."""
    found: dict[tuple[int, ...], list[tuple[float, float]]] = {}
    for path in folder.glob("truth-*.h5"):
        with h5py.File(path) as file:
            columns = [file["reflections"][name][()].tolist() for name in ("h", "k", "l", "shot", "photons")]
        for h, k, l, shot, photons in zip(*columns, strict=True):  # noqa: E741
            found.setdefault((h, k, l), []).append((shot + 0.5, photons))
    return np.array([sum(photons for shot, photons in found.get(tuple(index), ()) if abs(shot - frame) < AROUND)
                     for index, frame in zip(hkl.tolist(), frames.tolist(), strict=True)])


def test_dials_indexes_and_integrates_a_sweep_of_one_command(tmp_path):
    dials_python()
    folder = tmp_path / "run"
    line = f"sweep {MODEL} --detector eiger2-1m --distance 100 --images 20 --osc 0.5 -o {folder} --quiet"
    assert invoke(line).exit_code == 0
    ran("dials.import", "run/master.nxs", folder=tmp_path)
    ran("dials.find_spots", "imported.expt", "nproc=1", folder=tmp_path)
    text = ran("dials.index", "imported.expt", "strong.refl", "nproc=1", folder=tmp_path)
    indexed = next(line for line in reversed(text.splitlines()) if line.count("|") == 5 and "%" in line)
    assert float(indexed.split("|")[-2].strip(" %")) > 95.0
    ran("dials.refine", "indexed.expt", "indexed.refl", "nproc=1", folder=tmp_path)
    ran("dials.integrate", "refined.expt", "refined.refl", "nproc=1", folder=tmp_path)

    found, truth = axes(tmp_path / "refined.expt"), axes(folder / "models.expt")
    # Another choice of axes is the same lattice: whole numbers of ours, and a volume of one cell.
    choice = np.rint(found @ np.linalg.inv(truth))
    assert abs(np.linalg.det(choice)) == pytest.approx(1.0)
    ours = choice @ truth
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), np.linalg.norm(ours, axis=1), rtol=1e-3)
    left, _, right = np.linalg.svd(np.linalg.inv(ours) @ found)
    assert np.degrees(np.arccos(min((np.trace(left @ right) - 1.0) / 2.0, 1.0))) < 0.03

    table = table_columns(tmp_path / "integrated.refl")
    hkl = np.rint(table["miller_index"] @ np.linalg.inv(choice).T).astype(int)
    photons = true_photons(folder, hkl, table["xyzcal.px"][:, 2])
    counts, variance = table["intensity.sum.value"], table["intensity.sum.variance"]
    whole = (table["partiality"] > 0.99) & (abs(table["zeta"]) > 0.05) & (photons > 1.0) & (variance > 0.0)
    assert whole.sum() > 1500
    scale = (counts * photons / variance)[whole].sum() / (photons**2 / variance)[whole].sum()
    # Absolute: integrated counts are the photons of the truth, but for what is outside DIALS's shoeboxes.
    assert scale == pytest.approx(1.0, abs=0.01)
    # As the variances of DIALS, which count photons and background: chi^2 / n is 1 within 4 / sqrt(n / 2) here.
    chi2 = ((counts - scale * photons) ** 2 / variance)[whole].mean()
    assert 0.85 < chi2 < 1.15

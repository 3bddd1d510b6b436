"""Several sweeps of one command: DIALS imports each as its own, and indexes all with one crystal."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import cubragg
from support.command import invoke
from support.dials import dials_python, ran
from support.scripts import script

pytestmark = [pytest.mark.dials, pytest.mark.slow]

MODEL = Path(cubragg.__file__).parent / "examples" / "helix_bundle.pdb"
# Without a sensor: dxtbx corrects for the mean depth of absorption per photon that falls on the sensor (134 um
# of 450 um of silicon); photons that are absorbed have 161 um, which is 0.1 pixels away at the corners.
LINE = f"sweep {MODEL} --detector eiger2-1m --distance 100 --osc 0.5 --quiet --seed 3 -detector_thick 0"
KAPPA = "--goniometer-axis phi=0,0,1 --goniometer-axis kappa=0.3,0.2,0.9 --goniometer-axis omega=0,0,1"


def imported(folder: Path, count: int) -> None:
    """Have DIALS import the master files, each as one sweep."""
    dials_python()
    text = ran("dials.import", *sorted(f"run/{path.name}" for path in (folder / "run").glob("master-*.nxs")),
               folder=folder)
    assert f"sweep:    {count}\n" in text


def test_settings_of_a_goniometer_are_one_crystal(tmp_path):
    line = f"{LINE} {KAPPA} --sweep 0:20 --sweep 30:20:kappa=40,phi=60 --sweep 10:16:scan=phi,kappa=20,omega=35"
    assert invoke(f"{line} -o {tmp_path / 'run'}").exit_code == 0
    imported(tmp_path, 3)
    ran("dials.find_spots", "imported.expt", "nproc=1", folder=tmp_path)
    text = ran("dials.index", "imported.expt", "strong.refl", "nproc=1", folder=tmp_path)
    # With a goniometer that turns another way, one crystal would index one of the sweeps only.
    indexed = [line for line in text.splitlines() if line.count("|") == 5 and "%" in line][-3:]
    assert all(float(line.split("|")[-2].strip(" %")) > 95.0 for line in indexed)
    found, truth = (json.loads((tmp_path / name).read_text()) for name in ("indexed.expt", "run/models.expt"))
    axes, ours = (np.array([one["crystal"][0][f"real_space_{name}"] for name in "abc"]) for one in (found, truth))
    choice = np.rint(axes @ np.linalg.inv(ours))
    assert abs(np.linalg.det(choice)) == pytest.approx(1.0)
    left, _, right = np.linalg.svd(np.linalg.inv(choice @ ours) @ axes)
    assert np.degrees(np.arccos(min((np.trace(left @ right) - 1.0) / 2.0, 1.0))) < 0.03


def test_dials_predicts_the_truth_of_each_sweep(tmp_path):
    line = f"{LINE} {KAPPA} --sweep 0:4 --sweep 30:4:kappa=40,phi=60 --sweep 10:4:scan=phi,kappa=20,omega=35"
    assert invoke(f"{line} --inverse-beam 1 -o {tmp_path / 'run'}").exit_code == 0
    imported(tmp_path, 12)
    ran("dials.predict", "run/models.expt", "force_static=True", folder=tmp_path)
    table_columns = script("dials_report").dials_route.table_columns
    predicted = table_columns(tmp_path / "predicted.refl")
    places: dict[tuple[int, ...], list[list[float]]] = {}
    for number, hkl, xyz in zip(*(predicted[name].tolist() for name in ("id", "miller_index", "xyzcal.px")),
                                strict=True):
        places.setdefault((number, *hkl), []).append(xyz)
    gaps = []
    for path in sorted((tmp_path / "run").glob("truth-*.refl")):
        table = table_columns(path)
        x, y, _ = table["xyzcal.px"].T
        # Of those that the image has all of; others have the place of their part.
        whole = (table["partiality"] > 0.999) & (x > 2.0) & (x < 1026.0) & (y > 2.0) & (y < 1060.0)
        for number, hkl, xyz in zip(*(table[name][whole].tolist() for name in ("id", "miller_index", "xyzcal.px")),
                                    strict=True):
            gaps.append(min((np.abs(np.subtract(xyz, other)) for other in places[number, *hkl]), key=max))
    assert len(gaps) > 400
    # fast, slow [pixel], and the number of the image in its sweep.
    assert np.all(np.max(gaps, axis=0) < (2e-3, 2e-3, 1e-3))

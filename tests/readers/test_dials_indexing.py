"""Two wedges 90 degrees apart, indexed by DIALS, which gets neither cell nor orientation.

A mirrored pair would still give the right cell, and refinement hides a wrong distance: so orientation, distance and
beam centre are compared with the truth too.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cubragg.cli.build import build
from cubragg.cli.parser import parse
from cubragg.plan.make_plan import make_plan
from support.command import simulated
from support.dials import dials_python, ran

pytestmark = [pytest.mark.dials, pytest.mark.slow]

#: Background of about 7 photons, peaks of some hundred, a hundred spots an image.
LINE = ("-default_F 300 -cell 45 55 65 80 85 75 -misset 10 20 30 -lambda 1 -N 12 -distance 150 -detpixels_f 800 "
        "-detpixels_s 720 -pixel 0.25 -osc 0.5 -phisteps 10 -oversample 1 -Xbeam 85 -Ybeam 105 --semantics physical "
        "-water 0.22 -fluence 2e26 --quiet ")
FILES = {"smv": ("--smv-flavor adsc -noisefile {}", "img"), "cbf": ("-cbffile {}", "cbf"), "nxmx": ("--nxmx {}", "h5")}
#: Laboratory of MOSFLM to that of DIALS.
FRAME = np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]])
MISORIENTATION_DEG = 0.1
#: A quarter of a percent: a few hundred spots of half a pixel.
CELL_ERROR = 2.5e-3
#: What refinement may shift the detector by (a pixel), turn it by (a pixel at its rim), and turn the beam by: half a
#: pixel in the beam centre would come out as 0.0008.
SHIFT_MM, DETECTOR_TURN, BEAM_TURN = 0.25, 2.5e-3, 5e-4


def indexed(kind: str, folder: Path) -> dict:
    """Render both wedges, and return the experiments as DIALS refined them; the folder is the current one."""
    dials_python()
    flags, suffix = FILES[kind]
    names = []
    for seed, (stem, phi) in enumerate({"a": 0.1, "b": 90.1}.items(), start=1):
        names.append(f"{stem}_0001.{suffix}")
        assert simulated(f"{LINE} -phi {phi} -seed {seed} {flags.format(names[-1])}") == (0, "")
    ran("dials.import", *names, folder=folder)
    # A detector said to count pixels (NXmx) has spots of 3 pixels on: then the fringes between the spots of so small
    # a crystal count too, and their phi is not that of the wedge.
    ran("dials.find_spots", "imported.expt", "nproc=1", "min_spot_size=6", folder=folder)
    # DIALS reads a beam and a detector from each NXmx file. With two of both, crystal, beams and detectors can turn
    # together, by degrees, at the same residuals: the wedges are given the same ones, as those of CBF and SMV have.
    shared = [f"reference_from_experiment.{model}=0" for model in ("beam", "detector", "goniometer")]
    ran("dials.combine_experiments", "imported.expt", "strong.refl", *shared, folder=folder)
    ran("dials.index", "combined.expt", "combined.refl", "nproc=1", folder=folder)
    return json.loads((folder / "indexed.expt").read_text())


def true_axes() -> np.ndarray:
    """a, b, c [A] as rows, in the frame of DIALS, with the spindle at 0."""
    lattice = make_plan(build(parse(LINE.split())).experiment).lattice
    return np.array((lattice.a, lattice.b, lattice.c)) @ FRAME.T


def lengths_and_angles(axes: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(axes, axis=1)
    cosines = [axes[i] @ axes[j] / lengths[i] / lengths[j] for i, j in ((1, 2), (2, 0), (0, 1))]
    return np.array((*lengths, *np.degrees(np.arccos(cosines))))


def cells_and_orientations_are_ours(crystals):
    truth = true_axes()
    for crystal in crystals:
        found = np.array([crystal[f"real_space_{axis}"] for axis in "abc"])
        # Another choice of axes is the same lattice: whole numbers of ours, and a volume of one cell.
        choice = np.rint(found @ np.linalg.inv(truth))
        assert abs(np.linalg.det(choice)) == pytest.approx(1.0)
        ours = choice @ truth
        np.testing.assert_allclose(lengths_and_angles(found), lengths_and_angles(ours), rtol=CELL_ERROR)
        left, _, right = np.linalg.svd(np.linalg.inv(ours) @ found)
        turn = left @ right
        assert np.linalg.det(turn) == pytest.approx(1.0)
        assert np.degrees(np.arccos(min((np.trace(turn) - 1.0) / 2.0, 1.0))) < MISORIENTATION_DEG


def detectors_and_beams_are_ours(detectors, beams):
    geometry = build(parse(LINE.split())).experiment.detector.geometry(None, "physical")
    for detector in detectors:
        (panel,) = detector["panels"]
        np.testing.assert_allclose(panel["origin"], 1000.0 * FRAME @ geometry.pix0, rtol=0, atol=SHIFT_MM)
        np.testing.assert_allclose(panel["fast_axis"], (1, 0, 0), rtol=0, atol=DETECTOR_TURN)
        np.testing.assert_allclose(panel["slow_axis"], (0, -1, 0), rtol=0, atol=DETECTOR_TURN)
    for beam in beams:
        np.testing.assert_allclose(beam["direction"], (0, 0, 1), rtol=0, atol=BEAM_TURN)


@pytest.mark.requirement("AT-FMT-014")
@pytest.mark.parametrize("kind", FILES)
def test_dials_finds_the_crystal_and_moves_nothing(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = indexed(kind, tmp_path)
    assert len(found["experiment"]) == 2
    cells_and_orientations_are_ours(found["crystal"])
    detectors_and_beams_are_ours(found["detector"], found["beam"])

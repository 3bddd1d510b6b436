"""DIALS opens our reflection tables, and predicts the same reflections from the same experiment."""

from __future__ import annotations

import dataclasses
import json
import subprocess

import numpy as np
import pytest

from cubragg import Beam, Crystal, Detector, Experiment, Goniometer, Sampling, StructureFactors
from cubragg.crystallography.frames import to_frame
from cubragg.io.reflections.write_reflection_table import write_reflection_table
from cubragg.plan.make_plan import make_plan
from cubragg.reflections.predict import reflection_table
from cubragg.reflections.reflection_table import Flags
from support.dials import dials_python
from support.marks import slow_after

pytestmark = [pytest.mark.dials, pytest.mark.slow]

#: Reads a table and predicts, with DIALS alone, for the experiment described in JSON; answers in JSON.
SCRIPT = """
import json, sys
from dials.array_family import flex
from dials.algorithms.spot_prediction import ScanStaticReflectionPredictor
from dxtbx.model import BeamFactory, Crystal, Detector, Experiment, GoniometerFactory, Panel, ScanFactory
given = json.load(sys.stdin)
table = flex.reflection_table.from_file(given["table"])
panel = Panel("SENSOR_PAD", "panel", given["fast"], given["slow"], given["origin"], given["pixel"], given["size"],
              (0, 1e6), 0.0, "", 0.0)
detector = Detector(panel)
beam = BeamFactory.make_beam(unit_s0=given["beam"], wavelength=given["wavelength"])
crystal = Crystal(*given["axes"], space_group_symbol="P1")
scan = ScanFactory.make_scan((1, 1), 1.0, (given["phi"], given["osc"]), {1: 0})
experiment = Experiment(beam=beam, detector=detector, crystal=crystal, scan=scan,
                        goniometer=GoniometerFactory.make_goniometer(given["spindle"], (1, 0, 0, 0, 1, 0, 0, 0, 1)))
predictor = ScanStaticReflectionPredictor(experiment, dmin=given["dmin"])
found = predictor.for_ub(crystal.get_A())
predicted = {name: [list(row) if hasattr(row, "__len__") else row for row in found[name]]
             for name in ("miller_index", "xyzcal.px", "s1", "entering")}
read = {name: [list(row) if hasattr(row, "__len__") else row for row in table[name]]
        for name in ("miller_index", "xyzcal.px", "s1", "entering", "intensity.sum.value", "partiality", "panel", "d")}
read["flags"] = [name for name in ("predicted", "observed", "indexed", "strong")
                 if table.get_flags(getattr(table.flags, name)).count(False) == 0]
json.dump({"read": read, "predicted": predicted}, sys.stdout)
"""


@pytest.fixture(scope="module", params=slow_after(1, ["mosflm", "xds", "dials"]))
def answers(request, tmp_path_factory):
    """The truth of a rotation image, and what DIALS reads and predicts."""
    python = dials_python()
    experiment = Experiment(
        Crystal(cell=(58.0, 62.0, 66.0, 88.0, 95.0, 102.0), misset_deg=(11.0, 23.0, 37.0), cells=(12, 12, 12),
                shape="gauss_star", fudge=0.92),
        StructureFactors(100.0), Beam(wavelength_A=1.1, fluence=1e28),
        Detector(convention=request.param, pixel_size_mm=0.4, fast_pixels=200, slow_pixels=160, distance_mm=110.0,
                 rotx_deg=3.0, roty_deg=-5.0, rotz_deg=4.0),
        Goniometer(20.0, 2.4, None, 48), Sampling(oversample=3), "physical")
    plan = make_plan(experiment)
    truth = reflection_table(plan)
    path = tmp_path_factory.mktemp("truth") / "truth.refl"
    write_reflection_table(path, truth)
    geometry, turn = plan.geometry, plan.geometry.dials_rotation()
    described = {
        "table": str(path), "wavelength": 1.1, "phi": 20.0, "osc": 2.4, "dmin": 2.0,
        "fast": to_frame(turn, geometry.fast), "slow": to_frame(turn, geometry.slow),
        "origin": [1000.0 * x for x in to_frame(turn, geometry.pix0)], "beam": to_frame(turn, geometry.beam),
        "spindle": to_frame(turn, geometry.spindle), "pixel": [0.4, 0.4], "size": [200, 160],
        "axes": [to_frame(turn, axis) for axis in (plan.lattice.a, plan.lattice.b, plan.lattice.c)]}
    run = subprocess.run([python, "-c", SCRIPT], input=json.dumps(described), capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    kept = truth.flags & Flags.DIRECT_BEAM == 0
    whole = {field.name: getattr(truth, field.name)[kept] for field in dataclasses.fields(truth)
             if isinstance(getattr(truth, field.name), np.ndarray)}
    return whole, json.loads(run.stdout)


@pytest.mark.requirement("AT-TRUTH-010")
def test_dials_reads_the_table(answers):
    truth, answer = answers
    read = answer["read"]
    assert read["miller_index"] == truth["hkl"].tolist()
    np.testing.assert_array_equal(read["intensity.sum.value"], truth["photons"])
    np.testing.assert_array_equal(read["partiality"], truth["partiality"])
    np.testing.assert_array_equal(read["d"], truth["d_A"])
    np.testing.assert_array_equal(np.array(read["xyzcal.px"])[:, :2], np.stack([truth["fast_px"], truth["slow_px"]], 1))
    assert read["flags"] == ["predicted", "observed", "indexed", "strong"]


@pytest.mark.requirement("AT-TRUTH-010")
def test_dials_predicts_the_same(answers):
    """Reflections swept by a wide margin: place within 0.05 pixel, spindle within 0.005 deg, beams within 0.1 mrad."""
    truth, answer = answers
    predicted = answer["predicted"]
    place = {(*hkl, entering): row for row, (hkl, entering) in enumerate(
        zip(map(tuple, predicted["miller_index"]), predicted["entering"], strict=True))}
    # A node that moves along the sphere rather than through it lights up long before and after.
    across = np.cross(np.array(answer["read"]["s1"]), (0.0, 0.0, -1.0))
    zeta = np.abs(across[:, 0]) / np.linalg.norm(across, axis=1)
    swept = np.flatnonzero((truth["partiality"] > 0.9999) & (truth["flags"] & Flags.CUT == 0) & (zeta > 0.5)
                           & (truth["d_A"] < 7.0) & (np.abs(truth["phi_deg"] - 21.2) < 0.5))
    assert len(swept) > 15
    theirs = [place[(*truth["hkl"][row].tolist(), bool(truth["flags"][row] & Flags.ENTERING))] for row in swept]
    x, y, z = np.array(predicted["xyzcal.px"])[theirs].T
    np.testing.assert_allclose(truth["fast_px"][swept], x, atol=0.05)
    np.testing.assert_allclose(truth["slow_px"][swept], y, atol=0.05)
    np.testing.assert_allclose(truth["phi_deg"][swept], 20.0 + 2.4 * z, atol=0.005)
    ours = np.array(answer["read"]["s1"])[swept]
    np.testing.assert_allclose(ours, np.array(predicted["s1"])[theirs], atol=1e-4 / 1.1)

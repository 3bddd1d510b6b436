"""Culling on detectors of many panels: no bit changes, nothing above a bound is dropped, one choice for all."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from cubragg import Experiment, StructureFactors, simulate
from cubragg.crystallography.vectors import rotate_xyz
from cubragg.engine import cull_cost_model, culling
from cubragg.engine.cull_cost_model import select_culling
from cubragg.engine.culling import Culling
from cubragg.engine.host import panel_launches
from cubragg.engine.host.host_engine import HostEngine
from cubragg.plan.make_plan import make_plan
from cubragg.plan.plan import Plan
from cubragg.run.batch import render_many
from support.experiments import Hung, hang, small_experiment
from support.messages import states

TILT_RAD = 0.3


def panels(count: int = 2, *, tilted: bool, pixels: int = 13) -> list[Hung]:
    """A square of panels, pixels of 0.1 x 0.06 mm or each its own height, the last one on the detector's own grid."""
    found = []
    for number in range(count * count):
        row, column = divmod(number, count)
        turn = [TILT_RAD * math.sin(7.0 * number + axis) * tilted for axis in range(3)]
        fast, slow = (rotate_xyz(axis, turn) for axis in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)))
        height = 0.06 + 0.02 * (number % 3) * tilted
        found.append(Hung(pixels, pixels - 2, 0.1, height, (0.11 * pixels * column, 0.12 * pixels * row,
                                                             math.sin(number) * tilted), fast, slow,
                           (pixels * column, pixels * row)))
    last = found[-1]
    found[-1] = dataclasses.replace(last, pixel_slow_mm=0.1, fast=(1.0, 0.0, 0.0),
                                    slow=(0.0, 1.0, 0.0), origin_mm=(
        0.1 * math.ceil(1.1 * pixels * (count - 1)), 0.1 * math.ceil(1.2 * pixels * (count - 1)), 0.0))
    return found


def experiment_of(shape: str, *, tilted: bool, count: int = 2, pixels: int = 13, **sampling: object) -> Experiment:
    rng = np.random.default_rng(3)
    grid = np.where(rng.random((15, 15, 15)) < 0.4, rng.uniform(1.0, 100.0, (15, 15, 15)), 0.0)
    cells = (60, 40, 50) if shape in ("square", "round") else (5, 4, 6)
    experiment = small_experiment(
        crystal={"cells": cells, "shape": shape, "mosaic_spread_deg": 1.0, "mosaic_domains": 12},
        detector={"pixel_size_mm": 0.1, "thick_steps": 2, "thickness_um": 300.0, "attenuation_um": 200.0},
        sampling={"oversample": 2, "interpolate": False, **sampling}, goniometer={"phi_deg": 1.0, "osc_deg": 1.0})
    experiment = hang(experiment, panels(count, tilted=tilted, pixels=pixels))
    return dataclasses.replace(experiment, structure_factors=StructureFactors(0.0, grid, (-7, -7, -7)))


def plan_of(shape: str, **settings: object) -> Plan:
    return make_plan(experiment_of(shape, **settings))


@pytest.mark.requirement("AT-CULL-006")
@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize("tilted", [False, True])
@pytest.mark.parametrize("shape", ["square", "gauss"])
def test_terms_of_0_change_no_bit(shape, tilted, precision):
    plan = plan_of(shape, tilted=tilted)
    every, culled = (HostEngine(plan, precision, culling=Culling(True, (4, 4), exact=exact)).render(2)
                     for exact in (False, True))
    assert every.any()
    assert every.tobytes() == culled.tobytes()


@pytest.mark.requirement("AT-CULL-006")
@pytest.mark.parametrize("tilted", [False, True])
def test_what_a_tolerance_drops_on_panels(tilted):
    """At most the tolerance times an image all of whose terms are the peak's."""
    plan, tolerance = plan_of("square", tilted=tilted), 1e-5
    every, culled = (HostEngine(plan, "double", culling=how).render(2).astype(float)
                     for how in (Culling(), Culling(True, (4, 4), tolerance)))
    bright = HostEngine(dataclasses.replace(plan, factors=StructureFactors(culling.largest_factor(plan)),
                                            cells=(1, 1, 1)), "double").render(2)
    lost = every - culled
    assert (lost >= -1e-6 * every).all()
    assert lost.max() > 0.0
    # Rendered with an amplitude of 1 in place of Na Nb Nc.
    assert (lost <= 1.01 * tolerance * bright * math.prod(plan.cells) ** 2).all()


@pytest.mark.requirement("AT-CULL-006")
def test_256_panels_cost_one_choice_and_one_table(monkeypatch):
    plan = plan_of("gauss", tilted=True, count=16, pixels=9, oversample=6)
    made: list[str] = []
    for module, name in ((panel_launches, "select_culling"), (panel_launches, "f2_bounds_of"),
                         (panel_launches, "cull_axes_of"), (panel_launches, "struct_values"),
                         (cull_cost_model, "kept_fraction")):
        original = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *args, original=original, name=name: made.append(name)
                            or original(*args))
    assert len(plan.panels) == 256
    renderer = HostEngine(plan)
    image = renderer.render(2)
    assert renderer.culling.culled
    assert [made.count(name) for name in ("select_culling", "f2_bounds_of", "cull_axes_of", "struct_values")] == [1] * 4
    assert made.count("kept_fraction") <= 8 * len(cull_cost_model.TILES["cpu"])
    assert image.tobytes() == HostEngine(plan, culling=Culling()).render(2).tobytes()


@pytest.mark.requirement("AT-CULL-006")
def test_the_choice_counts_the_terms_of_all_panels():
    def choice(count: int) -> Culling:
        return select_culling(plan_of("gauss", tilted=False, count=count, pixels=20, oversample=4), "cpu", "double")

    assert "too few" in choice(2).why
    assert choice(10).culled


def test_every_term_may_be_asked_for():
    experiment = experiment_of("gauss", tilted=True, count=10, oversample=6)
    assert simulate(experiment, backend="cpu").culling.culled
    asked = simulate(experiment, backend="cpu", cull=None)
    assert not asked.culling.culled
    states(asked.culling.why, "", "", "off")
    image, = render_many(experiment, [experiment.crystal.misset_deg], backend="cpu", cull=None)
    assert image.photons.tobytes() == asked.photons.tobytes()

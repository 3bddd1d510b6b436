"""Images of a series share the structure factors without the direct beam, which are copied once."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import cubragg as cb
from support.experiments import small_experiment

#: F of 0 0 0 and 25 others.
GRID = np.arange(26.0).reshape(1, 2, 13)[:, :, ::-1] + 1.0
BASE = dataclasses.replace(
    small_experiment(semantics="physical"), structure_factors=cb.StructureFactors(3.0, GRID, (0, 0, -6)),
    goniometer=cb.Goniometer(phi_deg=5.0, osc_deg=0.5))


@pytest.mark.parametrize("method", ["analytic", "sampled"])
@pytest.mark.parametrize("images", [
    lambda method: list(cb.render_series(BASE, 3, method=method)),
    lambda method: list(cb.render_many(BASE, [(0, 0, 0), (10, 20, 30), (40, 50, 60)], method=method)),
    lambda method: [shot.image for shot in cb.Stills(BASE, 3, seed=2, method=method)],
    lambda method: [shot.image for shot in cb.Sweep(BASE, 3, method=method)],
], ids=["series", "many", "stills", "sweep"])
def test_the_grid_is_copied_once(images, method):
    first, *rest = images(method)
    for image in rest:
        assert image.plan.factors is first.plan.factors
        assert image.experiment.structure_factors is BASE.structure_factors
    for image in (first, *rest):
        assert image.plan.factors.grid[0, 0, 6] == 0.0
        assert np.array_equal(image.photons, cb.simulate(image.experiment, method=method).photons)
    assert BASE.structure_factors.grid[0, 0, 6] == GRID[0, 0, 6] > 0.0


def test_shots_with_a_dose_have_their_own():
    first, second = cb.Stills(BASE, 2, vary={"dose_MGy": cb.table([0.0, 20.0]), "orientation": cb.constant((1, 2, 3))})
    assert second.plan.factors.grid[0, 0, 6] == 0.0
    assert second.plan.factors.grid[0, 1, 12] < first.plan.factors.grid[0, 1, 12]

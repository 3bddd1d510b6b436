"""Images of the CUDA engine from NVRTC's PTX, of each shape, precision and culling, against the CPU's."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cubragg import Experiment
from cubragg.crystallography.shapes import SHAPES
from cubragg.engine.accuracy import error_bound
from cubragg.engine.cuda.cuda_engine import CudaEngine
from cubragg.engine.culling import Culling
from cubragg.engine.host.host_engine import HostEngine
from cubragg.engine.variant import PRECISIONS
from cubragg.plan.make_plan import make_plan
from cubragg.plan.plan import Plan
from support.experiments import random_grid, small_experiment

pytestmark = pytest.mark.requirement("AT-BAK-012")

TILE = (8, 8)
FACTORS = ("constant", "nearest", "tricubic")
#: Shape, precision, culled, and factors in turn.
VARIANTS = [(*key, FACTORS[place % 3])
            for place, key in enumerate(itertools.product(SHAPES, PRECISIONS, (False, True)))]
#: Executed by the quick tests: each shape, precision, culling and kind of factors.
QUICK = [VARIANTS[place] for place in (0, 3, 5, 7, 8, 16, 21, 24, 31, 34, 38)]


def experiment_of(shape: str, factors: str) -> Experiment:
    """30 x 14 pixels, whose last tiles are cut, with a mask, two sources and six orientations."""
    rng, semantics = np.random.default_rng(5), SHAPES[shape].semantics[-1]
    grid = vars(random_grid(rng, 12)) if factors != "constant" else {"F000": 100.0} if semantics == "physical" else {}
    return small_experiment(
        crystal={"shape": SHAPES[shape].setting, "mosaic_spread_deg": 1.0, "mosaic_domains": 3},
        structure_factors=grid, beam={"dispersion_percent": 1.0, "dispersion_steps": 2},
        detector={"fast_pixels": 30, "slow_pixels": 14}, goniometer={"osc_deg": 1.0, "phi_steps": 2},
        sampling={"oversample": 2, "interpolate": factors == "tricubic", "mask": rng.random((14, 30)) < 0.9},
        semantics=semantics)


def check(image: np.ndarray, plan: Plan, precision: str, tile: tuple[int, int]) -> None:
    """The CPU's bits in double precision; in others its double precision within the bound."""
    expected = HostEngine(plan).render(1)
    assert expected.max() > 0
    if precision == "double":
        assert image.tobytes() == expected.tobytes()
    else:
        assert np.abs(image - expected).max() <= error_bound(plan, precision, tile) * expected.max()


@pytest.mark.parametrize(("shape", "precision", "culled", "factors"), [
    each if each in QUICK else pytest.param(*each, marks=pytest.mark.slow) for each in VARIANTS])
def test_a_variant(cupy, shape, precision, culled, factors):
    plan = make_plan(experiment_of(shape, factors))
    image = CudaEngine(plan, precision, culling=Culling(culled, TILE)).render()
    check(image, plan, precision, TILE)
    options, entry = cupy.executed[-1]
    assert entry == "render"
    assert {f"-DSHAPE={shape}", f"-DCULLED={int(culled)}", f"-DPRECISION={PRECISIONS.index(precision)}",
            f"-DFACTORS={FACTORS.index(factors)}"} <= set(options)

"""Culling: skips terms that are negligible on a tile of pixels. Computes the kernel arguments for it.

The bound of a term is in `kernels/culling.cuh`, its part for each shape of crystal in `kernels/shape_<name>.cuh`;
`specs/culling.md` derives them. `cull_cost_model` estimates whether culling is faster.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from cubragg.crystallography.shapes import SHAPES
from cubragg.engine.kernel_params import CHUNK, factor_scale
from cubragg.engine.variant import TILE
from cubragg.plan.plan import Plan

#: Largest sum of absolute Lagrange weights on three axes, squared: an interpolated F^2 over the largest of its nodes.
_INTERPOLATED = 1.25**6
#: Relative rounding error of a computed term, with a wide margin.
_TERM_ROUNDING = 1e-5
#: Factor on the tolerance beside a spot.
_BESIDE_SPOTS = 1e-3


@dataclass(frozen=True)
class Culling:
    """Which terms an engine skips.

    Attributes
    ----------
    culled
        Whether each tile first selects the orientations that can contribute.
    tile
        Tile size (fast, slow) [pixel].
    tolerance
        Terms whose upper bound is at most this fraction of the theoretical peak, the largest F^2 times (Na Nb Nc)^2,
        are skipped; 0: only terms that are 0 in the precision in use.
    exact
        ``False``: no term is skipped, although tiles select orientations; for tests and timing.
    kept_fraction
        Estimated fraction of the terms that is evaluated; ``None`` if it was not estimated.
    why
        Reason for the selection, as printed by the command line.
    """

    culled: bool = False
    tile: tuple[int, int] = TILE
    tolerance: float = 0.0
    exact: bool = True
    kept_fraction: float | None = None
    why: str = ""


def obstacle(plan: Plan) -> str:
    """Return the reason why terms of a plan cannot be skipped; empty if they can."""
    factors = plan.factors
    if plan.rules.running:
        return "no term can be skipped: -oversample_thick, _polar and _omega multiply the sum after every term"
    largest = largest_factor(plan)
    if not math.isfinite(largest * largest):
        return "squared structure factors overflow, so that terms have no finite bound"
    if factors.grid is not None and math.prod(size + 10 for size in factors.grid.shape) >= 2**31:
        return "the F2 grid has 2^31 points or more, too many for culling"
    return ""


def largest_factor(plan: Plan) -> float:
    """Return the largest absolute structure factor."""
    factors = plan.factors
    if factors.grid is None:
        return abs(factors.default_F)
    # np.abs would copy the grid.
    extremes = float(factors.grid.max()), -float(factors.grid.min()), abs(factors.default_F)
    return math.nan if any(math.isnan(value) for value in extremes) else max(extremes)


def f2_bounds_of(plan: Plan) -> np.ndarray:
    """Return the F2 upper bound: the largest F^2 of samples nearest to a reflection or to its neighbours.

    float32 [h, k, l], fractions of the largest F^2, rounded up; 0 only where all F^2 are 0. It extends one point beyond
    the padded F2 grid on each side, four with interpolation; [1] without a grid.
    """
    factors, largest = plan.factors, largest_factor(plan)
    if factors.grid is None:
        return np.zeros(1, dtype=np.float32)
    reach = 4 if plan.interpolate else 1
    padded = np.pad(factors.grid, 1 + reach, constant_values=factors.default_F)
    with np.errstate(under="ignore"):
        relative_f = (np.abs(padded) / (largest or 1.0)).astype(np.float32)
        relative_f[(relative_f == 0.0) & (padded != 0.0)] = np.finfo(np.float32).tiny
        for axis in range(3):
            along = np.moveaxis(relative_f, axis, 0)
            for _ in range(reach):
                before = along.copy()
                np.maximum(along[1:], before[:-1], out=along[1:])
                np.maximum(along[:-1], before[1:], out=along[:-1])
        bound = relative_f * relative_f * np.float32((_INTERPOLATED if plan.interpolate else 1.0) * (1.0 + 1e-6))
    # A GPU flushes subnormal numbers to 0.
    return np.where(relative_f > 0.0, np.maximum(bound, np.finfo(np.float32).tiny), np.float32(0.0))


def cull_axes_of(plan: Plan) -> np.ndarray:
    """Return the cell axes a, b, c [m] and their duals [1/m], float32 [18, orientation]; duals are 0 for a flat cell.

    The array is padded with zeros to whole chunks of orientations.
    """
    cells = _cells(plan)
    packed = np.zeros((18, -(-len(cells) // CHUNK) * CHUNK), dtype=np.float32)
    packed[:, :len(cells)] = np.concatenate([cells, _duals(cells)], axis=1).reshape(len(cells), 18).T
    return packed


def _cells(plan: Plan) -> np.ndarray:
    return np.ascontiguousarray(plan.cell_axes, dtype=np.float64).reshape(-1, 3, 3)


def _duals(cells: np.ndarray) -> np.ndarray:
    try:
        return np.linalg.inv(cells).transpose(0, 2, 1)
    except np.linalg.LinAlgError:
        return np.zeros_like(cells)


def struct_values(plan: Plan, precision: str, culling: Culling) -> dict[str, Any]:
    """Return the fields of the kernels' struct that concern culling, by name."""
    cells = _cells(plan)
    lengths = np.linalg.norm(cells, axis=2).max(axis=0)
    stars = np.linalg.norm(_duals(cells), axis=2).max(axis=0)
    condition = float(lengths @ stars)
    largest = largest_factor(plan)
    fraction = factor_scale(plan, precision) / (largest or math.inf)
    values = {"lengths": lengths * (1.0 + 1e-12), "star_lengths": stars * condition, "cull_floor": -1.0,
              "spot_floor": -1.0, "cull_radius_sqr": math.inf, "per_dual": (0.0,) * 3,
              "largest_f2": (_INTERPOLATED if plan.interpolate else 1.0) if largest > 0.0 else 0.0,
              "f2_fraction": fraction * fraction * (1.0 + 1e-6)}
    if not culling.exact:
        return values
    shape = SHAPES[plan.crystal_shape]
    floor = culling.tolerance * (1.0 - _TERM_ROUNDING) / shape.peak**2
    values |= {"cull_floor": floor, "spot_floor": floor * _BESIDE_SPOTS}
    radius_sqr = _radius_sqr(plan, precision, culling.tolerance)
    if math.isfinite(radius_sqr):
        values |= shape.cull_radius(plan.block, radius_sqr, cells)
    return values


def _radius_sqr(plan: Plan, precision: str, tolerance: float) -> float:
    """Return dh^T M dh, in the shape's metric, beyond which terms are negligible; inf for shapes without a radius."""
    shape, volume = SHAPES[plan.crystal_shape], math.prod(plan.cells)
    if not (shape.compact and plan.fudge > 0.0):
        return math.inf
    # A term F^2 V^2 exp(-2 decay) underflows below half the smallest number (a margin of 2^4 is added), or where
    # exp(-decay) does. Mixed and single precision omit V^2.
    largest = 2.0 * math.log(largest_factor(plan) or 1.0) + math.log(_INTERPOLATED)
    if precision == "double":
        decay = min(745.2, (1079 * math.log(2.0) + largest + 2.0 * math.log(volume)) / 2.0)
    else:
        decay = min(104.1, (154 * math.log(2.0) + largest) / 2.0)
    if tolerance > 0.0:
        decay = min(decay, (math.log(_INTERPOLATED) - math.log(tolerance * (1.0 - _TERM_ROUNDING))) / 2.0)
    return shape.cutoff(max(decay, 0.0)) / plan.fudge

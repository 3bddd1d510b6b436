"""Leaving out terms that cannot matter to a tile of pixels: what the kernels are given for it.

The rules, and the bound for each shape of crystal, are in `kernels/culling.cuh` and
`specs/culling.md`; `cull_choice` decides whether it pays.
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
#: Rounding of a computed term, as a share of it, with a wide margin.
_TERM_ROUNDING = 1e-5
#: Beside a spot only terms below this share of the tolerance are left out.
_BESIDE_SPOTS = 1e-3


@dataclass(frozen=True)
class Culling:
    """How a renderer goes about its terms.

    Attributes
    ----------
    culled
        Whether tiles are asked first which orientations can contribute.
    tile
        Pixels of a tile (fast, slow).
    tolerance
        Terms whose bound is at most this share of the theoretical peak, the largest F^2 times (Na Nb Nc)^2, are
        left out; 0: only those that are 0 in the arithmetic in force.
    exact
        ``False`` keeps even those, all else being equal: nothing is left out.
    kept
        Estimated share of the terms that is evaluated; ``None`` where nobody estimated.
    why
        The reason, in words.
    """

    culled: bool = False
    tile: tuple[int, int] = TILE
    tolerance: float = 0.0
    exact: bool = True
    kept: float | None = None
    why: str = ""


def obstacle(plan: Plan) -> str:
    """Why a plan's terms cannot be left out; empty if they can."""
    factors = plan.factors
    if plan.rules.running:
        return "-oversample_thick, _polar and _omega multiply the sum after every term"
    largest = largest_factor(plan)
    if not math.isfinite(largest * largest):
        return "structure factors are not finite when squared"
    if factors.grid is not None and math.prod(size + 10 for size in factors.grid.shape) >= 2**31:
        return "the grid of structure factors has 2^31 points or more"
    return ""


def largest_factor(plan: Plan) -> float:
    """The largest absolute structure factor."""
    factors = plan.factors
    if factors.grid is None:
        return abs(factors.default_F)
    # Not through np.abs, which would copy the grid.
    extremes = float(factors.grid.max()), -float(factors.grid.min()), abs(factors.default_F)
    return math.nan if any(math.isnan(value) for value in extremes) else max(extremes)


def f2_bounds_of(plan: Plan) -> np.ndarray:
    """The largest F^2 that a sample with this nearest reflection, or the next one, can have.

    float32 [h, k, l], shares of the largest of all, rounded up; 0 only where all of them are 0. The grid
    reaches one layer further than the padded one, four with interpolation; [1] without a grid.
    """
    factors, largest = plan.factors, largest_factor(plan)
    if factors.grid is None:
        return np.zeros(1, dtype=np.float32)
    steps = 4 if plan.interpolate else 1
    padded = np.pad(factors.grid, 1 + steps, constant_values=factors.default_F)
    with np.errstate(under="ignore"):
        share = (np.abs(padded) / (largest or 1.0)).astype(np.float32)
        share[(share == 0.0) & (padded != 0.0)] = np.finfo(np.float32).tiny
        for axis in range(3):
            along = np.moveaxis(share, axis, 0)
            for _ in range(steps):
                before = along.copy()
                np.maximum(along[1:], before[:-1], out=along[1:])
                np.maximum(along[:-1], before[1:], out=along[:-1])
        squares = share * share * np.float32((_INTERPOLATED if plan.interpolate else 1.0) * (1.0 + 1e-6))
    # A GPU takes numbers below the smallest normal one for 0.
    return np.where(share > 0.0, np.maximum(squares, np.finfo(np.float32).tiny), np.float32(0.0))


def cull_axes_of(plan: Plan) -> np.ndarray:
    """a, b, c [m] and their duals [1/m] of each orientation, float32 [18, orientation]; duals 0 of a flat cell.

    Orientations are filled up with zeros to whole chunks.
    """
    cells = _cells(plan)
    axes = np.zeros((18, -(-len(cells) // CHUNK) * CHUNK), dtype=np.float32)
    axes[:, :len(cells)] = np.concatenate([cells, _duals(cells)], axis=1).reshape(len(cells), 18).T
    return axes


def _cells(plan: Plan) -> np.ndarray:
    return np.ascontiguousarray(plan.cell_axes, dtype=np.float64).reshape(-1, 3, 3)


def _duals(cells: np.ndarray) -> np.ndarray:
    try:
        return np.linalg.inv(cells).transpose(0, 2, 1)
    except np.linalg.LinAlgError:
        return np.zeros_like(cells)


def struct_values(plan: Plan, precision: str, culling: Culling) -> dict[str, Any]:
    """The fields of the kernels' struct that concern culling, by name."""
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
    """dh^T M dh, in the shape's metric, beyond which no amplitude can matter; inf for shapes without a radius."""
    shape, volume = SHAPES[plan.crystal_shape], math.prod(plan.cells)
    if not (shape.compact and plan.fudge > 0.0):
        return math.inf
    # A term F^2 V^2 exp(-2 decay) is 0 below half the smallest number, here with four powers of 2 to spare, or where
    # exp(-decay) is; in less than double precision without the V^2.
    largest = 2.0 * math.log(largest_factor(plan) or 1.0) + math.log(_INTERPOLATED)
    if precision == "double":
        decay = min(745.2, (1079 * math.log(2.0) + largest + 2.0 * math.log(volume)) / 2.0)
    else:
        decay = min(104.1, (154 * math.log(2.0) + largest) / 2.0)
    if tolerance > 0.0:
        decay = min(decay, (math.log(_INTERPOLATED) - math.log(tolerance * (1.0 - _TERM_ROUNDING))) / 2.0)
    return shape.cutoff(max(decay, 0.0)) / plan.fudge

"""Error of mixed and single precision: its bound, and the arithmetic that keeps it. `specs/backends.md`

With N cells along an axis an error d of an index shifts the fringes between two reflections by 2 pi N d. Mixed
precision rounds dh to a float, single precision dh and its change over a tile: d grows with the tile's size in index
space. Where fringes would move too far the kernels carry dh as the sum of two floats (`kernels/two_floats.cuh`).
"""

from __future__ import annotations

import math

import numpy as np

from cubragg.crystallography.shapes import SHAPES
from cubragg.crystallography.vectors import dot
from cubragg.engine.culling import largest_factor
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.plan import Plan

#: Largest shift of fringes [rad] without two floats: that of 200 cells, in single precision on small tiles.
_MOST_SHIFT = {"mixed": 1.88e-5, "single": 3.5e-5}
#: Share of the maximum that other roundings change, and share per radian of shift: several axes shift.
_OTHER_ERROR, _PER_RADIAN = 1e-5, {"mixed": 3.0, "single": 6.0}
#: Relative error of a factor that multiplies the running sum after each term, and most such terms of a pixel.
_PER_FACTOR, _MOST_FACTORS = {"mixed": 4e-8, "single": 2e-7}, 25
#: Half a unit in the last place of a number in [1/2, 1).
_ROUNDING = 2.0**-25
#: Largest N whose phases the kernels represent in floats.
_MOST_CELLS = 10**6
#: Range of the largest F^2 and of its square root times the largest amplitude, in the kernels' units.
_LEAST_F2, _MOST_F = 1e-30, 1e18


def error_bound(plan: Plan, precision: str, tile: tuple[int, int]) -> float:
    """Return a bound on the error of an image, as a fraction of its maximum.

    The maximum is that of the image, or if larger the one with all fringes at their crests, or that of a term of 1e-12
    of the theoretical peak, the largest F^2 times (Na Nb Nc)^2. The bound does not hold for samples on an edge: on the
    border of a flat spot, at ``dmin``, halfway between two reflections, or within 1e-6 of the last listed index.
    """
    if precision == "double":
        return 1e-7
    shift = 0.0 if needs_two_floats(plan, precision, tile) else fringe_shift(plan, precision, tile)
    return _OTHER_ERROR + _PER_RADIAN[precision] * shift + _PER_FACTOR[precision] * _running_factors(plan)


def needs_two_floats(plan: Plan, precision: str, tile: tuple[int, int]) -> bool:
    """Return whether offsets of Miller indices need two floats, for tiles of a size (fast, slow) [pixel]."""
    return precision != "double" and fringe_shift(plan, precision, tile) > _MOST_SHIFT[precision]


def fringe_shift(plan: Plan, precision: str, tile: tuple[int, int]) -> float:
    """Return how far fringes, or flanks of a spot without fringes, move when indices are single floats [rad]."""
    shape = SHAPES[plan.crystal_shape]
    if precision == "mixed" and not shape.fringes:
        return 0.0  # beside a node dh is small, and a float has as many digits of it as of any number
    per_index = np.sqrt(np.diag(shape.metric(plan.block)) * (1.0 if shape.separable else plan.fudge))
    size = np.full(3, 0.5)
    if precision == "single":
        size += np.max([_half_tile(plan, panel, tile) for panel in plan.panels], axis=0, initial=0.0)
    return float(2.0 * math.pi * _ROUNDING * (per_index * size).max())


def _half_tile(plan: Plan, panel: PanelPlan, tile: tuple[int, int]) -> np.ndarray:
    """Return the largest change of h, k, l from a tile's centre to a sample [3]."""
    half_diagonal = 0.5 * math.hypot(tile[0] * panel.edges[0], tile[1] * panel.edges[1])
    distance = panel.distance if plan.curved else _nearest(panel)
    angle = min(half_diagonal / distance, 2.0) if distance > 0.0 else 2.0
    lengths: np.ndarray = np.linalg.norm(plan.cell_axes.reshape(-1, 3, 3), axis=2).max(axis=0)
    return lengths * (angle / float(plan.sources.wavelength_m.min()))


def _nearest(panel: PanelPlan) -> float:
    """Return the distance of the crystal from the nearest point of a panel's region of interest [m]."""
    point = np.array(panel.origin)
    fast_min, fast_max, slow_min, slow_max = panel.roi
    for along, first, last, edge, start in ((panel.fast, fast_min, fast_max, panel.edges[0], panel.first_pixel[0]),
                                            (panel.slow, slow_min, slow_max, panel.edges[1], panel.first_pixel[1])):
        foot = -dot(panel.origin, along)
        point += np.clip(foot, (start + first) * edge, (start + last + 1) * edge) * np.array(along)
    return float(np.linalg.norm(point))


def _running_factors(plan: Plan) -> int:
    """Return how many factors multiply the running sum of a pixel."""
    rules, layers = plan.rules, max((panel.layers.count for panel in plan.panels), default=0)
    terms = plan.orientations * len(plan.sources.wavelength_m) * plan.oversample**2 * layers
    return terms * (rules.running_thick + rules.running_polar + rules.running_omega)


def double_only(plan: Plan) -> str:
    """Return the reason why a plan is rendered in double precision only; empty if others keep `error_bound`."""
    shape, largest, cells = SHAPES[plan.crystal_shape], largest_factor(plan), math.prod(plan.cells)
    if shape.fringes and max(plan.cells) > _MOST_CELLS:
        return (f"{max(plan.cells):.4g} cells along an axis; fringes of more than {_MOST_CELLS:.0e} cells need double "
                "precision")
    if _running_factors(plan) > _MOST_FACTORS:
        return (f"{_running_factors(plan)} factors of -oversample_thick, _polar and _omega that multiply the sum of a "
                "pixel, whose rounding errors add up")
    if plan.curved and any(panel.layers.thickness_m > 0.0 for panel in plan.panels):
        return ("a curved detector with an absorbing sensor; rays that leave it at its back are absorbed by factors "
                "beyond the range of single precision")
    scale = cells if shape.separable else 1.0
    small = 0.0 < (largest / scale) ** 2 < _LEAST_F2
    if small or not largest < _MOST_F or (shape.separable and cells > _MOST_F):
        return f"F = {largest:.3g} and {cells:.3g} cells, whose terms are beyond the range of single precision"
    return ""

"""Cost model of culling: selects whether terms are culled, and the tile size.

The fraction of terms kept with each tile size is estimated on a sample of tiles, orientations and sources. Nothing is
timed, so the result depends on plan, backend, precision, tolerance and, on a GPU, its throughput in double precision:
an image has the same bits on every run. Costs are times of a CPU, or machine instructions of a GPU, as
`scripts/sass_report.py` counts them; only their ratios matter.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from cubragg.crystallography.shapes import SHAPES
from cubragg.engine.culling import Culling, cull_axes_of, f2_bounds_of, largest_factor, obstacle, struct_values
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.pixel_factors import SubPixels
from cubragg.plan.plan import Plan
from cubragg.plan.workspace import Workspace

#: Tile sizes (fast, slow) for culling [pixel]. On a GPU a tile is a block of threads, of at least two warps.
TILES = {"cpu": ((4, 4), (8, 4), (8, 8), (16, 8)), "cuda": ((8, 8), (16, 8))}
#: On a CPU: additional time of an interpolated term, beside `CrystalShape.term_ns`; of testing one orientation; of a
#: tile [ns].
_INTERPOLATION_NS, _TEST_NS, _TILE_NS = 15.0, 7.0, 700.0
#: On a GPU: instructions, and those of them in double precision, of an interpolated term beside
#: `CrystalShape.term_instructions`, by precision.
_INTERPOLATION_INSTRUCTIONS = {"double": (451, 262), "mixed": (270, 24), "single": (271, 0)}
#: Instructions of testing one orientation, by one thread; and in double precision of a tile, by one thread, while the
#: others of its warp wait.
_TEST_INSTRUCTIONS, _TILE_INSTRUCTIONS, _WARP = 300, 400, 32
#: Fewest terms in total, and per point of the F2 grid, for which culling is considered: computing the F2 upper bound
#: takes time per point, in which a GPU evaluates more terms than a CPU.
_TERMS, _TERMS_OF_POINT = {"cpu": 3e6, "cuda": 2e7}, {"cpu": 15, "cuda": 50}
#: Fewest terms per pixel for which culling is considered; on a CPU fewer suffice for shapes with a radius, which keep
#: a small fraction of them.
_TERMS_OF_PIXEL, _TERMS_OF_PIXEL_COMPACT = 16, 4
#: Largest estimated cost at which culling is used, as a fraction of the cost of all terms.
_WORTH = 0.9
#: Sizes of the sample; tiles, orientations and sources are per panel. Results vary more between tiles than between
#: orientations.
_SAMPLE_TILES, _SAMPLE_ORIENTATIONS, _SAMPLE_SOURCES, _SAMPLE_PANELS = 384, 12, 3, 8


class Costs(NamedTuple):
    """Costs of a term, of the test of an orientation on a tile, and of a tile, in one unit."""

    term: float
    test: float
    tile: float


def select_culling(plan: Plan, backend: str, precision: str, tolerance: float | None = 0.0,
                   f2_bounds: Callable[[], np.ndarray] | None = None, single_to_double: int = 2) -> Culling:
    """Select culling of a plan's terms, for all its panels, on the backend ``cpu`` or ``cuda``.

    Parameters
    ----------
    tolerance
        See `Culling`; ``None``: no term is skipped.
    f2_bounds
        Returns `culling.f2_bounds_of` the plan, for a caller that caches it.
    single_to_double
        Of a GPU: ratio of its throughput in single to that in double precision.
    """
    if tolerance is None:
        return Culling(why="culling is off")
    reason = _too_little_work(plan, backend, tolerance)
    if reason:
        return Culling(tolerance=tolerance, why=reason)
    arrays = f2_bounds() if f2_bounds else f2_bounds_of(plan), cull_axes_of(plan)
    values = struct_values(plan, precision, Culling(tolerance=tolerance))
    panels = [plan.panels[number] for number in _spread(len(plan.panels), _SAMPLE_PANELS)]
    each = _costs(plan, backend, precision, single_to_double)
    plain = sum(each.term * _terms(plan, panel) for panel in panels)
    costs = {}
    for tile in TILES[backend]:
        costs[tile] = _cost(plan, panels, each, tile,
                            [kept_fraction(plan, panel, tile, *arrays, values) for panel in panels])
        if costs[tile][1] > _WORTH:  # larger tiles keep more
            break
    tile = min(costs, key=lambda tile: costs[tile][0])
    cost, kept = costs[tile]
    if cost > _WORTH * plain:
        return Culling(tolerance=tolerance, kept_fraction=1.0, why=f"{100 * kept:.3g} % of the terms would be kept "
                       f"in tiles of {tile[0]} x {tile[1]} pixels, too many for culling to save time")
    return Culling(True, tile, tolerance, kept_fraction=kept,
                   why=f"estimated time {100 * cost / plain:.3g} % of that without culling")


def _too_little_work(plan: Plan, backend: str, tolerance: float) -> str:
    """Return the reason why culling cannot save time, if it follows from the plan alone; else an empty string."""
    grid = plan.factors.grid
    most = max((_terms_of_pixel(plan, panel) for panel in plan.panels), default=0)
    total = sum(_terms(plan, panel) for panel in plan.panels)
    shape = SHAPES[plan.crystal_shape]
    if most < (_TERMS_OF_PIXEL_COMPACT if shape.compact and backend == "cpu" else _TERMS_OF_PIXEL):
        return f"{most:g} term{'s' * (most != 1)} per pixel, too few for culling to save time"
    if total < _TERMS[backend] or (grid is not None and total < _TERMS_OF_POINT[backend] * grid.size):
        return f"{total:.3g} terms in total, too few for culling to save time"
    if tolerance == 0.0 and not shape.compact and grid is None:
        return (f"no term of a {shape.setting} crystal with a constant structure factor is 0; "
                "a tolerance (--cull 1e-8) skips small terms")
    return obstacle(plan)


def _terms_of_pixel(plan: Plan, panel: PanelPlan) -> float:
    return plan.orientations * len(plan.sources.wavelength_m) * plan.oversample**2 * panel.layers.count


def _terms(plan: Plan, panel: PanelPlan) -> float:
    return _terms_of_pixel(plan, panel) * panel.pixel_count


def _costs(plan: Plan, backend: str, precision: str, single_to_double: int) -> Costs:
    shape = SHAPES[plan.crystal_shape]
    if backend == "cpu":
        return Costs(shape.term_ns[precision] + _INTERPOLATION_NS * plan.interpolate, _TEST_NS, _TILE_NS)
    counts = np.array(shape.term_instructions[precision])
    if plan.interpolate:
        counts += _INTERPOLATION_INSTRUCTIONS[precision]
    # One of both limits a multiprocessor: issuing instructions, or its units for double precision.
    return Costs(float(max(counts[0], counts[1] * single_to_double)), _TEST_INSTRUCTIONS,
                 _TILE_INSTRUCTIONS * _WARP * single_to_double)


def _cost(plan: Plan, panels: list[PanelPlan], each: Costs, tile: tuple[int, int], kept_fractions: list[float]
          ) -> tuple[float, float]:
    """Return the cost of the panels, and the fraction of their terms that is kept."""
    cost = evaluated = total = 0.0
    for panel, kept in zip(panels, kept_fractions, strict=True):
        terms = _terms(plan, panel)
        tests = plan.orientations * len(plan.sources.wavelength_m)
        cost += (kept * terms * each.term
                 + (each.tile + tests * each.test) * panel.pixel_count / (tile[0] * tile[1]))
        evaluated += kept * terms
        total += terms
    return cost, evaluated / total


def kept_fraction(plan: Plan, panel: PanelPlan, tile: tuple[int, int], f2_bounds: np.ndarray,
                  cull_axes: np.ndarray, values: dict) -> float:
    """Estimate the fraction of terms kept by the bound of `kernels/culling.cuh`, from a sample.

    Parameters
    ----------
    f2_bounds, cull_axes, values
        From `culling`. Tiles are treated as flat, and margins for rounding are omitted.
    """
    kept = []
    sampled = cull_axes[:, _spread(plan.orientations, _SAMPLE_ORIENTATIONS)]
    for source in _spread(len(plan.sources.wavelength_m), _SAMPLE_SOURCES):
        middle, edges = _sample_tiles(plan, panel, tile, int(source))
        index = np.einsum("jxo,xt->jto", sampled[:9].reshape(3, 3, -1), middle)
        half_ranges = [np.einsum("jxo,xt->jto", sampled[:9].reshape(3, 3, -1), edge) for edge in edges]
        kept.append(_kept(plan, index, half_ranges, f2_bounds, values).mean())
    return float(np.mean(kept))


def _spread(count: int, most: int) -> np.ndarray:
    """Return at most ``most`` of the numbers 0 .. count - 1, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(int))


def _sample_tiles(plan: Plan, panel: PanelPlan, tile: tuple[int, int], source: int
                  ) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return scattering vectors [1/m] of the middles of a sample of tiles [3, tile], and half their edges."""
    fast_min, fast_max, slow_min, slow_max = panel.roi
    number = np.arange(_SAMPLE_TILES) + 0.5
    # Multiples of the golden ratio cover the fast direction evenly.
    fast = np.floor(fast_min + (fast_max - fast_min + 1) * (number * 0.6180339887 % 1.0))
    slow = np.floor(slow_min + (slow_max - slow_min + 1) * number / _SAMPLE_TILES)
    half_fast, half_slow = (0.5 * (size - 1.0 / plan.oversample) for size in tile)
    table, corners = plan.sources, {}
    for way in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        sub = SubPixels(plan, panel, fast + way[0] * half_fast, slow + way[1] * half_slow, panel.layers.count // 2,
                        0, 0, Workspace(_SAMPLE_TILES))
        corners[way] = sub.scattering(tuple(table.incident[source].tolist()), float(table.wavelength_m[source])).copy()
    edges = [(corners[after] - corners[before]) / 2.0 for before, after in (((-1, 0), (1, 0)), ((0, -1), (0, 1)))]
    return np.mean(list(corners.values()), axis=0), edges


def _kept(plan: Plan, index: np.ndarray, edges: list[np.ndarray], f2_bounds: np.ndarray, values: dict
          ) -> np.ndarray:
    """Return bool [tile, orientation], kept, for indices [3, tile, orientation] of tile middles and of half edges."""
    shape, block = SHAPES[plan.crystal_shape], plan.block
    whole = np.rint(index)
    offset, reach = index - whole, np.sum(np.abs(edges), axis=0)
    gap = np.maximum(np.abs(offset) - reach, 0.0)
    one_node = np.abs(offset) + reach < 0.5
    largest = _largest_f2(plan, whole, one_node, reach, f2_bounds, values)
    # Both sides can be one number: a constant structure factor, and a shape without a weakening of its own.
    kept = np.broadcast_to(largest > values["cull_floor"] * shape.weakening(gap, block), gap.shape[1:])
    if math.isfinite(values["cull_radius_sqr"]):
        metric = shape.cull_metric(block)
        by_index = (gap * gap / np.diag(np.linalg.inv(metric)).reshape(3, 1, 1)).max(axis=0)
        by_box = np.where(one_node.all(axis=0), _from_node(metric, offset, edges), 0.0)
        kept = kept & (np.maximum(by_index, by_box) <= values["cull_radius_sqr"])
    return kept


def _from_node(metric: np.ndarray, offset: np.ndarray, edges: list[np.ndarray]) -> np.ndarray:
    """Estimate the minimum of a quadratic form over parallelograms with given middles and half edges [3, ...]."""
    root = np.linalg.cholesky(metric).T
    away = np.einsum("ij,j...->i...", root, offset)
    for edge in edges:
        along = np.einsum("ij,j...->i...", root, edge)
        size = np.maximum((along * along).sum(axis=0), 1e-300)
        away = away + np.clip(-(away * along).sum(axis=0) / size, -1.0, 1.0) * along
    total: np.ndarray = (away * away).sum(axis=0)
    return total


def _largest_f2(plan: Plan, whole: np.ndarray, one_node: np.ndarray, reach: np.ndarray, f2_bounds: np.ndarray,
                values: dict) -> np.ndarray | float:
    """Return the largest F^2 of tiles as a fraction of the maximum.

    ``whole`` are the whole indices [3, ...] nearest to the middles; ``one_node``: all samples round to them.
    """
    factors = plan.factors
    if factors.grid is None:
        return float(values["largest_f2"])
    pad = (f2_bounds.shape[0] - factors.grid.shape[0]) // 2
    at = tuple(np.clip(whole[axis] - (factors.origin[axis] - pad), 0, f2_bounds.shape[axis] - 1).astype(int)
               for axis in range(3))
    around = np.where((reach < 0.99).all(axis=0), f2_bounds[at], values["largest_f2"])
    if plan.interpolate:
        return around
    inside = [at[axis] - pad for axis in range(3)]
    there = np.all([(part >= 0) & (part < size) for part, size in zip(inside, factors.grid.shape, strict=True)], axis=0)
    nearest = factors.grid[tuple(np.clip(part, 0, size - 1) for part, size in
                                 zip(inside, factors.grid.shape, strict=True))]
    exact = (np.where(there, nearest, factors.default_F) / largest_factor(plan)) ** 2
    return np.where(one_node.all(axis=0), exact, around)

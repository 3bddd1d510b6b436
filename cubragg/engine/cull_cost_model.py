"""Whether culling pays for a plan, and with which tiles: a small model of its cost.

The share of terms that tiles of each size keep is estimated on a few tiles, orientations and
sources; nothing is timed, so the choice is a function of plan, backend, precision and tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from cubragg.crystallography.shapes import SHAPES
from cubragg.engine.culling import Culling, cull_axes_of, largest_factor, f2_bounds_of, obstacle, struct_values
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.pixel_factors import SubPixels
from cubragg.plan.plan import Plan
from cubragg.plan.workspace import Workspace

#: Tiles (fast, slow) that culling may use. On a GPU a tile is a block of threads, which cannot be smaller.
TILES = {"cpu": ((4, 4), (8, 4), (8, 8), (16, 8)), "cuda": ((8, 8), (16, 8))}
#: What interpolation adds to the cost of a term, which is `CrystalShape.term_ns` [ns].
_INTERPOLATION = 15.0
#: Cost of asking one orientation, and of a tile [ns].
_ASK, _TILE = 7.0, 700.0
#: Fewer terms of all pixels are not worth asking about, nor fewer for each point of the grid, the limits of which have
#: to be made. A GPU is done with them before the host has asked.
_TERMS, _TERMS_OF_POINT = {"cpu": 3e6, "cuda": 2e7}, {"cpu": 15, "cuda": 50}
#: Nor fewer of a pixel; shapes with a radius keep so few of theirs that on a CPU some will do.
_TERMS_OF_PIXEL, _TERMS_OF_PIXEL_COMPACT = 16, 4
#: Culling has to promise this share of the cost.
_WORTH = 0.9
#: Of each panel looked at; orientations of a crystal are much alike, places on a detector are not.
_SAMPLE_TILES, _SAMPLE_ORIENTATIONS, _SAMPLE_SOURCES, _SAMPLE_PANELS = 384, 12, 3, 8


def select_culling(plan: Plan, backend: str, precision: str, tolerance: float | None = 0.0,
                   limits: Callable[[], np.ndarray] | None = None) -> Culling:
    """How a renderer of the backend ``cpu`` or ``cuda`` goes about a plan's terms, on all its panels.

    Parameters
    ----------
    tolerance
        See `Culling`; ``None``: every term is to be evaluated.
    limits
        Gives `culling.f2_bounds_of` the plan, for a caller that has it.
    """
    if tolerance is None:
        return Culling(why="every term is asked for")
    reason = _not_at_all(plan, backend, tolerance)
    if reason:
        return Culling(tolerance=tolerance, why=reason)
    tables = limits() if limits else f2_bounds_of(plan), cull_axes_of(plan)
    values = struct_values(plan, precision, Culling(tolerance=tolerance))
    panels = [plan.panels[number] for number in _spread(len(plan.panels), _SAMPLE_PANELS)]
    plain = sum(_term_cost(plan, precision) * _terms(plan, panel) for panel in panels)
    costs = {}
    for tile in TILES[backend]:
        costs[tile] = _cost(plan, panels, precision, tile,
                            [kept_fraction(plan, panel, tile, *tables, values) for panel in panels])
        if costs[tile][1] > _WORTH:  # larger tiles keep more
            break
    tile = min(costs, key=lambda tile: costs[tile][0])
    cost, kept = costs[tile]
    if cost > _WORTH * plain:
        return Culling(tolerance=tolerance, kept=1.0, why=f"tiles of {tile[0]} x {tile[1]} pixels would keep "
                       f"{100 * kept:.3g} % of the terms, too many to pay for asking")
    return Culling(True, tile, tolerance, kept=kept, why=f"expected to cost {100 * cost / plain:.3g} % of all terms")


def _not_at_all(plan: Plan, backend: str, tolerance: float) -> str:
    """Why there is nothing to be gained, without a look at the tiles; empty if there may be."""
    grid = plan.factors.grid
    most = max((_terms_of_pixel(plan, panel) for panel in plan.panels), default=0)
    total = sum(_terms(plan, panel) for panel in plan.panels)
    shape = SHAPES[plan.crystal_shape]
    if most < (_TERMS_OF_PIXEL_COMPACT if shape.compact and backend == "cpu" else _TERMS_OF_PIXEL):
        return f"a pixel has {most:g} term{'s' * (most != 1)} only"
    if total < _TERMS[backend] or (grid is not None and total < _TERMS_OF_POINT[backend] * grid.size):
        return f"{total:.3g} terms are too few"
    if tolerance == 0.0 and not shape.compact and grid is None:
        return (f"no term of a {shape.setting} crystal with a constant structure factor is 0; --cull takes a "
                "tolerance")
    return obstacle(plan)


def _terms_of_pixel(plan: Plan, panel: PanelPlan) -> float:
    return plan.orientations * len(plan.sources.wavelength_m) * plan.oversample**2 * panel.layers.count


def _terms(plan: Plan, panel: PanelPlan) -> float:
    return _terms_of_pixel(plan, panel) * panel.pixel_count


def _term_cost(plan: Plan, precision: str) -> float:
    return SHAPES[plan.crystal_shape].term_ns[precision] + _INTERPOLATION * plan.interpolate


def _cost(plan: Plan, panels: list[PanelPlan], precision: str, tile: tuple[int, int], kept_fractions: list[float]
          ) -> tuple[float, float]:
    """Cost of the panels [ns], and the fraction of their terms that is kept."""
    cost = evaluated = total = 0.0
    for panel, kept in zip(panels, kept_fractions, strict=True):
        terms = _terms(plan, panel)
        asked = plan.orientations * len(plan.sources.wavelength_m)
        cost += (kept * terms * _term_cost(plan, precision)
                 + (_TILE + asked * _ASK) * panel.pixel_count / (tile[0] * tile[1]))
        evaluated += kept * terms
        total += terms
    return cost, evaluated / total


def kept_fraction(plan: Plan, panel: PanelPlan, tile: tuple[int, int], limits: np.ndarray, axes: np.ndarray,
                  values: dict) -> float:
    """The share of a sample of tiles, orientations and sources that the bound of `kernels/culling.cuh` keeps, about.

    Parameters
    ----------
    limits, axes, values
        From `culling`; the bound is that of a tile's corners on a plane, without the margins.
    """
    kept = []
    axes = axes[:, _spread(plan.orientations, _SAMPLE_ORIENTATIONS)]
    for source in _spread(len(plan.sources.wavelength_m), _SAMPLE_SOURCES):
        middle, edges = _sample_tiles(plan, panel, tile, int(source))
        index = np.einsum("jxo,xt->jto", axes[:9].reshape(3, 3, -1), middle)
        steps = [np.einsum("jxo,xt->jto", axes[:9].reshape(3, 3, -1), edge) for edge in edges]
        kept.append(_kept(plan, index, steps, limits, values).mean())
    return float(np.mean(kept))


def _spread(count: int, wanted: int) -> np.ndarray:
    """At most so many of 0 .. count - 1, evenly."""
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).astype(int))


def _sample_tiles(plan: Plan, panel: PanelPlan, tile: tuple[int, int], source: int
                  ) -> tuple[np.ndarray, list[np.ndarray]]:
    """Scattering vectors [1/m] of the middles of some tiles [3, tile], and half their edges, fast and slow."""
    fast_min, fast_max, slow_min, slow_max = panel.roi
    number = np.arange(_SAMPLE_TILES) + 0.5
    # Multiples of the golden ratio fill the other direction evenly.
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


def _kept(plan: Plan, index: np.ndarray, edges: list[np.ndarray], limits: np.ndarray, values: dict) -> np.ndarray:
    """bool [tile, orientation] for indices [3, tile, orientation] of the middles, and along half the edges."""
    shape, block = SHAPES[plan.crystal_shape], plan.block
    whole = np.rint(index)
    offset, reach = index - whole, np.sum(np.abs(edges), axis=0)
    gap = np.maximum(np.abs(offset) - reach, 0.0)
    alone = np.abs(offset) + reach < 0.5
    largest = _largest(plan, whole, alone, reach, limits, values)
    kept: np.ndarray = largest > values["cull_floor"] * shape.weakening(gap, block)
    if math.isfinite(values["cull_radius_sqr"]):
        metric = shape.cull_metric(block)
        by_index = (gap * gap / np.diag(np.linalg.inv(metric)).reshape(3, 1, 1)).max(axis=0)
        by_box = np.where(alone.all(axis=0), _from_node(metric, offset, edges), 0.0)
        kept &= np.maximum(by_index, by_box) <= values["cull_radius_sqr"]
    return kept


def _from_node(metric: np.ndarray, offset: np.ndarray, edges: list[np.ndarray]) -> np.ndarray:
    """Least value of a quadratic form over the parallelograms with these middles and half edges [3, ...], about."""
    root = np.linalg.cholesky(metric).T
    away = np.einsum("ij,j...->i...", root, offset)
    for edge in edges:
        along = np.einsum("ij,j...->i...", root, edge)
        size = np.maximum((along * along).sum(axis=0), 1e-300)
        away = away + np.clip(-(away * along).sum(axis=0) / size, -1.0, 1.0) * along
    total: np.ndarray = (away * away).sum(axis=0)
    return total


def _largest(plan: Plan, whole: np.ndarray, alone: np.ndarray, reach: np.ndarray, limits: np.ndarray,
             values: dict) -> np.ndarray | float:
    """The largest F^2 of indices [3, ...], as a share; ``alone`` where no sample has another index."""
    factors = plan.factors
    if factors.grid is None:
        return float(values["largest_f2"])
    pad = (limits.shape[0] - factors.grid.shape[0]) // 2
    place = tuple(np.clip(whole[axis] - (factors.origin[axis] - pad), 0, limits.shape[axis] - 1).astype(int)
                  for axis in range(3))
    around = np.where((reach < 0.99).all(axis=0), limits[place], values["largest_f2"])
    if plan.interpolate:
        return around
    inside = [place[axis] - pad for axis in range(3)]
    there = np.all([(part >= 0) & (part < size) for part, size in zip(inside, factors.grid.shape, strict=True)], axis=0)
    nearest = factors.grid[tuple(np.clip(part, 0, size - 1) for part, size in
                                 zip(inside, factors.grid.shape, strict=True))]
    squares = (np.where(there, nearest, factors.default_F) / largest_factor(plan)) ** 2
    return np.where(alone.all(axis=0), squares, around)

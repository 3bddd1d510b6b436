"""Arguments of the kernels: the NumPy mirror of `struct Params` in `kernels/params.cuh`, and the input arrays.

GPU and CPU use the same layout. Call `check_arguments` before every launch: neither CuPy nor ctypes checks dtypes
or sizes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cubragg import units
from cubragg.crystallography.shapes import SHAPES
from cubragg.crystallography.vectors import Vector, cross, unit
from cubragg.detect.epilogue import EPILOGUE
from cubragg.engine.reference.factor_table import bordered
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.plan import Plan

SOURCE_COLUMNS = 14
CROSSING_COLUMNS = 4
#: Orientations that culling tests together.
CHUNK = 64

_VECTOR = (np.float64, 3)
#: dtype of `struct Params`; its comments describe the fields.
PARAMS = np.dtype([
    ("pix0", *_VECTOR), ("fast", *_VECTOR), ("slow", *_VECTOR), ("normal", *_VECTOR), ("beam", *_VECTOR),
    ("pixel_size", np.float64, 2), ("sub_pixel_size", np.float64, 2), ("close_distance", np.float64),
    ("distance", np.float64), ("area", np.float64), ("layer_step", np.float64), ("first_depth", np.float64),
    ("sensor_end", np.float64),
    ("mu", np.float64), ("kahn", np.float64), ("dmin", np.float64), ("water", np.float64), ("scale", np.float64),
    ("cells", *_VECTOR), ("reciprocal", np.float64, (3, 3)), ("fudge", np.float64),
    ("shape", np.float64, 2),
    ("constant", np.float64), ("term_scale", np.float64),
    ("cull_floor", np.float64), ("spot_floor", np.float64), ("cull_radius_sqr", np.float64),
    ("largest_f2", np.float64), ("f2_fraction", np.float64),
    ("lengths", *_VECTOR), ("star_lengths", *_VECTOR), ("per_dual", *_VECTOR),
    ("grid_origin", np.int32, 3), ("grid_size", np.int32, 3),
    ("fast_min", np.int32), ("fast_max", np.int32), ("slow_min", np.int32), ("slow_max", np.int32),
    ("first_pixel", np.int32, 2), ("fast_pixels", np.int32), ("first_row", np.int32), ("first_tile_row", np.int32),
    ("layers", np.int32), ("oversample", np.int32), ("sources", np.int32), ("orientations", np.int32),
    ("polarized", np.int32), ("absorbing", np.int32), ("curved", np.int32), ("point_pixel", np.int32),
    ("masked", np.int32), ("running_thick", np.int32), ("running_polar", np.int32), ("running_omega", np.int32),
    ("physical", np.int32), ("running", np.int32), ("interpolated_to", np.int32), ("skipped_index", np.int32),
], align=True)

#: dtypes of what entry points that count have in place of the image.
COUNTING_TYPES: dict[str, Any] = {"epilogue": EPILOGUE, "background": np.float32, "direct": np.float32,
                                  "passed": np.float32, "too_large": np.int32, "counts": np.int32}
#: Entry point -> names of its arguments after the struct: arrays, and another struct, the epilogue.
ENTRIES = {
    "render": ("f2_grid", "cell_axes", "sources", "mask", "f2_bounds", "cull_axes", "image"),
    "count": ("f2_grid", "cell_axes", "sources", "mask", "f2_bounds", "cull_axes", "epilogue", "background", "direct",
              "passed", "too_large", "counts"),
    "reflection_sums": ("f2_grid", "cell_axes", "sources", "mask", "f2_bounds", "cull_axes", "crossings", "reach",
                        "edge", "passed", "flags", "image", "sums"),
    "find_outside": ("cell_axes", "sources", "mask", "found"),
}


def real(precision: str) -> type[np.floating[Any]]:
    """Return the dtype of lattice amplitudes and structure factors for a precision."""
    return np.float64 if precision == "double" else np.float32


def params_of(plan: Plan, panel: PanelPlan, precision: str) -> np.ndarray:
    """Return the 0-dimensional struct of a panel: all rows of tiles, no skipped pixel, interpolation everywhere."""
    layers, lattice, rules = panel.layers, plan.lattice, plan.rules
    params = np.zeros((), dtype=PARAMS)
    for name in ("fast", "slow", "normal", "distance", "close_distance", "area", "first_pixel"):
        params[name] = getattr(panel, name)
    per_pixel = plan.oversample * plan.oversample
    cells = plan.cells[0] * plan.cells[1] * plan.cells[2]
    samples = plan.orientations * per_pixel if rules.per_sample else plan.samples
    factors = plan.factors
    values: dict[str, Any] = {
        "pix0": panel.origin, "beam": plan.geometry.beam,
        "pixel_size": panel.edges, "sub_pixel_size": [edge / plan.oversample for edge in panel.edges],
        "layer_step": layers.step_m, "first_depth": layers.first_m, "sensor_end": layers.end_m,
        "mu": layers.mu_per_m, "kahn": plan.kahn_factor, "dmin": plan.dmin,
        "water": plan.water / per_pixel if rules.per_sample else plan.water,
        "scale": units.THOMSON_CROSS_SECTION_M2 * plan.bragg_fluence / samples,
        "cells": plan.cells, "reciprocal": (lattice.a_star, lattice.b_star, lattice.c_star), "fudge": plan.fudge,
        "constant": factors.default_F * factors.default_F / factor_scale(plan, precision) ** 2,
        "term_scale": 1.0 if precision == "double" else cells * cells,
        "fast_min": panel.roi[0], "fast_max": panel.roi[1], "slow_min": panel.roi[2], "slow_max": panel.roi[3],
        "fast_pixels": panel.shape[1], "layers": layers.count, "oversample": plan.oversample,
        "sources": len(plan.sources.wavelength_m), "orientations": plan.orientations, "polarized": plan.polarized,
        "absorbing": layers.thickness_m > 0.0, "curved": plan.curved, "point_pixel": plan.point_pixel,
        "masked": panel.mask is not None, "physical": rules.per_sample, "running": rules.running,
        "running_thick": rules.running_thick, "running_polar": rules.running_polar,
        "running_omega": rules.running_omega, "interpolated_to": panel.pixel_count, "skipped_index": -1,
    }
    if factors.grid is not None:
        values["grid_origin"] = [low - 1 for low in factors.origin]
        values["grid_size"] = [size + 2 for size in factors.grid.shape]
    for name, value in values.items():
        params[name] = value
    numbers = SHAPES[plan.crystal_shape].kernel_numbers(plan.block)
    params["shape"][:len(numbers)] = numbers
    return params


def factor_scale(plan: Plan, precision: str) -> float:
    """Return the divisor of structure factors: Na Nb Nc for separable shapes with float amplitudes, else 1."""
    if precision == "double" or not SHAPES[plan.crystal_shape].separable:
        return 1.0
    return plan.cells[0] * plan.cells[1] * plan.cells[2]


def f2_grid_of(plan: Plan, precision: str) -> np.ndarray:
    """Return the F2 grid, padded with one layer of default_F (F, not F^2, for interpolation); [1] without a grid."""
    factors = plan.factors
    if factors.grid is None:
        return np.zeros(1, dtype=real(precision))
    return bordered(factors.grid, factors.default_F, real(precision), scale=factor_scale(plan, precision),
                    squared=not plan.interpolate)


def cell_axes_of(plan: Plan) -> np.ndarray:
    """Return the cell axes float64 [orientation, 9], ordered by phi step, then mosaic domain."""
    return np.ascontiguousarray(plan.cell_axes, dtype=np.float64).reshape(-1, 9)


def sources_of(plan: Plan) -> np.ndarray:
    """Return the table of sources float64 [source, SOURCE_COLUMNS]; columns as in `kernels/params.cuh`."""
    table = plan.sources
    rows = []
    for incident, wavelength, weight in zip(table.incident.tolist(), table.wavelength_m.tolist(),
                                            (table.weight / table.weight.sum()).tolist(), strict=True):
        along: Vector = unit(tuple(incident))
        magnetic = unit(cross(plan.geometry.polar, along))
        rows.append([*incident, wavelength, weight, *along, *magnetic, *unit(cross(along, magnetic))])
    return np.ascontiguousarray(rows, dtype=np.float64)


def mask_of(panel: PanelPlan, rows: range | None = None) -> np.ndarray:
    """Return the mask uint8 [slow, fast] of a panel or of some rows, 1 for rendered pixels; [1] without a mask."""
    if panel.mask is None:
        return np.ones(1, dtype=np.uint8)
    mask = panel.mask if rows is None else panel.mask[rows.start:rows.stop]
    return np.ascontiguousarray(mask).view(np.uint8)


def grid_of(panel: PanelPlan, tile: tuple[int, int]) -> tuple[int, int]:
    """Return the numbers of columns and rows of tiles that cover the region of interest."""
    fast_min, fast_max, slow_min, slow_max = panel.roi
    return -(-(fast_max - fast_min + 1) // tile[0]), -(-(slow_max - slow_min + 1) // tile[1])


def map_sizes(epilogue: np.ndarray, fast: int, slow: int) -> dict[str, int]:
    """Return the least sizes of the maps of an epilogue for a panel whose last rendered pixel is fast, slow."""
    end = int(epilogue["origin"]) + slow * int(epilogue["width"]) + fast + 1
    return {name: end if epilogue[f"has_{name}"] else 1 for name in ("background", "direct", "passed")}


def check_arguments(entry: str, tile: tuple[int, int], precision: str, grid: Sequence[int],
                    args: Sequence[Any], bound_pad: int = 0) -> None:
    """Check that a launch cannot read or write outside its arrays.

    Parameters
    ----------
    entry, tile, precision
        Entry point, tile size (fast, slow) [pixel] and precision of the compiled variant.
    grid
        Columns and rows of tiles.
    args
        The struct, then what `ENTRIES` names, of NumPy or CuPy.
    bound_pad
        Points that ``f2_bounds`` extends beyond the padded grid on each side; 0 for a variant without culling.

    Raises
    ------
    TypeError, ValueError
        If the number, order or dtype of arguments is wrong, or an array is too short.
    """
    names = ENTRIES[entry]
    if len(args) != 1 + len(names):
        raise TypeError(f"{entry}: got {len(args)} arguments; expected the struct, then {', '.join(names)}")
    params = args[0]
    if not isinstance(params, np.ndarray) or params.dtype != PARAMS or params.ndim != 0:
        raise TypeError(f"{entry}: the first argument must be the 0-dimensional struct of kernel_params.PARAMS")
    p = {name: params[name].tolist() for name in params.dtype.names or ()}
    first, last = p["first_tile_row"] * tile[1], min((p["first_tile_row"] + grid[1]) * tile[1],
                                                     p["slow_max"] - p["slow_min"] + 1)
    width = p["fast_max"] - p["fast_min"] + 1
    rows = p["slow_min"] + last - p["first_row"]
    sizes = {
        "f2_grid": max(p["grid_size"][0] * p["grid_size"][1] * p["grid_size"][2], 1),
        "cell_axes": p["orientations"] * 9, "sources": p["sources"] * SOURCE_COLUMNS,
        "mask": rows * p["fast_pixels"] if p["masked"] else 1, "image": rows * p["fast_pixels"],
        "f2_bounds": (math.prod(size + 2 * bound_pad for size in p["grid_size"])
                      if bound_pad and p["grid_size"][0] else 1),
        "cull_axes": 18 * -(-p["orientations"] // CHUNK) * CHUNK if bound_pad else 1,
        "found": (last - first) * width, "crossings": p["orientations"] * CROSSING_COLUMNS, "reach": 3, "flags": 2,
        "edge": rows * p["fast_pixels"], "sums": 1, "counts": rows * p["fast_pixels"], "too_large": 1, "epilogue": 1,
    }
    if "flags" in names:
        sizes["passed"] = sizes["image"] if args[1 + names.index("flags")][1:].any() else 1
    if "epilogue" in names:
        sizes |= map_sizes(args[1 + names.index("epilogue")], p["fast_max"], p["slow_min"] + last - 1)
    if p["first_row"] > p["slow_min"] + first or p["fast_max"] >= p["fast_pixels"]:
        raise ValueError(f"{entry}: the region of interest extends beyond the rows of the image")
    dtypes: dict[str, Any] = {
        "f2_grid": real(precision), "cell_axes": np.float64, "sources": np.float64, "mask": np.uint8,
        "f2_bounds": np.float32, "cull_axes": np.float32, "image": np.float32, "found": np.uint8,
        "crossings": np.float64, "reach": np.float64, "edge": np.uint8, "flags": np.uint8, "sums": np.uint64,
        **COUNTING_TYPES}
    for name, array in zip(names, args[1:], strict=True):
        if array.dtype != dtypes[name]:
            raise TypeError(f"{entry}: {name} is {array.dtype}; it must be {np.dtype(dtypes[name])}")
        if not array.flags.c_contiguous:
            raise ValueError(f"{entry}: {name} is not C-contiguous; pass np.ascontiguousarray({name})")
        if array.size < sizes[name]:
            raise ValueError(f"{entry}: {name} has {array.size} elements; the launch needs {sizes[name]}")

"""Arguments of `kernels/spot_list.cu`: the struct of a channel and a layer, and checks of a launch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cubragg import units
from cubragg.engine.analytic import spot_kernel
from cubragg.engine.analytic.passing import Passing
from cubragg.engine.analytic.profile import ROOT_TWO_PI
from cubragg.engine.analytic.spot_constants import record
from cubragg.engine.analytic.spot_geometry import corner_of, duals_of, pixels_of_angles, steps_of
from cubragg.engine.analytic.spot_model import Channel, SpotModel
from cubragg.engine.analytic.spots import OPAQUE, polarization_axes
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.plan import Plan

_VECTOR, _MATRIX, _PAIR = (np.float64, 3), (np.float64, (3, 3)), (np.float64, 2)
_FLAGS = ("moving", "curved", "point_pixel", "absorbing", "extended")
#: dtype of `struct ListParams` of `kernels/node.cuh`.
LIST_PARAMS = np.dtype([
    ("stars", *_MATRIX), ("block", *_MATRIX), ("mosaicity", *_MATRIX), ("position", *_MATRIX),
    ("strain_variance", np.float64), ("widest_mosaicity", np.float64), ("spindle", *_VECTOR),
    ("wavelength", np.float64), ("incident", *_VECTOR), ("wavelength_variance", np.float64),
    ("wavelength_direction", *_VECTOR), ("direction", *_MATRIX), ("peak", np.float64), ("axes", *_MATRIX),
    ("centre", *_VECTOR), ("corner", *_VECTOR), ("normal", *_VECTOR), ("fast_step", *_VECTOR), ("slow_step", *_VECTOR),
    ("fast_dual", *_VECTOR), ("slow_dual", *_VECTOR), ("first_pixel", *_PAIR), ("radius", np.float64),
    ("beam", *_VECTOR), ("fast_axis", *_VECTOR), ("slow_axis", *_VECTOR), ("corner_angles", *_PAIR),
    ("pixels_of_angles", np.float64, (2, 2)), ("angles_of_pixels", np.float64, (2, 2)), ("solid_angle", np.float64),
    ("absorption", np.float64), ("edges", *_PAIR), ("tail", np.float64),
    *((name, np.int32) for name in ("fast_min", "fast_max", "slow_min", "slow_max", "count", "first_record",
                                       "oversample", *_FLAGS))],
    align=True)
#: dtype of `struct SpotBounds` of `kernels/spot_list.cu`.
BOUNDS = np.dtype([(name, np.int32) for name in ("fast_min", "fast_max", "slow_min", "slow_max", "seen", "entering")])
BOUND_FIELDS = 6
#: Segments of a block, on the CPU a task.
BLOCK = 64
#: Blocks on a multiprocessor: a thread has all registers that it can have.
_CUDA_BLOCKS = 4


def defines(precision: str) -> tuple[str, ...]:
    """Return the ``-D`` options for the compiler; ``precision`` is that of the records."""
    return (*spot_kernel.defines(precision, (BLOCK, 1)), f"-DLIST_PARAMS_SIZE={LIST_PARAMS.itemsize}")


def cuda_defines(precision: str) -> tuple[str, ...]:
    """Return the ``-D`` options for NVRTC."""
    return (*defines(precision), f"-DMIN_BLOCKS={_CUDA_BLOCKS}")


def grid_of(count: int) -> tuple[int, int]:
    """Return the blocks of a launch over a number of segments."""
    return -(-count // BLOCK), 1


def segment_arrays(passing: Passing) -> tuple[np.ndarray, ...]:
    """Return the arrays that both entry points read: indices [n, 3], angle, start and end of each segment [n]."""
    hkl, *angles = passing.segments
    return (np.ascontiguousarray(hkl, dtype=np.float64),
            *(np.ascontiguousarray(angle, dtype=np.float64) for angle in angles))


def params_of(plan: Plan, panel: PanelPlan, layer: int, model: SpotModel, channel: Channel) -> np.ndarray:
    """Return the 0-dimensional struct of a channel of the beam in a layer of a panel; ``count`` is 0."""
    params = np.zeros((), dtype=LIST_PARAMS)
    values = {**_of_model(plan, model, channel), **_of_panel(plan, panel, layer, model)}
    for name, value in values.items():
        params[name] = value
    return params


def _of_model(plan: Plan, model: SpotModel, channel: Channel) -> dict[str, Any]:
    """Return the fields that do not depend on the panel."""
    peak = (units.THOMSON_CROSS_SECTION_M2 * channel.weight * model.integral * (2.0 * math.pi) ** -1.5
            * plan.bragg_fluence)
    moving = model.width > 0.0
    return {
        "stars": model.stars, "block": model.block, "mosaicity": model.mosaicity, "position": model.position,
        "strain_variance": model.strain**2, "spindle": model.spindle,
        "widest_mosaicity": math.sqrt(max(float(np.linalg.eigvalsh(model.mosaicity)[-1]), 0.0)),
        "wavelength": channel.wavelength_A, "incident": channel.incident,
        "wavelength_variance": channel.covariance[0, 0], "wavelength_direction": channel.covariance[0, 1:],
        "direction": channel.covariance[1:, 1:], "peak": peak * ROOT_TWO_PI / model.width if moving else peak,
        "axes": polarization_axes(plan, channel), "centre": model.centre, "tail": plan.tail_sigmas,
        "oversample": plan.oversample, "moving": moving, "point_pixel": plan.point_pixel,
        "extended": model.position.any()}


def _of_panel(plan: Plan, panel: PanelPlan, layer: int, model: SpotModel) -> dict[str, Any]:
    """Return the fields of a layer of a panel."""
    depth, layers, steps = panel.layers.depth_m(layer), panel.layers, steps_of(panel)
    duals, absorbing = duals_of(panel), layers.thickness_m > 0.0
    fast_min, fast_max, slow_min, slow_max = panel.roi
    fields = {
        "corner": corner_of(panel, depth) - model.centre, "normal": panel.normal, "fast_step": steps[:, 0],
        "slow_step": steps[:, 1], "fast_dual": duals[0], "slow_dual": duals[1], "first_pixel": panel.first_pixel,
        "curved": plan.curved, "solid_angle": 1.0 if plan.point_pixel else panel.area * panel.close_distance,
        "absorbing": absorbing, "absorption": layers.mu_per_m,
        "edges": layers.edges_m(layer) if absorbing else (0.0, OPAQUE),
        "fast_min": fast_min, "fast_max": fast_max, "slow_min": slow_min, "slow_max": slow_max}
    if plan.curved:
        to_pixels = pixels_of_angles(panel)
        fields |= {"radius": panel.distance, "beam": plan.geometry.beam, "fast_axis": panel.fast,
                   "slow_axis": panel.slow, "corner_angles": corner_of(panel, depth)[1:] / panel.distance,
                   "pixels_of_angles": to_pixels, "angles_of_pixels": np.linalg.inv(to_pixels)}
    return fields


def seen_of(bounds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the segments that are seen, int32 [n], and their `BOUNDS` [n], of int32 [m, 6]."""
    found = bounds.view(BOUNDS)[:, 0]
    index = np.flatnonzero(found["seen"]).astype(np.int32)
    return index, found[index]


def check_bounds(grid: Sequence[int], args: Sequence[Any]) -> None:
    """Check that a launch of ``bound_spots`` cannot leave its arrays.

    Raises
    ------
    TypeError, ValueError
        If the order or dtype of arguments is wrong, or an array is too short.
    """
    count = _count("bound_spots", grid, args[0])
    _check("bound_spots", args, (*_segments(count), ("bounds", np.int32, count * BOUND_FIELDS)))


def check_fill(precision: str, grid: Sequence[int], args: Sequence[Any], largest: int) -> None:
    """Check that a launch of ``fill_spots`` cannot leave its arrays; ``largest`` is the largest of ``chosen``.

    Records are bytes, because CuPy has none.

    Raises
    ------
    TypeError, ValueError
        If the order or dtype of arguments is wrong, or an array is too short.
    """
    count = _count("fill_spots", grid, args[0])
    end = count + int(args[0]["first_record"])
    size = end * record(spot_kernel.real_type(precision)).itemsize
    _check("fill_spots", args, (*_segments(largest + 1), ("F", np.float64, largest + 1), ("chosen", np.int32, count),
                                ("spots", np.uint8, size), ("pace", np.float64, end)))


def _count(entry: str, grid: Sequence[int], params: np.ndarray) -> int:
    count = int(params["count"])
    if tuple(grid) != grid_of(count):
        raise ValueError(f"{entry}: got a grid of {tuple(grid)} for {count} segments in blocks of {BLOCK}")
    return count


def _segments(count: int) -> tuple[tuple[str, Any, int], ...]:
    """Return name, dtype and least size of struct and segments."""
    return (("params", LIST_PARAMS, 1), ("hkl", np.float64, 3 * count),
            *((name, np.float64, count) for name in ("phi", "start", "end")))


def _check(entry: str, args: Sequence[Any], expected: Sequence[tuple[str, Any, int]]) -> None:
    for (name, dtype, size), array in zip(expected, args, strict=True):
        spot_kernel.check_array(entry, name, array, dtype, size)

"""Arguments of `kernels/analytic.cu`: spots binned to tiles, and the struct of a launch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from cubragg.engine import kernel_params
from cubragg.engine.analytic.spot_constants import record
from cubragg.engine.variant import PRECISIONS
from cubragg.errors import ConfigError
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.plan import Plan

#: dtype of `struct SpotParams` of `kernels/spot.cuh`.
SPOT_PARAMS = np.dtype([
    ("kahn", np.float64), ("fast_min", np.int32), ("fast_max", np.int32), ("slow_min", np.int32),
    ("slow_max", np.int32), ("fast_pixels", np.int32), ("first_row", np.int32), ("masked", np.int32),
    ("polarized", np.int32), ("point_pixel", np.int32)], align=True)
#: Tile size (fast, slow) [pixel] on the CPU, where a tile is a task, and on the GPU, where it is a block of threads.
HOST_TILE, CUDA_TILE = (64, 32), (16, 8)
#: Blocks on a multiprocessor with which no register of a thread is kept in memory.
_CUDA_BLOCKS = {"double": 2, "single": 4}


class Tiles(NamedTuple):
    """Spots by tile: those of tile i are ``order[first[i]:first[i + 1]]``, ascending; both int32."""

    first: np.ndarray
    order: np.ndarray


def check_precision(precision: str) -> None:
    """Check that the kernels of the method analytic exist in a precision.

    Raises
    ------
    ConfigError
        For ``mixed``.
    """
    if precision == "mixed":
        raise ConfigError("precision", "got mixed with the method analytic; auto, double and single are accepted")


def real_type(precision: str) -> str:
    """Return the type of the numbers of a spot."""
    return "f8" if precision == "double" else "f4"


def defines(precision: str, tile: tuple[int, int]) -> tuple[str, ...]:
    """Return the ``-D`` options for the compiler."""
    values = {"PRECISION": PRECISIONS.index(precision), "TILE_FAST": tile[0], "TILE_SLOW": tile[1], "CULLED": 0,
              "PARAMS_SIZE": kernel_params.PARAMS.itemsize, "SPOT_SIZE": record(real_type(precision)).itemsize,
              "SPOT_PARAMS_SIZE": SPOT_PARAMS.itemsize}
    return tuple(f"-D{name}={value}" for name, value in values.items())


def cuda_defines(precision: str, *, counted: bool = False) -> tuple[str, ...]:
    """Return the ``-D`` options for NVRTC; ``counted``: for the entry points that render counts."""
    return (*defines(precision, CUDA_TILE), f"-DMIN_BLOCKS={_CUDA_BLOCKS[precision]}",
            *(["-DCOUNTED=1"] if counted else []))


def params_of(plan: Plan, panel: PanelPlan) -> np.ndarray:
    """Return the 0-dimensional struct of a panel."""
    params = np.zeros((), dtype=SPOT_PARAMS)
    fast_min, fast_max, slow_min, slow_max = panel.roi
    values = {"kahn": plan.kahn_factor, "fast_min": fast_min, "fast_max": fast_max, "slow_min": slow_min,
              "slow_max": slow_max, "fast_pixels": panel.shape[1], "masked": panel.mask is not None,
              "polarized": plan.polarized, "point_pixel": plan.point_pixel}
    for name, value in values.items():
        params[name] = value
    return params


def tiles_of(records: np.ndarray, panel: PanelPlan, tile: tuple[int, int]) -> Tiles:
    """Return the spots, all of them in the region of a panel, by its tiles, which are numbered row after row.

    ``records`` [n] have the fields of a box: ``fast_min`` and the others.
    """
    columns, rows = kernel_params.grid_of(panel, tile)
    fast_min, _, slow_min, _ = panel.roi
    left, right = ((records[name] - fast_min) // tile[0] for name in ("fast_min", "fast_max"))
    # A spot may begin above a band of rows and end below it.
    top = np.maximum((records["slow_min"] - slow_min) // tile[1], 0)
    bottom = np.minimum((records["slow_max"] - slow_min) // tile[1], rows - 1)
    width = right - left + 1
    count = width.astype(np.int64) * (bottom - top + 1)
    spot = np.repeat(np.arange(len(records), dtype=np.int32), count)
    row, column = np.divmod(np.arange(len(spot)) - np.repeat(np.cumsum(count) - count, count), width[spot])
    number = (top[spot] + row) * columns + left[spot] + column
    first = np.zeros(columns * rows + 1, dtype=np.int32)
    np.cumsum(np.bincount(number, minlength=columns * rows), out=first[1:])
    return Tiles(first, spot[np.argsort(number, kind="stable")])


def check_arguments(precision: str, tile: tuple[int, int], grid: Sequence[int], args: Sequence[Any]) -> None:
    """Check that a launch of ``render_spots``, or of the entry points that count, cannot leave its arrays.

    Records are bytes, because CuPy has none.

    Raises
    ------
    TypeError, ValueError
        If the number, order or dtype of arguments is wrong, or an array is too short.
    """
    params, spots, first, order, mask, *written = args
    p = {name: params[name].tolist() for name in params.dtype.names or ()}
    columns, rows = (p["fast_max"] - p["fast_min"]) // tile[0] + 1, (p["slow_max"] - p["slow_min"]) // tile[1] + 1
    pixels = p["fast_pixels"] * (p["slow_max"] + 1 - p["first_row"])
    if tuple(grid) != (columns, rows):
        raise ValueError(f"render_spots: got a grid of {tuple(grid)}; the region has {columns} x {rows} tiles")
    listed = int(first[-1])
    used = int(order[:listed].max()) + 1 if listed else 0
    expected: dict[str, tuple[Any, Any, int]] = {
        "params": (params, SPOT_PARAMS, 1), "spots": (spots, np.uint8, used * record(real_type(precision)).itemsize),
        "first": (first, np.int32, columns * rows + 1), "order": (order, np.int32, listed),
        "mask": (mask, np.uint8, pixels if p["masked"] else 1)}
    if len(written) == 1:
        expected["image"] = (written[0], np.float32, pixels)
    else:
        epilogue = written[0]
        end = int(epilogue["origin"]) + p["slow_max"] * int(epilogue["width"]) + p["fast_max"] + 1
        sizes = {"epilogue": 1, **kernel_params.map_sizes(epilogue, p["fast_max"], p["slow_max"]), "too_large": 1,
                 "counts": end}
        for (name, size), array in zip(sizes.items(), written, strict=True):
            expected[name] = (array, kernel_params.COUNTING_TYPES[name], size)
    for name, (array, dtype, size) in expected.items():
        check_array("render_spots", name, array, dtype, size)


def check_array(entry: str, name: str, array: Any, dtype: Any, size: int) -> None:
    """Check dtype and size of an argument of an entry point, of NumPy or CuPy.

    Raises
    ------
    TypeError, ValueError
        If the dtype is another one, or the array is too short or not contiguous.
    """
    if array.dtype != dtype:
        raise TypeError(f"{entry}: {name} is {array.dtype}; it must be {np.dtype(dtype)}")
    if array.size < size or not array.flags.c_contiguous:
        raise ValueError(f"{entry}: {name} has {array.size} elements; the launch needs {size}, C-contiguous")

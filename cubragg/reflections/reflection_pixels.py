"""Pixels of reflections of the method analytic: by host-compiled kernels, or by NumPy. `specs/data-sets.md`"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cubragg.device.host_build import HostKernel, available_cores
from cubragg.device.kernel_source import host_text
from cubragg.engine.analytic import spot_kernel
from cubragg.engine.analytic.analytic_engine import blocks_of, box_pixels, pixel_sums
from cubragg.engine.analytic.panel_spots import PanelSpots
from cubragg.errors import BackendUnavailable, KernelBuildError
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.plan import Plan
from cubragg.plan.shadow import panel_shadow

#: Pixels in the boxes of the reflections of a launch; one of more is launched alone.
LAUNCH_PIXELS = 1 << 22
_BOX = ("fast_min", "fast_max", "slow_min", "slow_max")


class ReflectionPixels(NamedTuple):
    """Reflection int64 [m], pixel of the image, slow * width + fast, int64 [m], and photons float64 [m]; ascending."""

    row: np.ndarray
    pixel: np.ndarray
    photons: np.ndarray


def joined(parts: Sequence[ReflectionPixels]) -> ReflectionPixels:
    """Return pixels of several panels or crystals in the order of the reflections."""
    if not parts:
        return ReflectionPixels(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0))
    row, pixel, photons = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(row, kind="stable")
    return ReflectionPixels(row[order], pixel[order], photons[order])


def reflection_pixels(plan: Plan, spots: PanelSpots, row: np.ndarray, width: int, fraction: float,
                      threads: int | None, backend: str) -> ReflectionPixels:
    """Return the pixels of reflections on a panel.

    Parameters
    ----------
    spots, row
        Spots, and the reflection of each, int64 [n].
    width
        Pixels of a row of the image.
    fraction
        Pixels are left out that have less of the photons of their reflection's brightest pixel, or none.
    threads, backend
        As for `spot_sums.spot_sums`.
    """
    found = None
    passed = _passed(plan, spots)
    if backend != "numpy":
        # Without a compiler, NumPy computes the same photons, more slowly.
        with suppress(BackendUnavailable, KernelBuildError):
            found = _by_kernel(plan, spots, row, passed, fraction, threads)
    if found is None:
        found = _by_numpy(plan, spots, row, passed, fraction)
    return in_image(spots.panel, width, found)


def in_image(panel: PanelPlan, width: int, found: ReflectionPixels) -> ReflectionPixels:
    """Return pixels of a panel as those of an image with ``width`` pixels in a row."""
    slow, fast = np.divmod(found.pixel, panel.shape[1])
    rows, columns = panel.window
    return found._replace(pixel=(slow + rows.start) * width + fast + columns.start)


def combined(row: np.ndarray, pixel: np.ndarray, photons: np.ndarray, size: int, fraction: float,
             passed: np.ndarray | None = None) -> ReflectionPixels:
    """Return the pixels of reflections from parts of their photons [n] in pixels of a panel of ``size`` pixels.

    Parameters
    ----------
    fraction
        As for `reflection_pixels`.
    passed
        Fraction of the photons that are in the image, [slow, fast].
    """
    key, place = np.unique(row * size + pixel, return_inverse=True)
    total = np.bincount(place.reshape(-1), photons, len(key))
    row, pixel = np.divmod(key, size)
    if passed is not None:
        total *= passed.reshape(-1)[pixel]
    most = np.zeros(int(row.max(initial=-1)) + 1)
    np.maximum.at(most, row, total)
    kept = (total > 0.0) & (total >= fraction * most[row])
    return ReflectionPixels(row[kept], pixel[kept], total[kept])


def rows_by_code(rows: np.ndarray, wanted: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return for each code ``found`` [n] which of ``rows`` [m] has it, from their codes ``wanted`` [m]; -1: none."""
    order = np.argsort(wanted)
    place = order[np.minimum(np.searchsorted(wanted, found, sorter=order), len(rows) - 1)]
    return np.where(wanted[place] == found, rows[place], -1)


def _passed(plan: Plan, spots: PanelSpots) -> np.ndarray | None:
    """Return the fraction of the photons in each pixel of a panel that are in the image, float32 [slow, fast]: less
    than 1 behind the mask and the beam stop; ``None``: 1."""
    if plan.beam_stop is None:
        return None if spots.panel.mask is None else spots.panel.mask.astype(np.float32)
    shadow = panel_shadow(plan, spots.panel, plan.beam_stop)
    return shadow if spots.panel.mask is None else shadow * spots.panel.mask


def _by_kernel(plan: Plan, spots: PanelSpots, row: np.ndarray, passed: np.ndarray | None, fraction: float,
               threads: int | None) -> ReflectionPixels:
    """Return the pixels of the reflections, with those of the panel, in launches of limited memory."""
    text = host_text("reflection_pixels.cpp", Path(__file__).parent, plan.crystal_shape)
    kernel = HostKernel(text, spot_kernel.defines("double", spot_kernel.HOST_TILE), "find_pixels", _check,
                        threads or available_cores())
    params = spot_kernel.params_of(plan, spots.panel)
    params["masked"] = passed is not None
    factors = np.ones(1, dtype=np.float32) if passed is None else np.ascontiguousarray(passed)
    reflections, place = np.unique(row, return_inverse=True)
    order = np.argsort(place, kind="stable").astype(np.int32)
    first = np.searchsorted(place[order], np.arange(len(reflections) + 1)).astype(np.int32)
    box = _joint_boxes(spots.records[order], first)
    size = (box[:, 1] - box[:, 0] + 1).astype(np.int64) * (box[:, 3] - box[:, 2] + 1)
    parts = []
    for chosen in _launches(size):
        start = np.append(0, np.cumsum(size[chosen]))
        pixels, photons = np.zeros(start[-1], dtype=np.int32), np.zeros(start[-1])
        count = np.zeros(len(start) - 1, dtype=np.int64)
        kernel((len(count), 1), (1,), (params, spots.records, first[chosen.start:chosen.stop + 1], order, box[chosen],
                                       start, factors, np.array(fraction), pixels, photons, count))
        number = np.repeat(np.arange(len(count)), count)
        at = start[number] + np.arange(len(number)) - np.repeat(np.cumsum(count) - count, count)
        corner = box[chosen][number].astype(np.int64)
        slow, fast = np.divmod(pixels[at], corner[:, 1] - corner[:, 0] + 1)
        parts.append(ReflectionPixels(reflections[chosen][number], (slow + corner[:, 2]) * spots.panel.shape[1]
                                      + fast + corner[:, 0], photons[at]))
    return joined(parts)


def _joint_boxes(records: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return the boxes that hold those of the spots of each reflection, int32 [reflections, 4]."""
    extremes = (np.minimum, np.maximum, np.minimum, np.maximum)
    return np.stack([extreme.reduceat(records[name], first[:-1]) for name, extreme in zip(_BOX, extremes, strict=True)],
                    axis=1).astype(np.int32)


def _launches(size: np.ndarray) -> Iterator[slice]:
    """Yield runs of reflections with boxes of ``size`` [n] pixels."""
    total = np.cumsum(size)
    start = 0
    while start < len(size):
        before = int(total[start - 1]) if start else 0
        stop = max(int(np.searchsorted(total, before + LAUNCH_PIXELS, side="right")), start + 1)
        yield slice(start, stop)
        start = stop


def _check(grid: Sequence[int], block: Sequence[int], args: Sequence[Any]) -> None:
    """Check that a launch of ``find_pixels`` cannot read or write outside its arrays."""
    params, spots, first, order, box, start, passed, _, pixels, photons, count = args
    panel = int(params["fast_pixels"]) * int(params["slow_max"] + 1) if params["masked"] else 1
    needed = {"first": (first, grid[0] + 1), "box": (box, 4 * grid[0]), "start": (start, grid[0] + 1),
              "order": (order, int(first.max())), "spots": (spots, int(order.max()) + 1), "passed": (passed, panel),
              "pixels": (pixels, int(start[-1])), "photons": (photons, int(start[-1])), "count": (count, grid[0])}
    for name, (array, size) in needed.items():
        if array.size < size or not array.flags.c_contiguous:
            raise ValueError(f"find_pixels: {name} has {array.size} elements; the launch needs {size}, C-contiguous")


def _by_numpy(plan: Plan, spots: PanelSpots, row: np.ndarray, passed: np.ndarray | None, fraction: float
              ) -> ReflectionPixels:
    """Return the pixels of the reflections, with those of the panel."""
    pixels_of_panel = spots.panel.shape[0] * spots.panel.shape[1]
    parts = []
    for block in blocks_of(spots):
        number, fast, slow = box_pixels(spots, block)
        parts.append((row[number], slow * spots.panel.shape[1] + fast,
                      pixel_sums(plan, spots.records[number], fast, slow)[0]))
    row, pixel, photons = (np.concatenate(column) for column in zip(*parts, strict=True))
    return combined(row, pixel, photons, pixels_of_panel, fraction, passed)

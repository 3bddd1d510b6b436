"""Sums of each spot of the method analytic over its pixels: by host-compiled kernels, or by NumPy. `specs/truth.md`"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cubragg.device.host_build import HostKernel
from cubragg.device.kernel_source import host_text
from cubragg.engine import kernel_params
from cubragg.engine.analytic import spot_kernel
from cubragg.engine.analytic.analytic_engine import blocks_of, box_pixels, pixel_sums
from cubragg.engine.analytic.panel_spots import PanelSpots
from cubragg.engine.host.host_engine import available_cores
from cubragg.errors import BackendUnavailable, KernelBuildError
from cubragg.plan.plan import Plan

#: Columns of the sums: photons; photons times fast, slow, their squares (from the corner of the box [pixel]), mean and
#: mean square of the angle (standardized), the centres of the pixels, fast, slow; photons on an edge; photons times the
#: fraction of other photons in their pixel.
COLUMNS = 11


def spot_sums(plan: Plan, spots: PanelSpots, photons: np.ndarray, edge: np.ndarray, threads: int | None, backend: str
              ) -> np.ndarray:
    """Return the sums of spots, float64 [n, COLUMNS].

    Parameters
    ----------
    photons, edge
        Of the panel: float32 [slow, fast], photons of all spots; bool [slow, fast], pixels on an edge.
    threads, backend
        CPU threads; all cores if ``None``. ``numpy``, or another one: the host kernels, or NumPy without a compiler.
    """
    if backend != "numpy":
        try:
            return _by_kernel(plan, spots, photons, edge, threads)
        except (BackendUnavailable, KernelBuildError):
            pass  # NumPy computes the same sums, more slowly
    return _by_numpy(plan, spots, photons, edge)


def _by_kernel(plan: Plan, spots: PanelSpots, photons: np.ndarray, edge: np.ndarray, threads: int | None) -> np.ndarray:
    def check(grid: Sequence[int], block: Sequence[int], args: Sequence[Any]) -> None:
        if grid[0] > len(args[1]) or args[5].shape != (len(args[1]), COLUMNS):
            raise ValueError(f"sum_spots: got a grid of {grid[0]} for {len(args[1])} spots and {args[5].shape} sums")

    text = host_text("spot_sums.cpp", Path(__file__).parent, plan.crystal_shape)
    kernel = HostKernel(text, spot_kernel.defines("double", spot_kernel.HOST_TILE), "sum_spots", check,
                        threads or available_cores())
    sums = np.zeros((len(spots), COLUMNS))
    if len(spots):
        kernel((len(spots), 1), (1,), (
            spot_kernel.params_of(plan, spots.panel), spots.records, kernel_params.mask_of(spots.panel),
            np.ascontiguousarray(edge).view(np.uint8), np.ascontiguousarray(photons, dtype=np.float32), sums))
    return sums


def _by_numpy(plan: Plan, spots: PanelSpots, photons: np.ndarray, edge: np.ndarray) -> np.ndarray:
    sums = np.zeros((len(spots), COLUMNS))
    for block in blocks_of(spots):
        number, fast, slow = box_pixels(spots, block)
        if spots.panel.mask is not None:
            live = spots.panel.mask[slow, fast]
            number, fast, slow = number[live], fast[live], slow[live]
        box = spots.records[number]
        value, in_fast, in_slow, fast_sqr, slow_sqr, angle, angle_sqr = pixel_sums(plan, box, fast, slow, moments=True)
        x, y = fast - box["fast_min"], slow - box["slow_min"]
        in_pixel = photons[slow, fast].astype(np.float64)
        others = np.where(in_pixel > value, 1.0 - value / np.where(in_pixel > 0.0, in_pixel, 1.0), 0.0)
        columns = (value, x * value + in_fast, y * value + in_slow, x * x * value + 2.0 * x * in_fast + fast_sqr,
                   y * y * value + 2.0 * y * in_slow + slow_sqr, angle, angle_sqr, (x + 0.5) * value,
                   (y + 0.5) * value, value * edge[slow, fast], value * others)
        for number_of_column, column in enumerate(columns):
            sums[:, number_of_column] += np.bincount(number, column, len(spots))
    return sums

"""The spots of an image from host-compiled kernels: `kernels/spot_list.cu`, a vector of spots in step.

`specs/analytic.md`
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cubragg.device.host_build import HostKernel
from cubragg.device.kernel_source import host_text
from cubragg.engine.analytic import list_kernel
from cubragg.engine.analytic.panel_spots import PanelSpots
from cubragg.engine.analytic.passing import Passing
from cubragg.engine.analytic.spot_constants import record
from cubragg.engine.analytic.spot_model import SpotModel
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.plan import Plan


class _Kernels(NamedTuple):
    """Both entry points."""

    bound: HostKernel
    fill: HostKernel


class _Part(NamedTuple):
    """A channel in a layer: its number, segments, their arrays and a struct; numbers and boxes of those seen."""

    number: int
    passing: Passing
    segments: tuple[np.ndarray, ...]
    params: np.ndarray
    seen: np.ndarray
    boxes: np.ndarray


def spots_by_kernels(plan: Plan, model: SpotModel, passing: list[Passing], threads: int) -> list[PanelSpots]:
    """Return the spots of segments of all channels on each panel of a plan.

    Raises
    ------
    BackendUnavailable, KernelBuildError
        If there is no C++ compiler, or the kernels do not compile.
    """
    kernels = _kernels(threads)
    arrays = [list_kernel.segment_arrays(part) for part in passing]
    return [_on_panel(kernels, plan, panel, model, passing, arrays) for panel in plan.panels]


def _kernels(threads: int) -> _Kernels:
    text, options = host_text("list_entries.cpp", Path(__file__).parent), list_kernel.defines("double")

    def check_bounds(grid: Sequence[int], block: Sequence[int], args: Sequence[Any]) -> None:
        list_kernel.check_bounds(grid, args)

    def check_fill(grid: Sequence[int], block: Sequence[int], args: Sequence[Any]) -> None:
        list_kernel.check_fill("double", grid, args, int(args[6].max()))

    return _Kernels(HostKernel(text, options, "bound_spots", check_bounds, threads),
                    HostKernel(text, options, "fill_spots", check_fill, threads))


def _on_panel(kernels: _Kernels, plan: Plan, panel: PanelPlan, model: SpotModel, passing: list[Passing],
              arrays: list[tuple[np.ndarray, ...]]) -> PanelSpots:
    """Return the spots of all channels and layers on one panel."""
    parts = [_Part(number, part, segments, params, *_seen(kernels.bound, params, segments))
             for number, (part, segments) in enumerate(zip(passing, arrays, strict=True))
             for layer in range(panel.layers.count)
             for params in [list_kernel.params_of(plan, panel, layer, model, part.channel)]]
    count, kind = sum(len(part.seen) for part in parts), record("f8")
    records, pace = np.empty(count * kind.itemsize, dtype=np.uint8), np.empty(count)
    first = 0
    for part in parts:
        _fill(kernels.fill, part, first, records, pace)
        first += len(part.seen)
    segments = [part.passing.segments.where(part.seen) for part in parts]
    return PanelSpots(
        panel, records.view(kind), hkl=np.concatenate([of_part.hkl for of_part in segments]),
        F=np.concatenate([part.passing.F[part.seen] for part in parts]),
        phi=np.concatenate([of_part.phi for of_part in segments]), pace=pace,
        entering=np.concatenate([part.boxes["entering"] != 0 for part in parts]),
        channel=np.concatenate([np.full(len(part.seen), part.number) for part in parts]))


def _seen(kernel: HostKernel, params: np.ndarray, segments: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of segments that are seen, and their boxes; see `list_kernel.seen_of`."""
    count = len(segments[1])
    bounds = np.empty((count, list_kernel.BOUND_FIELDS), dtype=np.int32)
    if count:
        params["count"] = count
        kernel(list_kernel.grid_of(count), (list_kernel.BLOCK,), (params, *segments, bounds))
    return list_kernel.seen_of(bounds)


def _fill(kernel: HostKernel, part: _Part, first: int, records: np.ndarray, pace: np.ndarray) -> None:
    """Compute the records of the seen segments of a part, and their paces, from the record ``first`` on."""
    count = len(part.seen)
    if count:
        part.params["count"], part.params["first_record"] = count, first
        kernel(list_kernel.grid_of(count), (list_kernel.BLOCK,), (
            part.params, *part.segments, part.passing.F, part.seen, records, pace))

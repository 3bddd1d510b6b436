"""Per-reflection sums with the kernels compiled for the host: those of `NumpySums`, in about the time of an image."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from cubragg.device.host_build import available_cores
from cubragg.device.kernel_source import host_text
from cubragg.engine import kernel_params
from cubragg.engine.host.panel_launches import PanelLaunches
from cubragg.engine.order_dependent import first_index
from cubragg.engine.panel_loop import Progress
from cubragg.engine.reference.numpy_engine import BlockState
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.plan import Plan
from cubragg.reflections.reflection_sums import (
    SUMS,
    NumpySums,
    PixelPhotons,
    ReflectionCodes,
    ReflectionSums,
    add_up,
    all_of,
    only,
)


class HostSums:
    """Sums the photons of panels by reflection; for plans without running products.

    Parameters
    ----------
    plan
        From `make_plan`.
    cull
        Fraction of the peak below which terms may be left out; see `negligible_fraction`.

    Raises
    ------
    BackendUnavailable, KernelBuildError
        As `HostEngine`.
    """

    def __init__(self, plan: Plan, cull: float = 0.0) -> None:
        self._plan, self._reference = plan, NumpySums(plan)
        self._least, self._kept = math.inf, list[PixelPhotons]()
        self._launches = PanelLaunches(
            plan, "reflection_sums", host_text("reflection_sums.cpp", Path(__file__).parent, plan.crystal_shape),
            cull=cull)

    @property
    def codes(self) -> ReflectionCodes:
        """Numbering of the reflections on the current panel."""
        return self._reference.codes

    def set_plan(self, plan: Plan) -> None:
        """Replace the plan by one that differs only in orientation, ray and place of the crystal."""
        self._plan = plan
        self._launches.set_plan(plan)
        self._reference.set_plan(plan)

    def set_panel(self, panel: PanelPlan, reach: np.ndarray | None = None, counting: np.ndarray | None = None
                  ) -> None:
        """Select a panel of the plan, as `NumpySums.set_panel`."""
        self._panel = only(panel, counting)
        self._reference.set_panel(panel, reach, counting)

    def keep_pixels(self, least: float) -> None:
        """Keep photons of reflections in pixels, as `NumpySums.keep_pixels`."""
        self._least, self._kept = least, []
        self._reference.keep_pixels(least)

    def kept_pixels(self) -> PixelPhotons:
        """Return what `keep_pixels` kept since it was called."""
        return all_of([*self._kept, self._reference.kept_pixels()])

    def panel_sums(self, threads: int | None, progress: Progress | None = None) -> ReflectionSums:
        """Return the sums of the current panel over all samples of all pixels."""
        kernel = self._launches.kernel
        kernel.threads = threads or available_cores()
        panel, reference = self._panel, self._reference
        table = reference.orientation_table
        first = first_index(self._plan, panel)
        stop = self._launches.stop_index(panel, first)
        separate = sorted({index for index in (first, stop) if index is not None})
        kept = _without(panel, separate)
        with _empty_sums(kernel.library, self._least) as sums:
            self._launches.run(kept, stop, kernel_params.mask_of(kept), (
                table, reference.codes.reach.astype(np.float64), reference.edge.view(np.uint8),
                np.array([np.ptp(table[:, 3]) > 0.0], dtype=np.uint8), np.array(sums.value, dtype=np.uint64)), progress)
            found = _read(kernel.library, sums)
            self._kept.append(_read_kept(kernel.library, sums))
        interpolated_to = -1
        if self._plan.interpolate:
            interpolated_to = panel.pixel_count if stop is None else stop
        return add_up([found, *(reference.pixel_sums(index, BlockState(index <= interpolated_to, index == first,
                                                                       index == stop)) for index in separate)])


def _without(panel: PanelPlan, indices: list[int]) -> PanelPlan:
    """Return the panel with the pixels of some ROI indices masked."""
    if not indices:
        return panel
    mask = np.ones(panel.shape, dtype=bool) if panel.mask is None else panel.mask.copy()
    for index in indices:
        fast, slow = panel.pixel_at(index)
        mask[slow, fast] = False
    return panel._replace(mask=mask)


@contextmanager
def _empty_sums(library: ctypes.CDLL, least: float) -> Iterator[ctypes.c_void_p]:
    """Allocate an empty `PanelSums` of `reflection_sums.cpp`, and free it at the end."""
    library.panel_sums_new.restype = ctypes.c_void_p
    sums = ctypes.c_void_p(library.panel_sums_new(ctypes.c_double(least)))
    try:
        yield sums
    finally:
        library.panel_sums_delete(sums)


def _read(library: ctypes.CDLL, sums: ctypes.c_void_p) -> ReflectionSums:
    library.panel_sums_size.restype = ctypes.c_longlong
    count = library.panel_sums_size(sums)
    code, values = np.zeros(count, dtype=np.int64), np.zeros((count, SUMS))
    library.panel_sums_read(sums, ctypes.c_void_p(code.ctypes.data), ctypes.c_void_p(values.ctypes.data))
    order = np.argsort(code)
    return ReflectionSums(code[order], values[order])


def _read_kept(library: ctypes.CDLL, sums: ctypes.c_void_p) -> PixelPhotons:
    library.panel_sums_kept.restype = ctypes.c_longlong
    count = library.panel_sums_kept(sums)
    found = PixelPhotons(np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64), np.zeros(count))
    library.panel_sums_read_kept(sums, *(ctypes.c_void_p(column.ctypes.data) for column in found))
    return found

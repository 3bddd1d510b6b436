"""Images and, in the same pass, per-reflection sums with kernels compiled for the host: the sums of `NumpySums`."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from cubragg.device.host_build import available_cores
from cubragg.device.kernel_source import host_text
from cubragg.engine import kernel_params
from cubragg.engine.host.host_engine import PanelEngine
from cubragg.engine.panel_loop import Progress
from cubragg.engine.reference.numpy_engine import BlockState
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.plan import Plan
from cubragg.reflections.negligible_terms import largest_negligible_term
from cubragg.reflections.panel_sums import (
    SUMS,
    PanelSums,
    PixelPhotons,
    ReflectionCodes,
    ReflectionSums,
    add_up,
    all_of,
)
from cubragg.reflections.reflection_sums import NumpySums, only


class HostSums(PanelEngine):
    """Renders panels and sums their photons by reflection, in one pass; for plans without running products.

    Parameters
    ----------
    plan
        From `make_plan`.
    cull
        As for `PanelEngine`; for sums alone also those of `negligible_fraction` may be left out.
    min_photons
        Terms are left out of sums, not of the image, that together have less than 1e-15 of these photons.
    least
        As for `NumpySums`.

    Raises
    ------
    BackendUnavailable, KernelBuildError
        As `PanelEngine`.
    """

    entry = "reflection_sums"

    def __init__(self, plan: Plan, cull: float | None = 0.0, min_photons: float = 0.0,
                 least: Callable[[PanelPlan], float] | None = None) -> None:
        super().__init__(plan, cull=cull)
        self._reference, self._least_of, self._panels = NumpySums(plan), least, list[PanelSums]()
        self._min_photons, self._brightest, self._negligible = min_photons, math.nan, 0.0
        self._photons_of = dict[int, np.float32]()  # of the pixels that NumPy renders, by roi index
        self._set_negligible()
        self._least, self._kept = math.inf, list[PixelPhotons]()

    @staticmethod
    def source_text(shape: str) -> str:
        """Return the source text with the entry point, for a shape of crystal."""
        return host_text("reflection_sums.cpp", Path(__file__).parent, shape)

    @property
    def codes(self) -> ReflectionCodes:
        """Numbering of the reflections on the current panel."""
        return self._reference.codes

    def set_plan(self, plan: Plan) -> None:
        """Replace the plan by one that differs only in orientation, ray and place of the crystal."""
        super().set_plan(plan)
        self._reference.set_plan(plan)
        self._set_negligible()

    def _set_negligible(self) -> None:
        """Set which terms change no sum; those of the brightest plan hold for the others."""
        if not self._plan.bragg_fluence <= self._brightest:
            self._brightest = self._plan.bragg_fluence
            self._negligible = largest_negligible_term(self._plan, self._min_photons,
                                                       with_factor=self._plan.interpolate)

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
        self._launches.kernel.threads = threads or available_cores()
        super()._render_panel(self._panel, progress)
        return self.take_sums()[0].sums

    def take_sums(self) -> list[PanelSums]:
        """Return the sums of the panels that were rendered since the last call."""
        taken, self._panels = self._panels, []
        return taken

    def _render_panel(self, panel: PanelPlan, progress: Progress | None) -> tuple[np.ndarray, tuple[int, int] | None]:
        self.set_panel(panel)
        if self._least_of is not None:
            self.keep_pixels(self._least_of(panel))
        return super()._render_panel(panel, progress)

    def _run(self, panel: PanelPlan, first: int | None, stop: int | None, image: np.ndarray, progress: Progress | None
             ) -> None:
        library, reference = self._launches.kernel.library, self._reference
        table, passed = reference.orientation_table, reference.passed
        separate = sorted({index for index in (first, stop) if index is not None})
        kept = _without(panel, separate)
        flags = np.array([np.ptp(table[:, 3]) > 0.0, passed is not None], dtype=np.uint8)
        with _empty_sums(library, self._least, self._negligible) as sums:
            self._launches.run(kept, stop, kernel_params.mask_of(kept), (
                table, reference.codes.reach.astype(np.float64), reference.edge.view(np.uint8),
                np.ones(1, dtype=np.float32) if passed is None else passed, flags, image,
                np.array(sums.value, dtype=np.uint64)), progress)
            found = _read(library, sums)
            self._kept.append(_read_kept(library, sums))
        interpolated_to = -1
        if self._plan.interpolate:
            interpolated_to = panel.pixel_count if stop is None else stop
        for index in separate:
            self._photons_of[index], of_pixel = reference.pixel_sums(
                index, BlockState(index <= interpolated_to, index == first, index == stop))
            found = add_up([found, of_pixel])
        self._panels.append(PanelSums(panel.number, reference.codes, found, self._least, self.kept_pixels()))

    def _pixel_photons(self, panel: PanelPlan, index: int, first: int | None) -> np.float32:
        return self._photons_of.pop(index)


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
def _empty_sums(library: ctypes.CDLL, least: float, negligible: float) -> Iterator[ctypes.c_void_p]:
    """Allocate an empty `PanelSums` of `reflection_sums.cpp`, and free it at the end."""
    library.panel_sums_new.restype = ctypes.c_void_p
    sums = ctypes.c_void_p(library.panel_sums_new(ctypes.c_double(least), ctypes.c_double(negligible)))
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

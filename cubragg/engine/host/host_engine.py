"""The engine of the backend ``cpu``: the kernels of `kernels/`, compiled by the machine's C++ compiler."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from cubragg.engine import kernel_params
from cubragg.engine.cull_cost_model import choose_culling
from cubragg.engine.culling import Culling, axes_of, limits_of, struct_values
from cubragg.engine.host.launch import host_kernel
from cubragg.engine.order_dependent import first_index, pixel_photons, stops_interpolation
from cubragg.engine.panel_loop import Progress, render_panels
from cubragg.engine.variant import host_variant
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.plan import Plan

#: A launch lasts about this long [s]: between launches Ctrl-C takes effect and progress is reported.
_LAUNCH_S = 0.2


class HostEngine:
    """Renders a plan with the host-compiled kernels; the interface of `NumpyEngine`.

    After `render`, ``interpolation_stopped_at`` is the (fast, slow) pixel that switched
    interpolation off, or ``None``.

    Parameters
    ----------
    plan
        From `make_plan`.
    precision
        ``double``, ``mixed`` (Miller indices in double, lattice factors in single) or
        ``single`` (double at tile centres only).
    cull, culling
        Share of the peak below which terms may be left out (``None``: every term is evaluated); and how to go
        about it, which is chosen if ``None``, once for all panels, and is ``culling`` afterwards.

    Raises
    ------
    BackendUnavailable
        If there is no C++ compiler.
    KernelBuildError
        If it fails.
    """

    _entry = "render"

    def __init__(self, plan: Plan, precision: str = "double", cull: float | None = 0.0,
                 culling: Culling | None = None) -> None:
        self._variant, self._cull, self._given = host_variant(plan, precision), cull, culling
        self._limits = functools.cache(partial(limits_of, plan))
        self._table = kernel_params.table_of(plan, precision)
        self._sources = kernel_params.sources_of(plan)
        self._pace: dict[str, int] = {}
        self.interpolation_stopped_at: tuple[int, int] | None = None
        self.set_plan(plan)

    def set_plan(self, plan: Plan) -> None:
        """Go on with a plan that differs in the crystal's orientation only; table and limits stay."""
        self._plan, precision = plan, self._variant.precision
        self.culling = self._given or choose_culling(plan, "cpu", precision, self._cull, self._limits)
        self._variant = replace(self._variant, tile=self.culling.tile, culled=self.culling.culled,
                                credited=self._entry == "attribute")
        self._kernel = host_kernel(self._variant, self._entry)
        self._axes = kernel_params.axes_of_cells(plan)
        self._cull_tables = np.zeros(1, dtype=np.float32), np.zeros(1, dtype=np.float32)
        self._cull_values: dict[str, Any] = {}
        if self.culling.culled:
            self._cull_tables = self._limits(), axes_of(plan)
            self._cull_values = struct_values(plan, precision, self.culling)

    def render(self, threads: int | None = None, progress: Progress | None = None) -> np.ndarray:
        """The float32 image [slow, fast] in photons."""
        self._kernel.threads = threads or available_cores()
        image, self.interpolation_stopped_at = render_panels(self._plan, self._render_panel, progress)
        return image

    def _render_panel(self, panel: PanelPlan, progress: Progress | None) -> tuple[np.ndarray, tuple[int, int] | None]:
        """The image of a panel, and its pixel that switched interpolation off."""
        image = np.zeros(panel.shape, dtype=np.float32)
        first = first_index(self._plan, panel)
        stop = self._stop_index(panel, first)
        self._sweep(panel, stop, kernel_params.mask_of(panel), (image,), progress)
        for index in {first, stop} - {None}:
            assert index is not None
            fast, slow = panel.pixel_at(index)
            image[slow, fast] = pixel_photons(self._plan, panel, index, first_pass=index == first)
        return image, None if stop is None else panel.pixel_at(stop)

    def _sweep(self, panel: PanelPlan, stop: int | None, mask: np.ndarray, outputs: tuple[np.ndarray, ...],
               progress: Progress | None) -> None:
        """Launch after launch over a panel; ``outputs`` are the entry's last arrays."""
        variant = self._variant
        params = kernel_params.params_of(self._plan, panel, variant.precision)
        for name, value in self._cull_values.items():
            params[name] = value
        if stop is not None:
            params["interpolated_to"] = stop
        total = panel.pixel_count
        columns, end = kernel_params.grid_of(panel, variant.tile)
        for rows in self._launches(self._entry, params, end):
            self._kernel((columns, rows), (variant.block,), (
                params, self._table, self._axes, self._sources, mask, *self._cull_tables, *outputs))
            if progress is not None:
                done = (int(params["first_tile_row"]) + rows) * variant.tile[1] * panel.width
                progress(min(done, total), total)

    def _launches(self, entry: str, params: np.ndarray, end: int) -> Iterator[int]:
        """Rows of tiles of each launch, from the first to the last; sets ``first_tile_row``.

        What an entry's launches took is remembered from panel to panel.
        """
        row = 0
        while row < end:
            rows = min(self._pace.get(entry, 1), end - row)
            params["first_tile_row"] = row
            start = time.perf_counter()
            yield rows
            seconds = time.perf_counter() - start
            row += rows
            self._pace[entry] = max(1, min(int(rows * _LAUNCH_S / max(seconds, 1e-9)), 8 * rows))

    def _stop_index(self, panel: PanelPlan, first: int | None) -> int | None:
        """Roi index of the pixel that stops interpolation; ``first`` is examined by itself, with its own axes."""
        plan = self._plan
        if not plan.interpolate or plan.rules.per_sample:
            return None
        if first is not None and stops_interpolation(plan, panel, first):
            return first
        variant = host_variant(plan, "double")
        columns, end = kernel_params.grid_of(panel, variant.tile)
        kernel = host_kernel(variant, "find_outside", self._kernel.threads)
        params, mask = kernel_params.params_of(plan, panel, "double"), kernel_params.mask_of(panel)
        params["skipped_place"] = -1 if first is None else first
        per_row = variant.tile[1] * panel.width
        for rows in self._launches("find_outside", params, end):
            found = np.zeros(rows * per_row, dtype=np.uint8)
            kernel((columns, rows), (variant.block,), (params, self._axes, self._sources, mask, found))
            if found.any():
                return int(params["first_tile_row"]) * per_row + int(found.argmax())
        return None


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

"""Launches a host-compiled entry point over the panels of a plan, in short launches so that Ctrl-C takes effect."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from cubragg.device.host_build import HostKernel
from cubragg.engine import kernel_params
from cubragg.engine.accuracy import needs_two_floats
from cubragg.engine.cull_cost_model import select_culling
from cubragg.engine.culling import Culling, cull_axes_of, f2_bounds_of, struct_values
from cubragg.engine.host.launch import host_kernel
from cubragg.engine.order_dependent import stops_interpolation
from cubragg.engine.panel_loop import Progress
from cubragg.engine.variant import host_variant
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.plan import Plan

#: Target duration of a launch [s]; Ctrl-C takes effect and progress is reported between launches.
_LAUNCH_S = 0.2


class PanelLaunches:
    """Launches an entry point whose arguments are the struct, the input arrays, and arrays of its own.

    Attributes
    ----------
    kernel
        The compiled entry point.
    culling
        Which terms are skipped.

    Parameters
    ----------
    plan, precision, cull, culling
        As for `PanelEngine`.
    entry, text
        Name of the entry point, and source text with it; that of the engine if ``None``.

    Raises
    ------
    BackendUnavailable, KernelBuildError
        As for `PanelEngine`.
    """

    kernel: HostKernel
    culling: Culling

    def __init__(self, plan: Plan, entry: str, text: str | None = None, precision: str = "double",
                 cull: float | None = 0.0, culling: Culling | None = None) -> None:
        self._entry, self._text = entry, text
        self._variant, self._cull, self._given = host_variant(plan, precision), cull, culling
        self._f2_bounds = functools.cache(partial(f2_bounds_of, plan))
        self._f2_grid = kernel_params.f2_grid_of(plan, precision)
        self._rows: dict[str, int] = {}
        self.set_plan(plan)

    def set_plan(self, plan: Plan) -> None:
        """Replace the plan by one that differs only in orientation, ray and place of the crystal."""
        self._plan, precision = plan, self._variant.precision
        self.culling = self._given or select_culling(plan, "cpu", precision, self._cull, self._f2_bounds)
        self._variant = replace(self._variant, tile=self.culling.tile, culled=self.culling.culled,
                                two_floats=needs_two_floats(plan, precision, self.culling.tile))
        self.kernel = host_kernel(self._variant, self._entry, text=self._text)
        self._cell_axes, self._sources = kernel_params.cell_axes_of(plan), kernel_params.sources_of(plan)
        self._cull_arrays = np.zeros(1, dtype=np.float32), np.zeros(1, dtype=np.float32)
        self._cull_values: dict[str, Any] = {}
        if self.culling.culled:
            self._cull_arrays = self._f2_bounds(), cull_axes_of(plan)
            self._cull_values = struct_values(plan, precision, self.culling)

    @property
    def tile_rows(self) -> int:
        """Rows of a tile [pixel]."""
        return self._variant.tile[1]

    def run(self, panel: PanelPlan, stop: int | None, mask: np.ndarray, arrays: tuple[np.ndarray, ...],
            progress: Progress | None, tiles: range | None = None) -> None:
        """Launch the entry point over a panel.

        Parameters
        ----------
        stop
            Roi index of the first pixel that does not interpolate; ``None`` if all interpolate.
        mask
            uint8 [slow, fast], of `kernel_params.mask_of`.
        arrays
            Further arguments of the entry point.
        tiles
            Rows of tiles to render, where mask and image begin with the first row of these; ``None``: all, and they
            begin with the first row of the panel.
        """
        variant = self._variant
        params = kernel_params.params_of(self._plan, panel, variant.precision)
        for name, value in self._cull_values.items():
            params[name] = value
        if stop is not None:
            params["interpolated_to"] = stop
        total = panel.pixel_count
        columns, end = kernel_params.grid_of(panel, variant.tile)
        if tiles is not None:
            params["first_row"] = panel.roi[2] + tiles.start * variant.tile[1]
        for rows in self._launches(self._entry, params, range(end) if tiles is None else tiles):
            self.kernel((columns, rows), (variant.block,), (
                params, self._f2_grid, self._cell_axes, self._sources, mask, *self._cull_arrays, *arrays))
            if progress is not None:
                done = (int(params["first_tile_row"]) + rows) * variant.tile[1] * panel.width
                progress(min(done, total), total)

    def _launches(self, entry: str, params: np.ndarray, tiles: range) -> Iterator[int]:
        """Yield the number of rows of tiles of each launch; sets ``first_tile_row``.

        It is adapted to the time of the launch before, also from panel to panel.
        """
        row = tiles.start
        while row < tiles.stop:
            rows = min(self._rows.get(entry, 1), tiles.stop - row)
            params["first_tile_row"] = row
            start = time.perf_counter()
            yield rows
            seconds = time.perf_counter() - start
            row += rows
            self._rows[entry] = max(1, min(int(rows * _LAUNCH_S / max(seconds, 1e-9)), 8 * rows))

    def stop_index(self, panel: PanelPlan, first: int | None) -> int | None:
        """Return the roi index of the pixel that stops interpolation, or ``None``.

        ``first`` is the roi index of the first pixel if that is order-dependent: its first pass uses other cell axes.
        """
        plan = self._plan
        if not plan.interpolate or plan.rules.per_sample:
            return None
        if first is not None and stops_interpolation(plan, panel, first):
            return first
        variant = host_variant(plan, "double")
        columns, end = kernel_params.grid_of(panel, variant.tile)
        kernel = host_kernel(variant, "find_outside", self.kernel.threads)
        params, mask = kernel_params.params_of(plan, panel, "double"), kernel_params.mask_of(panel)
        params["skipped_index"] = -1 if first is None else first
        per_row = variant.tile[1] * panel.width
        for rows in self._launches("find_outside", params, range(end)):
            found = np.zeros(rows * per_row, dtype=np.uint8)
            kernel((columns, rows), (variant.block,), (params, self._cell_axes, self._sources, mask, found))
            if found.any():
                return int(params["first_tile_row"]) * per_row + int(found.argmax())
        return None

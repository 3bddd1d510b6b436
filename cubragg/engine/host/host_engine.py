"""The CPU renderer: the kernels of `kernels/`, compiled by the machine's C++ compiler."""

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
from cubragg.engine.panel_parts import Progress, place_count, render_panels
from cubragg.engine.reference.numpy_engine import NumpyRenderer
from cubragg.engine.variant import host_variant
from cubragg.plan.plan import RenderPlan

#: A launch lasts about this long [s]: between launches Ctrl-C is heard and progress told.
_LAUNCH_S = 0.2


class CpuRenderer:
    """Renders a plan with the host-compiled kernels; the interface of `NumpyRenderer`.

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
        about it, which is chosen if ``None``, once for all panels, and told by ``culling`` afterwards.

    Raises
    ------
    BackendUnavailable
        If there is no C++ compiler.
    KernelBuildError
        If it fails.
    """

    _entry = "render"

    def __init__(self, plan: RenderPlan, precision: str = "double", cull: float | None = 0.0,
                 culling: Culling | None = None) -> None:
        self._variant, self._cull, self._given = host_variant(plan, precision), cull, culling
        self._limits = functools.cache(partial(limits_of, plan))
        self._table = kernel_params.table_of(plan, precision)
        self._sources = kernel_params.sources_of(plan)
        self._pace: dict[str, int] = {}
        self.interpolation_stopped_at: tuple[int, int] | None = None
        self.turn(plan)

    def turn(self, plan: RenderPlan) -> None:
        """Go on with a plan that differs in the crystal's orientation only; table and limits stay."""
        self._plan, precision = plan, self._variant.precision
        self.culling = self._given or choose_culling(plan, "cpu", precision, self._cull, self._limits)
        self._variant = replace(self._variant, tile=self.culling.tile, culled=self.culling.culled,
                                credited=self._entry == "attribute")
        self._kernel = host_kernel(self._variant, self._entry)
        self._vectors = kernel_params.vectors_of(plan)
        self._cull_tables = np.zeros(1, dtype=np.float32), np.zeros(1, dtype=np.float32)
        self._cull_values: dict[str, Any] = {}
        if self.culling.culled:
            self._cull_tables = self._limits(), axes_of(plan)
            self._cull_values = struct_values(plan, precision, self.culling)

    def render(self, threads: int | None = None, progress: Progress | None = None) -> np.ndarray:
        """The float32 image [slow, fast] in photons."""
        self._kernel.threads = threads or available_cores()
        image, self.interpolation_stopped_at = render_panels(self._plan, self._run, progress)
        return image

    def _run(self, plan: RenderPlan, progress: Progress | None) -> tuple[np.ndarray, tuple[int, int] | None]:
        """The image of a plan that is one run, and the pixel that switched interpolation off."""
        image = np.zeros(plan.shape, dtype=np.float32)
        mask = kernel_params.mask_of(plan)
        first = first_place(plan)
        stop = self._stop_place(plan, mask, first)
        self._sweep(plan, stop, mask, (image,), progress)
        for place in {first, stop} - {None}:
            assert place is not None
            fast, slow = place_pixel(plan, place)
            image[slow, fast] = lone_pixel(plan, place, first_pass=place == first)
        return image, None if stop is None else place_pixel(plan, stop)

    def _sweep(self, plan: RenderPlan, stop: int | None, mask: np.ndarray, outputs: tuple[np.ndarray, ...],
               progress: Progress | None) -> None:
        """Launch after launch over a run; ``outputs`` are the entry's last arrays."""
        variant = self._variant
        params = kernel_params.params_of(plan, variant.precision)
        for name, value in self._cull_values.items():
            params[name] = value
        if stop is not None:
            params["interpolated_to"] = stop
        total = place_count(plan)
        columns, end = kernel_params.grid_of(plan, variant.tile)
        for rows in self._launches(self._entry, params, end):
            self._kernel((columns, rows), (variant.block,), (
                params, self._table, self._vectors, self._sources, mask, *self._cull_tables, *outputs))
            if progress is not None:
                done = (int(params["first_tile_row"]) + rows) * variant.tile[1] * region_width(plan)
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

    def _stop_place(self, plan: RenderPlan, mask: np.ndarray, first: int | None) -> int | None:
        """Place of the pixel that stops interpolation; ``first`` is looked at alone, with its own vectors."""
        if not plan.interpolate or plan.physical:
            return None
        if first is not None and lone_pixel_stops(plan, first):
            return first
        variant = host_variant(plan, "double")
        columns, end = kernel_params.grid_of(plan, variant.tile)
        kernel = host_kernel(variant, "find_outside", self._kernel.threads)
        params = kernel_params.params_of(plan, "double")
        params["skipped_place"] = -1 if first is None else first
        per_row = variant.tile[1] * region_width(plan)
        for rows in self._launches("find_outside", params, end):
            found = np.zeros(rows * per_row, dtype=np.uint8)
            kernel((columns, rows), (variant.block,), (params, self._vectors, self._sources, mask, found))
            if found.any():
                return int(params["first_tile_row"]) * per_row + int(found.argmax())
        return None


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def region_width(plan: RenderPlan) -> int:
    """Pixels of a row of the region."""
    return plan.roi[1] - plan.roi[0] + 1


def place_pixel(plan: RenderPlan, place: int) -> tuple[int, int]:
    """The (fast, slow) pixel at a place of the region."""
    row, column = divmod(place, region_width(plan))
    return column + plan.roi[0], row + plan.roi[2]


# Two rules of nanobragg semantics look across pixels. Each concerns one pixel, which the NumPy
# renderer renders alone: an image of that pixel by itself obeys them.


def first_place(plan: RenderPlan) -> int | None:
    """Place of the pixel whose first pass through the phi loop is another; ``None`` if there is none."""
    if plan.first_cell_vectors is None:
        return None
    return NumpyRenderer(replace(plan, interpolate=False)).lone_places()[0]


def _alone(plan: RenderPlan, place: int, *, first_pass: bool) -> tuple[NumpyRenderer, tuple[int, int]]:
    fast, slow = place_pixel(plan, place)
    one = replace(plan, roi=(fast, fast, slow, slow),
                  first_cell_vectors=plan.first_cell_vectors if first_pass else None)
    return NumpyRenderer(one, block_pixels=1), (fast, slow)


def lone_pixel(plan: RenderPlan, place: int, *, first_pass: bool) -> np.float32:
    """The pixel at a place, as the one that stops interpolation, the first of the run, or both."""
    renderer, (fast, slow) = _alone(plan, place, first_pass=first_pass)
    return renderer.render(1)[slow, fast]


def lone_pixel_stops(plan: RenderPlan, place: int) -> bool:
    """Whether the first pixel of the run stops interpolation."""
    return _alone(plan, place, first_pass=True)[0].lone_places()[1] is not None

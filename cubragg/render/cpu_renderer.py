"""The CPU renderer: the kernels of `kernels/`, compiled by the machine's C++ compiler."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from cubragg.render import kernel_params
from cubragg.render.cull_choice import choose_culling
from cubragg.render.culling import Culling, axes_of, limits_of, struct_values
from cubragg.render.host_build import HostKernel
from cubragg.render.kernel_source import Variant, host_variant, kernel_text
from cubragg.render.numpy_renderer import NumpyRenderer, Progress
from cubragg.render.plan import RenderPlan

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
        Share of the peak below which terms may be left out; and how to go about it, which is chosen if ``None``
        and else told by ``culling`` afterwards.

    Raises
    ------
    BackendUnavailable
        If there is no C++ compiler.
    KernelBuildError
        If it fails.
    """

    def __init__(self, plan: RenderPlan, precision: str = "double", cull: float = 0.0,
                 culling: Culling | None = None) -> None:
        self._plan, self._cull, self._given = plan, cull, culling
        self._variant = host_variant(plan, precision)
        self._limits: np.ndarray | None = None
        self._table = kernel_params.table_of(plan, precision)
        self._sources = kernel_params.sources_of(plan)
        self._mask = kernel_params.mask_of(plan)
        self.interpolation_stopped_at: tuple[int, int] | None = None
        self.turn(plan)

    def turn(self, plan: RenderPlan) -> None:
        """Go on with a plan that differs in the crystal's orientation only; table, mask and kernel stay."""
        self._plan = plan
        self.culling = self._given or choose_culling(plan, "cpu", self._variant.precision, self._cull)
        self._variant = replace(self._variant, tile=self.culling.tile, culled=self.culling.culled)
        self._kernel = HostKernel(kernel_text(), self._variant, "render")
        self._params = kernel_params.params_of(plan, self._variant.precision)
        self._vectors = kernel_params.vectors_of(plan)
        self._cull_tables = np.zeros(1, dtype=np.float32), np.zeros(1)
        if self.culling.culled:
            if self._limits is None:
                self._limits = limits_of(plan)
            self._cull_tables = self._limits, axes_of(plan)
            for name, value in struct_values(plan, self._variant.precision, self.culling).items():
                self._params[name] = value

    def render(self, threads: int | None = None, progress: Progress | None = None) -> np.ndarray:
        """The float32 image [slow, fast] in photons."""
        plan = self._plan
        image = np.zeros(plan.shape, dtype=np.float32)
        self._kernel.threads = threads or available_cores()

        first = first_place(plan)
        stop = self._stop_place(first)
        params = self._params.copy()
        if stop is not None:
            params["interpolated_to"] = stop
            self.interpolation_stopped_at = place_pixel(plan, stop)
        total = kernel_params.place_count(plan)
        columns = kernel_params.grid_of(plan, self._variant.tile)[0]
        for rows in self._launches(params, self._variant):
            self._kernel((columns, rows), (self._variant.block,), (
                params, self._table, self._vectors, self._sources, self._mask, *self._cull_tables, image))
            if progress is not None:
                done = (int(params["first_tile_row"]) + rows) * self._variant.tile[1] * region_width(plan)
                progress(min(done, total), total)
        for place in {first, stop} - {None}:
            assert place is not None
            fast, slow = place_pixel(plan, place)
            image[slow, fast] = lone_pixel(plan, place, first_pass=place == first)
        return image

    def _launches(self, params: np.ndarray, variant: Variant) -> Iterator[int]:
        """Rows of tiles of each launch, from the first to the last; sets ``first_tile_row``."""
        end = kernel_params.grid_of(self._plan, variant.tile)[1]
        row, rows = 0, 1
        while row < end:
            rows = min(rows, end - row)
            params["first_tile_row"] = row
            start = time.perf_counter()
            yield rows
            seconds = time.perf_counter() - start
            row += rows
            rows = max(1, min(int(rows * _LAUNCH_S / max(seconds, 1e-9)), 8 * rows))

    def _stop_place(self, first: int | None) -> int | None:
        """Place of the pixel that stops interpolation; ``first`` is looked at alone, with its own vectors."""
        plan = self._plan
        if not plan.interpolate or plan.physical:
            return None
        if first is not None and lone_pixel_stops(plan, first):
            return first
        variant = host_variant(plan, "double")
        columns = kernel_params.grid_of(plan, variant.tile)[0]
        kernel = HostKernel(kernel_text(), variant, "find_outside", self._kernel.threads)
        params = kernel_params.params_of(plan, "double")
        params["skipped_place"] = -1 if first is None else first
        per_row = variant.tile[1] * region_width(plan)
        for rows in self._launches(params, variant):
            found = np.zeros(rows * per_row, dtype=np.uint8)
            kernel((columns, rows), (variant.block,), (params, self._vectors, self._sources, self._mask, found))
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

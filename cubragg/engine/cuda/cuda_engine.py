"""Engine of the backend ``cuda``: the kernels of `kernels/`, compiled by NVRTC and launched through CuPy.

An image is rendered in row bands, whole rows of tiles of a panel, which bounds the size of buffers for any image. Two
sets of stream buffers (a stream and device buffers each) are used in turn: one row band is copied to the host while the
next is computed, also from image to image of a batch; into the image itself if that is in page-locked memory. An F2
grid that does not fit into device memory stays in pinned host memory, which the kernels read across the bus (zero-copy,
unified addressing): rendering is slower, but possible.

CuPy compiles with ``-ftz=true``: single-precision numbers below 1.2e-38 are flushed to 0.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from cubragg.device.cuda_device import checked_device, current_device, kernel_module, single_to_double
from cubragg.device.device_memory import DeviceMemory
from cubragg.device.pinned_images import PinnedImages
from cubragg.device.stream_buffers import RowBand, StreamBuffers, rows_of
from cubragg.engine import kernel_params
from cubragg.engine.accuracy import needs_two_floats
from cubragg.engine.cuda.launch_jobs import (
    Job,
    Pace,
    Target,
    render_order_dependent_pixels,
    whole_image,
)
from cubragg.engine.cull_cost_model import select_culling
from cubragg.engine.culling import Culling, cull_axes_of, f2_bounds_of, struct_values
from cubragg.engine.order_dependent import first_index, stops_interpolation
from cubragg.engine.panel_loop import Progress
from cubragg.engine.variant import PRECISIONS, cuda_variant
from cubragg.errors import ConfigError
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.plan import Plan

#: Fraction of the free device memory that is used, and largest size of the buffers of a row band [bytes].
_MEMORY_FRACTION = 0.8
_BAND_BYTES = 64 * 2**20


def _masked(plan: Plan) -> bool:
    """Return whether any panel has a mask."""
    return any(panel.mask is not None for panel in plan.panels)


class CudaEngine:
    """Renders a plan on a GPU; implements `select.Engine`.

    After `render`, ``interpolation_stopped_at`` is the (fast, slow) pixel at which interpolation stopped, or ``None``,
    and ``kernel_seconds`` the time of the kernels measured with CUDA events [s]. ``variant`` are the options with which
    they are compiled. ``f2_grid_on_host`` is true if the F2
    grid stays in host memory, because it does not fit into device memory.

    Parameters
    ----------
    plan
        From `make_plan`.
    precision
        ``double``, ``mixed`` (Miller indices in double, lattice factors in single) or
        ``single`` (double at tile centres only).
    device
        Number of the device.
    memory_bytes
        Largest amount of device memory to use; a fraction of the free memory if ``None``.
    cull, culling
        Fraction of the peak below which terms may be skipped (``None``: every term is evaluated); and a given
        culling, or ``None``: selected by `select_culling` for the first plan. The attribute ``culling`` is the one in
        use.

    Raises
    ------
    BackendUnavailable
        If CuPy, driver or device is missing, or memory is insufficient.
    KernelBuildError
        If the kernels do not compile.
    """

    def __init__(self, plan: Plan, precision: str = "mixed", device: int = 0,
                 memory_bytes: int | None = None, cull: float | None = 0.0, culling: Culling | None = None) -> None:
        if precision not in PRECISIONS:
            raise ConfigError("precision", f"got {precision!r}; accepted are {', '.join(PRECISIONS)}")
        self._cupy = checked_device(device)
        self._pinned, self._memory = PinnedImages(self._cupy), DeviceMemory(self._cupy, device)
        self._plan, self._precision, self._device = plan, precision, device
        f2_bounds = functools.cache(partial(f2_bounds_of, plan))
        self.culling = culling or select_culling(plan, "cuda", precision, cull, f2_bounds,
                                                 single_to_double(device))
        self.variant = replace(cuda_variant(plan, precision), tile=self.culling.tile, culled=self.culling.culled,
                                two_floats=needs_two_floats(plan, precision, self.culling.tile))
        row_samples = plan.samples * self.variant.tile[1] * max((panel.width for panel in plan.panels), default=0)
        self._pace, self._search_pace = Pace.for_samples(row_samples), Pace.for_samples(row_samples)
        self.interpolation_stopped_at: tuple[int, int] | None = None
        self.kernel_seconds = 0.0
        with current_device(self._cupy, device):
            self._kernel = kernel_module(self.variant.shape, self.variant.defines(), device).get_function("render")
            self._bands = self._upload(memory_bytes, f2_bounds)

    def _upload(self, memory_bytes: int | None, f2_bounds_of_plan: Callable[[], np.ndarray]) -> list[list[RowBand]]:
        """Upload the arrays common to all images; return the row bands of each panel, sized by the remaining memory."""
        plan = self._plan
        f2_grid = kernel_params.f2_grid_of(plan, self._precision)
        self._table = plan.sources
        sources = kernel_params.sources_of(plan)
        budget = int(_MEMORY_FRACTION * self._memory.free_bytes()) if memory_bytes is None else memory_bytes
        f2_bounds = f2_bounds_of_plan() if self.culling.culled else np.zeros(1, dtype=np.float32)
        budget -= sources.nbytes + f2_bounds.nbytes
        budget -= 2 * (kernel_params.cell_axes_of(plan).nbytes + self._cull_axes(plan).nbytes)
        pixel_bytes = self.variant.tile[1] * (np.dtype(np.float32).itemsize + _masked(plan))
        row_bytes = pixel_bytes * max((panel.shape[1] for panel in plan.panels), default=0)
        self.f2_grid_on_host = f2_grid.nbytes > budget - 2 * row_bytes
        self._f2_grid = self._memory.mapped(f2_grid) if self.f2_grid_on_host else self._memory.uploaded(f2_grid)
        self._sources, self._f2_bounds = self._memory.uploaded(sources), self._memory.uploaded(f2_bounds)
        if not self.f2_grid_on_host:
            budget -= f2_grid.nbytes
        # The streams of the buffers do not wait for the current stream.
        self._cupy.cuda.get_current_stream().synchronize()
        band_bytes = min(budget // 2, _BAND_BYTES)
        return [self._cut(number, panel, max(1, band_bytes // (pixel_bytes * panel.shape[1])))
                for number, panel in enumerate(plan.panels)]

    def _cut(self, number: int, panel: PanelPlan, rows: int) -> list[RowBand]:
        """Return the row bands of a panel, of ``rows`` rows of tiles each."""
        height, tile_rows = self.variant.tile[1], kernel_params.grid_of(panel, self.variant.tile)[1]
        slow_min, slow_max = panel.roi[2:]
        bands = []
        for first in range(0, tile_rows, rows):
            end = min(first + rows, tile_rows)
            bands.append(RowBand(number, first, end, slow_min + first * height,
                                 min(slow_min + end * height, slow_max + 1)))
        return bands

    def _cull_axes(self, plan: Plan) -> np.ndarray:
        """Return the cell axes and duals for culling; [1, 1] without culling."""
        return cull_axes_of(plan) if self.culling.culled else np.zeros((1, 1), dtype=np.float32)

    def set_plan(self, plan: Plan) -> None:
        """Replace the plan by one that differs only in orientation, ray and place of the crystal."""
        self._plan = plan

    def render(self, threads: int | None = None, progress: Progress | None = None) -> np.ndarray:
        """Render the image, float32 [slow, fast], in photons; ``threads`` is ignored."""
        (image,) = self.images([self._plan], progress=progress)
        return image

    def images(self, plans: Iterable[Plan], *, on_device: bool = False, progress: Progress | None = None
               ) -> Iterator[Any]:
        """Render the images of plans that differ from that of the engine only in orientation, ray and place, in order.

        An image is copied to the host while the next one is computed.

        Parameters
        ----------
        plans
            Iterated one plan ahead of the image that is yielded.
        on_device
            Yield CuPy arrays, complete when they are yielded, instead of NumPy arrays.
        progress
            Called with (pixels done, pixels in total) of the current image.

        Yields
        ------
        float32 [slow, fast] in photons.
        """
        buffer_sets: list[StreamBuffers] = []
        pending: deque[tuple[Job, RowBand, StreamBuffers]] = deque()
        started = 0
        try:
            for number, plan in enumerate(plans):
                target = self._target(plan, number, on_device)
                for panel, bands in zip(plan.panels, self._bands, strict=True):
                    job: Job | None = None
                    for band in bands:
                        if len(pending) == 2:
                            yield from self._finished(*pending.popleft(), progress)
                        with current_device(self._cupy, self._device):
                            if started == len(buffer_sets) < 2:
                                buffer_sets.append(self._new_buffers(on_device))
                            buffers = buffer_sets[started % 2]
                            job = job or self._job(target, panel, bands[-1], buffers)
                            self._start(job, band, buffers, progress)
                        pending.append((job, band, buffers))
                        started += 1
                    assert job is not None  # the region of interest is not empty
                    render_order_dependent_pixels(job)
                if not self._bands:  # no panel to render
                    if target.ready is not None:
                        target.ready.synchronize()
                    yield target.pixels
            while pending:
                yield from self._finished(*pending.popleft(), progress)
        finally:
            # After an interruption, buffers must not be freed while kernels still write to them.
            with current_device(self._cupy, self._device):
                for buffers in buffer_sets:
                    buffers.stream.synchronize()

    def _new_buffers(self, on_device: bool) -> StreamBuffers:
        plan = self._plan
        pixels = max((band.end_row - band.first_row) * panel.shape[1]
                     for panel, bands in zip(plan.panels, self._bands, strict=True) for band in bands)
        return StreamBuffers(self._cupy, plan.orientations, self._cull_axes(plan).shape, pixels,
                            image=not on_device or not whole_image(plan), masked=_masked(plan))

    def _target(self, plan: Plan, number: int, on_device: bool) -> Target:
        """Return the state of a new image, filled with 0."""
        total = sum(panel.pixel_count for panel in plan.panels)
        values = struct_values(plan, self._precision, self.culling) if self.culling.culled else {}
        if not on_device:
            with current_device(self._cupy, self._device):
                image = self._pinned.empty(plan.shape) if whole_image(plan) else None
            if image is None:
                return Target(number, plan, np.zeros(plan.shape, dtype=np.float32), None, total, self._sources_of(plan),
                              values)
            slow_min, slow_max = plan.panels[0].roi[2:]
            image[:slow_min], image[slow_max + 1:] = 0.0, 0.0  # rows that are not copied
            return Target(number, plan, image, None, total, self._sources_of(plan), values, pinned=True)
        with current_device(self._cupy, self._device):
            # On the caller's stream: memory that the caller has freed may still be read there.
            image = self._cupy.zeros(plan.shape, dtype=np.float32)
            ready = self._cupy.cuda.get_current_stream().record()
            return Target(number, plan, image, ready, total, self._sources_of(plan), values)

    def _sources_of(self, plan: Plan) -> Any:
        """Return the table of sources on the device: that of the engine's plan, or a new one for other rays."""
        if plan.sources is self._table:
            return self._sources
        with current_device(self._cupy, self._device):
            sources = self._memory.uploaded(kernel_params.sources_of(plan))
            # The streams of the buffers do not wait for the current stream.
            self._cupy.cuda.get_current_stream().synchronize()
        return sources

    def _job(self, target: Target, panel: PanelPlan, last: RowBand, buffers: StreamBuffers) -> Job:
        """Return the state of a new panel, with its order-dependent pixels."""
        plan = target.plan
        first = first_index(plan, panel)
        stop = self._stop_index(target, panel, last.panel, buffers, first)
        params = kernel_params.params_of(plan, panel, self._precision)
        for name, value in target.cull_values.items():
            params[name] = value
        if stop is not None:
            params["interpolated_to"] = stop
            target.stopped_at = target.stopped_at or panel.in_image(*panel.pixel_at(stop))
        before = target.done
        target.done += panel.pixel_count
        return Job(target, panel, params, before, last, last.panel == len(self._bands) - 1, first, stop)

    def _start(self, job: Job, band: RowBand, buffers: StreamBuffers, progress: Progress | None) -> None:
        """Queue a row band on the stream of its buffers: uploads, kernels, and the copy to the image."""
        panel, target = job.panel, job.target
        job.params["first_row"] = band.first_row
        per_row = self.variant.tile[1] * panel.width
        with buffers.stream:
            mask = self._prepare(buffers, target, panel, band)
            if target.ready is not None:
                buffers.stream.wait_event(target.ready)
            if job.direct:
                image = job.rows(band)
            else:
                image = rows_of(buffers.image, band, panel.shape[1])
                # Kernels do not write pixels that are masked or outside the region of interest.
                image.data.memset_async(0, image.nbytes, buffers.stream)
            arrays = (self._f2_grid, buffers.cell_axes, target.sources, mask, self._f2_bounds, buffers.cull_axes, image)

            def launch(count: int) -> None:
                self._launch(self._kernel, "render", self._precision, (self._columns(panel), count),
                             (job.params, *arrays))

            for done in self._launches(band, job.params, launch, target.timed):
                if progress is not None:
                    progress(job.before + min(done * per_row, panel.pixel_count), target.total)
            if target.ready is None:
                place = job.rows(band) if target.pinned else rows_of(buffers.host, band, panel.shape[1])
                image.get(stream=buffers.stream, out=place, blocking=False)
            elif not job.direct:
                job.rows(band)[:] = image
            buffers.done.record(buffers.stream)

    def _columns(self, panel: PanelPlan) -> int:
        return kernel_params.grid_of(panel, self.variant.tile)[0]

    def _prepare(self, buffers: StreamBuffers, target: Target, panel: PanelPlan, band: RowBand) -> Any:
        """Queue the uploads of cell axes and mask unless the buffers hold them already; return the mask."""
        if buffers.number != target.number:
            buffers.host_cell_axes[:] = kernel_params.cell_axes_of(target.plan)
            buffers.cell_axes.set(buffers.host_cell_axes, stream=buffers.stream)
            buffers.host_cull_axes[:] = self._cull_axes(target.plan)
            buffers.cull_axes.set(buffers.host_cull_axes, stream=buffers.stream)
            buffers.number = target.number
        if panel.mask is None:
            return buffers.mask
        mask = rows_of(buffers.mask, band, panel.shape[1])
        if buffers.band != band:
            mask.set(kernel_params.mask_of(panel)[band.first_row:band.end_row], stream=buffers.stream)
            buffers.band = band
        return mask

    def _launch(self, kernel: Any, entry: str, precision: str, grid: tuple[int, int], args: tuple[Any, ...]) -> None:
        """Launch a kernel on the current stream, with the struct by value and arrays by pointer."""
        kernel_params.check_arguments(entry, self.variant.tile, precision, grid, args, self.variant.bound_pad)
        kernel(grid, (self.variant.block,), args)

    def _launches(self, band: RowBand, params: np.ndarray, launch: Callable[[int], None],
                  timed: list[tuple[Any, Any]]) -> Iterator[int]:
        """Launch the rows of tiles of a band in order; wait for each launch but the last, and yield the row reached."""
        cuda = self._cupy.cuda
        row = band.first
        while row < band.end:
            rows = min(self._pace.rows, band.end - row)
            params["first_tile_row"] = row
            start, stop = cuda.Event(), cuda.Event()
            start.record()
            launch(rows)
            stop.record()
            timed.append((start, stop))
            row += rows
            if row < band.end:
                stop.synchronize()
                self._pace.measured(rows, cuda.get_elapsed_time(start, stop) / 1e3)
                yield row

    def _finished(self, job: Job, band: RowBand, buffers: StreamBuffers, progress: Progress | None) -> Iterator[Any]:
        """Wait for a row band; yield the image if it is complete."""
        target = job.target
        complete = job.completes and band == job.last
        with current_device(self._cupy, self._device):
            buffers.done.synchronize()
            if target.ready is None and not target.pinned:
                job.rows(band)[:] = rows_of(buffers.host, band, job.panel.shape[1])
            if band == job.last:
                self._patch(job, buffers)
            if complete:
                self.kernel_seconds = sum(self._cupy.cuda.get_elapsed_time(*events) for events in target.timed) / 1e3
        if complete:
            self.interpolation_stopped_at = target.stopped_at
            if progress is not None:
                progress(target.total, target.total)
            yield target.pixels

    def _patch(self, job: Job, buffers: StreamBuffers) -> None:
        """Write the order-dependent pixels into the image."""
        pixels = job.target.pixels[job.panel.window]
        for slow, fast, photons in job.patches:
            if job.target.ready is None:
                pixels[slow, fast] = photons
            else:
                pixels[slow, fast:fast + 1].set(np.array([photons]), stream=buffers.stream)
                buffers.stream.synchronize()

    def _stop_index(self, target: Target, panel: PanelPlan, number: int, buffers: StreamBuffers, first: int | None
                    ) -> int | None:
        """Return the roi index of the pixel that stops interpolation, or ``None``.

        ``first`` is the roi index of the first pixel if that is order-dependent; it is examined separately.
        """
        plan = target.plan
        if not plan.interpolate or plan.rules.per_sample:
            return None
        if first is not None and stops_interpolation(plan, panel, first):
            return first
        variant = replace(self.variant, precision="double", culled=False, two_floats=False)
        kernel = kernel_module(variant.shape, variant.defines(), self._device).get_function("find_outside")
        params = kernel_params.params_of(plan, panel, "double")
        params["skipped_index"] = -1 if first is None else first
        per_row = self.variant.tile[1] * panel.width
        with buffers.stream:
            for band in self._bands[number]:
                mask = self._prepare(buffers, target, panel, band)
                params["first_row"] = band.first_row
                row = band.first
                while row < band.end:
                    part = band._replace(first=row, end=min(row + self._search_pace.rows, band.end))
                    found = self._search(kernel, params, part, (buffers.cell_axes, target.sources, mask),
                                         (self._columns(panel), part.end - part.first), per_row)
                    if found.any():
                        return part.first * per_row + int(found.argmax())
                    row = part.end
        return None

    def _search(self, kernel: Any, params: np.ndarray, part: RowBand, arrays: tuple[Any, ...], grid: tuple[int, int],
                per_row: int) -> np.ndarray:
        """Launch the search over part of a row band; return uint8 [roi index], from the first pixel of the part."""
        cuda, rows = self._cupy.cuda, grid[1]
        found = self._cupy.zeros(rows * per_row, dtype=np.uint8)
        params["first_tile_row"] = part.first
        start, stop = cuda.Event(), cuda.Event()
        start.record()
        self._launch(kernel, "find_outside", "double", grid, (params, *arrays, found))
        stop.record()
        result = found.get()
        self._search_pace.measured(rows, cuda.get_elapsed_time(start, stop) / 1e3)
        return result

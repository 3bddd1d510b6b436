"""Engine of the backend ``cuda``: the kernels of `kernels/`, compiled by NVRTC and launched through CuPy.

An image is rendered in row bands, whole rows of tiles of a panel, which bounds the size of buffers for any image. Two
sets of stream buffers (a stream and device buffers each) are used in turn: one row band is copied to the host while the
next is computed, also from image to image of a batch; into the image itself if that is in page-locked memory.

CuPy compiles with ``-ftz=true``: single-precision numbers below 1.2e-38 are flushed to 0.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from cubragg.detect.epilogue import Epilogue
from cubragg.device.cuda_device import checked_device, current_device, kernel_module, single_to_double
from cubragg.device.device_memory import DeviceMemory
from cubragg.device.pinned_images import PinnedImages
from cubragg.device.stream_buffers import RowBand, StreamBuffers, rows_of
from cubragg.engine import kernel_params
from cubragg.engine.accuracy import needs_two_floats
from cubragg.engine.cuda.device_maps import DeviceEpilogue, fits
from cubragg.engine.cuda.launch_jobs import Job, Target, render_order_dependent_pixels
from cubragg.engine.cuda.launcher import Launcher, Search
from cubragg.engine.cuda.plan_arrays import PlanArrays
from cubragg.engine.cuda.row_bands import WHOLE, Share, bands_of, row_bands
from cubragg.engine.cull_cost_model import select_culling
from cubragg.engine.culling import Culling, f2_bounds_of, struct_values
from cubragg.engine.order_dependent import first_index, stops_interpolation
from cubragg.engine.panel_loop import Progress, whole_image
from cubragg.engine.variant import PRECISIONS, cuda_variant
from cubragg.errors import ConfigError
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.plan import Plan


class CudaEngine:
    """Renders a plan on a GPU; implements `select.Engine`.

    After `render`, ``panel_stops`` has the (fast, slow) pixel of the image at which interpolation stopped on each
    panel, by the panel's number, and ``kernel_seconds`` the time of the kernels measured with CUDA events [s].
    ``variant`` are the options with which they are compiled.

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
    share
        The row bands that are rendered here, if other devices render the others.

    Raises
    ------
    BackendUnavailable
        If CuPy, driver or device is missing, or memory is insufficient.
    KernelBuildError
        If the kernels do not compile.
    """

    def __init__(self, plan: Plan, precision: str = "mixed", device: int = 0, memory_bytes: int | None = None,
                 cull: float | None = 0.0, culling: Culling | None = None, share: Share = WHOLE) -> None:
        if precision not in PRECISIONS:
            raise ConfigError("precision", f"got {precision!r}; accepted are {', '.join(PRECISIONS)}")
        self._cupy = checked_device(device)
        self._pinned = PinnedImages(self._cupy)
        self._plan, self._precision, self._device = plan, precision, device
        f2_bounds = functools.cache(partial(f2_bounds_of, plan))
        self.culling = culling or select_culling(plan, "cuda", precision, cull, f2_bounds,
                                                 single_to_double(device))
        self.variant = replace(cuda_variant(plan, precision), tile=self.culling.tile, culled=self.culling.culled,
                               two_floats=needs_two_floats(plan, precision, self.culling.tile))
        self._row_samples = plan.samples * self.variant.tile[1] * max((panel.width for panel in plan.panels), default=0)
        self.panel_stops: dict[int, tuple[int, int]] = {}
        self.kernel_seconds = 0.0
        with current_device(self._cupy, device):
            module = kernel_module(self.variant.shape, self.variant.defines(), device)
            self._launcher = Launcher(self._cupy, module.get_function("render"), "render", self.variant,
                                      self._row_samples)
            self._arrays = PlanArrays(self._cupy, plan, self.variant, DeviceMemory(self._cupy, device), memory_bytes,
                                      f2_bounds)
        self._bands = row_bands(plan, self.variant.tile, self._arrays.most_rows, share)
        self._own_bands = bands_of(share, self._bands)

    @property
    def f2_grid_on_host(self) -> bool:
        """Whether the F2 grid stays in host memory, because it does not fit into device memory."""
        return self._arrays.f2_grid_on_host

    @property
    def interpolation_stopped_at(self) -> tuple[int, int] | None:
        """The (fast, slow) pixel at which interpolation stopped on the first panel with one, or ``None``."""
        return self.panel_stops[min(self.panel_stops)] if self.panel_stops else None

    def set_plan(self, plan: Plan) -> None:
        """Replace the plan by one that differs only in orientation, ray and place of the crystal."""
        self._plan = plan

    def render(self, threads: int | None = None, progress: Progress | None = None, into: np.ndarray | None = None
               ) -> np.ndarray:
        """Render the image, float32 [slow, fast], in photons; ``threads`` is ignored.

        With ``into``, an image of 0, only the rows of the engine's share are stored, into that.
        """
        (image,) = self._images([self._plan], False, progress, into)
        return image

    def render_counts(self, epilogue: Epilogue, progress: Progress | None = None, into: np.ndarray | None = None
                      ) -> np.ndarray | None:
        """Render the counts of the image, int32 [slow, fast]; see `select.CountingEngine`. ``into`` as for `render`."""
        if not self._plan.rules.per_sample:
            return None
        with current_device(self._cupy, self._device):
            if not fits(self._cupy, self._device, epilogue):
                return None
            on_device = DeviceEpilogue(self._cupy, self._device, epilogue, self._plan.shape[1])
            (counts,) = self._images([self._plan], False, progress, into, on_device)
            return None if on_device.too_large.get()[0] else counts

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
        return self._images(plans, on_device, progress, None)

    def _images(self, plans: Iterable[Plan], on_device: bool, progress: Progress | None, into: np.ndarray | None,
                epilogue: DeviceEpilogue | None = None) -> Iterator[Any]:
        buffer_sets: list[StreamBuffers] = []
        pending: deque[tuple[Job, RowBand, StreamBuffers]] = deque()
        started = 0
        try:
            for number, plan in enumerate(plans):
                target = self._target(plan, number, on_device, into, epilogue)
                for panel_number, bands in self._own_bands.items():
                    job: Job | None = None
                    for band in bands:
                        if len(pending) == 2:
                            yield from self._finished(*pending.popleft(), progress)
                        with current_device(self._cupy, self._device):
                            if started == len(buffer_sets) < 2:
                                buffer_sets.append(self._new_buffers(on_device))
                            buffers = buffer_sets[started % 2]
                            job = job or self._job(target, panel_number, bands, buffers)
                            self._start(job, band, buffers, progress)
                        pending.append((job, band, buffers))
                        started += 1
                    assert job is not None  # no panel has an empty list
                    render_order_dependent_pixels(job)
                if not self._own_bands:
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
        pixels = max((band.end_row - band.first_row) * plan.panels[band.panel].shape[1]
                     for bands in self._bands for band in bands)
        return StreamBuffers(self._cupy, plan.orientations, self._arrays.cull_axes(plan).shape, pixels,
                             image=not on_device or not whole_image(plan), masked=self._arrays.masked)

    def _target(self, plan: Plan, number: int, on_device: bool, into: np.ndarray | None,
                epilogue: DeviceEpilogue | None) -> Target:
        """Return the state of a new image, filled with 0."""
        total = sum((band.end_row - band.first_row) * plan.panels[band.panel].width
                    for bands in self._own_bands.values() for band in bands)
        values = struct_values(plan, self._precision, self.culling) if self.culling.culled else {}
        with current_device(self._cupy, self._device):
            sources = self._arrays.sources_of(plan)
            if on_device:
                # On the caller's stream: memory that the caller has freed may still be read there.
                image = self._cupy.zeros(plan.shape, dtype=np.float32)
                ready = self._cupy.cuda.get_current_stream().record()
                return Target(number, plan, image, ready, total, sources, values)
            pinned = self._pinned.empty(plan.shape) if whole_image(plan) and into is None else None
        target = Target(number, plan, into, None, total, sources, values, pinned=pinned is not None, epilogue=epilogue)
        if pinned is not None:
            slow_min, slow_max = plan.panels[0].roi[2:]
            pinned[:slow_min], pinned[slow_max + 1:] = 0.0, 0.0  # rows that are not copied
            target.pixels = pinned.view(target.dtype)
        elif into is None:
            target.pixels = np.zeros(plan.shape, dtype=target.dtype)
        return target

    def _job(self, target: Target, number: int, bands: list[RowBand], buffers: StreamBuffers) -> Job:
        """Return the state of a panel, with its order-dependent pixels; ``bands`` are those of this engine."""
        plan = target.plan
        panel = plan.panels[number]
        first = first_index(plan, panel)
        stop = self._stop_index(target, number, buffers, first)
        params = kernel_params.params_of(plan, panel, self._precision)
        for name, value in target.cull_values.items():
            params[name] = value
        if stop is not None:
            params["interpolated_to"] = stop
            target.stops[number] = panel.in_image(*panel.pixel_at(stop))
        return Job(target, panel, params, bands, number == next(reversed(self._own_bands)), first, stop)

    def _start(self, job: Job, band: RowBand, buffers: StreamBuffers, progress: Progress | None) -> None:
        """Queue a row band on the stream of its buffers: uploads, kernels, and the copy to the image."""
        panel, target = job.panel, job.target
        job.params["first_row"] = band.first_row
        per_row, pixels = self.variant.tile[1] * panel.width, (band.end_row - band.first_row) * panel.width
        with buffers.stream:
            mask = self._prepare(buffers, target, panel, band)
            if target.ready is not None:
                buffers.stream.wait_event(target.ready)
            if job.direct:
                image = job.rows(band)
            else:
                image = rows_of(buffers.image, band, panel.shape[1]).view(target.dtype)
                # Kernels do not write pixels outside the region of interest, and those of photons no masked ones.
                if target.epilogue is None or panel.width < panel.shape[1]:
                    image.data.memset_async(0, image.nbytes, buffers.stream)
            launcher, written = self._launcher, (image,)
            if target.epilogue is not None:
                buffers.stream.wait_event(target.epilogue.ready)
                launcher, written = self._counter, target.epilogue.arguments(panel, image)
            arrays = (self._arrays.f2_grid, buffers.cell_axes, target.sources, mask, self._arrays.f2_bounds,
                      buffers.cull_axes, *written)
            for row in launcher.rows(band, job.params, self._columns(panel), arrays, target.timed):
                if progress is not None:
                    progress(target.done + min((row - band.first) * per_row, pixels), target.total)
            target.done += pixels
            if target.ready is None:
                place = job.rows(band) if target.pinned else self._host(job, band, buffers)
                image.get(stream=buffers.stream, out=place, blocking=False)
            elif not job.direct:
                job.rows(band)[:] = image
            buffers.done.record(buffers.stream)

    @staticmethod
    def _host(job: Job, band: RowBand, buffers: StreamBuffers) -> np.ndarray:
        """Return the rows of a band in the page-locked buffer."""
        rows: np.ndarray = rows_of(buffers.host, band, job.panel.shape[1])
        return rows.view(job.target.dtype)

    @functools.cached_property
    def _counter(self) -> Launcher:
        """The kernels that render counts, compiled when they are first used."""
        variant = replace(self.variant, counted=True)
        module = kernel_module(variant.shape, variant.defines(), self._device, entry=variant.entry)
        return Launcher(self._cupy, module.get_function(variant.entry), variant.entry, variant, self._row_samples)

    def _columns(self, panel: PanelPlan) -> int:
        return kernel_params.grid_of(panel, self.variant.tile)[0]

    def _prepare(self, buffers: StreamBuffers, target: Target, panel: PanelPlan, band: RowBand) -> Any:
        """Queue the uploads of cell axes and mask unless the buffers hold them already; return the mask."""
        if buffers.number != target.number:
            buffers.host_cell_axes[:] = kernel_params.cell_axes_of(target.plan)
            buffers.cell_axes.set(buffers.host_cell_axes, stream=buffers.stream)
            buffers.host_cull_axes[:] = self._arrays.cull_axes(target.plan)
            buffers.cull_axes.set(buffers.host_cull_axes, stream=buffers.stream)
            buffers.number = target.number
        if panel.mask is None:
            return buffers.mask
        mask = rows_of(buffers.mask, band, panel.shape[1])
        if buffers.band != band:
            mask.set(kernel_params.mask_of(panel)[band.first_row:band.end_row], stream=buffers.stream)
            buffers.band = band
        return mask

    def _finished(self, job: Job, band: RowBand, buffers: StreamBuffers, progress: Progress | None) -> Iterator[Any]:
        """Wait for a row band; yield the image if it is complete."""
        target = job.target
        complete = job.completes and band == job.bands[-1]
        with current_device(self._cupy, self._device):
            buffers.done.synchronize()
            if target.ready is None and not target.pinned:
                job.rows(band)[:] = self._host(job, band, buffers)
            if band == job.bands[-1]:
                self._patch(job, buffers)
            if complete:
                self.kernel_seconds = sum(self._cupy.cuda.get_elapsed_time(*events) for events in target.timed) / 1e3
        if complete:
            self.panel_stops = target.stops
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

    @functools.cached_property
    def _search(self) -> Search:
        variant = replace(self.variant, precision="double", culled=False, two_floats=False)
        module = kernel_module(variant.shape, variant.defines(), self._device)
        return Search(self._cupy, module.get_function("find_outside"), "find_outside", variant, self._row_samples)

    def _stop_index(self, target: Target, number: int, buffers: StreamBuffers, first: int | None) -> int | None:
        """Return the roi index of the pixel of a panel that stops interpolation, or ``None``.

        ``first`` is the roi index of the first pixel if that is order-dependent; it is examined separately. All row
        bands are searched, also those of other devices.
        """
        plan, panel = target.plan, target.plan.panels[number]
        if not plan.interpolate or plan.rules.per_sample:
            return None
        if first is not None and stops_interpolation(plan, panel, first):
            return first
        params = kernel_params.params_of(plan, panel, "double")
        params["skipped_index"] = -1 if first is None else first
        per_row = self.variant.tile[1] * panel.width
        with buffers.stream:
            for band in self._bands[number]:
                mask = self._prepare(buffers, target, panel, band)
                params["first_row"] = band.first_row
                rest = band
                while rest.first < band.end:
                    part = self._search.part(rest)
                    found = self._search.launch(part, params, self._columns(panel),
                                                (buffers.cell_axes, target.sources, mask),
                                                (part.end - part.first) * per_row)
                    if found.any():
                        return part.first * per_row + int(found.argmax())
                    rest = band._replace(first=part.end)
        return None

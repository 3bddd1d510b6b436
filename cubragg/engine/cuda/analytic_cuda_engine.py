"""Engine of the method analytic on a GPU: `kernels/analytic.cu`, compiled by NVRTC. `specs/analytic.md`

The reflections of an image are searched for on the host while the device renders the image before; the constants of its
spots are computed on the device.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from cubragg.detect.epilogue import Epilogue
from cubragg.device.cuda_device import checked_device, current_device, kernel_module
from cubragg.device.pinned_images import PinnedImages
from cubragg.engine import kernel_params
from cubragg.engine.analytic import spot_kernel
from cubragg.engine.analytic.spot_list import SpotList
from cubragg.engine.analytic.water_map import add_water
from cubragg.engine.cuda.device_maps import DeviceEpilogue, fits
from cubragg.engine.cuda.device_spots import DeviceSpots, SpotKernels
from cubragg.engine.cuda.row_bands import WHOLE, Share, bands_of, row_bands
from cubragg.engine.culling import Culling
from cubragg.engine.panel_loop import Progress
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.plan import Plan


class _Band(NamedTuple):
    """A row band in work: the panel with its rows as the region, its rows, their photons on the device, and the arrays
    that the kernel reads."""

    panel: PanelPlan
    rows: slice
    pixels: Any
    used: list[Any]


class _Part(NamedTuple):
    """Rows of a panel, whose region is in them, with the spots of the panel, and the numbers of those that reach it."""

    panel: PanelPlan
    rows: range
    spots: DeviceSpots
    inside: np.ndarray


class AnalyticCudaEngine:
    """Renders a plan in closed form on a GPU; implements `select.Engine`.

    After `render_counts`, ``kernel_seconds`` has the time of its kernels, with the uploads of spots between them [s].

    Parameters
    ----------
    plan
        From `make_plan`.
    precision
        ``double`` or ``single``.
    device
        Number of the device.
    share
        The row bands that are rendered here, if other devices render the others.

    Raises
    ------
    ConfigError
        As `SpotList`, and for another precision.
    BackendUnavailable, KernelBuildError
        If CuPy, driver or device is missing, or the kernels do not compile.
    """

    def __init__(self, plan: Plan, precision: str = "double", device: int = 0, share: Share = WHOLE) -> None:
        spot_kernel.check_precision(precision)
        self._cupy = checked_device(device)
        self._pinned, self.kernel_seconds = PinnedImages(self._cupy), 0.0
        self._precision, self._device, self._share = precision, device, share
        self._tile = spot_kernel.CUDA_TILE
        self.interpolation_stopped_at: tuple[int, int] | None = None
        self.culling = Culling(tile=self._tile, why="spots in closed form, each in its box")
        self.set_plan(plan)
        with current_device(self._cupy, device):
            module = kernel_module(plan.crystal_shape, spot_kernel.cuda_defines(precision), device, "analytic.cu",
                                   "render_spots")
            self._kernels = [module.get_function("render_spots")]
            self._stream = self._cupy.cuda.Stream(non_blocking=True)
            self._lister = SpotKernels(self._cupy, device, precision, self._stream)

    def set_plan(self, plan: Plan) -> None:
        """Replace the plan."""
        self._plan, self._spots = plan, SpotList(plan)

    def list_spots(self) -> None:
        """Find the reflections of the plan, which engines of other devices for the same plan then use as well."""
        self._spots.passing  # noqa: B018 - found at the first access

    def render(self, threads: int | None = None, progress: Progress | None = None, into: np.ndarray | None = None
               ) -> np.ndarray:
        """Render the image, float32 [slow, fast], in photons; ``threads`` is ignored.

        With ``into``, an image of 0, only the rows of the engine's share are stored, into that.
        """
        if into is None:
            into, = self._images([(self._plan, self._spots)], False, progress)
        else:
            self._render_share(into, progress)
        return into

    def render_counts(self, epilogue: Epilogue, progress: Progress | None = None, into: np.ndarray | None = None
                      ) -> np.ndarray | None:
        """Render the counts of the image, int32 [slow, fast]; see `select.CountingEngine`. ``into`` as for `render`."""
        plan, cupy = self._plan, self._cupy
        if plan.water > 0.0:  # added on the host
            return None
        with current_device(cupy, self._device):
            if not fits(cupy, self._device, epilogue, 4 * plan.shape[0] * plan.shape[1]):
                return None
            with self._stream:
                parts = [*(self._parts() if into is None else self._share_parts())]
            on_device = DeviceEpilogue(cupy, self._device, epilogue, plan.shape[1])
            self._stream.wait_event(on_device.ready)
            try:
                counts, used = self._start_counts(parts, on_device)
                if into is None:
                    pinned = self._pinned.empty(plan.shape)
                    into = counts.get(stream=self._stream, out=None if pinned is None else pinned.view(np.int32))
                else:
                    for panel, rows, *_ in parts:
                        place = slice(rows.start, rows.stop)
                        into[panel.window][place] = counts[panel.window][place].get(stream=self._stream)
            finally:
                self._stream.synchronize()
            used.clear()
            too_large = bool(on_device.too_large.get(stream=self._stream)[0])
        if progress is not None:
            done = sum(panel.pixel_count for panel, *_ in parts)
            progress(done, sum(panel.pixel_count for panel in plan.panels))
        return None if too_large else into

    def _start_counts(self, parts: list[_Part], on_device: DeviceEpilogue) -> tuple[Any, list[Any]]:
        """Queue the kernels of parts of the image; return its counts, and the arrays that they read."""
        plan, cupy = self._plan, self._cupy
        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        with self._stream:
            # Kernels write every pixel of the regions of the panels.
            whole = sum(panel.pixel_count for panel, *_ in parts) == plan.shape[0] * plan.shape[1]
            counts = (cupy.empty if whole else cupy.zeros)(plan.shape, dtype=np.int32)
            start.record()
            used = [array for part in parts
                    for array in self._launch(plan, part, self._counters, on_device.arguments(part.panel, counts))]
            end.record()
        end.synchronize()
        self.kernel_seconds = cupy.cuda.get_elapsed_time(start, end) / 1e3
        return counts, used

    @functools.cached_property
    def _counters(self) -> list[Any]:
        """The kernels that render counts, of tiles with spots and of others, compiled when they are first used."""
        module = kernel_module(self._plan.crystal_shape, spot_kernel.cuda_defines(self._precision, counted=True),
                               self._device, "analytic.cu", "count_spots")
        return [module.get_function(entry) for entry in ("count_spots", "count_background")]

    def images(self, plans: Iterable[Plan], *, on_device: bool = False, progress: Progress | None = None
               ) -> Iterator[Any]:
        """Render the images of plans, in order; an image is rendered while the next one's reflections are searched for.

        Parameters
        ----------
        plans
            Iterated one plan ahead of the image that is yielded.
        on_device
            Yield CuPy arrays, complete when they are yielded, instead of NumPy arrays.
        progress
            Called with (pixels in total, pixels in total) of each image.

        Yields
        ------
        float32 [slow, fast] in photons.
        """
        yield from self._images(((plan, SpotList(plan)) for plan in plans), on_device, progress)

    def _images(self, listed: Iterable[tuple[Plan, SpotList]], on_device: bool, progress: Progress | None
                ) -> Iterator[Any]:
        pending: deque[tuple[Plan, Any, list[Any]]] = deque()
        try:
            for plan, spots in listed:
                spots.passing  # noqa: B018 - found while the device renders
                if pending:
                    yield self._finished(*pending.popleft(), on_device, progress)
                with current_device(self._cupy, self._device), self._stream:
                    pending.append((plan, *self._start(spots)))
            while pending:
                yield self._finished(*pending.popleft(), on_device, progress)
        finally:
            # After an interruption, arrays must not be freed while kernels still use them.
            with current_device(self._cupy, self._device):
                self._stream.synchronize()

    def _start(self, listed: SpotList) -> tuple[Any, list[Any]]:
        """Queue the kernels of an image on the stream; return it, and the arrays that they read."""
        plan = listed.plan
        image = self._cupy.zeros(plan.shape, dtype=np.float32)
        used: list[Any] = []
        for spots in self._lister.spots_of(listed):
            if not len(spots):
                continue
            panel = spots.panel
            whole = panel.shape == plan.shape
            part = image if whole else self._cupy.zeros(panel.shape, dtype=np.float32)
            region = _Part(panel, range(panel.shape[0]), spots, np.arange(len(spots)))
            used += [*self._launch(plan, region, self._kernels, (part,)), part]
            if not whole:
                image[panel.window] = part
        return image, used

    def _launch(self, plan: Plan, part: _Part, kernels: Sequence[Any], written: tuple[Any, ...]) -> list[Any]:
        """Queue kernels of a part of a panel; return the arrays that they read.

        ``written`` are the arguments after the mask, which has the rows of the part.
        """
        panel, rows, spots, inside = part
        first, order = spot_kernel.tiles_of(spots.boxes[inside], panel, self._tile)
        tiles = first, inside[order].astype(np.int32)
        mask = kernel_params.mask_of(panel, rows)
        params, grid = spot_kernel.params_of(plan, panel), kernel_params.grid_of(panel, self._tile)
        params["first_row"] = rows.start
        spot_kernel.check_arguments(self._precision, self._tile, grid, (params, spots.records, *tiles, mask, *written))
        arrays = [spots.records]
        for array in (*tiles, mask.reshape(-1)):
            copy = self._cupy.empty(array.shape, dtype=array.dtype)
            copy.set(array, stream=self._stream)
            arrays.append(copy)
        for kernel in kernels:
            kernel(grid, (self._tile[0] * self._tile[1],), (params, *arrays, *written))
        return arrays

    def _parts(self) -> Iterator[_Part]:
        """Yield the panels of the plan."""
        for spots in self._lister.spots_of(self._spots):
            yield _Part(spots.panel, range(spots.panel.shape[0]), spots, np.arange(len(spots)))

    def _share_parts(self) -> Iterator[_Part]:
        """Yield the row bands of the share, each with the spots in it."""
        plan = self._plan
        bands = bands_of(self._share, row_bands(
            plan, self._tile, lambda panel: kernel_params.grid_of(panel, self._tile)[1], self._share))
        for number, spots in enumerate(self._lister.spots_of(self._spots)):
            panel, boxes = spots.panel, spots.boxes
            for band in bands.get(number, ()):
                rows = range(band.first_row, band.end_row)
                inside = np.flatnonzero((boxes["slow_min"] < rows.stop) & (boxes["slow_max"] >= rows.start))
                yield _Part(panel._replace(roi=(*panel.roi[:2], rows.start, rows.stop - 1)), rows, spots, inside)

    def _render_share(self, into: np.ndarray, progress: Progress | None) -> None:
        """Render the row bands of the share, and store their rows into an image."""
        plan, done = self._plan, 0
        total = sum(panel.pixel_count for panel in plan.panels)
        try:
            for band in [*self._start_share()]:  # all are queued before the first is waited for
                with current_device(self._cupy, self._device):
                    photons = band.pixels.get(stream=self._stream)
                if plan.water > 0.0:
                    photons += _water(plan, band.panel)[band.rows]
                into[band.panel.window][band.rows] = photons
                done += band.panel.pixel_count
                if progress is not None:
                    progress(done, total)
        finally:
            with current_device(self._cupy, self._device):
                self._stream.synchronize()

    def _start_share(self) -> Iterator[_Band]:
        """Queue the kernels of the row bands of the share, each with the spots in it."""
        with current_device(self._cupy, self._device), self._stream:
            parts = [*self._share_parts()]
        for part in parts:
            panel, rows, _, inside = part
            with current_device(self._cupy, self._device), self._stream:
                pixels = self._cupy.zeros((len(rows), panel.shape[1]), dtype=np.float32)
                used = self._launch(self._plan, part, self._kernels, (pixels,)) if len(inside) else []
            yield _Band(panel, slice(rows.start, rows.stop), pixels, used)

    def _finished(self, plan: Plan, image: Any, used: list[Any], on_device: bool, progress: Progress | None) -> Any:
        """Wait for an image, and return it with its water."""
        with current_device(self._cupy, self._device):
            self._stream.synchronize()
            used.clear()
            result = image if on_device else image.get(stream=self._stream)
            if plan.water > 0.0:
                water = np.zeros(plan.shape, dtype=np.float32)
                for panel in plan.panels:
                    water[panel.window] = _water(plan, panel)
                result = result + self._cupy.asarray(water) if on_device else result + water
        if progress is not None:
            total = sum(panel.pixel_count for panel in plan.panels)
            progress(total, total)
        return result


def _water(plan: Plan, panel: PanelPlan) -> np.ndarray:
    """Return the photons of water in the region of a panel, float32 [slow, fast], 0 elsewhere."""
    water = np.zeros(panel.shape, dtype=np.float32)
    add_water(plan, panel, water)
    return water

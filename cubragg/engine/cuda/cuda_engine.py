"""The CUDA renderer: the kernels of `kernels/`, compiled by NVRTC and launched through CuPy.

An image is rendered in pieces, whole rows of tiles of a panel, whose buffers are bounded however
large the image is. Two slots (a stream, device buffers and a pinned host buffer each) take the
pieces in turn, so that one piece is copied while the next is computed; a batch of images is
only a longer row of pieces. Structure factors that do not fit into the device's memory stay
in pinned host memory, which the kernels read across the bus (zero-copy, unified addressing):
slower, but nothing is refused.

CuPy compiles with ``-ftz=true``: single-precision numbers below 1.2e-38 are 0 here.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from cubragg.device.cuda_device import checked_device, current_device, kernel_module, one_line
from cubragg.device.stream_buffers import Piece, Slot, rows_of
from cubragg.engine import kernel_params
from cubragg.engine.cull_cost_model import select_culling
from cubragg.engine.culling import Culling, cull_axes_of, f2_bounds_of, struct_values
from cubragg.engine.order_dependent import first_index, pixel_photons, stops_interpolation
from cubragg.engine.panel_loop import Progress
from cubragg.engine.variant import PRECISIONS, cuda_variant
from cubragg.errors import BackendUnavailable, ConfigError
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.plan import Plan

#: A launch lasts about this long [s]: between launches Ctrl-C is heard and progress told.
_LAUNCH_S = 0.2
#: Largest number of blocks along y.
_MAX_GRID_ROWS = 65535
#: Share of the free device memory that is used, and the most that a piece's buffers take [bytes].
_MEMORY_SHARE = 0.8
_PIECE_BYTES = 64 * 2**20


@dataclass
class _Pace:
    """Rows of tiles of the next launch: from one row, as many as the time measured allows."""

    rows: int = 1

    def measured(self, rows: int, seconds: float) -> None:
        self.rows = max(1, min(int(rows * _LAUNCH_S / max(seconds, 1e-6)), 64 * rows, _MAX_GRID_ROWS))


@dataclass
class _Target:
    """An image on its way.

    Attributes
    ----------
    number, plan
        Its place in the batch, and its plan.
    pixels, ready
        NumPy's array and ``None``; or CuPy's, which stays on the device, and the event of its clearing.
    cull_values
        What the kernels' struct holds for culling.
    done, total
        Pixels of the panels that are queued, and in all.
    stopped_at
        The first pixel that switched interpolation off.
    timed
        Events before and after each launch.
    """

    number: int
    plan: Plan
    pixels: Any
    ready: Any
    total: int
    cull_values: dict[str, Any]
    done: int = 0
    stopped_at: tuple[int, int] | None = None
    timed: list[tuple[Any, Any]] = field(default_factory=list)


@dataclass
class _Job:
    """A panel of an image on its way.

    Attributes
    ----------
    before
        Pixels of the panels before it.
    last
        Its last piece; with that of the last panel the image is complete.
    first, stop
        Roi indices of the order-dependent pixels.
    patches
        Slow, fast and photons of these pixels.
    """

    target: _Target
    panel: PanelPlan
    params: np.ndarray
    before: int
    last: Piece
    completes: bool
    first: int | None
    stop: int | None
    patches: list[tuple[int, int, np.float32]] = field(default_factory=list)

    @property
    def direct(self) -> bool:
        """The kernels write into the image itself, which stays on the device."""
        return self.target.ready is not None and whole_image(self.target.plan)

    def rows(self, piece: Piece) -> Any:
        """What a piece fills of the image: a view."""
        rows, columns = self.panel.window
        return self.target.pixels[rows.start + piece.first_row:rows.start + piece.end_row, columns]


def whole_image(plan: Plan) -> bool:
    """Whether a single panel fills the image."""
    return len(plan.panels) == 1 and plan.panels[0].shape == plan.shape


def _render_order_dependent_pixels(job: _Job) -> None:
    """The host's share of a panel, while the device works."""
    for index in {job.first, job.stop} - {None}:
        assert index is not None
        fast, slow = job.panel.pixel_at(index)
        job.patches.append((slow, fast, pixel_photons(job.target.plan, job.panel, index,
                                                      first_pass=index == job.first)))


def _masked(plan: Plan) -> bool:
    """Whether any panel has pixels that are not rendered."""
    return any(panel.mask is not None for panel in plan.panels)


class CudaEngine:
    """Renders a plan on a GPU; the interface of `NumpyEngine`.

    After `render`, ``interpolation_stopped_at`` is the (fast, slow) pixel that switched
    interpolation off, or ``None``, and ``kernel_seconds`` the time of the kernels by CUDA's
    events [s]. ``f2_grid_on_host`` says whether structure factors stay in host memory, since
    they do not fit into the device's.

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
        Device memory to use at most; a share of what is free if ``None``.
    cull, culling
        Share of the peak below which terms may be left out (``None``: every term is evaluated); and how to go
        about it, which is chosen for the first plan if ``None`` and told by ``culling`` afterwards.

    Raises
    ------
    BackendUnavailable
        If there is no cupy, driver or device, or too little memory.
    KernelBuildError
        If the kernels do not compile.
    """

    def __init__(self, plan: Plan, precision: str = "mixed", device: int = 0,
                 memory_bytes: int | None = None, cull: float | None = 0.0, culling: Culling | None = None) -> None:
        if precision not in PRECISIONS:
            raise ConfigError("precision", f"got {precision!r}; accepted are {', '.join(PRECISIONS)}")
        self._cupy = checked_device(device)
        self._plan, self._precision, self._device = plan, precision, device
        limits = functools.cache(partial(f2_bounds_of, plan))
        self.culling = culling or select_culling(plan, "cuda", precision, cull, limits)
        self._variant = replace(cuda_variant(plan, precision), tile=self.culling.tile, culled=self.culling.culled)
        self._pace, self._search_pace = _Pace(), _Pace()
        self.interpolation_stopped_at: tuple[int, int] | None = None
        self.kernel_seconds = 0.0
        with current_device(self._cupy, device):
            self._kernel = kernel_module(self._variant.shape, self._variant.defines(), device).get_function("render")
            self._pieces = self._upload(memory_bytes, limits)

    def _upload(self, memory_bytes: int | None, limits_of_plan: Callable[[], np.ndarray]) -> list[list[Piece]]:
        """Bring to the device what all images share; the pieces of each panel that the rest of the memory allows."""
        plan = self._plan
        table = kernel_params.f2_grid_of(plan, self._precision)
        sources = kernel_params.sources_of(plan)
        budget = int(_MEMORY_SHARE * self._free_memory()) if memory_bytes is None else memory_bytes
        limits = limits_of_plan() if self.culling.culled else np.zeros(1, dtype=np.float32)
        budget -= sources.nbytes + limits.nbytes
        budget -= 2 * (kernel_params.cell_axes_of(plan).nbytes + self._axes(plan).nbytes)
        pixel_bytes = self._variant.tile[1] * (np.dtype(np.float32).itemsize + _masked(plan))
        row_bytes = pixel_bytes * max((panel.shape[1] for panel in plan.panels), default=0)
        self.f2_grid_on_host = table.nbytes > budget - 2 * row_bytes
        self._table = self._mapped(table) if self.f2_grid_on_host else self._uploaded(table)
        self._sources, self._limits = self._uploaded(sources), self._uploaded(limits)
        if not self.f2_grid_on_host:
            budget -= table.nbytes
        # Slots work on streams that do not wait for this one.
        self._cupy.cuda.get_current_stream().synchronize()
        share = min(budget // 2, _PIECE_BYTES)
        return [self._cut(number, panel, max(1, share // (pixel_bytes * panel.shape[1])))
                for number, panel in enumerate(plan.panels)]

    def _cut(self, number: int, panel: PanelPlan, rows: int) -> list[Piece]:
        """The pieces of a panel, ``rows`` rows of tiles each."""
        height, tile_rows = self._variant.tile[1], kernel_params.grid_of(panel, self._variant.tile)[1]
        slow_min, slow_max = panel.roi[2:]
        pieces = []
        for first in range(0, tile_rows, rows):
            end = min(first + rows, tile_rows)
            pieces.append(Piece(number, first, end, slow_min + first * height,
                                 min(slow_min + end * height, slow_max + 1)))
        return pieces

    def _axes(self, plan: Plan) -> np.ndarray:
        """What culling asks of each orientation; [1, 1] where it asks nothing."""
        return cull_axes_of(plan) if self.culling.culled else np.zeros((1, 1), dtype=np.float32)

    def _free_memory(self) -> int:
        """What the driver and CuPy's pool can still give [bytes]."""
        pool = self._cupy.get_default_memory_pool()
        free = self._cupy.cuda.runtime.memGetInfo()[0] + pool.free_bytes()
        return int(min(free, pool.get_limit() - pool.used_bytes()) if pool.get_limit() else free)

    def _uploaded(self, array: np.ndarray) -> Any:
        """A copy on the device, made without a page-locked copy on the way."""
        copy = self._cupy.empty(array.shape, dtype=array.dtype)
        copy.set(array)
        return copy

    def _mapped(self, array: np.ndarray) -> Any:
        """A copy in page-locked host memory, as a device array. CuPy's pool would keep the memory for good."""
        cuda = self._cupy.cuda
        try:
            memory = cuda.PinnedMemory(array.nbytes)
        except cuda.runtime.CUDARuntimeError as error:
            raise BackendUnavailable(f"backend cuda: structure factors of {array.nbytes / 1e9:.2f} GB fit neither into "
                                     f"device {self._device} nor into page-locked host memory ({one_line(error)})"
                                     ) from None
        np.frombuffer(cuda.PinnedMemoryPointer(memory, 0), array.dtype, array.size)[:] = array.reshape(-1)
        unowned = cuda.UnownedMemory(memory.ptr, array.nbytes, memory, self._device)
        return self._cupy.ndarray(array.shape, array.dtype, cuda.MemoryPointer(unowned, 0))

    def set_plan(self, plan: Plan) -> None:
        """Go on with a plan that differs in the crystal's orientation only."""
        self._plan = plan

    def render(self, threads: int | None = None, progress: Progress | None = None) -> np.ndarray:
        """The float32 image [slow, fast] in photons. ``threads`` is of no use here."""
        (image,) = self.images([self._plan], progress=progress)
        return image

    def images(self, plans: Iterable[Plan], *, on_device: bool = False, progress: Progress | None = None
               ) -> Iterator[Any]:
        """The images of plans that differ from the renderer's in orientation only, one after the other.

        An image is copied to the host while the next one is computed.

        Parameters
        ----------
        plans
            Taken one ahead of the image that is yielded.
        on_device
            Yield CuPy arrays, which are complete when they are yielded, in place of NumPy's.
        progress
            Called with (pixels done, pixels in all) of the current image.

        Yields
        ------
        float32 [slow, fast] in photons.
        """
        slots: list[Slot] = []
        pending: deque[tuple[_Job, Piece, Slot]] = deque()
        started = 0
        try:
            for number, plan in enumerate(plans):
                target = self._target(plan, number, on_device)
                for panel, pieces in zip(plan.panels, self._pieces, strict=True):
                    job: _Job | None = None
                    for piece in pieces:
                        if len(pending) == 2:
                            yield from self._finished(*pending.popleft(), progress)
                        with current_device(self._cupy, self._device):
                            if started == len(slots) < 2:
                                slots.append(self._slot(on_device))
                            slot = slots[started % 2]
                            job = job or self._job(target, panel, pieces[-1], slot)
                            self._start(job, piece, slot, progress)
                        pending.append((job, piece, slot))
                        started += 1
                    assert job is not None  # a region has pixels
                    _render_order_dependent_pixels(job)
                if not self._pieces:  # no panel to render
                    if target.ready is not None:
                        target.ready.synchronize()
                    yield target.pixels
            while pending:
                yield from self._finished(*pending.popleft(), progress)
        finally:
            # Buffers of a run that was cut short must not be given away while kernels still write.
            with current_device(self._cupy, self._device):
                for slot in slots:
                    slot.stream.synchronize()

    def _slot(self, on_device: bool) -> Slot:
        plan = self._plan
        pixels = max((piece.end_row - piece.first_row) * panel.shape[1]
                     for panel, pieces in zip(plan.panels, self._pieces, strict=True) for piece in pieces)
        return Slot(self._cupy, plan.orientations, self._axes(plan).shape, pixels,
                    image=not on_device or not whole_image(plan), host=not on_device, masked=_masked(plan))

    def _target(self, plan: Plan, number: int, on_device: bool) -> _Target:
        """An image to be rendered, all 0 to begin with."""
        total = sum(panel.pixel_count for panel in plan.panels)
        values = struct_values(plan, self._precision, self.culling) if self.culling.culled else {}
        if not on_device:
            return _Target(number, plan, np.zeros(plan.shape, dtype=np.float32), None, total, values)
        with current_device(self._cupy, self._device):
            # On the caller's stream: memory that the caller gave back is not written while it is still read there.
            image = self._cupy.zeros(plan.shape, dtype=np.float32)
            return _Target(number, plan, image, self._cupy.cuda.get_current_stream().record(), total, values)

    def _job(self, target: _Target, panel: PanelPlan, last: Piece, slot: Slot) -> _Job:
        """A panel to be rendered, and its order-dependent pixels."""
        plan = target.plan
        first = first_index(plan, panel)
        stop = self._stop_index(target, panel, last.panel, slot, first)
        params = kernel_params.params_of(plan, panel, self._precision)
        for name, value in target.cull_values.items():
            params[name] = value
        if stop is not None:
            params["interpolated_to"] = stop
            target.stopped_at = target.stopped_at or panel.in_image(*panel.pixel_at(stop))
        before = target.done
        target.done += panel.pixel_count
        return _Job(target, panel, params, before, last, last.panel == len(self._pieces) - 1, first, stop)

    def _start(self, job: _Job, piece: Piece, slot: Slot, progress: Progress | None) -> None:
        """Queue a piece on its slot's stream: tables, kernels, and the copy to the image."""
        panel, target = job.panel, job.target
        job.params["first_row"] = piece.first_row
        per_row = self._variant.tile[1] * panel.width
        with slot.stream:
            mask = self._prepare(slot, target, panel, piece)
            if target.ready is not None:
                slot.stream.wait_event(target.ready)
            if job.direct:
                image = job.rows(piece)
            else:
                image = rows_of(slot.image, piece, panel.shape[1])
                image.data.memset_async(0, image.nbytes, slot.stream)  # masked pixels, and those beside the region
            arrays = (self._table, slot.vectors, self._sources, mask, self._limits, slot.axes, image)

            def launch(count: int) -> None:
                self._launch(self._kernel, "render", self._precision, (self._columns(panel), count),
                             (job.params, *arrays))

            for done in self._launches(piece, job.params, launch, target.timed):
                if progress is not None:
                    progress(job.before + min(done * per_row, panel.pixel_count), target.total)
            if target.ready is None:
                image.get(stream=slot.stream, out=rows_of(slot.host, piece, panel.shape[1]), blocking=False)
            elif not job.direct:
                job.rows(piece)[:] = image
            slot.done.record(slot.stream)

    def _columns(self, panel: PanelPlan) -> int:
        return kernel_params.grid_of(panel, self._variant.tile)[0]

    def _prepare(self, slot: Slot, target: _Target, panel: PanelPlan, piece: Piece) -> Any:
        """Queue the copies of an image's axes and a piece's mask, unless the slot has them; the mask."""
        if slot.number != target.number:
            slot.host_vectors[:] = kernel_params.cell_axes_of(target.plan)
            slot.vectors.set(slot.host_vectors, stream=slot.stream)
            slot.host_axes[:] = self._axes(target.plan)
            slot.axes.set(slot.host_axes, stream=slot.stream)
            slot.number = target.number
        if panel.mask is None:
            return slot.mask
        mask = rows_of(slot.mask, piece, panel.shape[1])
        if slot.piece != piece:
            mask.set(kernel_params.mask_of(panel)[piece.first_row:piece.end_row], stream=slot.stream)
            slot.piece = piece
        return mask

    def _launch(self, kernel: Any, entry: str, precision: str, grid: tuple[int, int], args: tuple[Any, ...]) -> None:
        """One launch on the current stream: the struct by value, arrays by pointer."""
        kernel_params.check_arguments(entry, self._variant.tile, precision, grid, args, self._variant.bound_pad)
        kernel(grid, (self._variant.block,), args)

    def _launches(self, piece: Piece, params: np.ndarray, launch: Callable[[int], None],
                  timed: list[tuple[Any, Any]]) -> Iterator[int]:
        """Launch a piece's rows of tiles in order; all but the last launch are waited for, and told."""
        cuda = self._cupy.cuda
        row = piece.first
        while row < piece.end:
            rows = min(self._pace.rows, piece.end - row)
            params["first_tile_row"] = row
            start, stop = cuda.Event(), cuda.Event()
            start.record()
            launch(rows)
            stop.record()
            timed.append((start, stop))
            row += rows
            if row < piece.end:
                stop.synchronize()
                self._pace.measured(rows, cuda.get_elapsed_time(start, stop) / 1e3)
                yield row

    def _finished(self, job: _Job, piece: Piece, slot: Slot, progress: Progress | None) -> Iterator[Any]:
        """Wait for a piece; with the last one the image is complete."""
        target = job.target
        complete = job.completes and piece == job.last
        with current_device(self._cupy, self._device):
            slot.done.synchronize()
            if target.ready is None:
                job.rows(piece)[:] = rows_of(slot.host, piece, job.panel.shape[1])
            if piece == job.last:
                self._patch(job, slot)
            if complete:
                self.kernel_seconds = sum(self._cupy.cuda.get_elapsed_time(*events) for events in target.timed) / 1e3
        if complete:
            self.interpolation_stopped_at = target.stopped_at
            if progress is not None:
                progress(target.total, target.total)
            yield target.pixels

    def _patch(self, job: _Job, slot: Slot) -> None:
        """Put in the order-dependent pixels."""
        pixels = job.target.pixels[job.panel.window]
        for slow, fast, photons in job.patches:
            if job.target.ready is None:
                pixels[slow, fast] = photons
            else:
                pixels[slow, fast:fast + 1].set(np.array([photons]), stream=slot.stream)
                slot.stream.synchronize()

    def _stop_index(self, target: _Target, panel: PanelPlan, number: int, slot: Slot, first: int | None) -> int | None:
        """Roi index of the pixel that stops interpolation; ``first`` is examined by itself, with its own axes."""
        plan = target.plan
        if not plan.interpolate or plan.rules.per_sample:
            return None
        if first is not None and stops_interpolation(plan, panel, first):
            return first
        variant = replace(self._variant, precision="double", culled=False)
        kernel = kernel_module(variant.shape, variant.defines(), self._device).get_function("find_outside")
        params = kernel_params.params_of(plan, panel, "double")
        params["skipped_index"] = -1 if first is None else first
        per_row = self._variant.tile[1] * panel.width
        with slot.stream:
            for piece in self._pieces[number]:
                mask = self._prepare(slot, target, panel, piece)
                params["first_row"] = piece.first_row
                row = piece.first
                while row < piece.end:
                    part = piece._replace(first=row, end=min(row + self._search_pace.rows, piece.end))
                    found = self._search(kernel, params, part, (slot.vectors, self._sources, mask),
                                         (self._columns(panel), part.end - part.first), per_row)
                    if found.any():
                        return part.first * per_row + int(found.argmax())
                    row = part.end
        return None

    def _search(self, kernel: Any, params: np.ndarray, part: Piece, arrays: tuple[Any, ...], grid: tuple[int, int],
                per_row: int) -> np.ndarray:
        """uint8 [place]: what a launch finds of a piece's part."""
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

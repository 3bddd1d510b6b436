"""Engine of the method analytic on a GPU: `kernels/analytic.cu`, compiled by NVRTC. `specs/analytic.md`

The spots of an image are computed on the host while the device renders the image before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from cubragg.device.cuda_device import checked_device, current_device, kernel_module
from cubragg.engine import kernel_params
from cubragg.engine.analytic import spot_kernel
from cubragg.engine.analytic.spot_constants import record
from cubragg.engine.analytic.spot_list import PanelSpots, SpotList
from cubragg.engine.analytic.water_map import add_water
from cubragg.engine.culling import Culling
from cubragg.engine.panel_loop import Progress
from cubragg.plan.plan import Plan


class AnalyticCudaEngine:
    """Renders a plan in closed form on a GPU; implements `select.Engine`.

    Parameters
    ----------
    plan
        From `make_plan`.
    precision
        ``double`` or ``single``.
    device
        Number of the device.

    Raises
    ------
    ConfigError
        As `SpotList`, and for another precision.
    BackendUnavailable, KernelBuildError
        If CuPy, driver or device is missing, or the kernels do not compile.
    """

    def __init__(self, plan: Plan, precision: str = "double", device: int = 0) -> None:
        spot_kernel.check_precision(precision)
        self._cupy = checked_device(device)
        self._precision, self._device = precision, device
        self._tile = spot_kernel.CUDA_TILE
        self.interpolation_stopped_at: tuple[int, int] | None = None
        self.culling = Culling(tile=self._tile, why="spots in closed form, each in its box")
        self.set_plan(plan)
        with current_device(self._cupy, device):
            module = kernel_module(plan.crystal_shape, spot_kernel.cuda_defines(precision), device, "analytic.cu",
                                   "render_spots")
            self._kernel = module.get_function("render_spots")
            self._stream = self._cupy.cuda.Stream(non_blocking=True)

    def set_plan(self, plan: Plan) -> None:
        """Replace the plan."""
        self._plan, self._spots = plan, SpotList(plan)

    def render(self, threads: int | None = None, progress: Progress | None = None) -> np.ndarray:
        """Render the image, float32 [slow, fast], in photons; ``threads`` is ignored."""
        image, = self._images([(self._plan, self._spots)], False, progress)
        return image

    def images(self, plans: Iterable[Plan], *, on_device: bool = False, progress: Progress | None = None
               ) -> Iterator[Any]:
        """Render the images of plans, in order; an image is rendered while the spots of the next one are computed.

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
                panels = spots.panels
                if pending:
                    yield self._finished(*pending.popleft(), on_device, progress)
                with current_device(self._cupy, self._device), self._stream:
                    pending.append((plan, *self._start(plan, panels)))
            while pending:
                yield self._finished(*pending.popleft(), on_device, progress)
        finally:
            # After an interruption, arrays must not be freed while kernels still use them.
            with current_device(self._cupy, self._device):
                self._stream.synchronize()

    def _start(self, plan: Plan, panels: list[PanelSpots]) -> tuple[Any, list[Any]]:
        """Queue the kernels of an image on the stream; return it, and the arrays that they read."""
        image = self._cupy.zeros(plan.shape, dtype=np.float32)
        used: list[Any] = []
        for spots in panels:
            if not len(spots):
                continue
            panel = spots.panel
            whole = panel.shape == plan.shape
            part = image if whole else self._cupy.zeros(panel.shape, dtype=np.float32)
            arrays = self._uploaded(plan, spots)
            grid = kernel_params.grid_of(panel, self._tile)
            self._kernel(grid, (self._tile[0] * self._tile[1],), (spot_kernel.params_of(plan, panel), *arrays, part))
            if not whole:
                image[panel.window] = part
            used += [*arrays, part]
        return image, used

    def _uploaded(self, plan: Plan, spots: PanelSpots) -> tuple[Any, ...]:
        """Return spots, tiles and mask of a panel on the device; spots as bytes, because CuPy has no records."""
        panel = spots.panel
        records = spots.records.astype(record(spot_kernel.real_type(self._precision)), copy=False)
        tiles = spot_kernel.tiles_of(records, panel, self._tile)
        mask = kernel_params.mask_of(panel)
        spot_kernel.check_arguments(self._precision, self._tile, kernel_params.grid_of(panel, self._tile), (
            spot_kernel.params_of(plan, panel), records, *tiles, mask, np.empty(panel.shape, dtype=np.float32)))
        on_device = []
        for array in (records.view(np.uint8), *tiles, mask.reshape(-1)):
            copy = self._cupy.empty(array.shape, dtype=array.dtype)
            copy.set(array, stream=self._stream)
            on_device.append(copy)
        return tuple(on_device)

    def _finished(self, plan: Plan, image: Any, used: list[Any], on_device: bool, progress: Progress | None) -> Any:
        """Wait for an image, and return it with its water."""
        with current_device(self._cupy, self._device):
            self._stream.synchronize()
            used.clear()
            result = image if on_device else image.get(stream=self._stream)
            if plan.water > 0.0:
                water = np.zeros(plan.shape, dtype=np.float32)
                for panel in plan.panels:
                    add_water(plan, panel, water[panel.window])
                result = result + self._cupy.asarray(water) if on_device else result + water
        if progress is not None:
            total = sum(panel.pixel_count for panel in plan.panels)
            progress(total, total)
        return result

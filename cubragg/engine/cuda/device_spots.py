"""The spots of an image on a GPU: `kernels/spot_list.cu`, compiled by NVRTC. `specs/analytic.md`

Records stay on the device, where the kernels that render read them; boxes come back, for the lists of tiles.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from cubragg.device.cuda_device import kernel_module
from cubragg.engine.analytic import list_kernel, spot_kernel
from cubragg.engine.analytic.passing import Passing
from cubragg.engine.analytic.spot_constants import record
from cubragg.engine.analytic.spot_list import SpotList
from cubragg.plan.panel_plan import PanelPlan


class DeviceSpots(NamedTuple):
    """Spots on one panel: their boxes [n], of `list_kernel.BOUNDS`, and the bytes of their records on the device."""

    panel: PanelPlan
    boxes: np.ndarray
    records: Any

    def __len__(self) -> int:
        return len(self.boxes)


class _Part(NamedTuple):
    """A channel in a layer: its arrays on the device, the struct of a launch, numbers and boxes of those seen."""

    arrays: list[Any]
    params: np.ndarray
    seen: np.ndarray
    boxes: np.ndarray


class SpotKernels:
    """The kernels that compute spots, on the current device.

    Parameters
    ----------
    cupy, device
        The module, and the number of the device.
    precision
        Of the records; they are computed in double precision.
    stream
        The stream of the kernels.

    Raises
    ------
    BackendUnavailable, KernelBuildError
        If the kernels do not compile.
    """

    def __init__(self, cupy: Any, device: int, precision: str, stream: Any) -> None:
        module = kernel_module("", list_kernel.cuda_defines(precision), device, "spot_list.cu", "bound_spots")
        self._bound, self._fill = module.get_function("bound_spots"), module.get_function("fill_spots")
        self._cupy, self._precision, self._stream = cupy, precision, stream
        self._size = record(spot_kernel.real_type(precision)).itemsize

    def spots_of(self, listed: SpotList) -> Iterator[DeviceSpots]:
        """Yield the spots on each panel of a plan; their boxes are complete, their records are queued on the stream.

        The device and the stream are the current ones.
        """
        arrays = [[self._upload(array.reshape(-1)) for array in (*list_kernel.segment_arrays(part), part.F)]
                  for part in listed.passing]
        for panel in listed.plan.panels:
            parts = [self._seen(listed, panel, layer, part, on_device)
                     for part, on_device in zip(listed.passing, arrays, strict=True)
                     for layer in range(panel.layers.count)]
            yield self._filled(panel, [part for part in parts if len(part.seen)])

    def _upload(self, array: np.ndarray) -> Any:
        """Return a copy on the device."""
        copy = self._cupy.empty(array.shape, dtype=array.dtype)
        copy.set(array, stream=self._stream)
        return copy

    def _seen(self, listed: SpotList, panel: PanelPlan, layer: int, part: Passing, arrays: list[Any]) -> _Part:
        """Return a channel in a layer, with the boxes of the segments that are seen."""
        params = list_kernel.params_of(listed.plan, panel, layer, listed.model, part.channel)
        count = len(part.F)
        bounds = np.empty((count, list_kernel.BOUND_FIELDS), dtype=np.int32)
        if count:
            params["count"] = count
            on_device = self._cupy.empty(bounds.size, dtype=np.int32)
            args = params, *arrays[:-1], on_device
            list_kernel.check_bounds(grid := list_kernel.grid_of(count), args)
            self._bound(grid, (list_kernel.BLOCK,), args)
            bounds = on_device.get(stream=self._stream).reshape(bounds.shape)
        return _Part(arrays, params, *list_kernel.seen_of(bounds))

    def _filled(self, panel: PanelPlan, parts: list[_Part]) -> DeviceSpots:
        """Queue the kernels that compute the records of a panel."""
        count = sum(len(part.seen) for part in parts)
        records, pace = self._cupy.empty(count * self._size, dtype=np.uint8), self._cupy.empty(count, dtype=np.float64)
        first = 0
        for arrays, params, seen, _ in parts:
            params["count"], params["first_record"] = len(seen), first
            args = params, *arrays, self._upload(seen), records, pace
            list_kernel.check_fill(self._precision, grid := list_kernel.grid_of(len(seen)), args, int(seen.max()))
            self._fill(grid, (list_kernel.BLOCK,), args)
            first += len(seen)
        boxes = np.concatenate([np.zeros(0, dtype=list_kernel.BOUNDS), *(part.boxes for part in parts)])
        return DeviceSpots(panel, boxes, records)

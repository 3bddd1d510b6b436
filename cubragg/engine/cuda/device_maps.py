"""What kernels that render counts read and write besides photons, in the memory of a GPU."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from typing import Any

import numpy as np

from cubragg.detect.epilogue import Epilogue
from cubragg.device.device_memory import DeviceMemory
from cubragg.plan.panel_plan import PanelPlan

#: Maps that are kept on each GPU: background and beam stop are those of many images.
_KEPT = 2
#: Bytes that stay free: what else an image needs.
_SPARE_BYTES = 2**20
_UPLOADED: dict[int, OrderedDict[int, tuple[weakref.ref[np.ndarray], Any]]] = {}
_lock = threading.Lock()


class DeviceEpilogue:
    """An epilogue with its maps on the current device.

    Attributes
    ----------
    maps
        Background, direct beam, and what passes the beam stop: float32 [slow, fast], or [1] of those without.
    too_large
        int32 [1], which a kernel sets where counts may exceed 2^31 - 1.
    ready
        The event after which both have their values.
    """

    def __init__(self, cupy: Any, device: int, epilogue: Epilogue, width: int) -> None:
        self._epilogue, self._width = epilogue, width
        given = (epilogue.maps.background, epilogue.maps.direct, epilogue.maps.passed)
        self.maps = tuple(cupy.zeros(1, dtype=np.float32) if one is None else _on_device(cupy, device, one)
                          for one in given)
        self.too_large = cupy.zeros(1, dtype=np.int32)
        self.ready = cupy.cuda.get_current_stream().record()

    def arguments(self, panel: PanelPlan, counts: Any) -> tuple[Any, ...]:
        """Return the arguments of a kernel for a panel, from the struct to the counts."""
        return self._epilogue.struct(panel.number, panel.window, self._width), *self.maps, self.too_large, counts


def fits(cupy: Any, device: int, epilogue: Epilogue, more_bytes: int = 0) -> bool:
    """Return whether the maps of an epilogue, and so many bytes, fit into the free memory of the current device."""
    given = (epilogue.maps.background, epilogue.maps.direct, epilogue.maps.passed)
    missing = sum(one.nbytes for one in given if one is not None and _kept(device, one) is None)
    return missing + more_bytes + _SPARE_BYTES <= DeviceMemory(cupy, device).free_bytes()


def _kept(device: int, array: np.ndarray) -> Any:
    """Return the copy of an array on a device, or ``None``."""
    with _lock:
        found = _UPLOADED.get(device, OrderedDict()).get(id(array))
        return found[1] if found is not None and found[0]() is array else None


def _on_device(cupy: Any, device: int, array: np.ndarray) -> Any:
    """Return a copy of an array that stays as it is; the same copy as before, if it is one of the last arrays."""
    copy = _kept(device, array)
    if copy is None:
        copy = DeviceMemory(cupy, device).uploaded(np.ascontiguousarray(array))
    with _lock:
        kept = _UPLOADED.setdefault(device, OrderedDict())
        kept[id(array)] = weakref.ref(array), copy
        kept.move_to_end(id(array))
        for number in [number for number, (source, _) in kept.items() if source() is None]:
            del kept[number]
        while len(kept) > _KEPT:
            kept.popitem(last=False)
    return copy

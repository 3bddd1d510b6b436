"""Memory of a GPU: what is free, and copies of arrays in it or in host memory that it reads."""

from __future__ import annotations

from typing import Any

import numpy as np

from cubragg.device.cuda_device import one_line
from cubragg.errors import BackendUnavailable


class DeviceMemory:
    """Memory of the current device, through CuPy."""

    def __init__(self, cupy: Any, device: int) -> None:
        self._cupy, self._device = cupy, device

    def free_bytes(self) -> int:
        """Return the memory available from the driver and CuPy's pool [bytes]."""
        pool = self._cupy.get_default_memory_pool()
        free = self._cupy.cuda.runtime.memGetInfo()[0] + pool.free_bytes()
        return int(min(free, pool.get_limit() - pool.used_bytes()) if pool.get_limit() else free)

    def uploaded(self, array: np.ndarray) -> Any:
        """Return a copy on the device, made without an intermediate copy in page-locked memory."""
        copy = self._cupy.empty(array.shape, dtype=array.dtype)
        copy.set(array)
        return copy

    def mapped(self, array: np.ndarray) -> Any:
        """Return a copy in page-locked host memory, as a device array. CuPy's pool would never free the memory."""
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

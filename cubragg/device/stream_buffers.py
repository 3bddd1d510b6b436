"""Streams of a GPU with their buffers on the device and in pinned host memory."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np


class RowBand(NamedTuple):
    """A row band: tile rows ``first`` to ``end`` and pixel rows ``first_row`` to ``end_row`` of a panel, ends excluded.

    ``panel`` is the number of the panel among those that are rendered.
    """

    panel: int
    first: int
    end: int
    first_row: int
    end_row: int


class StreamBuffers:
    """A stream and its buffers for one row band; they can be used again after the event ``done``.

    Attributes
    ----------
    cell_axes, cull_axes, image, mask
        Device buffers; ``image`` and ``mask`` have the size of a row band. ``image`` is ``None`` where a kernel writes
        into the whole image on the device.
    host_cell_axes, host_cull_axes
        Pinned host buffers, which are copied while kernels run.
    number, band
        The image whose cell axes are in ``cell_axes``, and the row band whose mask is in ``mask``.
    """

    def __init__(self, cupy: Any, orientations: int, axes: tuple[int, ...], pixels: int, *, image: bool, masked: bool
                 ) -> None:
        self._cupy, self._pixels = cupy, pixels
        self.stream = cupy.cuda.Stream(non_blocking=True)
        # The memory is allocated on the caller's stream, on which work that was queued before it was freed may still
        # use it.
        self.stream.wait_event(cupy.cuda.get_current_stream().record())
        self.done = cupy.cuda.Event(disable_timing=True)
        self.cell_axes = cupy.empty((orientations, 9), dtype=np.float64)
        self.host_cell_axes = _pinned(cupy, (orientations, 9), np.float64)
        self.cull_axes = cupy.empty(axes, dtype=np.float32)
        self.host_cull_axes = _pinned(cupy, axes, np.float32)
        self.image: Any = cupy.empty((pixels,), dtype=np.float32) if image else None
        self.mask = cupy.empty((pixels if masked else 1,), dtype=np.uint8)
        self.number: int | None = None
        self.band: RowBand | None = None

    @functools.cached_property
    def host(self) -> np.ndarray:
        """Pinned host buffer for the pixels of a row band, of images that a GPU does not copy to their place."""
        return _pinned(self._cupy, (self._pixels,), np.float32)


def _pinned(cupy: Any, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """A NumPy array in page-locked memory."""
    count = int(np.prod(shape))
    memory = cupy.cuda.alloc_pinned_memory(count * np.dtype(dtype).itemsize)
    return np.frombuffer(memory, dtype, count).reshape(shape)


def rows_of(buffer: Any, band: RowBand, columns: int) -> Any:
    """View of the first elements of a flat buffer as the rows of a row band [slow, fast], ``columns`` pixels each."""
    rows = band.end_row - band.first_row
    return buffer[:rows * columns].reshape(rows, columns)

"""What pieces of images are rendered with on a GPU: streams, and buffers here and there."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Piece(NamedTuple):
    """Rows of tiles, the second one excluded, and the rows of the panel that they lie in, likewise.

    ``panel`` counts the panels that are rendered.
    """

    panel: int
    first: int
    end: int
    first_row: int
    end_row: int


class Slot:
    """What a piece is rendered with; free again once its event is done.

    Attributes
    ----------
    vectors, axes, image, mask
        Device buffers, the last two for the pixels of a piece; ``number`` and ``piece`` say whose vectors and mask
        they hold. Images that stay on the device have no use for ``host``, and without panels none for ``image``.
    host, host_vectors, host_axes
        Pinned host buffers: copies to and from them run beside kernels.
    """

    def __init__(self, cupy: Any, orientations: int, axes: tuple[int, ...], pixels: int, *, image: bool, host: bool,
                 masked: bool) -> None:
        self.stream = cupy.cuda.Stream(non_blocking=True)
        self.done = cupy.cuda.Event(disable_timing=True)
        self.vectors = cupy.empty((orientations, 9), dtype=np.float64)
        self.host_vectors = _pinned(cupy, (orientations, 9), np.float64)
        self.axes = cupy.empty(axes, dtype=np.float32)
        self.host_axes = _pinned(cupy, axes, np.float32)
        self.image: Any = cupy.empty((pixels,), dtype=np.float32) if image else None
        self.host: Any = _pinned(cupy, (pixels,), np.float32) if host else None
        self.mask = cupy.empty((pixels if masked else 1,), dtype=np.uint8)
        self.number: int | None = None
        self.piece: Piece | None = None


def _pinned(cupy: Any, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """A NumPy array in page-locked memory."""
    count = int(np.prod(shape))
    memory = cupy.cuda.alloc_pinned_memory(count * np.dtype(dtype).itemsize)
    return np.frombuffer(memory, dtype, count).reshape(shape)


def rows_of(buffer: Any, piece: Piece, columns: int) -> Any:
    """The beginning of a flat buffer as the rows of a piece [slow, fast] of ``columns`` pixels each."""
    rows = piece.end_row - piece.first_row
    return buffer[:rows * columns].reshape(rows, columns)

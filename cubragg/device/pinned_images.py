"""Images in page-locked host memory, into which a GPU copies without a step between."""

from __future__ import annotations

import weakref
from collections import deque
from typing import Any

import numpy as np

#: Most images whose memory callers hold, and most bytes of each: page-locked memory cannot be swapped out.
_MOST, _MOST_BYTES = 4, 256 * 2**20


class PinnedImages:
    """Makes images in page-locked memory, which returns to CuPy's pool when the caller drops the image.

    A caller that keeps many images gets a few of this kind, and the others in ordinary memory.
    """

    def __init__(self, cupy: Any) -> None:
        self._cupy = cupy
        # An element for each image that is held: unlike a number, its changes in several threads are atomic.
        self._held: deque[None] = deque()

    def empty(self, shape: tuple[int, int]) -> np.ndarray | None:
        """Return a float32 image [slow, fast] of arbitrary values; ``None`` without page-locked memory for it."""
        pixels = shape[0] * shape[1]
        if len(self._held) >= _MOST or not 0 < 4 * pixels <= _MOST_BYTES:
            return None
        try:
            memory = self._cupy.cuda.alloc_pinned_memory(4 * pixels)
        except self._cupy.cuda.runtime.CUDARuntimeError:
            return None
        # The image and all its views have this array as their base.
        owner = np.frombuffer(memory, np.float32, pixels)
        self._held.append(None)
        weakref.finalize(owner, self._held.pop)
        return owner.reshape(shape)

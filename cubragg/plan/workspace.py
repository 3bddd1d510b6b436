"""Scratch arrays that one thread reuses."""

from __future__ import annotations

import numpy as np


class Workspace:
    """Scratch arrays of one thread, kept for all orientations: allocating new ones costs page faults."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._buffers: dict[tuple[str, int], np.ndarray] = {}

    def take(self, name: str, rows: int, count: int) -> np.ndarray:
        """Return an uninitialized float64 array [rows, count]; [count] if ``rows`` is 0."""
        buffer = self._buffers.get((name, rows))
        if buffer is None:
            shape = (rows, self.size) if rows else (self.size,)
            buffer = self._buffers[name, rows] = np.empty(shape)
        if count == self.size:
            return buffer
        return buffer.reshape(-1)[:max(rows, 1) * count].reshape((rows, count) if rows else (count,))

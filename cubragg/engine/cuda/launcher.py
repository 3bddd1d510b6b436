"""Launches kernels over rows of tiles: a bounded time each, measured with events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from cubragg.device.stream_buffers import RowBand
from cubragg.engine import kernel_params
from cubragg.engine.cuda.launch_jobs import Pace
from cubragg.engine.variant import Variant


class Launcher:
    """Launches one entry point on the current stream.

    Parameters
    ----------
    kernel, entry, variant
        The entry point of a module, its name, and the options with which it was compiled.
    row_samples
        Number of samples of a row of tiles, which sets the size of the first launch.
    """

    def __init__(self, cupy: Any, kernel: Any, entry: str, variant: Variant, row_samples: int) -> None:
        self._cupy, self._kernel, self._entry, self._variant = cupy, kernel, entry, variant
        self._pace = Pace.for_samples(row_samples)

    def rows(self, band: RowBand, params: np.ndarray, columns: int, arrays: tuple[Any, ...],
             timed: list[tuple[Any, Any]]) -> Iterator[int]:
        """Launch the rows of tiles of a band in order; wait for each launch but the last, and yield the row reached.

        The events before and after each launch are appended to ``timed``.
        """
        row = band.first
        while row < band.end:
            rows = min(self._pace.rows, band.end - row)
            start, stop = self._launch(row, rows, params, columns, arrays)
            timed.append((start, stop))
            row += rows
            if row < band.end:
                stop.synchronize()
                self._measured(rows, start, stop)
                yield row

    def _launch(self, row: int, rows: int, params: np.ndarray, columns: int, arrays: tuple[Any, ...]
                ) -> tuple[Any, Any]:
        """Launch with the struct by value and arrays by pointer; return the events before and after."""
        params["first_tile_row"] = row
        grid, args, variant = (columns, rows), (params, *arrays), self._variant
        kernel_params.check_arguments(self._entry, variant.tile, variant.precision, grid, args, variant.bound_pad)
        start, stop = self._cupy.cuda.Event(), self._cupy.cuda.Event()
        start.record()
        self._kernel(grid, (variant.block,), args)
        stop.record()
        return start, stop

    def _measured(self, rows: int, start: Any, stop: Any) -> None:
        self._pace.measured(rows, self._cupy.cuda.get_elapsed_time(start, stop) / 1e3)


class Search(Launcher):
    """Launches an entry point whose last array is a byte for each pixel of the launch."""

    def part(self, band: RowBand) -> RowBand:
        """Return the rows of tiles of the next launch, from the first of a band on."""
        return band._replace(end=min(band.first + self._pace.rows, band.end))

    def launch(self, part: RowBand, params: np.ndarray, columns: int, arrays: tuple[Any, ...], pixels: int
               ) -> np.ndarray:
        """Launch rows of tiles with an array of ``pixels`` bytes after ``arrays``, and return that, uint8 [pixels]."""
        found = self._cupy.zeros(pixels, dtype=np.uint8)
        rows = part.end - part.first
        start, stop = self._launch(part.first, rows, params, columns, (*arrays, found))
        result: np.ndarray = found.get()
        self._measured(rows, start, stop)
        return result

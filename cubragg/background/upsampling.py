"""Cubic interpolation of a smooth map between every eighth pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cubragg.device.host_build import call_host, load
from cubragg.device.kernel_source import host_text
from cubragg.errors import BackendUnavailable, KernelBuildError

#: Pixels from point to point.
STEP = 8
#: Cells of a block of `upsampling.cpp`.
_BLOCK_CELLS = 64
#: dtype of `struct UpsamplingParams` of `upsampling.cpp`.
_PARAMS = np.dtype([("slow", np.int32), ("fast", np.int32), ("width", np.int32), ("points", np.int32)])


def _weights() -> np.ndarray:
    """Return the weights of four points for each pixel of a cell, float32 [4, STEP]: Lagrange's polynomials."""
    x = np.arange(STEP) / STEP
    return np.array((-x * (x - 1) * (x - 2) / 6, (x + 1) * (x - 1) * (x - 2) / 2, -(x + 1) * x * (x - 2) / 2,
                     (x + 1) * x * (x - 1) / 6), dtype=np.float32)


_WEIGHTS = _weights()


def coarse_places(count: int) -> np.ndarray:
    """Return the places of the points that `upsample` needs along an edge of ``count`` pixels, float64 [m]."""
    return STEP * (np.arange(-(-count // STEP) + 3) - 1.0)


def upsample(coarse: np.ndarray, image: np.ndarray) -> None:
    """Fill part of an image, float32 [slow, fast], from the values of a map at `coarse_places` along both edges.

    Between points the map is the cubic polynomial through four of them, and 0 where that is negative. ``coarse`` is
    float32 [m, n]; the rows of ``image`` are contiguous. No bit depends on whether there is a compiler.
    """
    try:
        function = load(host_text("upsampling.cpp", Path(__file__).parent), (f"-DSTEP={STEP}", "-DTILE_FAST=1",
                                                                             "-DTILE_SLOW=1")).host_upsample
    except (BackendUnavailable, KernelBuildError):
        upsample_in_numpy(coarse, image)
        return
    slow, fast = image.shape
    params = np.zeros((), dtype=_PARAMS)
    for name, value in (("slow", slow), ("fast", fast), ("width", image.strides[0] // image.itemsize),
                        ("points", coarse.shape[1])):
        params[name] = value
    cells = -(-fast // STEP)
    call_host(function, (-(-cells // _BLOCK_CELLS), -(-slow // STEP)), 1, (params, np.ascontiguousarray(coarse),
                                                                          _WEIGHTS, image))


def upsample_in_numpy(coarse: np.ndarray, image: np.ndarray) -> None:
    """Fill part of an image as `upsample`."""
    slow, fast = image.shape
    rows = _along_rows(np.ascontiguousarray(coarse.T), slow)
    np.maximum(_along_rows(np.ascontiguousarray(rows.T), fast), 0.0, out=image)


def _along_rows(coarse: np.ndarray, count: int) -> np.ndarray:
    """Return values [n, count] from those at the places [n, m]."""
    cells = coarse.shape[1] - 3
    fine = np.empty((coarse.shape[0], cells, STEP), dtype=np.float32)
    for phase in range(STEP):
        fine[:, :, phase] = sum(weight * coarse[:, place:place + cells]
                                for place, weight in enumerate(_WEIGHTS[:, phase]))
    return fine.reshape(len(coarse), -1)[:, :count]

"""Draws photon counts of an image on every backend, with the same bits on all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from cubragg.detect.poisson import RandomStream, poisson_counts
from cubragg.device.host_build import available_cores, call_host, load
from cubragg.device.kernel_source import host_text
from cubragg.errors import BackendUnavailable, ConfigError, KernelBuildError
from cubragg.experiment.sampling import ROI
from cubragg.philox import Effect, key_of

CountingBackend = Literal["auto", "cuda", "cpu", "numpy"]
#: dtype of `struct CountsParams` of `kernels/counts.cuh`.
COUNTS_PARAMS = np.dtype([("key", np.uint32, 2), ("effect", np.uint32), ("shot", np.uint32), ("width", np.int32),
                          ("fast_min", np.int32), ("fast_max", np.int32), ("first_row", np.int32),
                          ("origin", np.uint32)])
_FOLDER = Path(__file__).parent
_C_TYPES = {"float32": "float", "float64": "double", "int32": "int"}
_MAX_COUNT = 2**31 - 1
#: Largest number of pixels of an image: indices of pixels are 32-bit words.
_MAX_PIXELS = 2**31 - 1
#: Pixels of a block on the CPU, threads of a block with four pixels each on a GPU.
_HOST_BLOCK, _CUDA_BLOCK = 1024, 128
_MAX_GRID_ROWS = 65535
#: Pixels that NumPy draws at once.
_BAND_PIXELS = 2**16


def draw_counts(means: Any, roi: ROI | None = None, *, seed: int = 0, shot: int = 0, effect: Effect = Effect.PHOTONS,
                dtype: type[np.int32] | type[np.float64] = np.int32, backend: CountingBackend = "auto",
                threads: int | None = None, first_row: int = 0, out: np.ndarray | None = None) -> Any:
    """Draw Poisson deviates of expected counts.

    The counts are a function of means, seed, shot, effect and of the pixels' places in the whole image, not of backend,
    threads or region.

    Parameters
    ----------
    means
        Expected counts [slow, fast] of the whole image, or of a band of its rows; negative ones count as 0, those above
        1e18 and NaN as 1e18. float32, or any type that converts to float64; a NumPy or CuPy array.
    roi
        Region of interest in ``means``, outside of which counts are 0; ``None``: all.
    seed, shot, effect
        See `cubragg.philox`; seeds are 0 to 2^64 - 1.
    dtype
        int32, where larger counts become 2^31 - 1, or float64.
    backend
        ``cuda``, ``cpu``, ``numpy``, or ``auto``: ``cuda`` for a CuPy array, else ``cpu``, or ``numpy`` where there is
        no C++ compiler. Only ``cuda`` takes CuPy arrays.
    threads
        CPU threads to use; all cores if ``None``.
    first_row
        Row of the image with which ``means`` begins.
    out
        Array of the size of ``means`` and of ``dtype`` for the counts of a region of all pixels; ``None``: a new one.

    Returns
    -------
    Counts [slow, fast], a CuPy array if ``means`` is one.

    Raises
    ------
    ConfigError
        For a seed out of range, or an image of more than 2^31 - 1 pixels.
    BackendUnavailable, KernelBuildError
        If a backend other than ``auto`` cannot run.
    """
    slow, fast = means.shape
    if (first_row + slow) * fast > _MAX_PIXELS:
        raise ConfigError("image", f"got {(first_row + slow) * fast} pixels; counts can be drawn for up to "
                          f"{_MAX_PIXELS}")
    region = (0, fast - 1, 0, slow - 1) if roi is None else roi
    drawn = _Draw(region, RandomStream(seed, shot, effect), first_row, dtype)
    if not isinstance(means, np.ndarray) or backend == "cuda":
        return _cuda_counts(means, drawn)
    if backend != "numpy":
        try:
            return _host_counts(means, drawn, threads or available_cores(), out)
        except (BackendUnavailable, KernelBuildError):
            if backend == "cpu":
                raise
    counts = _numpy_counts(means, drawn)
    return counts if out is None else _copied(counts, out)


class _Draw(NamedTuple):
    """Arguments of a draw: region of the means, random numbers, row of the image at which the means begin, and type of
    the counts."""

    region: ROI
    stream: RandomStream
    first_row: int
    dtype: type[np.generic]


def _numpy_counts(means: np.ndarray, draw: _Draw) -> np.ndarray:
    region, stream, first_row, dtype = draw
    counts = np.zeros(means.shape, dtype=dtype)
    fast = np.arange(region[0], region[1] + 1)
    rows = max(1, _BAND_PIXELS // len(fast))
    for first in range(region[2], region[3] + 1, rows):
        slow = np.arange(first, min(first + rows, region[3] + 1))
        index = ((first_row + slow[:, np.newaxis]) * means.shape[1] + fast).astype(np.uint32)
        band = np.s_[slow[0]:slow[-1] + 1, fast[0]:fast[-1] + 1]
        drawn = poisson_counts(means[band].reshape(-1), index.reshape(-1), stream).reshape(index.shape)
        counts[band] = np.minimum(drawn, _MAX_COUNT) if dtype == np.int32 else drawn
    return counts


def _host_counts(means: np.ndarray, draw: _Draw, threads: int, out: np.ndarray | None) -> np.ndarray:
    means = np.ascontiguousarray(means, dtype=_type_of(means))
    slow, fast = means.shape
    # A kernel writes every pixel of the region.
    new = np.empty if draw.region == (0, fast - 1, 0, slow - 1) else np.zeros
    counts = new(means.shape, dtype=draw.dtype) if out is None else out
    function = load(host_text("counts_host.cpp", _FOLDER), _defines(means, counts, _HOST_BLOCK)).host_draw_counts
    function.restype = None
    params, columns, rows = _launch_of(means.shape, draw, _HOST_BLOCK)
    call_host(function, (columns, rows), threads, (params, means, counts))
    return counts


def _cuda_counts(means: Any, draw: _Draw) -> Any:
    from cubragg.device.cuda_device import current_device, import_cupy, kernel_module

    cupy = import_cupy()
    on_host = isinstance(means, np.ndarray)
    device = cupy.cuda.runtime.getDevice() if on_host else means.device.id
    with current_device(cupy, device):
        means = cupy.ascontiguousarray(cupy.asarray(means), dtype=_type_of(means))
        counts = cupy.zeros(means.shape, dtype=draw.dtype)
        kernel = kernel_module("", _defines(means, counts, _CUDA_BLOCK), device, "counts.cu", "draw_counts"
                               ).get_function("draw_counts")
        params, columns, rows = _launch_of(means.shape, draw, 4 * _CUDA_BLOCK)
        for first in range(0, rows, _MAX_GRID_ROWS):
            kernel((columns, min(rows - first, _MAX_GRID_ROWS)), (_CUDA_BLOCK,), (params, means, counts))
            params["first_row"] += _MAX_GRID_ROWS
        return counts.get() if on_host else counts


def _copied(counts: np.ndarray, out: np.ndarray) -> np.ndarray:
    np.copyto(out, counts)
    return out


def _type_of(means: Any) -> type[np.generic]:
    """The type of means in a kernel."""
    return np.float32 if means.dtype == np.float32 else np.float64


def _defines(means: Any, counts: Any, block: int) -> tuple[str, ...]:
    return (f"-DMEAN={_C_TYPES[means.dtype.name]}", f"-DCOUNT={_C_TYPES[counts.dtype.name]}", f"-DTILE_FAST={block}",
            "-DTILE_SLOW=1")


def _launch_of(shape: tuple[int, int], draw: _Draw, pixels: int) -> tuple[np.ndarray, int, int]:
    """The struct, and the numbers of columns and rows of blocks of a number of pixels."""
    slow, fast = shape
    fast_min, fast_max, slow_min, slow_max = draw.region
    slow_min, slow_max, origin = slow_min + draw.first_row, slow_max + draw.first_row, draw.first_row * fast
    if fast_max - fast_min + 1 == fast:  # the rows follow one another in memory
        fast_min, fast_max, slow_min, slow_max, fast = (slow_min * fast, (slow_max + 1) * fast - 1, 0, 0,
                                                        (draw.first_row + slow) * fast)
    params = np.zeros((), dtype=COUNTS_PARAMS)
    for name, value in (("key", key_of(draw.stream.seed)), ("effect", draw.stream.effect),
                        ("shot", draw.stream.shot),
                        ("width", fast), ("fast_min", fast_min), ("fast_max", fast_max), ("first_row", slow_min),
                        ("origin", origin)):
        params[name] = value
    # A row of blocks begins at a multiple of 4.
    return params, -(-(fast_max - fast_min + 4) // pixels), slow_max - slow_min + 1

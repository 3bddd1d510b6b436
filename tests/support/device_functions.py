"""Calls the test entry points of `device_functions.cu`, compiled for the CPU."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from cubragg.device import kernel_source
from cubragg.device.host_build import call_host, load
from cubragg.device.kernel_source import inlined, kernel_folder
from cubragg.engine.variant import Variant


@functools.cache
def _text(shape: str) -> str:
    folders = [Path(__file__).parent, Path(kernel_source.__file__).parent, kernel_folder()]
    return inlined("device_functions.cu", folders, shape)


def call(variant: Variant, entry: str, rows: int, count: int, *args: np.ndarray) -> np.ndarray:
    """The output float64 [rows, count] of an entry; the struct and ``count`` come before the arrays."""
    structs = [arg for arg in args if arg.ndim == 0]
    arrays = [arg for arg in args if arg.ndim]
    assert all(array.flags.c_contiguous for array in arrays)
    out = np.zeros((rows, count))
    function = getattr(load(_text(variant.shape), variant.defines()), f"host_{entry}")
    function.restype = None
    call_host(function, (-(-count // variant.block), 1), 1, [*structs, np.array(count, dtype=np.int32), *arrays, out])
    return out

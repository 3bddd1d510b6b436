"""Reads and writes nanoBragg's binary dump of structure factors (Fdump.bin)."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from cubragg.bounds import LARGEST
from cubragg.errors import FormatError
from cubragg.io.files.atomic import write_bytes
from cubragg.io.files.text import quoted

_HEADER = re.compile(rb"\s*" + rb"\s+".join([rb"(-?\d{1,10})"] * 6) + rb"\n\f")


def write_fdump(path: Path | str, grid: np.ndarray, origin: tuple[int, int, int]) -> None:
    """Write amplitudes float64 [h, k, l], the first of which has the indices ``origin``.

    The file contains an additional layer of zeros along each axis, as nanoBragg.c allocates it.

    Raises
    ------
    FormatError
        If the array is not three-dimensional, or is empty.
    OSError
        If the file cannot be written.
    """
    if grid.ndim != 3 or grid.size == 0:
        raise FormatError(f"{path}: got an array of shape {grid.shape}; a dump holds amplitudes [h, k, l]")
    padded = np.zeros([count + 1 for count in grid.shape], "<f8")
    padded[:-1, :-1, :-1] = grid
    bounds = [edge for first, count in zip(origin, grid.shape, strict=True) for edge in (first, first + count - 1)]
    write_bytes(path, (" ".join(map(str, bounds)) + "\n\f").encode("ascii"), padded.data)


def read_fdump(path: Path | str) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Read amplitudes float64 [h, k, l], without the layers of zeros, and the indices of the first.

    Raises
    ------
    FormatError
        If the file is not a dump, has not the length that its bounds give, or contains NaN or inf.
    OSError
        If it cannot be read.
    """
    data = Path(path).read_bytes()
    header = _HEADER.match(data)
    if header is None:
        raise FormatError(f"{path}: starts with {quoted(data[:12])}; a dump starts with a line of six whole numbers "
                          "(h, k, l from and to) and a form feed")
    low_h, high_h, low_k, high_k, low_l, high_l = (int(word) for word in header.groups())
    shape = [high - low + 1 for low, high in ((low_h, high_h), (low_k, high_k), (low_l, high_l))]
    if min(shape) < 1:
        raise FormatError(f"{path}: got bounds {low_h} {high_h} {low_k} {high_k} {low_l} {high_l}; "
                          "each minimum must be <= its maximum")
    padded = [count + 1 for count in shape]
    expected = 8 * math.prod(padded)
    if len(data) - header.end() != expected:
        raise FormatError(f"{path}: got {len(data) - header.end()} bytes after its first line; "
                          f"its bounds need {expected}")
    grid = np.frombuffer(data, "<f8", offset=header.end()).reshape(padded)[:-1, :-1, :-1]
    if not (np.abs(grid) <= LARGEST).all():
        raise FormatError(f"{path}: got NaN, inf or more than {LARGEST:g}; amplitudes must be finite")
    return grid.astype(np.float64, order="C"), (low_h, low_k, low_l)

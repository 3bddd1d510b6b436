"""Reads HDF5 files of others in bounds: shapes are checked before arrays are allocated, and nothing is read from files
that are named by an absolute path or as raw storage."""

from __future__ import annotations

import math
import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from cubragg.errors import CubraggError, FormatError

#: Pixels of an image that any file may declare, and pixels for each of its bytes. An empty image of a detector of 18
#: million pixels is compressed to less than 1 MB; real ones have several bits a pixel. A comparison takes 75 bytes.
_SURELY_ACCEPTED, _PIXELS_A_BYTE = 24_000_000, 24
#: Largest number of values of anything that is not an image, such as the spindle angles of a series.
_MOST_VALUES = 10**7
#: Bytes at the start of a file in which heaps of text are checked, and the start of a heap (HDF5 format, III.E).
_CHECKED_BYTES, _HEAP = 2**26, b"GCOL\x01\0\0\0"


def most_pixels(path: Path | str) -> int:
    """Largest number of pixels of an image that a file of this size may declare."""
    return max(_SURELY_ACCEPTED, _PIXELS_A_BYTE * os.path.getsize(path))


@contextmanager
def hdf5_file(path: Path | str) -> Iterator[Any]:
    """Open an HDF5 file to read; errors of h5py in the block become a `FormatError`.

    Raises
    ------
    FormatError
        If it is damaged, or links to a file by an absolute path.
    OSError
        If it cannot be opened.
    """
    import h5py
    import hdf5plugin  # noqa: F401  (registers filters)

    with open(path, "rb") as opened:  # a file that cannot be opened raises OSError with the reason
        _check_heaps(path, opened)
    try:
        with h5py.File(path, "r") as file:
            _check_links(path, file)
            yield file
    except CubraggError:
        raise
    except (OSError, LookupError, RuntimeError, ValueError, TypeError, ArithmeticError, AttributeError) as error:
        raise FormatError(f"{path}: got a file that h5py cannot read ({error}); an undamaged NXmx file is accepted"
                          ) from None


def _check_heaps(path: Path | str, opened: BinaryIO) -> None:
    """Refuse text heaps with free space of 0 bytes, in which HDF5 2.0 searches for ever."""
    length = min(os.fstat(opened.fileno()).st_size, _CHECKED_BYTES)
    if length < 16:
        return
    with mmap.mmap(opened.fileno(), length, access=mmap.ACCESS_READ) as data:
        # The size of lengths in the file, in bytes, is in its superblock, of which versions 0 and 1 are another layout.
        if data[14 if data[8] < 2 else 10] != 8:
            return
        start = data.find(_HEAP)
        while start >= 0:
            size, = struct.unpack_from("<Q", data, start + 8) if start + 16 <= length else (0,)
            position, end = start + 16, min(start + size, length)
            while end - position >= 16:
                index, _, _, count = struct.unpack_from("<HHIQ", data, position)
                taken = count if index == 0 else 16 + (count + 7) // 8 * 8
                if taken < 16:
                    raise FormatError(f"{path}: got a damaged heap of texts at byte {start}; an undamaged HDF5 file is "
                                      "accepted")
                position += taken
            start = data.find(_HEAP, start + 8)


def _check_links(path: Path | str, file: Any) -> None:
    """Refuse external links to absolute paths."""
    import h5py

    names: list[bytes] = []
    file.id.links.visit(names.append)  # an exception must not pass through HDF5
    for name in names:
        link = file.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink) and os.path.isabs(link.filename):
            raise FormatError(f"{path}: got a link to {link.filename}; links to files of the same folder are accepted")


def read_values(path: Path | str, dataset: Any) -> np.ndarray:
    """All values of a dataset, in its own type.

    Raises
    ------
    FormatError
        If it is no dataset, has more than 10 million values, or takes them from other files.
    """
    _check_source(path, dataset)
    if dataset.size is None or dataset.size > _MOST_VALUES:
        raise FormatError(f"{path}: {dataset.name}: got {_shape(dataset)} values; at most {_MOST_VALUES} are read")
    return np.asarray(dataset[()])


def read_frame(path: Path | str, dataset: Any, number: int = 0) -> np.ndarray:
    """The array [slow, fast] of image ``number``, from 0, of a dataset [..., slow, fast].

    Raises
    ------
    FormatError
        If it is not such a dataset, has more pixels than a file of this size may declare (`most_pixels`), or takes
        them from other files.
    """
    _check_source(path, dataset)
    if dataset.ndim < 2 or dataset.size == 0:
        raise FormatError(f"{path}: {dataset.name}: got {_shape(dataset)} values; an image is [slow, fast]")
    slow, fast = dataset.shape[-2:]
    if slow * fast > most_pixels(path) or slow * fast * dataset.dtype.itemsize > 8 * most_pixels(path):
        raise FormatError(f"{path}: {dataset.name}: got {fast} x {slow} pixels in a file of {os.path.getsize(path)} "
                          f"bytes; at most {most_pixels(path)} are read")
    outer = (*([0] * (dataset.ndim - 3)), number) if dataset.ndim > 2 else ()
    return np.asarray(dataset[outer])


def _check_source(path: Path | str, dataset: Any) -> None:
    import h5py

    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        raise FormatError(f"{path}: {dataset.name}: got {'a group' if hasattr(dataset, 'keys') else 'no values'}; a "
                          "dataset is accepted")
    if dataset.dtype.kind in "cV":
        raise FormatError(f"{path}: {dataset.name}: got values of the type {dataset.dtype}; numbers or text are "
                          "accepted")
    if dataset.external:
        raise FormatError(f"{path}: {dataset.name}: its values are stored in {dataset.external[0][0]}; values in HDF5 "
                          "files are accepted")
    if dataset.chunks is not None and math.prod(dataset.chunks) * dataset.dtype.itemsize > 8 * most_pixels(path):
        raise FormatError(f"{path}: {dataset.name}: got chunks of {' x '.join(map(str, dataset.chunks))} values; at "
                          f"most {most_pixels(path)} are read")
    sources = {source.file_name for source in dataset.virtual_sources()} if dataset.is_virtual else ()
    for name in sources:
        if os.path.isabs(name):
            raise FormatError(f"{path}: {dataset.name}: its values are in {name}; files of the same folder are "
                              "accepted")


def _shape(dataset: Any) -> str:
    return " x ".join(map(str, dataset.shape)) if dataset.shape else "no"

"""Reader and writer of PGM previews in the form of nanoBragg: binary gray map with the scale in a comment."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cubragg.errors import FormatError
from cubragg.io.files.arrays import checked_image
from cubragg.io.files.atomic import write_bytes
from cubragg.io.files.text import quoted

_GAP = rb"(?:\s|#[^\n]*\n)+"
_HEADER = re.compile(rb"P5" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})\s")
_SCALE = re.compile(rb"# pixels scaled by (\S+)")


class PgmFile(NamedTuple):
    """A preview: ``gray`` uint8 [slow, fast], and gray levels per photon; ``None`` if there is no such comment."""

    gray: np.ndarray
    scale: float | None


def write_pgm(path: Path | str, gray: np.ndarray, scale: float) -> None:
    """Write uint8 [slow, fast] with the header of nanoBragg.c; ``scale`` is gray levels per photon.

    Raises
    ------
    FormatError
        If the array is not uint8 [slow, fast].
    OSError
        If the file cannot be written.
    """
    gray = checked_image(path, gray, np.uint8, "a PGM image")
    slow, fast = gray.shape
    header = f"P5\n{fast} {slow}\n# pixels scaled by {scale:g}\n255\n"
    write_bytes(path, header.encode("ascii"), gray.data)


def read_pgm(path: Path | str) -> PgmFile:
    """Return the preview in a binary PGM file of one byte per pixel.

    Raises
    ------
    FormatError
        If it is not a PGM file, or pixels are missing.
    OSError
        If it cannot be read.
    """
    data = Path(path).read_bytes()
    header = _HEADER.match(data)
    if header is None:
        raise FormatError(f"{path}: starts with {quoted(data[:8])}; a PGM file starts with P5, width, height and 255")
    fast, slow, white = (int(word) for word in header.groups())
    if not 0 < white <= 255:
        raise FormatError(f"{path}: got a maximum of {white}; a PGM file with one byte per pixel has 1 to 255")
    pixels = data[header.end():header.end() + slow * fast]
    if slow * fast == 0 or len(pixels) < slow * fast:
        raise FormatError(f"{path}: got {len(pixels)} pixels; its header gives {fast} x {slow}, at least one is needed")
    scale = _SCALE.search(header.group())
    return PgmFile(np.frombuffer(pixels, np.uint8).reshape(slow, fast), _float_or_none(scale))


def _float_or_none(match: re.Match[bytes] | None) -> float | None:
    try:
        return None if match is None else float(match.group(1))
    except ValueError:
        return None

"""Readers of the crystals of other programs' results: experiment lists of DIALS, and streams of CrystFEL.

Source of the stream format: ``libcrystfel/src/stream.c`` of CrystFEL 0.12, which reads formats 2.1 to 2.3 alike here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cubragg.crystallography.vectors import Vector
from cubragg.errors import FormatError
from cubragg.io.files.text import number
from cubragg.io.geometry.crystfel_out import to_crystfel
from cubragg.io.geometry.expt import read_expt_crystals

#: Endings of the files.
ENDINGS = (".expt", ".stream")
_MAGIC = b"CrystFEL stream format 2."
_BEGIN, _END = b"--- Begin crystal", b"--- End crystal"
_STARS = (b"astar = ", b"bstar = ", b"cstar = ")
_NM_PER_A = 0.1
#: Smallest volume that three axes span, relative to the product of their lengths.
_LEAST_VOLUME = 1e-6


def read_crystals(path: Path | str) -> np.ndarray:
    """Return the A matrices of all crystals of a file, in its order.

    Those of an experiment list are at a spindle angle of 0, with fixed and setting rotation of the goniometer applied.

    Returns
    -------
    float64 [n, 9], by rows (x, y, z) in the frame of DIALS; columns a*, b*, c* [1/A].

    Raises
    ------
    FormatError
        If the file is damaged or has no crystal.
    OSError
        If it cannot be read.
    """
    found = [*_of_stream(path)] if Path(path).suffix.lower() == ".stream" else read_expt_crystals(path)
    if not found:
        raise FormatError(f"{path}: there is no crystal in it; a file with crystals is accepted")
    return np.array(found, dtype=np.float64).reshape(-1, 9)


def _of_stream(path: Path | str) -> Iterator[list[float]]:
    """The A matrices of a stream, which is read line by line: it may be larger than the memory."""
    stars: dict[bytes, Vector] | None = None
    begin = line_number = 0
    with open(path, "rb") as file:
        for line_number, line in enumerate(file, start=1):
            if line_number == 1 and not line.startswith(_MAGIC):
                raise FormatError(f"{path}:1: got {line[:40].decode('latin-1').strip()!r}; a stream begins with "
                                  f"{_MAGIC.decode()!r}")
            if line.startswith(_BEGIN):
                stars, begin = {}, line_number
            elif stars is not None and line.startswith(_STARS):
                stars[line[:len(_STARS[0])]] = _star(f"{path}:{line_number}", line)
            elif stars is not None and line.startswith(_END):
                yield _matrix(f"{path}:{begin}", stars)
                stars = None
    if line_number == 0:
        raise FormatError(f"{path}: the file is empty")
    if stars is not None:
        raise FormatError(f"{path}:{begin}: a crystal begins that does not end; the file may be cut short")


def _star(where: str, line: bytes) -> Vector:
    """The axis of a line, in the frame of DIALS [1/A]."""
    name, _, rest = line.decode("latin-1").partition(" = ")
    words = rest.split()
    if len(words) != 4 or words[3] != "nm^-1":
        raise FormatError(f"{where}: got {name} = {rest.strip()!r:.60}; three numbers and nm^-1 are accepted")
    x, y, z = (number(where, name, word) * _NM_PER_A for word in words[:3])
    return to_crystfel((x, y, z))


def _matrix(where: str, stars: dict[bytes, Vector]) -> list[float]:
    missing = [name.decode().partition(" ")[0] for name in _STARS if name not in stars]
    if missing:
        raise FormatError(f"{where}: got a crystal without {', '.join(missing)}; it needs astar, bstar and cstar")
    matrix = np.array([stars[name] for name in _STARS]).T
    lengths = np.linalg.norm(matrix, axis=0)
    if not abs(np.linalg.det(matrix)) > _LEAST_VOLUME * np.prod(lengths):
        raise FormatError(f"{where}: got astar, bstar and cstar in one plane; they must span a volume")
    found: list[float] = matrix.reshape(-1).tolist()
    return found

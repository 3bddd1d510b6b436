"""Reads merged intensities of scalepack (``.sca``), of HKL-2000 and of programs that write its format.

Three lines of header, the third of which has the cell and the space group, and rows of h, k, l in 4 columns each and
I and sigma in 8 columns each, for h or for h and -h. Format: D. Gewirth, The HKL Manual, output files of SCALEPACK.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from cubragg.crystallography.cell import checked_cell
from cubragg.crystallography.symmetry import named_group
from cubragg.errors import ConfigError, FormatError
from cubragg.io.files.compression import unpacked
from cubragg.io.files.text import number, text_of
from cubragg.io.reflections.columns import Column, Listed, left_out, select_column, signed_rows, without_misfits

_EDGE = r"\s*[-+]?\d+\.\d*"
_CELL = re.compile(rf"({_EDGE}(?:{_EDGE}){{5}})\s+(\S.*?)\s*")
_UNMERGED = re.compile(r"\s*\d+\s+[A-Za-z]\S*\s*")
_INDICES, _VALUES = ((0, 4), (4, 8), (8, 12)), ((12, 20), (20, 28), (28, 36), (36, 44))
_MEASURED = "the sigma is negative, which marks values that were not measured"


def is_scalepack(head: list[str]) -> bool:
    """Whether the first lines of a file are those of a scalepack file, merged or not."""
    if len(head) < 3:
        return False
    return bool(head[0].strip() == "1" and _CELL.fullmatch(head[2])) or (
        bool(_UNMERGED.fullmatch(head[0])) and [len(line.split()) for line in head[1:3]] == [9, 3])


def read_scalepack(path: Path | str, column: str | None = None, named: str | None = None) -> Listed:
    """Read intensities, cell and space group; ``named`` replaces the space group of the file.

    Raises
    ------
    FormatError
        If the file is damaged or unmerged, its space group is not known, or ``column`` is not I, I(+) or I(-).
    OSError
        If it cannot be read.
    """
    lines = text_of(path, unpacked(path), "latin-1").split("\n")
    header = _CELL.fullmatch(lines[2]) if len(lines) > 2 else None
    if header is None:
        raise FormatError(f"{path}: got unmerged reflections of scalepack; a merged file is accepted (scale without "
                          "'no merge original index')")
    edges = [number(f"{path}:3", "a number of the cell", word.strip()) for word in re.findall(_EDGE, header[1])]
    cell = checked_cell(f"{path}:3", edges)
    try:
        symmetry = named_group(named or header[2], cell[3], cell[5])
    except ConfigError as error:
        if named is not None:
            raise
        raise FormatError(f"{path}:3: {error.what}; give --space-group") from None
    rows = [(place, line) for place, line in enumerate(lines[3:], start=4) if line.strip()]
    table = np.array([[_field(f"{path}:{place}", line, span) for span in (*_INDICES, *_VALUES)]
                      for place, line in rows]).reshape(-1, 7)
    hkl, values = table[:, :3], table[:, 3:]
    if not len(hkl) or not (hkl == np.rint(hkl)).all():
        raise FormatError(f"{path}: contains no reflections, or indices that are not whole numbers; lines of h, k, l "
                          "in 4 characters each and I and sigma in 8 characters each are accepted")
    paired = bool(np.isfinite(values[:, 2]).any())
    kind = Column(("I(+)", "I(-)") if paired else ("I",), True)
    select_column(path, [kind], column)
    kept, misfits = zip(*(without_misfits(values[:, start], values[:, start + 1]) for start in (0, 2)[:1 + paired]),
                        strict=True)
    return Listed(*signed_rows(hkl.astype(np.int32), kept), True, kind, (), cell, symmetry,
                  left_out(sum(misfits), _MEASURED))


def _field(where: str, line: str, span: tuple[int, int]) -> float:
    """The number in columns of a line; NaN for a value that is not there."""
    word = line[slice(*span)].strip()
    if not word and span in _VALUES:
        return float("nan")
    return number(where, "a field of 4 or 8 characters", word)

"""Scaled intensities of XDS: the ``XDS_ASCII.HKL`` of its CORRECT step and of XSCALE.

Format: https://xds.mr.mpg.de/html_doc/xds_files.html
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import gemmi
import numpy as np

from cubragg.crystallography.cell import checked_cell
from cubragg.crystallography.symmetry import symmetry_of
from cubragg.errors import FormatError
from cubragg.io.files.compression import unpacked
from cubragg.io.files.text import data_lines, number, text_of
from cubragg.io.reflections.columns import Column, Listed, choose, signed_rows

_SCALED = "!FORMAT=XDS_ASCII"
_NUMBERS = {"SPACE_GROUP_NUMBER": 1, "UNIT_CELL_CONSTANTS": 6}
#: Of each row: h, k, l, intensity and its sigma.
_COLUMNS = 5
_MAX_INDEX = 2**15


def read_xds(path: Path | str, column: str | None = None) -> Listed:
    """Observed intensities with cell and space group; misfits, which XDS marks by a sigma below 0, are left out.

    Raises
    ------
    FormatError
        If it is damaged, is not scaled, names no cell or space group, or ``column`` is not IOBS.
    OSError
        If it cannot be read.
    """
    text = text_of(path, unpacked(path), "latin-1")
    if not text.startswith(_SCALED):
        raise FormatError(f"{path}: got reflections of XDS that are not scaled; XDS_ASCII.HKL is accepted")
    kind = Column(("IOBS",), True)
    choose(path, [kind], column)
    group_number, = _header(path, text, "SPACE_GROUP_NUMBER")
    group = gemmi.find_spacegroup_by_number(int(group_number))
    if group is None:
        raise FormatError(f"{path}: got SPACE_GROUP_NUMBER {group_number:g}; 1 to 230 are accepted")
    rows = _rows(path, text)
    good = rows[rows[:, 4] > 0.0]
    notices = (f"{len(rows) - len(good)} misfits, with a sigma below 0, are left out",) if len(good) < len(rows) else ()
    return Listed(*signed_rows(good[:, :3].astype(np.int32), [good[:, 3]]), True, kind, (),
                  checked_cell(path, gemmi.UnitCell(*_header(path, text, "UNIT_CELL_CONSTANTS"))),
                  symmetry_of(group.operations(), group.xhm()), notices)


def _header(path: Path | str, text: str, key: str) -> list[float]:
    """The numbers of a line of the header."""
    found = re.search(rf"^!{key}=(.*)$", text, re.MULTILINE)
    words = found[1].split() if found else []
    if len(words) != _NUMBERS[key]:
        raise FormatError(f"{path}: got {len(words)} numbers for {key}; {_NUMBERS[key]} are needed")
    return [number(f"{path}: {key}", "it", word) for word in words]


def _rows(path: Path | str, text: str) -> np.ndarray:
    """float64 [n, 5]"""
    if not next(data_lines(text), None):
        raise FormatError(f"{path}: no reflections")
    try:
        rows = np.loadtxt(io.StringIO(text), comments="!", usecols=range(_COLUMNS), ndmin=2)
    except ValueError:
        rows = _rows_by_line(path, text)
    if not np.isfinite(rows).all() or (rows[:, :3] != np.rint(rows[:, :3])).any() or (
            np.abs(rows[:, :3]).max() > _MAX_INDEX):
        raise FormatError(f"{path}: got an index that is not a whole number of at most {_MAX_INDEX}, or no number")
    return rows


def _rows_by_line(path: Path | str, text: str) -> np.ndarray:
    """The same, slower, or the error with its line."""
    table = []
    for line_number, words in data_lines(text):
        if len(words) < _COLUMNS:
            raise FormatError(f"{path}:{line_number}: got {len(words)} columns; h, k, l, an intensity and its sigma "
                              "are needed")
        table.append([number(f"{path}:{line_number}", "a column", word) for word in words[:_COLUMNS]])
    return np.array(table)

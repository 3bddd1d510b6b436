"""Reads SHELX files: reflections in HKLF 2, 3 and 4, cell and symmetry of .ins and .res files.

A row has h, k, l in 4 columns each, the value and its sigma in 8 columns each (Fortran 3I4, 2F8.2: a number without a
point has two decimals), then a batch number, a wavelength or direction cosines, which are not used.

Format: G. M. Sheldrick, The SHELX-97 Manual, HKLF, CELL, LATT and SYMM.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import gemmi
import numpy as np

from cubragg.crystallography.cell import Cell, checked_cell
from cubragg.crystallography.symmetry import Symmetry, check_operations, group_name, named_group
from cubragg.errors import FormatError
from cubragg.io.files.gemmi_errors import GEMMI_ERRORS
from cubragg.io.files.text import read_text
from cubragg.io.reflections.columns import Column
from cubragg.io.reflections.reflection_lines import MAX_INDEX

SHELX_COLUMNS = Column(("F^2",), True)
_FIELDS = ((0, 4), (4, 8), (8, 12), (12, 20), (20, 28))
_INDEX, _NUMBER = re.compile(r" *[-+]?\d+ *"), re.compile(r" *[-+]?(?:\d+\.?\d*|\.\d+) *")
_BATCH = re.compile(r" *-?\d* *")
#: Lists that are not amplitudes or intensities of single reflections, by the number after HKLF.
_REFUSED = {1: "Fourier coefficients with phases", 5: "intensities that are sums over twin domains",
            6: "intensities of groups of equivalents"}
_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
#: Deviation from whole numbers that transformed indices may have: elements of the matrix have few digits.
_WHOLE = 0.01
_CENTRINGS = {1: "P", 2: "I", 3: "R", 4: "F", 5: "A", 6: "B", 7: "C"}
_LOOKED_AT = 100


def is_hklf(text: str) -> bool:
    """Whether a text is in HKLF format: fields of 4, 4, 4, 8, 8 characters, and 0 0 0 at the end."""
    lines = text.splitlines()
    end = next((number for number, line in enumerate(lines) if _is_end(line)), None)
    return bool(end) and are_rows(lines[:end])


def are_rows(lines: list[str]) -> bool:
    """Whether the first lines of a list are all rows in HKLF format, of which there is at least one."""
    lines = lines[:next((number for number, line in enumerate(lines) if _is_end(line)), len(lines))]
    return bool(lines) and all(_is_row(line) for line in lines[:_LOOKED_AT])


def _is_row(line: str) -> bool:
    *indices, value, sigma = (line[start:end] for start, end in _FIELDS)
    return (all(_INDEX.fullmatch(index) for index in indices) and bool(_BATCH.fullmatch(line[28:32]))
            and all(_NUMBER.fullmatch(number) for number in (value, sigma)))


def _is_end(line: str) -> bool:
    return len(line.rstrip()) >= 12 and not line[:12].strip(" 0") and line[:12].count("0") == 3


class Rows(NamedTuple):
    """Indices int32 [n, 3] and values float64 [n]; ``misfits``: rows left out because their sigma is negative."""

    hkl: np.ndarray
    values: np.ndarray
    misfits: int


def hklf_rows(where: str, text: str) -> Rows:
    """The rows up to 0 0 0.

    Raises
    ------
    FormatError
        If there are no reflections, or a field is not a number.
    """
    lines = text.strip("\r\n").splitlines()
    lines = lines[:next((number for number, line in enumerate(lines) if _is_end(line)), len(lines))]
    if not lines:
        raise FormatError(f"{where}: contains no reflections")
    encoded = np.array([line.encode("ascii", "replace") for line in lines], dtype="S28")
    characters = encoded.view("S1").reshape(len(lines), 28)
    fields = [np.ascontiguousarray(characters[:, a:b]).view(f"S{b - a}").ravel() for a, b in _FIELDS]
    try:
        hkl = np.column_stack([field.astype(float) for field in fields[:3]])
        values, sigmas = (_decimals(field) for field in fields[3:])
        if not (hkl == np.rint(hkl)).all() or not (np.abs(hkl) <= MAX_INDEX).all() or not np.isfinite(values).all():
            raise ValueError
    except ValueError:
        raise FormatError(f"{where}: not in SHELX format; lines of h, k, l in 4 characters each and F^2 and sigma in 8 "
                          "characters each are accepted") from None
    good = ~(sigmas < 0.0)
    return Rows(hkl[good].astype(np.int32), values[good], int(np.count_nonzero(~good)))


def _decimals(field: np.ndarray) -> np.ndarray:
    """Numbers float64 [n] of a Fortran field F8.2, bytes [n]: a blank is 0."""
    blank = np.char.strip(field) == b""
    numbers = np.where(blank, b"0", field).astype(float)
    return np.where(np.char.find(field, b".") < 0, numbers / 100.0, numbers)


class Instructions(NamedTuple):
    """What an .ins or .res file says about its list.

    Attributes
    ----------
    cell, symmetry
        Cell [A, deg] and space group.
    form
        The number after HKLF: 3 F, 4 F^2, 2 F^2 at several wavelengths.
    scale, matrix
        Factor on the values, and the matrix (row by row) that transforms indices.
    """

    cell: Cell
    symmetry: Symmetry
    form: int
    scale: float = 1.0
    matrix: tuple[float, ...] = _IDENTITY

    def applied(self, where: str, rows: Rows) -> Rows:
        """The rows with scale and matrix applied.

        Raises
        ------
        FormatError
            If transformed indices are not whole numbers.
        """
        hkl = rows.hkl @ np.reshape(self.matrix, (3, 3)).T
        whole = np.rint(hkl)
        if np.abs(hkl - whole).max(initial=0.0) > _WHOLE:
            raise FormatError(f"{where}: the matrix of HKLF turns indices into numbers that are not whole; a list "
                              "in the axes of CELL is accepted")
        return rows._replace(hkl=whole.astype(np.int32), values=self.scale * rows.values)


def read_instructions(path: Path | str, named: str | None = None) -> Instructions:
    """Read an .ins or .res file; ``named`` replaces its space group.

    Raises
    ------
    FormatError
        If CELL is missing, an instruction is malformed, or the list has no values of single reflections.
    OSError
        If the file cannot be read.
    """
    cell, centring, inverted, kind, scale = gemmi.UnitCell(), "P", True, 4, 1.0
    operations: list[gemmi.Op] = []
    matrix: tuple[float, ...] = ()
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        word, *rest = line.partition("!")[0].split() or [""]
        try:
            if word.upper() == "CELL":
                cell = gemmi.UnitCell(*(float(token) for token in rest[1:7]))
            elif word.upper() == "LATT":
                centring, inverted = _CENTRINGS[abs(int(rest[0]))], int(rest[0]) > 0
            elif word.upper() == "SYMM":
                operations.append(gemmi.Op(" ".join(rest).lower()))
            elif word.upper() == "HKLF":
                kind = int(rest[0]) if rest else 4
                scale = float(rest[1]) if len(rest) > 1 else 1.0
                matrix = tuple(float(token) for token in rest[2:11])
                if not np.isfinite([scale, *matrix]).all() or len(matrix) not in (0, 9):
                    raise ValueError
                break
        except (*GEMMI_ERRORS, KeyError, TypeError):
            raise FormatError(f"{path}:{number}: got {line.strip()!r}, which is not a valid {word.upper()} "
                              "instruction") from None
    if kind not in (2, 3, 4):
        what = _REFUSED.get(kind, "reflections inside this file" if kind < 0 else "an unknown kind of list")
        raise FormatError(f"{path}: got HKLF {kind}, {what}; 3 (F), 4 (F^2) and 2 (F^2 of Laue data) are accepted")
    checked = checked_cell(path, cell)
    if named is not None:
        return Instructions(checked, named_group(named, cell.alpha, cell.gamma), kind, scale, matrix or _IDENTITY)
    try:
        group = gemmi.GroupOps([*gemmi.symops_from_hall(f"{centring} 1"), *operations])
        if inverted:
            group.add_inversion()
        group.add_missing_elements()
        check_operations(group)
    except GEMMI_ERRORS as error:
        raise FormatError(f"{path}: got {len(operations)} SYMM instructions that form no space group: {error}"
                          ) from None
    return Instructions(checked, Symmetry(group_name(group) or "of SYMM", group), kind, scale, matrix or _IDENTITY)

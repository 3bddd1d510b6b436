"""Reads SHELX files: reflections in HKLF 3 and 4, cell and symmetry of .ins and .res files.

Format: G. M. Sheldrick, The SHELX-97 Manual, HKLF, CELL, LATT and SYMM.
"""

from __future__ import annotations

import re
from pathlib import Path

import gemmi
import numpy as np

from cubragg.crystallography.cell import Cell, checked_cell
from cubragg.crystallography.symmetry import Symmetry, group_name
from cubragg.errors import FormatError
from cubragg.io.files.text import read_text
from cubragg.io.reflections.columns import Column

SHELX_COLUMNS = Column(("F^2",), True)
_LINE = re.compile(r"(?=.{28}$|.{32}$)(?: {0,3}-?\d+){3} *-?\d*\.\d* *-?\d*\.\d*(?: *-?\d+)?")
_FIELDS = ((0, 4), (4, 8), (8, 12), (12, 20))
_CENTRINGS = {1: "P", 2: "I", 3: "R", 4: "F", 5: "A", 6: "B", 7: "C"}
_LOOKED_AT = 100


def is_hklf(text: str) -> bool:
    """Whether a text is in HKLF format: fields of 4, 4, 4, 8, 8 characters, and 0 0 0 at the end."""
    lines = text.splitlines()
    end = next((number for number, line in enumerate(lines) if _is_end(line)), None)
    return bool(end) and all(_LINE.fullmatch(line.rstrip()) for line in lines[:end][:_LOOKED_AT])


def _is_end(line: str) -> bool:
    return len(line.rstrip()) >= 12 and not line[:12].strip(" 0") and line[:12].count("0") == 3


def hklf_rows(where: str, text: str) -> tuple[np.ndarray, np.ndarray]:
    """Indices int32 [n, 3] and the first values float64 [n] of the lines up to 0 0 0.

    Raises
    ------
    FormatError
        If there are no reflections, or a field is not a number.
    """
    lines = text.strip("\r\n").splitlines()
    lines = lines[:next((number for number, line in enumerate(lines) if _is_end(line)), len(lines))]
    if not lines:
        raise FormatError(f"{where}: contains no reflections")
    characters = np.array(lines, dtype="S20").view("S1").reshape(len(lines), 20)
    try:
        fields = [np.ascontiguousarray(characters[:, a:b]).view(f"S{b - a}").ravel().astype(float) for a, b in _FIELDS]
        hkl = np.column_stack(fields[:3])
        if not (hkl == np.rint(hkl)).all() or not np.isfinite(fields[3]).all():
            raise ValueError
    except ValueError:
        raise FormatError(f"{where}: not in SHELX format; lines of h, k, l in 4 characters each and F^2 and sigma in 8 "
                          "characters each are accepted") from None
    return hkl.astype(np.int32), fields[3]


def read_instructions(path: Path | str) -> tuple[Cell, Symmetry, int]:
    """Cell [A, deg], symmetry and the number after HKLF of an .ins or .res file.

    Raises
    ------
    FormatError
        If CELL is missing, or an instruction is malformed.
    OSError
        If the file cannot be read.
    """
    cell, centring, inverted, kind = gemmi.UnitCell(), "P", True, 4
    operations: list[gemmi.Op] = []
    matrix: list[float] = []
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
                matrix = [float(token) for token in rest[2:11]]
                break
        except (RuntimeError, ValueError, KeyError, IndexError, TypeError):
            raise FormatError(f"{path}:{number}: got {line.strip()!r}, which is not a valid {word.upper()} "
                              "instruction") from None
    if matrix not in ([], [1, 0, 0, 0, 1, 0, 0, 0, 1]):
        raise FormatError(f"{path}: got HKLF with a transformation matrix; HKLF without one is accepted: transform the "
                          "indices first")
    group = gemmi.GroupOps([*gemmi.symops_from_hall(f"{centring} 1"), *operations])
    if inverted:
        group.add_inversion()
    group.add_missing_elements()
    return checked_cell(path, cell), Symmetry(group_name(group) or "of SYMM", group), kind

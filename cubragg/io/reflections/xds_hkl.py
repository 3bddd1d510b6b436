"""Reads scaled intensities of XDS: ``XDS_ASCII.HKL`` as written by CORRECT and XSCALE.

Format: https://xds.mr.mpg.de/html_doc/xds_files.html
"""

from __future__ import annotations

import re
from pathlib import Path

import gemmi
import numpy as np

from cubragg.crystallography.cell import checked_cell
from cubragg.crystallography.symmetry import Symmetry
from cubragg.errors import FormatError
from cubragg.io.files.compression import unpacked
from cubragg.io.files.text import number, text_of
from cubragg.io.reflections.columns import Column, Listed, select_column
from cubragg.io.reflections.reflection_lines import reflection_rows

_SCALED = "!FORMAT=XDS_ASCII"
_NUMBERS = {"SPACE_GROUP_NUMBER": 1, "UNIT_CELL_CONSTANTS": 6}


def read_xds(path: Path | str, column: str | None = None) -> Listed:
    """Read intensities, cell and space group; misfits, which XDS marks with a negative sigma, are left out.

    Raises
    ------
    FormatError
        If the file is damaged, is not scaled, has no cell or space group, or ``column`` is not IOBS.
    OSError
        If it cannot be read.
    """
    text = text_of(path, unpacked(path), "latin-1")
    if not text.startswith(_SCALED):
        raise FormatError(f"{path}: got reflections of XDS that are not scaled; the XDS_ASCII.HKL of CORRECT or XSCALE "
                          "is accepted")
    kind = Column(("IOBS",), True)
    select_column(path, [kind], column)
    group_number, = _header(path, text, "SPACE_GROUP_NUMBER")
    group = gemmi.find_spacegroup_by_number(int(group_number))
    if group is None:
        raise FormatError(f"{path}: got SPACE_GROUP_NUMBER {group_number:g}; 1 to 230 are accepted")
    hkl, values = reflection_rows(path, text, ("I", "sigma"))
    good = values[:, 1] > 0.0
    misfits = len(good) - np.count_nonzero(good)
    warnings = (f"{misfits} misfits (negative sigma) are left out",) if misfits else ()
    return Listed(hkl[good], values[good, 0], True, kind, (),
                  checked_cell(path, gemmi.UnitCell(*_header(path, text, "UNIT_CELL_CONSTANTS"))),
                  Symmetry(group.xhm(), group.operations()), warnings)


def _header(path: Path | str, text: str, key: str) -> list[float]:
    """The numbers of the header line ``!key=``."""
    found = re.search(rf"^!{key}=(.*)$", text, re.MULTILINE)
    words = found[1].split() if found else []
    if len(words) != _NUMBERS[key]:
        raise FormatError(f"{path}: got {len(words)} numbers for {key}; {_NUMBERS[key]} are needed")
    return [number(f"{path}: {key}", "the value", word) for word in words]

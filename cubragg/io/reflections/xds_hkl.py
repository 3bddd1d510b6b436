"""Reads scaled intensities of XDS: ``XDS_ASCII.HKL`` as written by CORRECT and XSCALE.

Format: https://xds.mr.mpg.de/html_doc/xds_files.html
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from cubragg.crystallography.cell import checked_cell
from cubragg.crystallography.symmetry import named_group
from cubragg.errors import FormatError
from cubragg.io.files.compression import unpacked
from cubragg.io.files.text import number, text_of
from cubragg.io.reflections.columns import Column, Listed, select_column
from cubragg.io.reflections.reflection_lines import reflection_rows

_SCALED = "!FORMAT=XDS_ASCII"
_NUMBERS = {"SPACE_GROUP_NUMBER": 1, "UNIT_CELL_CONSTANTS": 6}
#: Items of a row that are used, in the order of `reflection_rows`.
_ITEMS = ("H", "K", "L", "IOBS", "SIGMA(IOBS)")


def read_xds(path: Path | str, column: str | None = None, named: str | None = None) -> Listed:
    """Read intensities, cell and space group; misfits, which XDS marks with a negative sigma, are left out.

    ``named`` replaces the space group of the file.

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
    cell = checked_cell(path, _header(path, text, "UNIT_CELL_CONSTANTS"))
    if named is None:
        group_number, = _header(path, text, "SPACE_GROUP_NUMBER")
        if not 1 <= group_number <= 230:
            raise FormatError(f"{path}: got SPACE_GROUP_NUMBER {group_number:g}; 1 to 230 are accepted")
        named = f"{group_number:.0f}"
    hkl, values = reflection_rows(path, _in_order(path, text), ("I", "sigma"))
    good = values[:, 1] > 0.0
    misfits = len(good) - np.count_nonzero(good)
    warnings = (f"{misfits} misfits (negative sigma) are left out",) if misfits else ()
    return Listed(hkl[good], values[good, 0], True, kind, (), cell, named_group(named, cell[3], cell[5]), warnings)


def _in_order(path: Path | str, text: str) -> str:
    """The text with the columns of each row in the order of `_ITEMS`, as the ``!ITEM_`` lines of the header give them.

    Lines keep their numbers, for messages.
    """
    items = {name: int(number_) for name, number_ in re.findall(r"^!ITEM_(\S+?)=\s*(\d{1,4})\s*$", text, re.MULTILINE)}
    missing = [name for name in _ITEMS if name not in items]
    if items and missing:
        raise FormatError(f"{path}: there is no ITEM_{missing[0]} in the header; H, K, L, IOBS and SIGMA(IOBS) are "
                          "needed")
    order = [items[name] - 1 for name in _ITEMS] if items else list(range(len(_ITEMS)))
    if order == list(range(len(_ITEMS))):
        return text
    rows = []
    for line in text.split("\n"):
        words = line.split()
        whole = not line.startswith("!") and len(words) > max(order)
        rows.append(" ".join(words[position] for position in order) if whole else line)
    return "\n".join(rows)


def _header(path: Path | str, text: str, key: str) -> list[float]:
    """The numbers of the header line ``!key=``."""
    found = re.search(rf"^!{key}=(.*)$", text, re.MULTILINE)
    words = found[1].split() if found else []
    if len(words) != _NUMBERS[key]:
        raise FormatError(f"{path}: got {len(words)} numbers for {key}; {_NUMBERS[key]} are needed")
    return [number(f"{path}: {key}", "the value", word) for word in words]

"""Reads and writes merged MTZ files (https://www.ccp4.ac.uk/html/mtzformat.html) with gemmi."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import gemmi
import numpy as np

from cubragg.crystallography.cell import Cell, checked_cell
from cubragg.crystallography.symmetry import Symmetry, named_group
from cubragg.errors import CubraggError, FormatError
from cubragg.io.files.atomic import write_bytes
from cubragg.io.files.compression import unpacked
from cubragg.io.files.gemmi_errors import GEMMI_ERRORS
from cubragg.io.files.names import utf8_path
from cubragg.io.reflections.columns import (
    NEGATIVE_SIGMA,
    Column,
    Listed,
    left_out,
    select_column,
    signed_rows,
    whole_indices,
    without_misfits,
)

#: Column types: F amplitude, G amplitude of one Friedel mate, J intensity, K intensity of one Friedel mate.
_AMPLITUDES, _INTENSITIES = "FG", "JK"
#: Type of the column of sigmas that belongs to a column of each type.
_SIGMA_TYPES = {"F": "Q", "J": "Q", "G": "L", "K": "M"}
#: Numbers of columns and rows in the header.
_SIZE = re.compile(rb"NCOL +(\d{1,20}) +(\d{1,20})")
_END_RECORD = b"END".ljust(80)


def read_mtz(path: Path | str, column: str | None = None, group: str | None = None) -> Listed:
    """Read a merged MTZ file; ``column`` is the label of the amplitudes or intensities to use.

    Columns are found by their types, in any order. ``group`` replaces the space group of the file.

    Raises
    ------
    FormatError
        If the file is truncated or unmerged, or has no space group, no cell or no such column.
    OSError
        If the file cannot be read.
    """
    data = unpacked(path)
    if _END_RECORD not in data:
        raise FormatError(f"{path}: truncated MTZ file, the END record of the header is missing")
    damaged = f"{path}: damaged MTZ file, its reflections are truncated or its header is invalid"
    # Before gemmi allocates what the header declares, and all that is before it.
    needed = [_header_position(data), *(4 * int(columns) * int(rows) for columns, rows in _SIZE.findall(data))]
    if max(needed) > len(data):
        raise FormatError(damaged)
    try:
        with utf8_path(path) as name:
            return _listed(path, gemmi.read_mtz_file(name), column, group)
    except CubraggError:
        raise
    except (*GEMMI_ERRORS, MemoryError):
        # A column of a data set that is missing, labels that are not UTF-8, or 2 billion data sets that are declared.
        raise FormatError(damaged) from None


def _header_position(data: bytes) -> int:
    """Return the first byte of the header, as the file gives it."""
    order = "<" if data[9] & 0xf0 == 0x40 else ">"  # the machine stamp: format of integers
    words, = struct.unpack_from(f"{order}i", data, 4)
    if words == -1:  # files of more than 2^31 words
        words, = struct.unpack_from(f"{order}q", data, 12)
    return 4 * (int(words) - 1)


def _listed(path: Path | str, mtz: gemmi.Mtz, column: str | None, group: str | None) -> Listed:
    if mtz.spacegroup is None and group is None:
        raise FormatError(f"{path}: got unknown space group {mtz.spacegroup_name!r}; a Hermann-Mauguin symbol such as "
                          "P 21 21 21 is accepted" if mtz.spacegroup_name else
                          f"{path}: contains no space group; its header may be damaged")
    indices = _indices(path, mtz)
    if _is_unmerged(mtz, indices):
        batches = f" in {len(mtz.batches)} batches" if len(mtz.batches) else ""
        raise FormatError(f"{path}: got unmerged reflections{batches}; a merged MTZ file is accepted (merge them with "
                          "AIMLESS or 'gemmi merge')")
    selected, others = select_column(path, _offered(mtz), column)
    first = mtz.column_with_label(selected.names[0])
    # Files from before 1999 have no data sets.
    own = first.dataset.cell if first.dataset_id in [one.id for one in mtz.datasets] else mtz.cell
    cell = checked_cell(path, own if own.is_crystal() else mtz.cell)
    columns = [mtz.column_with_label(name) for name in selected.names]
    kept, misfits = zip(*(without_misfits(_values(mtz, one), _sigmas(mtz, one)) for one in columns), strict=True)
    hkl, values = signed_rows(indices, kept)
    return Listed(hkl, values, selected.intensities, selected, others, cell,
                  Symmetry(mtz.spacegroup.xhm(), mtz.spacegroup.operations()) if group is None
                  else named_group(group, cell[3], cell[5]), left_out(sum(misfits), NEGATIVE_SIGMA))


def _indices(path: Path | str, mtz: gemmi.Mtz) -> np.ndarray:
    """Indices int32 [n, 3]: the columns of type H, by their labels H, K, L or else in file order."""
    columns = {column.label.upper(): column for column in mtz.columns if column.type == "H"}
    if len(columns) != 3:
        raise FormatError(f"{path}: got {len(columns)} columns of indices (type H); an MTZ file has three")
    ordered = [columns[name] for name in (sorted(columns) if columns.keys() == set("HKL") else columns)]
    rows = np.column_stack([np.asarray(column.array, dtype=np.float64) for column in ordered])
    return whole_indices(path, rows)


def _is_unmerged(mtz: gemmi.Mtz, hkl: np.ndarray) -> bool:
    """Whether the rows are unmerged."""
    # Some programs leave out the batch headers, so repeated indices with an M/ISYM column also count.
    return bool(len(mtz.batches)) or (any(column.type == "Y" for column in mtz.columns)
                                      and len(np.unique(hkl, axis=0)) < len(hkl))


def _values(mtz: gemmi.Mtz, column: gemmi.Mtz.Column) -> np.ndarray:
    values = np.array(column.array, dtype=np.float64)
    values[values == mtz.valm] = np.nan
    return values


def _sigmas(mtz: gemmi.Mtz, column: gemmi.Mtz.Column) -> np.ndarray | None:
    """The sigmas of a column: of the name SIG and its label, or else in the next column."""
    columns = list(mtz.columns)
    position = next(number for number, one in enumerate(columns) if one.label == column.label)
    named = [one for one in columns if one.label.upper() == f"SIG{column.label.upper()}"]
    found = next((one for one in (*named, *columns[position + 1:position + 2])
                  if one.type == _SIGMA_TYPES[column.type]), None)
    return None if found is None else _values(mtz, found)


def _offered(mtz: gemmi.Mtz) -> list[Column]:
    """Columns of amplitudes and intensities; a (+)/(-) pair is one entry."""
    usable = {column.label: column.type for column in mtz.columns if column.type in _AMPLITUDES + _INTENSITIES}
    offered: list[Column] = []
    listed: set[str] = set()
    for label, kind in usable.items():
        if label in listed:
            continue
        mate = _friedel_label(label)
        names = (label, mate) if mate in usable and usable[mate] == kind else (label,)
        listed.update(names)
        offered.append(Column(names, kind in _INTENSITIES))
    return offered


def _friedel_label(label: str) -> str | None:
    """The label of the column for -h that belongs to one for h; ``None`` if the label has no plus sign."""
    for plus, minus in ((r"\(\+\)", "(-)"), (r"_plus\b", "_minus"), ("plus$", "minus"), (r"\+$", "-")):
        mate, found = re.subn(plus, minus, label)
        if found:
            return mate
    return None


def write_mtz(path: Path | str, hkl: np.ndarray, columns: Mapping[str, tuple[str, np.ndarray]], cell: Cell,
              group: gemmi.SpaceGroup, wavelength_A: float, history: Sequence[str]) -> None:
    """Write indices int [n, 3] and ``columns``, label: (MTZ type, values [n]); MTZ stores single precision.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    mtz = gemmi.Mtz(with_base=True)
    mtz.title = "structure factors of a model"
    mtz.history = [line.encode("ascii", "replace").decode() for line in history]
    mtz.spacegroup = group
    mtz.add_dataset("calculated")
    mtz.set_cell_for_all(gemmi.UnitCell(*cell))
    mtz.datasets[-1].wavelength = wavelength_A
    for name, (kind, _) in columns.items():
        mtz.add_column(name, kind)
    mtz.set_data(np.column_stack([hkl, *(values for _, values in columns.values())]).astype(np.float32))
    write_bytes(path, mtz.write_to_bytes())

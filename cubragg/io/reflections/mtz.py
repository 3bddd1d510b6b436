"""MTZ: merged reflections by columns (https://www.ccp4.ac.uk/html/mtzformat.html), through gemmi."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import gemmi
import numpy as np

from cubragg.crystallography.cell import Cell, checked_cell
from cubragg.crystallography.symmetry import Symmetry
from cubragg.errors import FormatError
from cubragg.io.files.atomic import write_bytes
from cubragg.io.files.compression import unpacked
from cubragg.io.reflections.columns import Column, Listed, choose, signed_rows

#: Column types: amplitude, amplitude of one hand, intensity, intensity of one hand.
_AMPLITUDES, _INTENSITIES = "FG", "JK"
_END_RECORD = b"END".ljust(80)


def read_mtz(path: Path | str, column: str | None = None) -> Listed:
    """A merged MTZ file; ``column`` names the amplitudes or intensities to take.

    Raises
    ------
    FormatError
        If the file is cut short, is not merged, or lacks what is needed or that column.
    OSError
        If the file cannot be read.
    """
    if _END_RECORD not in unpacked(path):
        raise FormatError(f"{path}: not a whole MTZ file; its header has no end")
    try:
        mtz = gemmi.read_mtz_file(str(path))
    except (RuntimeError, ValueError):
        raise FormatError(f"{path}: not a whole MTZ file; its reflections end early or its header is damaged") from None
    if _is_unmerged(mtz):
        batches = f" in {len(mtz.batches)} batches" if len(mtz.batches) else ""
        raise FormatError(f"{path}: got unmerged reflections{batches}; a merged MTZ is accepted")
    if mtz.spacegroup is None:
        raise FormatError(f"{path}: got space group {mtz.spacegroup_name!r}; no such group is known"
                          if mtz.spacegroup_name else f"{path}: no space group; its header may be damaged")
    chosen, others = choose(path, _offered(mtz), column)
    cell = mtz.column_with_label(chosen.names[0]).dataset.cell
    hkl, values = signed_rows(mtz.make_miller_array(),
                              [_values(mtz, mtz.column_with_label(name)) for name in chosen.names])
    return Listed(hkl, values, chosen.intensities, chosen, others,
                  checked_cell(path, cell if cell.is_crystal() else mtz.cell),
                  Symmetry(mtz.spacegroup.xhm(), mtz.spacegroup.operations()))


def _is_unmerged(mtz: gemmi.Mtz) -> bool:
    """Not all programs write the batches that their unmerged rows name."""
    hkl = mtz.make_miller_array()
    return bool(len(mtz.batches)) or (any(column.type == "Y" for column in mtz.columns)
                                      and len(np.unique(hkl, axis=0)) < len(hkl))


def _values(mtz: gemmi.Mtz, column: gemmi.Mtz.Column) -> np.ndarray:
    values = np.array(column.array, dtype=np.float64)
    values[values == mtz.valm] = np.nan
    return values


def _offered(mtz: gemmi.Mtz) -> list[Column]:
    """Columns that can stand for amplitudes; the two hands of a pair as one."""
    usable = {column.label: column.type for column in mtz.columns if column.type in _AMPLITUDES + _INTENSITIES}
    offered: list[Column] = []
    taken: set[str] = set()
    for label, kind in usable.items():
        if label in taken:
            continue
        mate = _other_hand(label)
        names = (label, mate) if mate in usable and usable[mate] == kind else (label,)
        taken.update(names)
        offered.append(Column(names, kind in _INTENSITIES))
    return offered


def _other_hand(label: str) -> str | None:
    """The name of the column for -h that goes with one for h; ``None`` if the name does not tell a hand."""
    for plus, minus in ((r"\(\+\)", "(-)"), (r"_plus\b", "_minus"), ("plus$", "minus"), (r"\+$", "-")):
        mate, found = re.subn(plus, minus, label)
        if found:
            return mate
    return None


def write_mtz(path: Path | str, hkl: np.ndarray, columns: Mapping[str, tuple[str, np.ndarray]], cell: Cell,
              group: gemmi.SpaceGroup, wavelength_A: float, history: Sequence[str]) -> None:
    """Write indices int [n, 3] and ``columns``, name: (MTZ type, values [n]), in single precision as MTZ has it.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    mtz = gemmi.Mtz(with_base=True)
    mtz.title = "structure factors of a model"
    mtz.history = list(history)
    mtz.spacegroup = group
    mtz.add_dataset("calculated")
    mtz.set_cell_for_all(gemmi.UnitCell(*cell))
    mtz.datasets[-1].wavelength = wavelength_A
    for name, (kind, _) in columns.items():
        mtz.add_column(name, kind)
    mtz.set_data(np.column_stack([hkl, *(values for _, values in columns.values())]).astype(np.float32))
    write_bytes(path, mtz.write_to_bytes())

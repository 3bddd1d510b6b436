"""Reads reflections from CIF: structure-factor mmCIF of the PDB, .fcf of SHELXL, lists in small-molecule CIF.

Dictionaries: mmCIF ``refln`` category (https://mmcif.wwpdb.org), core CIF ``_refln_*``.
"""

from __future__ import annotations

from pathlib import Path

import gemmi
import numpy as np

from cubragg.crystallography.cell import Cell, checked_cell
from cubragg.crystallography.symmetry import Symmetry, check_operations, group_name, named_group
from cubragg.errors import ConfigError, FormatError
from cubragg.io.files.compression import unpacked
from cubragg.io.files.gemmi_errors import GEMMI_ERRORS
from cubragg.io.files.text import as_utf8
from cubragg.io.reflections.columns import (
    NEGATIVE_SIGMA,
    Column,
    Listed,
    left_out,
    select_column,
    signed_rows,
    without_misfits,
)
from cubragg.io.reflections.shelx import SHELX_COLUMNS, hklf_rows

_COLUMNS = tuple(
    [Column((tag,), False) for tag in ("pdbx_F_calc_with_solvent", "F_calc", "F_calc_au", "F_meas", "F_meas_au")]
    + [Column(("pdbx_F_plus", "pdbx_F_minus"), False), Column(("pdbx_I_plus", "pdbx_I_minus"), True)]
    + [Column((tag,), True) for tag in ("intensity_meas", "F_squared_meas", "intensity_calc", "F_squared_calc")])
#: Tags of the sigma of a measured column, if they are not its own name and ``_sigma``.
_SIGMA_TAGS = {"F_meas": ("F_meas_sigma", "F_sigma"), "F_meas_au": ("F_meas_sigma_au",),
               "intensity_meas": ("intensity_sigma",), "F_squared_meas": ("F_squared_sigma", "F_squared_meas_sigma")}
#: Values of the status of reflections that are not used: unreliable, and systematically absent.
_UNUSED = {"x", "-"}
_STATUS_TAGS = ("_refln.status", "_refln_status", "_refln_observed_status")
_CELL_TAGS = tuple((f"_cell_{name}", f"_cell.{name}") for name in (
    "length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma"))
_OPERATION_TAGS = ("_space_group_symop_operation_xyz", "_space_group_symop.operation_xyz",
                   "_symmetry_equiv_pos_as_xyz", "_symmetry_equiv.pos_as_xyz")
_NUMBER_TAGS = ("_space_group_IT_number", "_space_group.IT_number", "_symmetry_Int_Tables_number",
                "_symmetry.Int_Tables_number")
_HALL_TAGS = ("_space_group_name_Hall", "_space_group.name_Hall", "_symmetry_space_group_name_Hall",
              "_symmetry.space_group_name_Hall")
_NAME_TAGS = ("_space_group_name_H-M_alt", "_space_group.name_H-M_alt", "_symmetry_space_group_name_H-M",
              "_symmetry.space_group_name_H-M", "_space_group.name_H-M_full",
              "_space_group_name_H-M_ref", "_space_group.name_H-M_ref")
_EMBEDDED = "_shelx_hkl_file"


def read_document(path: Path | str) -> gemmi.cif.Document:
    """Read a CIF file, compressed or not.

    Raises
    ------
    FormatError
        If the file is not CIF.
    OSError
        If it cannot be read.
    """
    data = as_utf8(unpacked(path))
    try:
        return gemmi.cif.read_string(data)
    except GEMMI_ERRORS as error:
        raise FormatError(f"{path}: not CIF: {str(error).removeprefix('data:')}") from None


def read_cif_reflections(path: Path | str, column: str | None = None, group: str | None = None) -> Listed:
    """Read the reflections of the first data block that has any; ``column`` is a tag without ``_refln.``.

    Measured values with a negative sigma, or a status that marks them as unreliable or absent, are left out. ``group``
    replaces the space group of the file.

    Raises
    ------
    FormatError
        If the file has no reflections, not that column, or no cell or space group for them.
    OSError
        If the file cannot be read.
    """
    document = read_document(path)
    blocks = [block for block in document if _has_reflections(block)]
    if not blocks:
        atoms = any(block.find_values(tag) for block in document for tag in ("_atom_site_fract_x", "_atom_site.id"))
        raise FormatError(f"{path}: contains atoms and no reflections; compute structure factors with "
                          "'cubragg sf MODEL --dmin 2 -o F.mtz'" if atoms else f"{path}: contains no reflections")
    block = blocks[0]
    warnings: tuple[str, ...] = ()
    if len(blocks) > 1:
        warnings = (f"{len(blocks)} data blocks contain reflections; those of the first, {block.name}, are used",)
    cell, symmetry = cell_and_symmetry(path, block, group)
    if not block.find_values("_refln.index_h") and not block.find_values("_refln_index_h"):
        rows = hklf_rows(f"{path}: {_EMBEDDED}", gemmi.cif.as_string(block.find_value(_EMBEDDED)))
        return Listed(rows.hkl, rows.values, True, SHELX_COLUMNS, (), cell, symmetry,
                      warnings + left_out(rows.misfits, NEGATIVE_SIGMA))
    offered = [kind for kind in _COLUMNS if any(block.find_values(f"_refln{mark}{kind.names[0]}") for mark in "._")]
    selected, others = select_column(path, offered, column)
    unused = _unused(block)  # before gemmi takes the block out of the document
    hkl, columns, sigmas = _table(path, document, block, selected)
    if "calc" in selected.names[0] or len(unused) != len(hkl):
        unused = np.zeros(len(hkl), dtype=bool)
    warnings += left_out(int(np.count_nonzero(unused & np.isfinite(columns[0]))),
                         "their status is x (unreliable) or - (absent)")
    kept, misfits = zip(*(without_misfits(np.where(unused, np.nan, column), sigma)
                          for column, sigma in zip(columns, sigmas, strict=True)), strict=True)
    return Listed(*signed_rows(hkl, kept), selected.intensities, selected, others, cell, symmetry,
                  warnings + left_out(sum(misfits), NEGATIVE_SIGMA))


def _has_reflections(block: gemmi.cif.Block) -> bool:
    return any(block.find_values(tag) for tag in ("_refln.index_h", "_refln_index_h", _EMBEDDED))


def _table(path: Path | str, document: gemmi.cif.Document, block: gemmi.cif.Block,
           selected: Column) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray | None]]:
    """Indices int32 [n, 3], the selected columns [n], NaN where a value is missing, and their sigmas [n]."""
    try:
        if block.find_values("_refln_index_h"):
            table = gemmi.hkl_cif_as_refln_block(block)
        else:
            name = block.name
            table = next(one for one in gemmi.as_refln_blocks(document) if one.block.name == name)
        labels = set(table.column_labels())
        names = [name for name in selected.names if name in labels]
        sigmas = [next((tag for tag in _SIGMA_TAGS.get(name, (f"{name}_sigma",)) if tag in labels), None)
                  for name in names]
        return (table.make_miller_array(), [table.make_float_array(name) for name in names],
                [None if tag is None else table.make_float_array(tag) for tag in sigmas])
    except GEMMI_ERRORS as error:
        raise FormatError(f"{path}: the reflections cannot be read: {error}") from None


def _unused(block: gemmi.cif.Block) -> np.ndarray:
    """Whether each row has a status that excludes it, bool [n]; empty if rows have no status."""
    values = next((list(block.find_values(tag)) for tag in _STATUS_TAGS if block.find_values(tag)), [])
    return np.array([gemmi.cif.as_string(value) in _UNUSED for value in values], dtype=bool)


def cell_and_symmetry(path: Path | str, block: gemmi.cif.Block, named: str | None = None) -> tuple[Cell, Symmetry]:
    """The cell [A, deg] and the space group of a data block; ``named`` replaces that of the file.

    Symmetry operations are preferred to a Hall symbol, that to a Hermann-Mauguin symbol, and that to a number.

    Raises
    ------
    FormatError
        If the cell or the space group is missing or invalid.
    """
    numbers = [gemmi.cif.as_number(_value(block, tags)) for tags in _CELL_TAGS]
    if not np.isfinite(numbers).all():
        raise FormatError(f"{path}: contains no unit cell")
    cell = checked_cell(path, numbers)
    if named is not None:
        return cell, named_group(named, cell[3], cell[5])
    name = gemmi.cif.as_string(_value(block, _NAME_TAGS))
    number = gemmi.cif.as_string(_value(block, _NUMBER_TAGS))
    hall = gemmi.cif.as_string(_value(block, _HALL_TAGS))
    operations = next((list(block.find_values(tag)) for tag in _OPERATION_TAGS if block.find_values(tag)), [])
    try:
        if operations:
            group_ops = gemmi.GroupOps([gemmi.Op(gemmi.cif.as_string(text)) for text in operations])
            check_operations(group_ops)
        elif hall:
            group_ops = gemmi.symops_from_hall(hall)
        else:
            group_ops = _from_names(path, (name, number), cell).operations
    except GEMMI_ERRORS as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{path}: got invalid {'symmetry operations, the first is' if operations else 'Hall symbol'} "
                          f"{gemmi.cif.as_string(operations[0]) if operations else hall!r}: {error}") from None
    return cell, Symmetry(group_name(group_ops) or name or hall, group_ops)


def _from_names(path: Path | str, names: tuple[str, ...], cell: Cell) -> Symmetry:
    """The space group of the first of several names, symbols or numbers, that is known."""
    given = [name for name in names if name]
    for name in given:
        try:
            return named_group(name, cell[3], cell[5])
        except ConfigError as error:
            failure = FormatError(f"{path}: {error.what}; give --space-group")
    raise failure if given else FormatError(f"{path}: contains no space group; give --space-group")


def _value(block: gemmi.cif.Block, tags: tuple[str, ...]) -> str:
    """The value of the first of ``tags`` that has one, else ``?``."""
    found = (block.find_value(tag) for tag in tags)
    return next((value for value in found if value and not gemmi.cif.is_null(value)), "?")

"""Reads atoms, unit cell and space group from PDB, mmCIF and small-molecule CIF files."""

from __future__ import annotations

from pathlib import Path

import gemmi
import numpy as np

from cubragg.bounds import B_FACTOR_A2, COORDINATE_A, OCCUPANCY, Range
from cubragg.crystallography.cell import checked_cell
from cubragg.crystallography.structure import AtomicModel
from cubragg.crystallography.symmetry import named_group
from cubragg.errors import FormatError
from cubragg.io.files.compression import unpacked
from cubragg.io.files.gemmi_errors import GEMMI_ERRORS
from cubragg.io.files.text import as_utf8
from cubragg.io.reflections.cif import cell_and_symmetry, read_document

#: B = 8 pi^2 U.
_B_PER_U = 8.0 * np.pi ** 2
#: Symmetry copies that are closer than this are one atom on a special position [A].
_SAME_SITE_A = 0.3
#: Elements of a displacement tensor times 8 pi^2; those off the diagonal are of either sign.
_B_ANISO_A2 = Range(-B_FACTOR_A2.high, B_FACTOR_A2.high)
_HEAD_BYTES = 8192


def read_model(path: Path | str, named: str | None = None) -> AtomicModel:
    """Read a PDB, mmCIF or small-molecule CIF file, compressed or not.

    ``named``, a symbol or a number, replaces the space group of the file.

    Raises
    ------
    ConfigError
        If ``named`` is not a space group.
    FormatError
        If the file is malformed, or has no atoms, no unit cell or no known space group.
    OSError
        If it cannot be read.
    """
    structure, macromolecule = _structure(path, named)
    if not len(structure) or not structure[0].count_atom_sites():
        raise FormatError(f"{path}: contains no atoms")
    warnings: list[str] = []
    if len(structure) > 1:
        warnings.append(f"contains {len(structure)} models; the first is used")
        del structure[1:]
    cell = checked_cell(path, structure.cell)
    if named is not None:
        structure.spacegroup_hm = named_group(named, cell[3], cell[5]).name
    group = structure.find_spacegroup()
    if group is None:
        raise FormatError(f"{path}: got unknown space group {structure.spacegroup_hm!r}; give --space-group with a "
                          "Hermann-Mauguin symbol such as P 21 21 21" if structure.spacegroup_hm else
                          f"{path}: contains no space group; give --space-group")
    _check_numbers(path, structure)
    if any(not op.given for op in structure.ncs):
        structure.expand_ncs(gemmi.HowToNameCopiedChain.Dup)
    structure.setup_cell_images()
    unknown = sum(site.atom.element.atomic_number == 0 for site in structure[0].all())
    if unknown:
        warnings.append(f"{unknown} atoms have an unknown element and are left out of the structure factors")
    shared = _share_special_positions(structure)
    if shared:
        warnings.append(f"{shared} atoms on special positions are listed with the occupancy of the whole site; it is "
                       "divided by the number of symmetry copies")
    return AtomicModel(str(path), structure, cell, group, macromolecule,
                       tuple(f"{path}: {warning}" for warning in warnings))


def _check_numbers(path: Path | str, structure: gemmi.Structure) -> None:
    """Refuse occupancies, displacements and coordinates that no atom has."""
    sites = list(structure[0].all())
    for name, numbers, accepted in (
            ("occupancy", [[site.atom.occ] for site in sites], OCCUPANCY),
            ("B factor", [[site.atom.b_iso] for site in sites], B_FACTOR_A2),
            ("coordinate", [site.atom.pos.tolist() for site in sites], COORDINATE_A),
            ("8 pi^2 U", [[_B_PER_U * u for u in site.atom.aniso.elements_pdb()] for site in sites], _B_ANISO_A2)):
        table = np.array(numbers, dtype=np.float64)
        wrong = np.argwhere(~((accepted.low <= table) & (table <= accepted.high)))  # NaN is wrong
        if len(wrong):
            row, column = wrong[0]
            raise FormatError(f"{path}: atom number {row + 1} has the {name} {table[row, column]:g}; {accepted} is "
                              "accepted")


def _share_special_positions(structure: gemmi.Structure) -> int:
    """Divide occupancies that would add up to more than 1 over symmetry copies on one site; returns their number."""
    shared = 0
    for site in structure[0].all():
        copies = 1 + structure.cell.is_special_position(site.atom.pos, _SAME_SITE_A)
        if copies > 1 and site.atom.occ * copies > 1.0 + 1e-3:
            site.atom.occ /= copies
            shared += 1
    return shared


def _structure(path: Path | str, named: str | None) -> tuple[gemmi.Structure, bool]:
    """The structure of a file, and whether it is a macromolecule (PDB or mmCIF)."""
    data = as_utf8(unpacked(path))
    lines = [line for line in data[:_HEAD_BYTES].splitlines() if line.strip() and not line.startswith(b"#")]
    try:
        # By content, since coordinate files have many suffixes.
        if not (lines and lines[0].lower().startswith(b"data_")):
            # One byte a character, because columns are fixed: gemmi would cut others in two.
            columns = data.decode().encode("ascii", "replace")
            return gemmi.read_pdb_string(columns, max_line_length=_line_length(lines)), True
        document = read_document(path)
        small = next((block for block in document if block.find_values("_atom_site_fract_x")), None)
        if small is not None:
            return _from_small(path, small, named), False
        block = next((block for block in document if block.find_values("_atom_site.id")), document[0])
        structure = gemmi.make_structure_from_block(block)
        if len(structure) and structure.find_spacegroup() is None and named is None and structure.cell.is_crystal():
            # gemmi reads the symbol only, not the number of a space group.
            structure.spacegroup_hm = cell_and_symmetry(path, block)[1].name
        return structure, True
    except GEMMI_ERRORS as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{path}: not a PDB, mmCIF or CIF file: {error}") from None


def _line_length(lines: list[bytes]) -> int:
    """Length at which lines are cut: 72 for PDB files from before 1996, which end in entry name and number; else 0."""
    head = lines[0] if lines else b""
    return 72 if head.startswith(b"HEADER") and len(head[72:76].strip()) == 4 and head[62:66] == head[72:76] else 0


def _from_small(path: Path | str, block: gemmi.cif.Block, named: str | None) -> gemmi.Structure:
    """Convert the sites of a small-molecule CIF to atoms of one residue, with Cartesian displacement parameters.

    U_cartesian = (A N) U (A N)^T with A the orthogonalization and N = diag(a*, b*, c*) (R. W. Grosse-Kunstleve and
    P. D. Adams, J. Appl. Cryst. 35, 477, 2002).
    """
    cell, symmetry = cell_and_symmetry(path, block, named)
    small = gemmi.make_small_structure_from_block(block)
    if small.spacegroup is None or named is not None:
        # gemmi reads fewer tags of space-group names.
        small.spacegroup_hm = symmetry.name
        small.determine_and_set_spacegroup("1")
    if small.spacegroup is None:
        shown = f"space group {symmetry.name!r}, " if symmetry.name else ""
        raise FormatError(f"{path}: got {shown}{len(symmetry.operations)} symmetry operations, which match no setting "
                          "in gemmi's table of space groups")
    small.setup_cell_images()
    small.change_occupancies_to_crystallographic()
    structure = gemmi.Structure()
    structure.cell, structure.spacegroup_hm = gemmi.UnitCell(*cell), small.spacegroup.xhm()
    residue = gemmi.Residue()
    residue.name, residue.seqid = "UNL", gemmi.SeqId("1")
    reciprocal = small.cell.reciprocal()
    skew = np.array(small.cell.orth.mat.tolist()) @ np.diag([reciprocal.a, reciprocal.b, reciprocal.c])
    for site in small.sites:
        atom = gemmi.Atom()
        atom.name, atom.element, atom.charge, atom.occ = site.label, site.element, site.charge, site.occ
        atom.pos = small.cell.orthogonalize(site.fract)
        atom.b_iso = _B_PER_U * site.u_iso
        if site.aniso.nonzero():
            u = skew @ np.array(site.aniso.as_mat33().tolist()) @ skew.T
            atom.aniso = gemmi.SMat33f(u[0, 0], u[1, 1], u[2, 2], u[0, 1], u[0, 2], u[1, 2])
        residue.add_atom(atom)
    chain, model = gemmi.Chain("A"), gemmi.Model(1)
    chain.add_residue(residue)
    model.add_chain(chain)
    structure.add_model(model)
    return structure

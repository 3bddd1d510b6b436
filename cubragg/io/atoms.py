"""Reads atomic models: PDB, mmCIF and small-molecule CIF files, as gemmi's structure in its cell and space group."""

from __future__ import annotations

from pathlib import Path

import gemmi
import numpy as np

from cubragg.crystallography.cell import checked_cell
from cubragg.crystallography.structure import AtomicModel
from cubragg.errors import FormatError
from cubragg.io.files.compression import unpacked
from cubragg.io.reflections.cif import cell_and_symmetry, read_document

#: B = 8 pi^2 U.
_B_PER_U = 8.0 * np.pi ** 2
#: Symmetry copies that are nearer than this are one atom on a special position [A].
_SAME_SITE_A = 0.3
_HEAD_BYTES = 8192


def read_model(path: Path | str) -> AtomicModel:
    """A PDB, mmCIF or small-molecule CIF file, packed or not.

    Raises
    ------
    FormatError
        If it cannot be understood, or has no atoms, no cell or no space group that is known.
    OSError
        If it cannot be read.
    """
    structure, macromolecule = _structure(path)
    if not len(structure) or not structure[0].count_atom_sites():
        raise FormatError(f"{path}: no atoms")
    notices: list[str] = []
    if len(structure) > 1:
        notices.append(f"of {len(structure)} models the first is taken")
        del structure[1:]
    cell = checked_cell(path, structure.cell)
    group = structure.find_spacegroup()
    if group is None:
        raise FormatError(f"{path}: got space group {structure.spacegroup_hm!r}; no such group is known"
                          if structure.spacegroup_hm else f"{path}: no space group")
    if any(not op.given for op in structure.ncs):
        structure.expand_ncs(gemmi.HowToNameCopiedChain.Dup)
    structure.setup_cell_images()
    unknown = sum(site.atom.element.atomic_number == 0 for site in structure[0].all())
    if unknown:
        notices.append(f"{unknown} atoms of unknown element do not scatter")
    shared = _share_special_positions(structure)
    if shared:
        notices.append(f"{shared} atoms on special positions have the occupancy of all their copies; it is shared out")
    return AtomicModel(str(path), structure, cell, group, macromolecule,
                       tuple(f"{path}: {one}" for one in notices))


def _share_special_positions(structure: gemmi.Structure) -> int:
    """Divide occupancies that symmetry copies on the same site would add up to more than 1; how many there were."""
    shared = 0
    for site in structure[0].all():
        copies = 1 + structure.cell.is_special_position(site.atom.pos, _SAME_SITE_A)
        if copies > 1 and site.atom.occ * copies > 1.0 + 1e-3:
            site.atom.occ /= copies
            shared += 1
    return shared


def _structure(path: Path | str) -> tuple[gemmi.Structure, bool]:
    """What the file holds, and whether it is a PDB or mmCIF file."""
    data = unpacked(path)
    lines = [line for line in data[:_HEAD_BYTES].splitlines() if line.strip() and not line.startswith(b"#")]
    try:
        # By content: names of coordinate files are many.
        if not (lines and lines[0].lower().startswith(b"data_")):
            return gemmi.read_pdb_string(data, max_line_length=_line_length(lines)), True
        document = read_document(path)
        small = next((block for block in document if block.find_values("_atom_site_fract_x")), None)
        if small is not None:
            return _from_small(path, small), False
        block = next((block for block in document if block.find_values("_atom_site.id")), document[0])
        return gemmi.make_structure_from_block(block), True
    except (RuntimeError, ValueError, IndexError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{path}: not a model in PDB or CIF: {error}") from None


def _line_length(lines: list[bytes]) -> int:
    """72 for PDB files from before 1996, whose lines end with the name of the entry and a number; else 0, any."""
    head = lines[0] if lines else b""
    return 72 if head.startswith(b"HEADER") and len(head[72:76].strip()) == 4 and head[62:66] == head[72:76] else 0


def _from_small(path: Path | str, block: gemmi.cif.Block) -> gemmi.Structure:
    """Sites as atoms of one residue. Displacements U along reciprocal axes become Cartesian ones.

    U_cartesian = (A N) U (A N)^T with A the orthogonalization and N = diag(a*, b*, c*) (R. W. Grosse-Kunstleve and
    P. D. Adams, J. Appl. Cryst. 35, 477, 2002).
    """
    cell, symmetry = cell_and_symmetry(path, block)
    small = gemmi.make_small_structure_from_block(block)
    if small.spacegroup is None:
        # Of names of groups gemmi knows fewer tags.
        small.spacegroup_hm = symmetry.name
        small.determine_and_set_spacegroup("1")
    if small.spacegroup is None:
        named = f"space group {symmetry.name!r}, " if symmetry.name else ""
        raise FormatError(f"{path}: got {named}{len(symmetry.operations)} symmetry operations; no space group has "
                          "these in a setting that is known")
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

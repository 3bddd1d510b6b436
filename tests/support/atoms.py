"""ExperimentModels for the tests of structure factors, and what they scatter by a sum written out in NumPy."""

from __future__ import annotations

from pathlib import Path

import gemmi
import numpy as np

import cubragg
from cubragg.crystallography.structure import AtomicModel

EXAMPLES = Path(cubragg.__file__).parent / "examples"
#: Above the K edge of selenium, where f'' is 3.8 electrons and the edge is too far to change it.
REMOTE_A = 0.968


def random_model(atoms: int, cell: tuple[float, ...], group: str, seed: int = 1,
                 elements: str = "C C C N O S Se") -> AtomicModel:
    """Atoms anywhere in the cell, half of them anisotropic, with full and half occupancies."""
    rng = np.random.default_rng(seed)
    structure, model, chain, residue = gemmi.Structure(), gemmi.Model(1), gemmi.Chain("A"), gemmi.Residue()
    structure.cell, structure.spacegroup_hm = gemmi.UnitCell(*cell), group
    residue.name, residue.seqid = "UNL", gemmi.SeqId("1")
    names = elements.split()
    for number in range(atoms):
        atom = gemmi.Atom()
        atom.element = gemmi.Element(names[number % len(names)])
        atom.name = atom.element.name
        atom.pos = structure.cell.orthogonalize(gemmi.Fractional(*rng.random(3)))
        atom.occ, atom.b_iso = rng.choice([1.0, 0.5]), rng.uniform(8.0, 50.0)
        if number % 2:
            root = rng.normal(scale=0.2, size=(3, 3))
            u = root @ root.T + 0.15 * np.eye(3)
            atom.aniso = gemmi.SMat33f(u[0, 0], u[1, 1], u[2, 2], u[0, 1], u[0, 2], u[1, 2])
        residue.add_atom(atom)
    chain.add_residue(residue)
    model.add_chain(chain)
    structure.add_model(model)
    structure.setup_cell_images()
    return AtomicModel("random model", structure, cell, structure.find_spacegroup(), True, ())


def summed_by_hand(model: AtomicModel, hkl: np.ndarray, energy_eV: float | None) -> np.ndarray:
    """F complex [n] of indices [n, 3]: every symmetry copy of every atom, by the formula."""
    cell = model.structure.cell
    fractional = np.array(cell.frac.mat.tolist())
    inverse_d = hkl @ fractional
    s2 = (inverse_d ** 2).sum(axis=1)
    operations = [(np.array(op.rot) // op.DEN, np.array(op.tran) / op.DEN) for op in model.group.operations()]
    total = np.zeros(len(hkl), dtype=complex)
    for atom in model.atoms():
        form = atom.element.it92
        f = sum(a * np.exp(-b * s2 / 4.0) for a, b in zip(form.a, form.b, strict=True)) + form.c
        if energy_eV is not None:
            first, second = gemmi.cromer_liberman(atom.element.atomic_number, energy_eV)
            f = f + first + 1j * second
        place = fractional @ np.array(atom.pos.tolist())
        u = np.eye(3) * atom.b_iso / (8 * np.pi**2)
        if atom.aniso.nonzero():
            u = np.array(atom.aniso.as_mat33().tolist())
        for rotation, translation in operations:
            phase = np.exp(2j * np.pi * (hkl @ (rotation @ place + translation)))
            # The copy's displacements: h R takes the place of h in the frame of the atom itself.
            s = (hkl @ rotation) @ fractional
            total += atom.occ * f * np.exp(-2 * np.pi**2 * np.einsum("ni,ij,nj->n", s, u, s)) * phase
    return total


def r_factor(a: np.ndarray, b: np.ndarray) -> float:
    """Sum of the differences of amplitudes over the sum of the second."""
    return float(np.abs(np.abs(a) - np.abs(b)).sum() / np.abs(b).sum())

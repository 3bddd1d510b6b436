"""Atoms with unit cell and space group, as a gemmi structure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import gemmi

from cubragg.crystallography.cell import Cell


@dataclass(frozen=True, eq=False)
class AtomicModel:
    """A structure: atoms, unit cell and space group.

    Attributes
    ----------
    path
        File that it was read from.
    structure
        gemmi structure with one model; occupancies on special positions are divided by the number of copies.
    cell, group
        a, b, c [A], alpha, beta, gamma [deg] and the space group.
    macromolecule
        Whether it was read from a PDB or mmCIF file, so that solvent fills the space between the atoms.
    warnings
        Warnings of the reader.
    """

    path: str
    structure: gemmi.Structure
    cell: Cell
    group: gemmi.SpaceGroup
    macromolecule: bool
    warnings: tuple[str, ...]

    @property
    def model(self) -> gemmi.Model:
        """The only model of the structure."""
        return self.structure[0]

    def atoms(self) -> Iterator[gemmi.Atom]:
        """Iterate over all atoms."""
        return (site.atom for site in self.model.all())

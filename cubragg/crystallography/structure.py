"""Atoms in their cell and space group, as gemmi's structure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import gemmi

from cubragg.crystallography.cell import Cell


@dataclass(frozen=True, eq=False)
class AtomicModel:
    """What scatters.

    Attributes
    ----------
    path
        The file it comes from.
    structure
        gemmi's structure, of one model, with occupancies shared out among symmetry copies.
    cell, group
        a, b, c [A], alpha, beta, gamma [deg] and the space group.
    macromolecule
        Whether it comes from a PDB or mmCIF file, whose gaps hold solvent.
    notices
        What to tell the user.
    """

    path: str
    structure: gemmi.Structure
    cell: Cell
    group: gemmi.SpaceGroup
    macromolecule: bool
    notices: tuple[str, ...]

    @property
    def model(self) -> gemmi.Model:
        """The one model."""
        return self.structure[0]

    def atoms(self) -> Iterator[gemmi.Atom]:
        """All atoms."""
        return (site.atom for site in self.model.all())

"""Lattice type, centring and unique axis of space groups, as CrystFEL names them."""

from __future__ import annotations

from typing import NamedTuple

#: Largest change of a reciprocal metric under the operations of its space group, of its largest element.
_MAX_MISFIT = 0.03


class Bravais(NamedTuple):
    """A lattice: ``triclinic`` to ``cubic``; P, A, B, C, I, F, R (rhombohedral axes) or H (R on hexagonal axes); a, b,
    c, or * without a unique axis."""

    system: str
    centring: str
    unique_axis: str


TRICLINIC = Bravais("triclinic", "P", "*")


def bravais_of(symbol: str | None, cell: tuple[float, ...]) -> Bravais:
    """Return the lattice of a space group.

    Parameters
    ----------
    symbol
        Its Hermann-Mauguin symbol; ``None``: it is not known.
    cell
        a, b, c [A], alpha, beta, gamma [deg]; the lattice of one that does not have the symmetry of the group, and of
        an unknown group, is `TRICLINIC`.
    """
    import gemmi

    from cubragg.crystallography.symmetry import Symmetry

    group = gemmi.find_spacegroup_by_name(symbol) if symbol else None
    if group is None or Symmetry(group.xhm(), group.operations()).misfit(cell) > _MAX_MISFIT:
        return TRICLINIC
    system, centring = group.crystal_system_str(), group.centring_type()
    if group.ext == "R":
        return Bravais("rhombohedral", "R", "*")
    if system in ("trigonal", "hexagonal"):
        return Bravais("hexagonal", "H" if centring == "R" else centring, "c")
    unique = {"monoclinic": group.monoclinic_unique_axis(), "tetragonal": "c"}.get(system, "*")
    return Bravais(system, centring, unique)

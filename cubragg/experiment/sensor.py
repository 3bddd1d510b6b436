"""How far X-rays reach into the materials that sensors are made of."""

from __future__ import annotations

from typing import NamedTuple

from cubragg import units


class _Material(NamedTuple):
    density_g_per_cm3: float
    elements: tuple[str, ...]  # one atom of each


_MATERIALS = {"Si": _Material(2.329, ("Si",)), "CdTe": _Material(5.85, ("Cd", "Te")),
              "GaAs": _Material(5.318, ("Ga", "As"))}
_NAMES = {"silicon": "Si", "si": "Si", "cdte": "CdTe", "gaas": "GaAs"}


def known_material(name: str) -> str:
    """The short name of a sensor material however a file spells it; empty for one that is not known."""
    return _NAMES.get(name.strip().lower(), "")


def attenuation_um(material: str, wavelength_A: float) -> float | None:
    """Depth [um] at which a sensor material has absorbed all but 1/e; ``None`` for one that is not known.

    Photoelectric absorption alone, from f'' of Cromer and Liberman: cross section = 2 r_e lambda f''.
    """
    known = _MATERIALS.get(known_material(material))
    if known is None:
        return None
    import gemmi

    energy = units.HC_EV_ANGSTROM / wavelength_A
    elements = [gemmi.Element(name) for name in known.elements]
    f_second = sum(gemmi.cromer_liberman(element.atomic_number, energy)[1] for element in elements)
    r_e = units.THOMSON_CROSS_SECTION_M2 ** 0.5
    cross_section_m2 = 2.0 * r_e * units.m_from_angstrom(wavelength_A) * f_second
    per_m3 = known.density_g_per_cm3 * 1e6 / sum(element.weight for element in elements) * units.AVOGADRO_PER_MOL
    return 1e6 / (cross_section_m2 * per_m3)

"""How far X-rays reach into the materials that sensors are made of, and the layers that stand for a sensor.

`specs/sampling.md`, `specs/physical.md`
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from cubragg import units
from cubragg.nanobragg.fill_range import fill_range

#: Successive layers show a reflection shifted by this part of a pixel at most, where rays are most oblique.
_SHIFT_PIXELS = 0.5
#: Layers end where a sensor has absorbed all but this share; the last one takes what is left.
_LEFT_SHARE = 1e-3
_MOST_LAYERS = 50


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


class Sensor(NamedTuple):
    """The sensor of a panel: ``thickness_m`` (0: not modelled) and absorption ``mu_per_m``; whether its depth was
    filled in."""

    thickness_m: float
    mu_per_m: float
    depth_defaulted: bool = False


def sensor_of(thickness_um: float, attenuation_um: float | None) -> Sensor:
    """The sensor of a thickness and attenuation depth [um]; a depth that is not given is the thickness."""
    thickness = units.m_from_um(thickness_um)
    if attenuation_um is None:
        return Sensor(thickness, 1.0 / thickness, True) if thickness > 0.0 else Sensor(thickness, -1.0)
    transparent = attenuation_um == 0.0 or math.isinf(attenuation_um)
    return Sensor(thickness, 0.0 if transparent else 1.0 / units.m_from_um(attenuation_um))


class View(NamedTuple):
    """How the sample sees a panel: ``cosine`` of its most oblique ray with the normal; a pixel's smaller edge [m]."""

    cosine: float
    pixel_m: float


@dataclass(frozen=True)
class Layers:
    """Layers of a sensor.

    Attributes
    ----------
    count, step_m
        How many, and from the front of one to that of the next [m].
    first_m
        Where the photons of the first are absorbed [m]; those of the others as far behind their fronts.
    end_m
        Where the last one ends [m].
    thickness_m, mu_per_m
        Of the sensor; thickness 0: not modelled.
    """

    count: int
    step_m: float
    first_m: float
    end_m: float
    thickness_m: float
    mu_per_m: float

    def depth_m(self, layer: int) -> float:
        """Where the photons of a layer are absorbed [m]."""
        return self.first_m + layer * self.step_m

    def edges_m(self, layer: int) -> tuple[float, float]:
        """Front and back of a layer [m]."""
        return layer * self.step_m, self.end_m if layer + 1 == self.count else (layer + 1) * self.step_m


def nanobragg_layers(sensor: Sensor, steps: int | None) -> Layers:
    """Layers by nanoBragg's filling-in rule, each at its front; several given ones reach beyond the sensor's back."""
    sweep = fill_range(steps, sensor.thickness_m, None, 0.5e-6, halve_lone_span=True)
    return Layers(sweep.count, sweep.step, 0.0, sweep.count * sweep.step, sweep.span, sensor.mu_per_m)


def physical_layers(sensor: Sensor, steps: int | None, view: View) -> Layers:
    """Layers that fill a sensor, each at the mean depth of what it absorbs; without ``steps`` as many as it takes.

    Rays that are less oblique than the most oblique one are absorbed a little deeper in a layer; but there the depth
    matters less.
    """
    thickness, mu = sensor.thickness_m, sensor.mu_per_m
    if thickness == 0.0:
        return Layers(1, 0.0, 0.0, 0.0, 0.0, mu)
    count, reach = steps or 0, thickness
    if not count:
        reach = min(thickness, -math.log(_LEFT_SHARE) / mu) if mu > 0.0 else thickness
        tangent = math.sqrt(max(1.0 / view.cosine**2 - 1.0, 0.0))
        count = min(max(math.ceil(reach * tangent / (_SHIFT_PIXELS * view.pixel_m)), 1), _MOST_LAYERS)
    step = reach / count
    return Layers(count, step, step * _mean_depth(step * mu / view.cosine), thickness, thickness, mu)


def _mean_depth(x: float) -> float:
    """Mean of u, 0 to 1, weighted with exp(-x u)."""
    if x < 1e-4:
        return 0.5 - x / 12.0  # the next term is x^3 / 720
    return 1.0 / x - math.exp(-x) / -math.expm1(-x)

"""Attenuation depth of sensor materials, and the layers by which a thick sensor is modelled.

`specs/sampling.md`, `specs/physical.md`
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from cubragg import units
from cubragg.nanobragg.fill_range import fill_range

#: Largest shift of a spot between successive layers [pixel], for the most oblique ray.
_SHIFT_PIXELS = 0.5
#: Fraction of the photons left behind the evenly spaced layers; the last layer extends to the back and absorbs them.
_LEFT_SHARE = 1e-3
_MOST_LAYERS = 50


class _Material(NamedTuple):
    density_g_per_cm3: float
    elements: tuple[str, ...]  # one atom of each


_MATERIALS = {"Si": _Material(2.329, ("Si",)), "CdTe": _Material(5.85, ("Cd", "Te")),
              "GaAs": _Material(5.318, ("Ga", "As"))}
_NAMES = {"silicon": "Si", "si": "Si", "cdte": "CdTe", "gaas": "GaAs"}


def known_material(name: str) -> str:
    """Return the formula of a sensor material from its name in a file; empty if it is not known."""
    return _NAMES.get(name.strip().lower(), "")


def attenuation_um(material: str, wavelength_A: float) -> float | None:
    """Return the attenuation depth (1/e) of a sensor material [um]; ``None`` if the material is not known.

    Photoelectric absorption alone, from f'' of Cromer and Liberman: cross section = 2 r_e lambda f''. Infinite at
    wavelengths without f''.
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
    per_m = cross_section_m2 * per_m3
    return 1e6 / per_m if per_m > 0.0 else math.inf


class Sensor(NamedTuple):
    """The sensor of a panel: ``thickness_m`` (0: not modelled), absorption ``mu_per_m``, and whether its attenuation
    depth was defaulted to the thickness."""

    thickness_m: float
    mu_per_m: float
    depth_defaulted: bool = False


def sensor_of(thickness_um: float, attenuation_um: float | None) -> Sensor:
    """Return the sensor of a thickness and attenuation depth [um]; the depth defaults to the thickness."""
    thickness = units.m_from_um(thickness_um)
    if attenuation_um is None:
        return Sensor(thickness, 1.0 / thickness, True) if thickness > 0.0 else Sensor(thickness, -1.0)
    transparent = attenuation_um == 0.0 or math.isinf(attenuation_um)
    return Sensor(thickness, 0.0 if transparent else 1.0 / units.m_from_um(attenuation_um))


class View(NamedTuple):
    """Obliquity of a panel: cosine of the most oblique ray with the normal, and the smaller edge of a pixel [m]."""

    cosine: float
    pixel_m: float


@dataclass(frozen=True)
class Layers:
    """Layers of a sensor.

    Attributes
    ----------
    count, step_m
        Number of layers, and distance from the front of one to that of the next [m].
    first_m
        Depth at which the photons of the first layer are absorbed [m]; the same distance behind the front of others.
    end_m
        Depth of the back of the last layer [m].
    thickness_m, mu_per_m
        Thickness (0: not modelled) and absorption of the sensor.
    """

    count: int
    step_m: float
    first_m: float
    end_m: float
    thickness_m: float
    mu_per_m: float

    def depth_m(self, layer: int) -> float:
        """Return the depth at which the photons of a layer are absorbed [m]."""
        return self.first_m + layer * self.step_m

    def edges_m(self, layer: int) -> tuple[float, float]:
        """Return the depths of front and back of a layer [m]."""
        return layer * self.step_m, self.end_m if layer + 1 == self.count else (layer + 1) * self.step_m


def nanobragg_layers(sensor: Sensor, steps: int | None) -> Layers:
    """Return layers by nanoBragg's rules: photons are absorbed at the front, and given layers may exceed the sensor."""
    sweep = fill_range(steps, sensor.thickness_m, None, 0.5e-6, halve_single_width=True)
    return Layers(sweep.count, sweep.step, 0.0, sweep.count * sweep.step, sweep.width, sensor.mu_per_m)


def physical_layers(sensor: Sensor, steps: int | None, view: View) -> Layers:
    """Return layers that fill a sensor, each at the mean depth of the photons that it absorbs.

    Without ``steps`` their number follows from `_SHIFT_PIXELS`. The mean depth is that of the most oblique ray: other
    rays are absorbed a little deeper, but their shift is smaller.
    """
    thickness, mu = sensor.thickness_m, sensor.mu_per_m
    if thickness == 0.0:
        return Layers(1, 0.0, 0.0, 0.0, 0.0, mu)
    count, depth = steps or 0, thickness
    if not count:
        depth = min(thickness, -math.log(_LEFT_SHARE) / mu) if mu > 0.0 else thickness
        tangent = math.sqrt(max(1.0 / view.cosine**2 - 1.0, 0.0))
        count = min(max(math.ceil(depth * tangent / (_SHIFT_PIXELS * view.pixel_m)), 1), _MOST_LAYERS)
    step = depth / count
    return Layers(count, step, step * _mean_depth(step * mu / view.cosine), thickness, thickness, mu)


def _mean_depth(x: float) -> float:
    """Return the mean of u from 0 to 1, weighted with exp(-x u)."""
    if x < 1e-4:
        return 0.5 - x / 12.0  # the next term is x^3 / 720
    return 1.0 / x - math.exp(-x) / -math.expm1(-x)

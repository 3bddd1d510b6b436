"""Dispersion corrections f' and f'' of elements, after Cromer and Liberman, with edges as wide as their core holes.

D. T. Cromer and D. A. Liberman, Acta Cryst. A37, 267 (1981), as computed by gemmi, for a core hole without a width: at
an edge f' has a pole and f'' a step. A core hole of width W [eV] averages both over a Lorentzian of that width. W
is a fit to M. O. Krause and J. H. Oliver, J. Phys. Chem. Ref. Data 8, 329 (1979), within 25 %.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import NamedTuple

import gemmi
import numpy as np

from cubragg.errors import ConfigError

#: Largest distance of an edge [eV] for which its fine structure may change f' by electrons, and in core-hole widths.
_NEAR_EV, _NEAR_WIDTHS = 20.0, 20.0
#: ln W = a (ln Z)^2 + b ln Z + c, of K and of L edges, which E / Z^2 [eV] distinguishes.
_WIDTHS = {"K": (0.9582, -3.9745, 3.0159), "L": (0.0, 1.6946, -5.6736)}
_K_FROM_EV = 5.0
#: Smallest increase of f'' over an energy range that contains an edge.
_EDGE_STEP = 1.05
#: Points of the average over the Lorentzian, which is equally dense in its angle.
_POINTS = 2000
_PRECISION_EV = 0.005


class Dispersion(NamedTuple):
    """f' and f'' [electrons]; ``edge_eV`` is the energy of an edge that is near, ``None`` if none is."""

    first: float
    second: float
    edge_eV: float | None = None


def dispersion(elements: Iterable[str], energy_eV: float, given: Mapping[str, tuple[float, float]]
               ) -> dict[str, Dispersion]:
    """Return f' and f'' of elements, by symbol; ``given`` values are used as they are.

    Raises
    ------
    ConfigError
        If a value is given for an element that is not listed, or is not finite.
    """
    listed = list(elements)
    for name, values in given.items():
        if name not in listed:
            raise ConfigError("anomalous", f"got values for {name}, which the structure does not contain; it contains "
                              f"{', '.join(sorted(listed))}")
        if not all(map(math.isfinite, values)):
            raise ConfigError("anomalous", f"got {values[0]:g} {values[1]:g} for {name}; f' and f'' must be finite")
    return {name: Dispersion(*given[name]) if name in given else calculated(name, energy_eV) for name in listed}


def calculated(element: str, energy_eV: float) -> Dispersion:
    """Return f' and f'' of an element at a photon energy."""
    number = gemmi.Element(element).atomic_number
    kind = "K" if energy_eV / number**2 > _K_FROM_EV else "L"
    a, b, c = _WIDTHS[kind]
    width = math.exp(a * math.log(number) ** 2 + b * math.log(number) + c)
    edge = _edge(number, energy_eV, max(_NEAR_EV, _NEAR_WIDTHS * width))
    if edge is None:
        return Dispersion(*gemmi.cromer_liberman(number, energy_eV))
    angles = math.pi * ((np.arange(_POINTS) + 0.5) / _POINTS - 0.5)
    # Beyond half the energy the tail of the Lorentzian has less than 1e-3 of its area.
    energies = np.clip(energy_eV + width / 2.0 * np.tan(angles), 0.5 * energy_eV, 1.5 * energy_eV)
    first, second = np.mean([gemmi.cromer_liberman(number, energy) for energy in energies.tolist()], axis=0).tolist()
    return Dispersion(first, second, edge if abs(edge - energy_eV) <= _NEAR_EV else None)


def _edge(number: int, energy_eV: float, within_eV: float) -> float | None:
    """Return the energy of the edge nearest to an energy, where f'' increases; ``None`` if there is none."""
    def second(energy: float) -> float:
        return float(gemmi.cromer_liberman(number, energy)[1])

    def bisected(low: float, high: float) -> float:
        while high - low > _PRECISION_EV:
            middle = 0.5 * (low + high)
            low, high = (low, middle) if second(middle) > second(low) * _EDGE_STEP else (middle, high)
        return 0.5 * (low + high)

    grid = np.linspace(max(energy_eV - within_eV, 1.0), energy_eV + within_eV, 9).tolist()
    edges = [bisected(low, high) for low, high in pairwise(grid)
             if second(high) > second(low) * _EDGE_STEP]
    return min(edges, key=lambda edge: abs(edge - energy_eV), default=None)


def dispersion_warnings(values: Mapping[str, Dispersion], energy_eV: float) -> list[str]:
    """Return a warning for each element that has an edge near the photon energy."""
    return [f"{name}: {energy_eV:.6g} eV is {abs(energy_eV - one.edge_eV):.1f} eV "
            f"{'above' if energy_eV > one.edge_eV else 'below'} an absorption edge at {one.edge_eV:.6g} eV, where f' "
            f"and f'' depend on the chemical environment; f' {one.first:.3f} and f'' {one.second:.3f} are those of "
            f"free atoms, --anomalous {name} F1 F2 gives measured ones"
            for name, one in values.items() if one.edge_eV is not None]

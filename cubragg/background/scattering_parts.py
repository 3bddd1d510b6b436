"""The terms of a background: what scatters, and from where on the beam."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from cubragg import units
from cubragg.background.form_factor_table import AIR, WATER, FormFactor
from cubragg.background.ice_rings import ice_intensity
from cubragg.experiment.background_settings import Background, Scatterer

#: Points along a path of air, at which its scattering is computed with their own distance and angle.
_AIR_POINTS = 3


class Part(NamedTuple):
    """A term of the background: a function of stol [1/A], s = 1/d [1/A] and azimuth [rad] that returns electron^2 times
    molecules per m^2; and its distance from the crystal along the beam [m]."""

    intensity: Callable[[np.ndarray, np.ndarray | None], np.ndarray]
    offset: float = 0.0
    azimuth: bool = False


def water_path(background: Background) -> Scatterer:
    """Return the water of a background as a scatterer."""
    return WATER.scatterer(background.water_um / 1000.0)


def parts_of(background: Background, wavelength_A: float) -> Iterator[Part]:
    """Yield the terms of a background."""
    for scatterer in (*background.scatterers, *((water_path(background),) if background.water_um else ())):
        yield _amorphous(scatterer)
    before, after = background.air_mm
    if before or after:
        points, weights = np.polynomial.legendre.leggauss(_AIR_POINTS)
        for length, sign in ((before, -1.0), (after, 1.0)):
            for point, weight in zip(points, weights, strict=True):
                if length:
                    share = AIR.scatterer(length * weight / 2.0)
                    yield _amorphous(share, offset=sign * units.m_from_mm(length) * (point + 1.0) / 2.0)
    if background.ice_um:
        # Photons per steradian of the ice per 1 / r_e^2 [1/m^2] and photon: path [A] times 1e20 A^2 / m^2.
        factor = background.ice_um * 1e4 * 1e20

        def ice(s: np.ndarray, azimuth: np.ndarray | None) -> np.ndarray:
            return factor * ice_intensity(wavelength_A, s, azimuth, background.ice_fwhm_per_A, background.ice_grains,
                                          background.ice_seed)

        yield Part(ice, azimuth=background.ice_grains is not None)


def _amorphous(scatterer: Scatterer, offset: float = 0.0) -> Part:
    factor = FormFactor(scatterer.table)
    molecules = (units.m_from_mm(scatterer.path_mm) * scatterer.density_g_cm3 * 1e6 * units.AVOGADRO_PER_MOL
                 / scatterer.molecular_weight)
    return Part(lambda s, _: molecules * factor.intensity(s / 2.0), offset)

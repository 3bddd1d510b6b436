"""Distributions of the crystal's blocks and of the beam, in SI units and radians.

Both methods start from these: the analytic one evaluates their integrals, the sampled one draws from them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from cubragg import units
from cubragg.crystallography.vectors import Vector, cross, unit
from cubragg.experiment.beam import Beam
from cubragg.experiment.crystal import Crystal, Lattice
from cubragg.experiment.one_or_several import several

#: Standard deviation of one component of a rotation in nanoBragg's cap over its half-width.
CAP_SIGMA = 0.4964


class SpectralLine(NamedTuple):
    """A channel of the spectrum: mean wavelength [m], fraction of the photons, and sigma of the relative wavelength."""

    wavelength: float
    fraction: float
    bandwidth: float


class Spreads(NamedTuple):
    """Standard deviations of Gaussian distributions; 0 where there is none.

    Attributes
    ----------
    mosaicity
        Of the rotation of a block about the three axes of the crystal [rad].
    cap
        Half-width of nanoBragg's cap of rotations [rad], whose standard deviations ``mosaicity`` then has; 0: Gaussian.
    frame
        float64 [3, 3], these axes at phi = 0 in columns: along a, in the a-b plane, along c*.
    strain
        Of the relative length of cell axes.
    divergence
        Of the direction of the beam along the polarization axis and across it [rad].
    channels
        The spectrum; fractions sum to 1.
    """

    mosaicity: Vector
    cap: float
    frame: np.ndarray
    strain: float
    divergence: tuple[float, float]
    channels: tuple[SpectralLine, ...]

    @property
    def of_beam(self) -> bool:
        """Whether the beam has a divergence or a bandwidth, or several channels."""
        return any(self.divergence) or len(self.channels) > 1 or self.channels[0].bandwidth > 0.0


def crystal_frame(lattice: Lattice) -> np.ndarray:
    """Return float64 [3, 3], right-handed unit vectors in columns: along a, in the a-b plane, along c*."""
    x, z = unit(lattice.a), unit(lattice.c_star)
    return np.array((x, cross(z, x), z)).T


def spreads_of(crystal: Crystal, beam: Beam, lattice: Lattice) -> Spreads:
    """Return the distributions of an experiment; channels without photons are left out."""
    cap = units.rad_from_deg(crystal.mosaic_spread_deg or 0.0)
    about_x, about_y, about_z = map(units.rad_from_deg, several(crystal.mosaicity_deg or 0.0))
    if cap > 0.0:
        about_x = about_y = about_z = CAP_SIGMA * cap
    channels = [channel for channel in beam.channels() if channel.weight > 0.0]
    total = math.fsum(channel.weight for channel in channels)
    return Spreads(
        (about_x, about_y, about_z), cap, crystal_frame(lattice), crystal.strain,
        beam.divergence_rad(),
        tuple(SpectralLine(units.m_from_angstrom(channel.wavelength_A), channel.weight / total, channel.bandwidth)
              for channel in channels))

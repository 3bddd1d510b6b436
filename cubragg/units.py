"""Physical constants and unit conversions of the package.

Conversions use the operations of nanoBragg.c, including division instead of
multiplication, so that the SI value of a flag has the same bits in both programs.
"""

from __future__ import annotations

import math
from collections.abc import Callable

THOMSON_CROSS_SECTION_M2 = 7.94079248018965e-30  #: r_e squared [m^2]
AVOGADRO_PER_MOL = 6.02214179e23
HC_EV_ANGSTROM = 12398.42  #: photon energy times wavelength [eV A]

WATER_F_ELECTRONS = 2.57  #: forward structure factor of one water molecule
WATER_MW_G_PER_MOL = 18.0
WATER_DENSITY_G_PER_M3 = 1e6

#: One Angstrom [m]. nanoBragg.c multiplies cells and resolutions by it, but divides wavelengths by 1e10,
#: which differs in the last bits.
ANGSTROM_M = 1e-10

#: Full width at half maximum of a normal distribution, over its standard deviation.
FWHM_PER_SIGMA = math.sqrt(8.0 * math.log(2.0))
#: Degrees per radian, computed as in the C program: 180 * M_1_PI.
DEG_PER_RAD = 180.0 * (1.0 / math.pi)


def m_from_mm(value_mm: float) -> float:
    """Length in metres from millimetres."""
    return value_mm / 1000.0


def m_from_um(value_um: float) -> float:
    """Length in metres from micrometres."""
    return value_um * 1e-6


def water_m_from_um(value_um: float) -> float:
    """Edge of the water cube in metres from micrometres; the C program divides here and multiplies in `m_from_um`."""
    return value_um / 1e6


def m_from_angstrom(value_A: float) -> float:
    """Wavelength in metres from Angstrom."""
    return value_A / 1e10


def angstrom_from_m(value_m: float) -> float:
    """Wavelength in Angstrom from metres."""
    return value_m * 1e10


def rad_from_deg(value_deg: float) -> float:
    """Angle in radians from degrees."""
    return value_deg / DEG_PER_RAD


def deg_from_rad(value_rad: float) -> float:
    """Angle in degrees from radians."""
    return value_rad * DEG_PER_RAD


def rad_from_mrad(value_mrad: float) -> float:
    """Angle in radians from milliradians."""
    return value_mrad / 1000.0


def angstrom_from_ev(energy_eV: float) -> float:
    """Wavelength in Angstrom of a photon energy in eV."""
    return HC_EV_ANGSTROM / energy_eV


def value_for(target: float, convert: Callable[[float], float]) -> float:
    """The value in the user's unit that ``convert`` maps to ``target`` exactly, or else to the nearest number.

    Needed where the C program computes in SI a quantity that cubragg keeps in
    the user's unit. The rounded inverse and its two neighbours are tried.
    """
    guess = target / convert(1.0)
    candidates = [guess, math.nextafter(guess, math.inf), math.nextafter(guess, -math.inf)]
    return min(candidates, key=lambda value: abs(convert(value) - target))

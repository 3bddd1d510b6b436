"""Describes the beam of an NXmx file (NXbeam): wavelength, spectrum, flux, size and polarization.

The wavelength is a number, or one for each image, as programs read it. A spectrum is its variant, as the NXmx
definition proposes: ``incident_wavelength_1Dspectrum`` with ``_weights`` and ``_spread``, each of m channels or of n
images with m channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cubragg import units
from cubragg.crystallography.vectors import Vector
from cubragg.experiment.spectrum_channels import Channel
from cubragg.io.images.nexus_nodes import field, set_text
from cubragg.io.images.scene import Scene

if TYPE_CHECKING:
    import h5py

#: The group of the beam, and its data sets.
BEAM = "/entry/instrument/beam"
WAVELENGTH, SPECTRUM, SPREAD = "incident_wavelength", "incident_wavelength_1Dspectrum", "incident_wavelength_spread"
#: Endings of the data sets of a spectrum: wavelengths and full widths at half maximum [A], and weights.
SPECTRUM_PARTS = ("", "_weights", "_spread")


class Spectrum(NamedTuple):
    """Channels of a beam: wavelengths [A], weights, and full widths at half maximum [A].

    Each float64 [m], or [n, m] where they differ from image to image.
    """

    wavelengths_A: np.ndarray
    weights: np.ndarray
    spreads_A: np.ndarray


def spectrum_of(channels: Sequence[Channel]) -> Spectrum:
    """The spectrum of channels."""
    wavelengths, weights, bandwidths = np.array([(one.wavelength_A, one.weight, one.bandwidth) for one in channels]).T
    return Spectrum(wavelengths, weights, units.FWHM_PER_SIGMA * bandwidths * wavelengths)


def describe_beam(beam: h5py.Group, scene: Scene, polar: Vector) -> None:
    """Write a beam whose E vector is along ``polar`` in the frame of the file."""
    field(beam, WAVELENGTH, scene.wavelength_A, "angstrom")
    if len(scene.channels) > 1:
        write_spectrum(beam, spectrum_of(scene.channels))
    elif scene.channels and scene.channels[0].bandwidth > 0.0:
        field(beam, SPREAD, spectrum_of(scene.channels).spreads_A[0], "angstrom")
    if scene.flux is not None:
        field(beam, "total_flux", scene.flux, "Hz")
    if scene.beamsize_m is not None:
        field(beam, "incident_beam_size", np.full(2, scene.beamsize_m), "m")
    angle = 2.0 * math.atan2(polar[1], polar[0])
    stokes = (1.0, (scene.kahn_factor or 0.0) * math.cos(angle), (scene.kahn_factor or 0.0) * math.sin(angle), 0.0)
    beam["incident_polarization_stokes"] = np.array(stokes)


def write_spectrum(beam: h5py.Group, spectrum: Spectrum) -> None:
    """Write a spectrum, the variant of the wavelength."""
    for part, values in zip(SPECTRUM_PARTS, spectrum, strict=True):
        beam[SPECTRUM + part] = values
    describe_spectrum(beam)


def remove_spectrum(beam: h5py.Group) -> None:
    """Remove a spectrum or bandwidth."""
    for name in (SPREAD, SPECTRUM + "_weight", *(SPECTRUM + part for part in SPECTRUM_PARTS)):
        beam.pop(name, None)
    beam[WAVELENGTH].attrs.pop("variant", None)


def describe_spectrum(beam: h5py.Group) -> None:
    """Write what the data sets of a spectrum are."""
    for part in ("", "_spread"):
        set_text(beam[SPECTRUM + part], units="angstrom")
    set_text(beam[WAVELENGTH], variant=SPECTRUM)
    beam[SPECTRUM + "_weight"] = beam[SPECTRUM + "_weights"]  # what older readers of dxtbx look for

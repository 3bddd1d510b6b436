"""What a picture says about the experiment: shared by ``simulate --png`` and ``view``."""

from __future__ import annotations

import math
from collections.abc import Container

from cubragg import units
from cubragg.experiment.detector import Detector, DetectorGeometry
from cubragg.view.figure import Notes
from cubragg.view.resolution import beam_spot, image_resolution

#: Detectors that lean less than this are not said to lean [deg].
_UPRIGHT_DEG = 0.005


def notes_for(marks: Container[str], detector: Detector, geometry: DetectorGeometry, wavelength_A: float, *,
              title: str, unit: str = "photons/pixel") -> Notes:
    """The notes of an image on a detector placed at ``geometry``, with rings and a close-up as ``marks`` says."""
    spot = beam_spot(geometry)
    return Notes(
        title=title, facts=facts(geometry, wavelength_A), unit=unit,
        resolution_A=image_resolution(detector, geometry, wavelength_A) if "rings" in marks else None,
        beam_px=(spot.fast_px, spot.slow_px) if spot else None, zoom="zoom" in marks)


def facts(geometry: DetectorGeometry, wavelength_A: float) -> str:
    """Wavelength, energy, distance and inclination in one line."""
    spot = beam_spot(geometry)
    text = (f"{wavelength_A:.5g} Å ({units.HC_EV_ANGSTROM / wavelength_A / 1000.0:.4g} keV), "
            f"distance {1000.0 * (spot.distance if spot else geometry.close_distance):.5g} mm, "
            f"pixel {1e6 * geometry.pixel_size:.4g} µm")
    lean = math.degrees(math.acos(min(1.0, abs(geometry.beam_in_detector[2]))))
    return text if lean < _UPRIGHT_DEG else f"{text}, inclined by {lean:.3g}°"

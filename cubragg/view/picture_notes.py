"""What a picture says about the experiment: shared by ``simulate --png`` and ``view``."""

from __future__ import annotations

import math
from collections.abc import Container, Sequence

from cubragg import units
from cubragg.crystallography.vectors import dot
from cubragg.experiment.conventions import DetectorFrame
from cubragg.experiment.panel import Panel, panel_in_beam
from cubragg.view.figure import Notes
from cubragg.view.resolution import beam_spot, image_resolution

#: Detectors that lean less than this are not said to lean [deg].
_UPRIGHT_DEG = 0.005


def notes_for(marks: Container[str], panels: Sequence[Panel], frame: DetectorFrame, wavelength_A: float, *,
              curved: bool = False, title: str, unit: str = "photons/pixel") -> Notes:
    """The notes of an image of placed panels, with rings and a close-up as ``marks`` says."""
    spot = beam_spot(panels, frame)
    return Notes(
        title=title, facts=facts(panels, frame, wavelength_A), unit=unit,
        resolution_A=image_resolution(panels, frame, wavelength_A, curved=curved) if "rings" in marks else None,
        beam_px=(spot.fast_px, spot.slow_px) if spot else None, zoom="zoom" in marks)


def facts(panels: Sequence[Panel], frame: DetectorFrame, wavelength_A: float) -> str:
    """Wavelength, energy, and distance, pixel and inclination of the panel in the beam, in one line."""
    panel, spot = panel_in_beam(panels, frame.beam), beam_spot(panels, frame)
    distance = spot.distance_mm if spot else dot(panel.origin_mm, panel.normal)
    text = (f"{wavelength_A:.5g} Å ({units.HC_EV_ANGSTROM / wavelength_A / 1000.0:.4g} keV), "
            f"distance {distance:.5g} mm, pixel {1e3 * panel.pixel_mm[0]:.4g} µm")
    lean = math.degrees(math.acos(min(1.0, abs(dot(frame.beam, panel.normal)))))
    return text if lean < _UPRIGHT_DEG else f"{text}, inclined by {lean:.3g}°"

"""What a picture shows of the experiment: shared by ``simulate --png``, ``view`` and ``Image.plot``."""

from __future__ import annotations

import math
from collections.abc import Container, Sequence

import numpy as np

from cubragg import units
from cubragg.crystallography.vectors import dot
from cubragg.experiment.detector_frame import DetectorFrame
from cubragg.experiment.panel import Panel, panel_in_beam
from cubragg.reflections.reflection_table import Flags, ReflectionTable
from cubragg.view.assembly import assembly_of
from cubragg.view.notes import Notes, Spots
from cubragg.view.resolution import beam_spot, image_resolution

#: Detectors that lean less than this are not said to lean [deg].
_UPRIGHT_DEG = 0.005


def notes_for(marks: Container[str], panels: Sequence[Panel], frame: DetectorFrame, wavelength_A: float, *,
              curved: bool = False, title: str, unit: str = "photons/pixel") -> Notes:
    """The notes of an image of placed panels, with rings and a close-up as ``marks`` says."""
    spot = beam_spot(panels, frame)
    assembly = assembly_of(panels, frame.beam, curved=curved)
    return Notes(
        title=title, facts=facts(panels, frame, wavelength_A), unit=unit,
        resolution_A=image_resolution(panels, frame, wavelength_A, curved=curved) if "rings" in marks else None,
        beam_px=(spot.fast_px, spot.slow_px) if spot else None, zoom="zoom" in marks,
        assembly=assembly, panels=tuple(panels), pixel_mm=min(min(panel.pixel_mm) for panel in panels))


def spots_of(table: ReflectionTable, most: int = 1000) -> Spots:
    """The brightest reflections of a table, at most ``most``, as spots for a picture, without the direct beam."""
    shown = np.flatnonzero((table.flags & Flags.DIRECT_BEAM) == 0)[:most]
    fast, slow = table.image_px
    return Spots(fast[shown], slow[shown], table.hkl[shown])


def facts(panels: Sequence[Panel], frame: DetectorFrame, wavelength_A: float) -> str:
    """Wavelength, energy, and distance, pixel and inclination of the panel in the beam, in one line."""
    panel, spot = panel_in_beam(panels, frame.beam), beam_spot(panels, frame)
    distance = spot.distance_mm if spot else dot(panel.origin_mm, panel.normal)
    text = (f"{wavelength_A:.5g} Å ({units.HC_EV_ANGSTROM / wavelength_A / 1000.0:.4g} keV), "
            f"distance {distance:.5g} mm, pixel {1e3 * panel.pixel_mm[0]:.4g} µm")
    lean = math.degrees(math.acos(min(1.0, abs(dot(frame.beam, panel.normal)))))
    return text if lean < _UPRIGHT_DEG else f"{text}, inclined by {lean:.3g}°"

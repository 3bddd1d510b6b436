"""Moving a whole detector: a shift, a distance, a beam centre, and a rotation about the beam spot or the crystal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cubragg import units
from cubragg.crystallography.vectors import Vector, combine, dot, rotate_xyz, scale
from cubragg.errors import ConfigError
from cubragg.experiment.panel import Panel, Spot, panel_in_beam

if TYPE_CHECKING:
    from cubragg.experiment.detector import Detector

_NONE: Vector = (0.0, 0.0, 0.0)


def moved(panels: Sequence[Panel], detector: Detector, beam: Vector) -> tuple[Panel, ...]:
    """The panels where the detector's motion brings them: first shifted, then rotated.

    Fast, slow and distance are those of the panel that the beam hits, or whose edge is nearest to it, before the
    motion. Away from the crystal is along the beam; where the beam does not meet the front of that panel's plane it is
    along the plane's normal.

    Raises
    ------
    ConfigError
        For a distance or beam centre where the beam does not meet the plane.
    """
    reference = panel_in_beam(panels, beam)
    spot = reference.spot(beam)
    if spot is not None and spot.distance_mm <= 0.0:
        spot = None
    shift = _shift_mm(detector, reference, spot, beam)
    if shift != _NONE:
        panels = [replace(panel, origin_mm=combine((1.0, panel.origin_mm), (1.0, shift))) for panel in panels]
        reference = replace(reference, origin_mm=combine((1.0, reference.origin_mm), (1.0, shift)))
    if any(detector.rotation_deg):
        pivot = _NONE
        if spot is not None and detector.pivot != "sample":
            spot = reference.spot(beam)
            assert spot is not None  # a shift keeps the plane's direction
            pivot = scale(beam, spot.distance_mm)
        panels = [_rotated(panel, detector.rotation_deg, pivot) for panel in panels]
    return tuple(panels)


def _shift_mm(detector: Detector, reference: Panel, spot: Spot | None, beam: Vector) -> Vector:
    shift = _NONE
    for name in ("distance_mm", "beam_centre_mm"):
        if spot is None and getattr(detector, name) is not None and (name != "distance_mm" or detector.panels):
            raise ConfigError(f"detector.{name}", f"got {getattr(detector, name)} mm for a detector whose front the "
                              "beam does not meet; close_distance_mm and shift_mm move it")
    if detector.panels and detector.close_distance_mm is not None:
        normal = reference.normal
        shift = scale(normal, detector.close_distance_mm - dot(reference.origin_mm, normal))
    elif detector.panels and detector.distance_mm is not None and spot is not None:
        shift = scale(beam, detector.distance_mm - spot.distance_mm)
    if detector.beam_centre_mm is not None and spot is not None:
        edges, wanted = reference.pixel_mm, detector.beam_centre_mm
        shift = combine((1.0, shift), (spot.fast_px * edges[0] - wanted[0], reference.fast),
                        (spot.slow_px * edges[1] - wanted[1], reference.slow))
    if any(detector.shift_mm):
        away = reference.normal if spot is None else beam
        shift = combine((1.0, shift), *zip(detector.shift_mm, (reference.fast, reference.slow, away), strict=True))
    return shift


def _rotated(panel: Panel, angles_deg: Vector, pivot_mm: Vector) -> Panel:
    """A panel turned about the x axis, then y, then z, through a point."""
    angles = tuple(units.rad_from_deg(angle) for angle in angles_deg)

    def turn(x: Vector) -> Vector:
        return rotate_xyz(x, angles)  # type: ignore[arg-type]

    arm = combine((1.0, panel.origin_mm), (-1.0, pivot_mm))
    return replace(panel, origin_mm=combine((1.0, pivot_mm), (1.0, turn(arm))), fast_mm=turn(panel.fast_mm),
                   slow_mm=turn(panel.slow_mm))

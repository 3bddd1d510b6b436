"""Motion of a whole detector: shift, distance, beam centre, and rotation about the beam spot or the crystal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from cubragg import units
from cubragg.crystallography.vectors import Vector, combine, dot, rotate_xyz, scale
from cubragg.errors import ConfigError
from cubragg.experiment.panel import Panel, Spot, panel_in_beam

_NONE: Vector = (0.0, 0.0, 0.0)


class Motion(NamedTuple):
    """Motion of all panels of a detector: settings of `Detector`; ``None`` or 0: no motion.

    ``pivot`` is the centre of the rotation: ``beam``, where the beam hits the detector, or ``sample``.
    """

    distance_mm: float | None = None
    close_distance_mm: float | None = None
    beam_centre_mm: tuple[float, float] | None = None
    shift_mm: Vector = _NONE
    rotation_deg: Vector = _NONE
    pivot: str = "beam"

    @property
    def moves(self) -> bool:
        """Whether there is any motion."""
        absolute = (self.distance_mm, self.close_distance_mm, self.beam_centre_mm)
        return absolute != (None, None, None) or any(self.shift_mm) or any(self.rotation_deg)


def moved(panels: Sequence[Panel], motion: Motion, beam: Vector) -> tuple[Panel, ...]:
    """Return the panels after a motion: first shifted, then rotated.

    Fast, slow and distance refer to the panel that the beam hits, or that is nearest to it, before the motion. The
    third component of a shift is along the beam or, if the beam does not meet the front of that panel's plane, along
    the normal of the plane.

    Raises
    ------
    ConfigError
        If a distance or beam centre is given and the beam does not meet the plane.
    """
    reference = panel_in_beam(panels, beam)
    spot = reference.spot(beam)
    if spot is not None and spot.distance_mm <= 0.0:
        spot = None
    shift = _shift_mm(motion, reference, spot, beam)
    if shift != _NONE:
        panels = [replace(panel, origin_mm=combine((1.0, panel.origin_mm), (1.0, shift))) for panel in panels]
        reference = replace(reference, origin_mm=combine((1.0, reference.origin_mm), (1.0, shift)))
    if any(motion.rotation_deg):
        pivot = _NONE
        if spot is not None and motion.pivot != "sample":
            spot = reference.spot(beam)
            assert spot is not None  # a shift keeps the plane's direction
            pivot = scale(beam, spot.distance_mm)
        panels = [_rotated(panel, motion.rotation_deg, pivot) for panel in panels]
    return tuple(panels)


def _shift_mm(motion: Motion, reference: Panel, spot: Spot | None, beam: Vector) -> Vector:
    shift = _NONE
    for name in ("distance_mm", "beam_centre_mm"):
        if spot is None and getattr(motion, name) is not None:
            raise ConfigError(f"detector.{name}", f"got {getattr(motion, name)} mm for a detector whose front the "
                              "beam does not meet; give close_distance_mm or shift_mm")
    if motion.close_distance_mm is not None:
        normal = reference.normal
        shift = scale(normal, motion.close_distance_mm - dot(reference.origin_mm, normal))
    elif motion.distance_mm is not None and spot is not None:
        shift = scale(beam, motion.distance_mm - spot.distance_mm)
    if motion.beam_centre_mm is not None and spot is not None:
        edges, centre_mm = reference.pixel_mm, motion.beam_centre_mm
        shift = combine((1.0, shift), (spot.fast_px * edges[0] - centre_mm[0], reference.fast),
                        (spot.slow_px * edges[1] - centre_mm[1], reference.slow))
    if any(motion.shift_mm):
        away = reference.normal if spot is None else beam
        shift = combine((1.0, shift), *zip(motion.shift_mm, (reference.fast, reference.slow, away), strict=True))
    return shift


def _rotated(panel: Panel, angles_deg: Vector, pivot_mm: Vector) -> Panel:
    """Return a panel rotated about the x axis, then y, then z, through a point."""
    angles = tuple(units.rad_from_deg(angle) for angle in angles_deg)

    def rotated(x: Vector) -> Vector:
        return rotate_xyz(x, angles)  # type: ignore[arg-type]

    offset = combine((1.0, panel.origin_mm), (-1.0, pivot_mm))
    return replace(panel, origin_mm=combine((1.0, pivot_mm), (1.0, rotated(offset))), fast_mm=rotated(panel.fast_mm),
                   slow_mm=rotated(panel.slow_mm))

"""From the models of a file to the settings of an experiment that repeats them.

The settings are those of nanoBragg's CUSTOM convention in the file's own laboratory frame, so that a distance,
a beam centre or a tilt given besides moves what the file described. `specs/from.md`
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any, NamedTuple

import numpy as np

from cubragg import units
from cubragg.crystallography.vectors import Vector, combine, cross, dot, norm, scale, unit
from cubragg.errors import ConfigError
from cubragg.experiment.detector import Detector, DetectorGeometry
from cubragg.experiment.panel import Panel, image_shape
from cubragg.io.geometry.experiment_models import BeamModel, Models

#: Settings that place pixels: a detector from a file replaces them all.
PLACES = ("convention", "pixel_size_mm", "fast_pixels", "slow_pixels", "fast_size_mm", "slow_size_mm", "distance_mm",
          "close_distance_mm", "xbeam_mm", "ybeam_mm", "xclose_mm", "yclose_mm", "orgx", "orgy", "pivot", "rotx_deg",
          "roty_deg", "rotz_deg", "twotheta_deg", "fast_axis", "slow_axis", "normal_axis", "beam_axis", "polar_axis",
          "twotheta_axis", "pix0_m", "curved", "panels")
#: A place in plain settings must be that of the file within this [mm], or the detector becomes a list of panels.
_SAME_MM = 1e-9
#: Where no file says it, the spindle is that of DIALS's frame.
_SPINDLE: Vector = (1.0, 0.0, 0.0)
#: A plane is met by the beam if this share of the distance or more is across it.
_GRAZING = 1e-6


class _Spot(NamedTuple):
    """Where the beam meets the plane of a panel: along fast and slow from its corner, and along the beam [mm]."""

    fast: float
    slow: float
    distance: float


def settings_of(models: Models) -> dict[str, Any]:
    """Settings by ``section.field``. The A matrix is not among them: it awaits the wavelength in force.

    Raises
    ------
    ConfigError
        For models that no experiment can have.
    """
    settings: dict[str, Any] = {}
    beam = models.beam
    if beam is not None:
        settings["beam.wavelength_A"] = beam.wavelength_A
        if beam.polarization_fraction is not None:
            settings["beam.kahn_factor"] = 2.0 * beam.polarization_fraction - 1.0
            settings["beam.polarized"] = True
    if models.panels and beam is not None:
        placed = {**_axes(models, beam), **_placed(models, beam)}
        settings |= {f"detector.{name}": value for name, value in placed.items()}
        settings["goniometer.axis"] = models.spindle or _SPINDLE
    if models.scan is not None:
        settings["goniometer.phi_deg"] = models.scan.phi_deg
        settings["goniometer.osc_deg"] = models.scan.osc_deg if models.scan.osc_deg > 0.0 else None
        settings["beam.exposure_s"] = models.scan.exposure_s
    if models.crystal is not None:
        settings["crystal.cell"] = models.crystal.cell
    return {name: value for name, value in settings.items() if value is not None}


def detector_of(models: Models, **changes: Any) -> tuple[Detector, DetectorGeometry]:
    """The detector of models that have one, with settings of `Detector` in place of theirs; and where it stands.

    Raises
    ------
    ConfigError
        For models that no experiment can have.
    """
    settings = settings_of(models)
    own = {name.partition(".")[2]: value for name, value in settings.items() if name.startswith("detector.")}
    detector = Detector(**{**own, **changes})
    return detector, detector.geometry(settings["goniometer.axis"], "physical")


def _axes(models: Models, beam: BeamModel) -> dict[str, Any]:
    """Beam and polarization in the CUSTOM convention."""
    normal = beam.polarization_normal
    # The E vector of an unsaid polarization is horizontal: across beam and spindle, or y, as far as one can be.
    candidates = [cross(normal, beam.direction)] if normal else [
        combine((1.0, x), (-dot(x, beam.direction), beam.direction))
        for x in (models.spindle or _SPINDLE, _SPINDLE, (0.0, 1.0, 0.0))]
    electric = next((x for x in candidates if norm(x) > _GRAZING), None)
    if electric is None:
        raise ConfigError("beam", "got a polarization normal along the beam; it must stand across")
    return {"convention": "custom", "beam_axis": beam.direction, "polar_axis": unit(electric)}


def _placed(models: Models, beam: BeamModel) -> dict[str, Any]:
    """Place and sensor of the detector: plain settings where they say all, else a frame for its panels."""
    panels, sensor = models.panels, _sensor(models.panels)
    if len({(panel.thickness_um, panel.attenuation_um) for panel in panels}) == 1:
        # Said once, for all of them: what is given besides reaches them too.
        panels = tuple(dataclasses.replace(panel, thickness_um=None, attenuation_um=None) for panel in panels)
    base = _base_panel(panels, beam.direction)
    plain = {**_frame(base, panels, beam.direction), **sensor}
    axes = _axes(models, beam)
    if len(panels) == 1 and _says_all(Detector(**axes, **plain), base):
        return plain
    plain |= _frame(_squared(base), panels, beam.direction)
    geometry = Detector(**axes, **plain).geometry(None, "nanobragg")
    across = unit(cross(geometry.fast, geometry.slow))
    normal = across if dot(across, geometry.normal) > 0.0 else scale(across, -1.0)

    def within(x: Vector) -> Vector:
        return (dot(x, geometry.fast), dot(x, geometry.slow), dot(x, normal))

    corner = scale(geometry.pix0, 1000.0)
    return {**plain, "panels": tuple(dataclasses.replace(
        panel, origin_mm=within(combine((1.0, panel.origin_mm), (-1.0, corner))), fast=within(panel.fast),
        slow=within(panel.slow)) for panel in panels)}


def _base_panel(panels: tuple[Panel, ...], beam: Vector) -> Panel:
    """The panel that is hit by the beam, or whose edge is nearest to it: its plane is that of the detector."""
    def miss(panel: Panel) -> float:
        spot = _spot(panel, beam)
        if spot is None or spot.distance <= 0.0:
            return math.inf
        width, height = panel.fast_pixels * panel.pixel_fast_mm, panel.slow_pixels * panel.pixel_slow_mm
        return math.hypot(max(0.0, -spot.fast, spot.fast - width), max(0.0, -spot.slow, spot.slow - height))

    return min(panels, key=miss)


def _spot(panel: Panel, along: Vector) -> _Spot | None:
    """Where a line from the sample meets the plane of a panel; ``None`` where it runs beside it."""
    matrix = np.array([scale(panel.fast, -1.0), scale(panel.slow, -1.0), along]).T
    if abs(np.linalg.det(matrix)) < _GRAZING:
        return None
    return _Spot(*(float(x) for x in np.linalg.solve(matrix, panel.origin_mm)))


def _squared(panel: Panel) -> Panel:
    """The panel with a slow axis at right angles to its fast one."""
    slow = unit(combine((1.0, panel.slow), (-dot(panel.fast, panel.slow), panel.fast)))
    return dataclasses.replace(panel, slow=slow)


def _whole(base: Panel) -> Panel:
    """The panel moved, in its plane, to where the first pixel of the image would lie."""
    return dataclasses.replace(base, origin_mm=combine(
        (1.0, base.origin_mm), (-base.offset[0] * base.pixel_fast_mm, base.fast),
        (-base.offset[1] * base.pixel_slow_mm, base.slow)))


def detector_plane(panels: tuple[Panel, ...], beam: Vector) -> Panel:
    """The plane of a detector, as a panel that begins at the first pixel of the image, with perpendicular axes.

    It is that of the panel which the beam hits, or whose edge is nearest to it.
    """
    return _whole(_squared(_base_panel(panels, beam)))


def _frame(base: Panel, panels: tuple[Panel, ...], beam: Vector) -> dict[str, Any]:
    """The plane of ``base`` as a detector that begins at the first pixel of the image."""
    slow_pixels, fast_pixels = image_shape(panels)
    whole = _whole(base)
    normal = unit(cross(base.fast, base.slow))
    if dot(whole.origin_mm, normal) < 0.0:
        normal = scale(normal, -1.0)
    settings: dict[str, Any] = {
        "pixel_size_mm": base.pixel_fast_mm, "fast_pixels": fast_pixels, "slow_pixels": slow_pixels,
        "fast_axis": base.fast, "slow_axis": base.slow, "normal_axis": _exact_unit(normal)}
    spot = _spot(whole, beam)
    if spot is not None and spot.distance > 0.0:
        return {**settings, "pivot": "beam", "distance_mm": spot.distance, "xbeam_mm": spot.fast, "ybeam_mm": spot.slow}
    nearest = _spot(whole, normal)
    if nearest is None or nearest.distance <= 0.0:
        raise ConfigError("detector", "got a panel whose plane holds the sample; it must lie away from it")
    return {**settings, "pivot": "sample", "close_distance_mm": nearest.distance, "xbeam_mm": nearest.fast,
            "ybeam_mm": nearest.slow}


def _exact_unit(x: Vector) -> Vector:
    """A unit vector whose length is 1 to the last bit: nanoBragg.c replaces a normal that is not by fast x slow."""
    largest_first = sorted(range(3), key=lambda axis: -abs(x[axis]))
    for axis, step in itertools.product(largest_first, sorted(range(-16, 17), key=abs)):
        if x[axis] != 0.0:
            nudged = [*x]
            nudged[axis] += step * 2.0**-55 / x[axis]  # changes the square of the length by step * 2**-54
            if norm((nudged[0], nudged[1], nudged[2])) == 1.0:
                return (nudged[0], nudged[1], nudged[2])
    return x


def _sensor(panels: tuple[Panel, ...]) -> dict[str, Any]:
    """Thickness and attenuation depth."""
    absorbing = next((panel for panel in panels if panel.thickness_um and panel.attenuation_um), None)
    if absorbing is None:
        return {}
    return {"thickness_um": absorbing.thickness_um, "attenuation_um": absorbing.attenuation_um}


def _says_all(detector: Detector, panel: Panel) -> bool:
    """Whether plain settings repeat a lone panel."""
    if panel.mask is not None or panel.offset != (0, 0) or panel.pixel_fast_mm != panel.pixel_slow_mm:
        return False
    geometry = detector.geometry(None, "nanobragg")
    off = max(abs(a - b) for mine, wanted in ((scale(geometry.pix0, 1000.0), panel.origin_mm),
                                              (geometry.fast, panel.fast), (geometry.slow, panel.slow))
              for a, b in zip(mine, wanted, strict=True))
    return off < _SAME_MM and math.isclose(units.m_from_mm(panel.pixel_fast_mm), geometry.pixel_size)

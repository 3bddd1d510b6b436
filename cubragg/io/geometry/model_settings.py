"""From the models of a file to the settings of an experiment that has them: its panels as they are placed.

The settings are in the file's own laboratory frame. `specs/from.md`
"""

from __future__ import annotations

import dataclasses
from typing import Any

from cubragg.crystallography.vectors import Vector, cross, norm, unit
from cubragg.errors import ConfigError
from cubragg.experiment.conventions import Directions
from cubragg.experiment.detector import CONVENTION_ONLY, Detector, Placed
from cubragg.experiment.panel import Panel, check_panels, panel_in_beam
from cubragg.io.geometry.experiment_models import BeamModel, Models

#: Settings that place pixels, and the directions beside them: a detector from a file replaces them all.
PLACES = (*(f"detector.{name}" for name in (
    *CONVENTION_ONLY, "convention", "distance_mm", "close_distance_mm", "pivot", "curved", "panels", "beam_centre_mm",
    "shift_mm", "rotation_deg")), "beam.direction", "beam.polarization_axis", "goniometer.axis")
#: Where no file says it, the spindle is that of DIALS's frame.
_SPINDLE: Vector = (1.0, 0.0, 0.0)
#: A polarization normal with less than this across the beam is along it.
_ALONG_BEAM = 1e-6


def settings_of(models: Models) -> dict[str, Any]:
    """Settings by ``section.field``; the A matrix is not among them.

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
        check_panels(models.panels)
        settings["detector.convention"] = "custom"
        settings |= {f"detector.{name}": value for name, value in _panels(models.panels).items()}
        directions = _directions(models, beam)
        settings["beam.direction"], settings["beam.polarization_axis"] = directions.beam, directions.polar
        settings["goniometer.axis"] = directions.spindle
        spot = panel_in_beam(models.panels, beam.direction).spot(beam.direction)
        settings["detector.pivot"] = "beam" if spot is not None and spot.distance_mm > 0.0 else "sample"
    if models.scan is not None:
        settings["goniometer.phi_deg"] = models.scan.phi_deg
        settings["goniometer.osc_deg"] = models.scan.osc_deg if models.scan.osc_deg > 0.0 else None
        settings["beam.exposure_s"] = models.scan.exposure_s
    if models.crystal is not None:
        settings["crystal.cell"] = models.crystal.cell
    return {name: value for name, value in settings.items() if value is not None}


def placed_models(models: Models, **motion: Any) -> Placed:
    """The detector of models with beam and panels in their laboratory; ``motion``: settings of `Detector` that move it.

    Raises
    ------
    ConfigError
        For models that no experiment can have.
    """
    assert models.beam is not None
    detector = Detector(convention="custom", **_panels(models.panels), **motion)
    return detector.placed(_directions(models, models.beam))


def _directions(models: Models, beam: BeamModel) -> Directions:
    """Beam, E vector (``None``: horizontal, as far as it can be) and spindle."""
    normal, polar = beam.polarization_normal, None
    if normal is not None:
        electric = cross(normal, beam.direction)
        if norm(electric) <= _ALONG_BEAM:
            raise ConfigError("beam", "got a polarization normal along the beam; it must be across")
        polar = unit(electric)
    return Directions(beam.direction, polar, models.spindle or _SPINDLE)


def _panels(panels: tuple[Panel, ...]) -> dict[str, Any]:
    """The panels, and their sensor once for all of them where they have the same: flags then change it for all."""
    sensors = {(panel.thickness_um, panel.attenuation_um) for panel in panels}
    if len(sensors) > 1:
        return {"panels": panels}
    (thickness, attenuation), = sensors
    common = tuple(dataclasses.replace(panel, thickness_um=None, attenuation_um=None) for panel in panels)
    if not (thickness and attenuation):
        return {"panels": common}
    return {"panels": common, "thickness_um": thickness, "attenuation_um": attenuation}

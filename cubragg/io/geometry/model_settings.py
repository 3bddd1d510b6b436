"""Settings of an experiment from experiment models.

Panels and directions are in the file's laboratory frame. `specs/from.md`
"""

from __future__ import annotations

import dataclasses
from typing import Any

from cubragg.crystallography.vectors import Vector, cross, norm, unit
from cubragg.errors import ConfigError
from cubragg.experiment.beam import Beam
from cubragg.experiment.conventions import Directions
from cubragg.experiment.crystal import Crystal
from cubragg.experiment.detector import CONVENTION_ONLY, Detector, Placed
from cubragg.experiment.experiment_parts import ExperimentParts
from cubragg.experiment.goniometer import Goniometer
from cubragg.experiment.panel import Panel, check_panels, panel_in_beam
from cubragg.io.geometry.experiment_models import BeamModel, ExperimentModels

#: Settings of the panel geometry and of directions; a detector from a file replaces all of them.
PLACES = (*(f"detector.{name}" for name in (
    *CONVENTION_ONLY, "convention", "distance_mm", "close_distance_mm", "pivot", "curved", "panels", "beam_centre_mm",
    "shift_mm", "rotation_deg")), "beam.direction", "beam.polarization_axis", "goniometer.axis", "goniometer.axes",
          "goniometer.scan_axis")
#: Spindle if the file does not specify one, in the frame of DIALS.
_SPINDLE: Vector = (1.0, 0.0, 0.0)
#: A polarization normal with a smaller component across the beam is refused as parallel to it.
_ALONG_BEAM = 1e-6


def settings_of(models: ExperimentModels) -> dict[str, Any]:
    """Return the settings by ``section.field``, without the A matrix.

    Raises
    ------
    ConfigError
        If no experiment can have these models.
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
        if models.axes:
            settings |= {"goniometer.axes": models.axes, "goniometer.scan_axis": models.scan_axis}
        spot = panel_in_beam(models.panels, beam.direction).spot(beam.direction)
        settings["detector.pivot"] = "beam" if spot is not None and spot.distance_mm > 0.0 else "sample"
    if models.scan is not None:
        settings["goniometer.phi_deg"] = models.scan.phi_deg
        settings["goniometer.osc_deg"] = models.scan.osc_deg
        if models.scan.osc_deg == 0.0:
            settings["goniometer.phi_steps"] = 1
        settings["beam.exposure_s"] = models.scan.exposure_s or None  # 0 where it was not known
    if models.crystal is not None:
        settings["crystal.cell"] = models.crystal.cell
    return {name: value for name, value in settings.items() if value is not None}


def spread_of_profile(models: ExperimentModels) -> dict[str, Any]:
    """Return mosaicity and divergence of the profile model of an integration; empty without one."""
    if models.profile is None:
        return {}
    mosaicity, divergence = models.profile.spread()
    return {"crystal.mosaicity_deg": mosaicity} | ({} if divergence is None else {"beam.divergence_deg": divergence})


def parts_of(models: ExperimentModels) -> ExperimentParts:
    """Return the parts of an experiment.

    Raises
    ------
    ConfigError
        If there are panels without a wavelength or a distance, or no experiment can have these models.
    """
    if models.panels and (models.beam is None or models.beam.wavelength_A is None):
        raise ConfigError("wavelength_A", f"{models.missing_wavelength or 'no wavelength is given'}; give wavelength_A")
    if models.missing_distance:
        raise ConfigError("distance_mm", f"{models.missing_distance}; give distance_mm, the distance of the panel "
                          "that the beam hits")
    sections: dict[str, dict[str, Any]] = {}
    settings = settings_of(models)
    settings |= {name: value for name, value in spread_of_profile(models).items()
                 if models.crystal is not None or not name.startswith("crystal")}
    for name, value in settings.items():
        section, _, field = name.partition(".")
        sections.setdefault(section, {})[field] = value
    if models.crystal is not None and models.crystal.a_matrix is not None:
        m = models.crystal.a_matrix
        sections.setdefault("crystal", {})["a_matrix"] = (m[0:3], m[3:6], m[6:9])
    classes = {"beam": Beam, "detector": Detector, "goniometer": Goniometer, "crystal": Crystal}
    parts: dict[str, Any] = {name: classes[name](**fields) for name, fields in sections.items()}
    return ExperimentParts(**parts, warnings=models.warnings)


def placed_models(models: ExperimentModels, **motion: Any) -> Placed:
    """Return the placed detector of models with beam and panels; ``motion`` are settings of `Detector` that move it.

    Raises
    ------
    ConfigError
        If no experiment can have these models.
    """
    assert models.beam is not None
    detector = Detector(convention="custom", **_panels(models.panels), **motion)
    return detector.placed(_directions(models, models.beam))


def _directions(models: ExperimentModels, beam: BeamModel) -> Directions:
    """Return the directions of beam, E vector (``None``: the default of `laboratory_of`) and spindle."""
    normal, polar = beam.polarization_normal, None
    if normal is not None:
        electric = cross(normal, beam.direction)
        if norm(electric) <= _ALONG_BEAM:
            raise ConfigError("beam", "got a polarization normal along the beam; it must be perpendicular to the beam")
        polar = unit(electric)
    return Directions(beam.direction, polar, models.spindle or _SPINDLE)


def _panels(panels: tuple[Panel, ...]) -> dict[str, Any]:
    """Return settings of the panels; a sensor that all have in common is a setting of the detector, so that flags can
    change it."""
    sensors = {(panel.thickness_um, panel.attenuation_um) for panel in panels}
    if len(sensors) > 1:
        return {"panels": panels}
    (thickness, attenuation), = sensors
    common = tuple(dataclasses.replace(panel, thickness_um=None, attenuation_um=None) for panel in panels)
    if not (thickness and attenuation):
        return {"panels": common}
    return {"panels": common, "thickness_um": thickness, "attenuation_um": attenuation}

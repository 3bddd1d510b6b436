"""Experiment models: beam, panels, spindle, scan and crystal in one laboratory frame, as other programs describe them.

Readers of geometry files return `ExperimentModels`, writers take them. `specs/from.md`
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cubragg import checks, units
from cubragg.bounds import ANGLE_DEG, POLARIZATION_FRACTION, WAVELENGTH_A
from cubragg.crystallography.cell import Cell, cell_of_axes, dual_axes
from cubragg.crystallography.frames import to_frame
from cubragg.crystallography.vectors import Matrix, Vector, rotate_axis
from cubragg.errors import ConfigError
from cubragg.experiment.crystal import Crystal
from cubragg.experiment.experiment import Experiment
from cubragg.experiment.goniometer_axes import GoniometerAxis
from cubragg.experiment.panel import Panel, check_panels, image_shape
from cubragg.experiment.sensor import sensor_of

#: Largest image that a file may describe, of which rendering takes 2 GB; real detectors have less than 64 million.
_MOST_PIXELS = 96_000_000
#: Error of a fraction by rounding that is corrected.
_ROUNDING = 1e-3


@dataclass(frozen=True)
class BeamModel:
    """The X-ray beam.

    Attributes
    ----------
    direction
        Unit vector from the source to the sample.
    wavelength_A
        Wavelength [A]; ``None``: not specified.
    polarization_fraction, polarization_normal
        Fraction of the beam whose E vector is perpendicular to the normal, (1 + Kahn factor) / 2, and the normal;
        ``None``: not specified.
    """

    direction: Vector
    wavelength_A: float | None = None
    polarization_fraction: float | None = None
    polarization_normal: Vector | None = None


@dataclass(frozen=True)
class ScanModel:
    """The rotation of an image: start and range [deg], exposure [s]; and the number of such images in a series."""

    phi_deg: float
    osc_deg: float
    exposure_s: float | None = None
    images: int = 1


@dataclass(frozen=True)
class CrystalModel:
    """The A matrix at phi = 0 (rows x, y, z; columns a*, b*, c* [1/A]), or only the cell [A, deg]."""

    a_matrix: Matrix | None = None
    cell: Cell | None = None


class ProfileModel(NamedTuple):
    """Standard deviations of the spots that DIALS integrated, of `gaussian_rs`: across the ray, and rocking [deg]."""

    sigma_b_deg: float
    sigma_m_deg: float

    def spread(self) -> tuple[float, float | None]:
        """Return the mosaicity and the divergence [deg] that have these; ``None`` for no divergence.

        A divergence widens spots to sigma_b and adds to the rocking width. Where sigma_b is the larger one, it is due
        to the size of crystal or pixels.
        """
        b, m = self
        return (math.sqrt(m * m - b * b), b) if b < m else (m, None)


@dataclass(frozen=True)
class ExperimentModels:
    """What files of other programs describe of an experiment; ``None`` or empty if they do not describe a part.

    Attributes
    ----------
    beam, scan, crystal
        See their classes.
    panels
        The placed panels of the detector, in the laboratory of the models.
    spindle
        Unit vector of the rotation axis in the laboratory; positive rotation is right-handed.
    warnings
        Warnings for the user about these models.
    missing_wavelength
        If there is no wavelength, the reason.
    missing_distance
        If the distance of the panels is a nominal one, the reason.
    profile
        Profile model of the integration.
    axes, scan_axis
        Axes of a goniometer that has several, from the crystal outwards, and the name of the one that turns.
    """

    beam: BeamModel | None = None
    panels: tuple[Panel, ...] = ()
    spindle: Vector | None = None
    scan: ScanModel | None = None
    crystal: CrystalModel | None = None
    warnings: tuple[str, ...] = ()
    missing_wavelength: str = ""
    missing_distance: str = ""
    axes: tuple[GoniometerAxis, ...] = ()
    scan_axis: str | None = None
    profile: ProfileModel | None = None

    def over(self, other: ExperimentModels) -> ExperimentModels:
        """Return these models, with missing ones, and missing values of the beam, from ``other``."""
        mine = {name: value for name, value in vars(self).items() if value}
        merged = {**vars(other), **mine, "warnings": (*other.warnings, *self.warnings),
                  "missing_distance": (self if self.panels else other).missing_distance}
        if self.spindle:
            merged |= {"axes": self.axes, "scan_axis": self.scan_axis}
        if self.beam and other.beam:
            known = {name: value for name, value in vars(self.beam).items() if value is not None}
            merged["beam"] = dataclasses.replace(other.beam, **known)
        return ExperimentModels(**merged)


def check_pixels(fast: int, slow: int) -> None:
    """Refuse a panel or image of a file with more pixels than any detector has, before an array of them is made."""
    if fast * slow > _MOST_PIXELS:
        raise ConfigError("detector.panels", f"got {fast} x {slow} pixels; a file may describe at most {_MOST_PIXELS}")


def checked_models(models: ExperimentModels) -> ExperimentModels:
    """Return the models of a file, with a polarization fraction that is rounded to more than 1 as 1.

    Raises
    ------
    ConfigError
        For numbers that no experiment has.
    """
    beam, scan, crystal = models.beam, models.scan, models.crystal
    check_panels(models.panels)
    if models.panels:
        slow, fast = image_shape(models.panels)
        check_pixels(fast, slow)
    if scan is not None:
        checks.number("scan", "the spindle angle", scan.phi_deg, "deg", within=ANGLE_DEG)
        checks.number("scan", "the rotation range", scan.osc_deg, "deg", within=ANGLE_DEG)
        checks.number("scan", "the exposure", scan.exposure_s, "s", optional=True)
    if crystal is not None:
        m = crystal.a_matrix
        Crystal(crystal.cell, None if m is None else (m[0:3], m[3:6], m[6:9]))
    if beam is None:
        return models
    checks.number("beam", "wavelength", beam.wavelength_A, "A", optional=True, within=WAVELENGTH_A)
    fraction = beam.polarization_fraction
    if fraction is None:
        return models
    nearest = min(max(fraction, POLARIZATION_FRACTION.low), POLARIZATION_FRACTION.high)
    if not abs(fraction - nearest) <= _ROUNDING:
        raise ConfigError("beam", f"got a polarization fraction of {fraction:g}; it must be {POLARIZATION_FRACTION}")
    return dataclasses.replace(models, beam=dataclasses.replace(beam, polarization_fraction=nearest))


def models_of(experiment: Experiment) -> ExperimentModels:
    """Return the models of an experiment, in the frame of DIALS.

    Raises
    ------
    ConfigError
        If the detector is curved, which flat panels cannot describe.
    """
    detector, goniometer, beam = experiment.detector, experiment.goniometer, experiment.beam
    if detector.curved:
        raise ConfigError("detector.curved", "got a curved detector; geometry files describe flat panels only")
    placed = experiment.placed()
    geometry = placed.frame
    rotation = geometry.dials_rotation()
    lattice = experiment.crystal.lattice(experiment.semantics)
    # nanoBragg's reciprocal axes are not exactly dual to the real ones, from which the image is computed.
    axes = [to_frame(rotation, axis) for axis in dual_axes(lattice.a, lattice.b, lattice.c)]
    range_rad = goniometer.sweep().width
    osc = goniometer.osc_deg if range_rad and goniometer.osc_deg is not None else units.deg_from_rad(range_rad)
    kahn = beam.kahn_in(experiment.semantics) if beam.polarized else 0.0
    panels = [_masked(_panel(rotation, panel), experiment.sampling.mask) for panel in placed.panels]
    return ExperimentModels(
        BeamModel(to_frame(rotation, geometry.beam), beam.wavelength_A, (1.0 + kahn) / 2.0,
                  to_frame(rotation, geometry.vert)),
        tuple(panels), to_frame(rotation, geometry.spindle), ScanModel(goniometer.phi_deg, osc, beam.exposure_s),
        CrystalModel(tuple(axis[i] for i in range(3) for axis in axes)),  # type: ignore[arg-type]
        axes=tuple(dataclasses.replace(axis, direction=to_frame(rotation, axis.direction)) for axis in goniometer.axes),
        scan_axis=goniometer.scan_axis)


def _panel(rotation: Matrix, panel: Panel) -> Panel:
    """Return a panel in the laboratory that ``rotation`` leads to, with a sensor if it absorbs."""
    sensor = sensor_of(panel.thickness_um or 0.0, panel.attenuation_um)
    absorbing = sensor.thickness_m > 0.0 and sensor.mu_per_m > 0.0
    return dataclasses.replace(
        panel, origin_mm=to_frame(rotation, panel.origin_mm), fast_mm=to_frame(rotation, panel.fast_mm),
        slow_mm=to_frame(rotation, panel.slow_mm), thickness_um=1e6 * sensor.thickness_m if absorbing else None,
        attenuation_um=1e6 / sensor.mu_per_m if absorbing else None)


def _masked(panel: Panel, mask: np.ndarray | None) -> Panel:
    """Return the panel with the pixels masked that are False in the mask of the image."""
    if mask is None or mask[panel.window].all():
        return panel
    return dataclasses.replace(panel, mask=mask[panel.window] & (True if panel.mask is None else panel.mask))


def crystal_at(models: ExperimentModels, phi_deg: float) -> Matrix | None:
    """Return the A matrix rotated by ``phi_deg`` about the spindle; ``None`` if the models have none."""
    if models.crystal is None or models.crystal.a_matrix is None or models.spindle is None:
        return None
    m, angle = models.crystal.a_matrix, units.rad_from_deg(phi_deg)
    axes = [rotate_axis((m[i], m[3 + i], m[6 + i]), models.spindle, angle) if angle else (m[i], m[3 + i], m[6 + i])
            for i in range(3)]
    return tuple(axis[i] for i in range(3) for axis in axes)  # type: ignore[return-value]


def rectangles(flagged: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Return rectangles (fast, fast end, slow, slow end; ends excluded) that cover each True pixel [slow, fast] once.

    Runs of a row are joined with equal runs of the previous row.
    """
    found: list[tuple[int, int, int, int]] = []
    running: dict[tuple[int, int], int] = {}
    edge = np.zeros((1, 1), dtype=np.int8)
    rows = np.vstack([flagged, np.zeros((1, flagged.shape[1]), dtype=bool)])
    changing = np.append(True, np.any(rows[1:] != rows[:-1], axis=1))
    for slow in np.flatnonzero(changing).tolist():
        row = rows[slow]
        steps = np.diff(np.concatenate([edge[0], row.astype(np.int8), edge[0]]))
        runs = list(zip(np.flatnonzero(steps == 1).tolist(), np.flatnonzero(steps == -1).tolist(), strict=True))
        found += [(*run, running.pop(run), slow) for run in [*running] if run not in runs]
        for run in runs:
            running.setdefault(run, slow)
    return found


def cell_of(crystal: CrystalModel) -> Cell:
    """Return the cell [A, deg] of a crystal."""
    if crystal.cell is not None or crystal.a_matrix is None:
        return crystal.cell or (0.0,) * 6
    m = crystal.a_matrix
    return cell_of_axes(*dual_axes(*((m[i], m[3 + i], m[6 + i]) for i in range(3))))

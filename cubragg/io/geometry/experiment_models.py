"""An experiment as other programs describe it: beam, panels, spindle, scan and crystal in one laboratory frame.

Files are read into `Models` and written from them. `specs/from.md`
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from cubragg import units
from cubragg.crystallography.cell import Cell, cell_of_axes, dual_axes
from cubragg.crystallography.frames import to_frame
from cubragg.crystallography.vectors import Matrix, Vector, rotate_axis
from cubragg.errors import ConfigError
from cubragg.experiment.experiment import Experiment
from cubragg.experiment.panel import Panel
from cubragg.experiment.sensor import sensor_of


@dataclass(frozen=True)
class BeamModel:
    """What comes in.

    Attributes
    ----------
    direction
        Unit vector from the source to the sample.
    wavelength_A
        Wavelength [A]; ``None``: the file does not say.
    polarization_fraction, polarization_normal
        Share of the beam whose E vector is perpendicular to the normal, (1 + Kahn factor) / 2; ``None``: not said.
    """

    direction: Vector
    wavelength_A: float | None = None
    polarization_fraction: float | None = None
    polarization_normal: Vector | None = None


@dataclass(frozen=True)
class ScanModel:
    """The rotation of an image: start and range [deg], exposure [s]; and how many images follow one another so."""

    phi_deg: float
    osc_deg: float
    exposure_s: float | None = None
    images: int = 1


@dataclass(frozen=True)
class CrystalModel:
    """A matrix at phi = 0 (rows x, y, z; columns a*, b*, c* [1/A]), or the cell alone [A, deg]."""

    a_matrix: Matrix | None = None
    cell: Cell | None = None


@dataclass(frozen=True)
class Models:
    """Models of an experiment; ``None`` or empty where a file does not have one.

    Attributes
    ----------
    beam, scan, crystal
        See their classes.
    panels
        The panels of the detector, placed in the laboratory of the models.
    spindle
        Unit vector of the rotation axis, as it stands in the laboratory; positive rotation is right-handed.
    remarks
        What to tell the user who takes these models.
    unsaid
        Why there is no wavelength, where there is none.
    unplaced
        Why the distance of the panels only stands in for one, where it does.
    """

    beam: BeamModel | None = None
    panels: tuple[Panel, ...] = ()
    spindle: Vector | None = None
    scan: ScanModel | None = None
    crystal: CrystalModel | None = None
    remarks: tuple[str, ...] = ()
    unsaid: str = ""
    unplaced: str = ""

    def over(self, other: Models) -> Models:
        """These models, and those of ``other`` where there are none. Of the beam each number counts by itself."""
        mine = {name: value for name, value in vars(self).items() if value}
        merged = {**vars(other), **mine, "remarks": (*other.remarks, *self.remarks),
                  "unplaced": (self if self.panels else other).unplaced}
        if self.beam and other.beam:
            known = {name: value for name, value in vars(self.beam).items() if value is not None}
            merged["beam"] = dataclasses.replace(other.beam, **known)
        return Models(**merged)


def models_of(experiment: Experiment) -> Models:
    """The models of an experiment, in the frame of DIALS.

    Raises
    ------
    ConfigError
        For a curved detector, which flat panels do not describe.
    """
    detector, goniometer, beam = experiment.detector, experiment.goniometer, experiment.beam
    if detector.curved:
        raise ConfigError("detector.curved", "got a curved detector; files describe flat panels only")
    placed = experiment.placed()
    geometry = placed.frame
    turn = geometry.dials_rotation()
    lattice = experiment.crystal.lattice(experiment.semantics)
    # Where nanoBragg's rules leave the reciprocal axes a little off, those of the image are dual to the real axes.
    axes = [to_frame(turn, axis) for axis in dual_axes(lattice.a, lattice.b, lattice.c)]
    span = goniometer.sweep().span
    osc = goniometer.osc_deg if span and goniometer.osc_deg is not None else units.deg_from_rad(span)
    kahn = beam.kahn_factor if beam.polarized else 0.0
    panels = [_masked(_panel(turn, panel), experiment.sampling.mask) for panel in placed.panels]
    return Models(
        BeamModel(to_frame(turn, geometry.beam), beam.wavelength_A, (1.0 + kahn) / 2.0, to_frame(turn, geometry.vert)),
        tuple(panels), to_frame(turn, geometry.spindle), ScanModel(goniometer.phi_deg, osc, beam.exposure_s),
        CrystalModel(tuple(axis[i] for i in range(3) for axis in axes)))  # type: ignore[arg-type]


def _panel(turn: Matrix, panel: Panel) -> Panel:
    """A panel in the laboratory that ``turn`` leads to, with a sensor if it absorbs."""
    sensor = sensor_of(panel.thickness_um or 0.0, panel.attenuation_um)
    absorbing = sensor.thickness_m > 0.0 and sensor.mu_per_m > 0.0
    return dataclasses.replace(
        panel, origin_mm=to_frame(turn, panel.origin_mm), fast_mm=to_frame(turn, panel.fast_mm),
        slow_mm=to_frame(turn, panel.slow_mm), thickness_um=1e6 * sensor.thickness_m if absorbing else None,
        attenuation_um=1e6 / sensor.mu_per_m if absorbing else None)


def _masked(panel: Panel, mask: np.ndarray | None) -> Panel:
    """The panel without the pixels of the image that ``mask`` leaves out."""
    if mask is None or mask[panel.window].all():
        return panel
    return dataclasses.replace(panel, mask=mask[panel.window] & (True if panel.mask is None else panel.mask))


def crystal_at(models: Models, phi_deg: float) -> Matrix | None:
    """The A matrix turned by ``phi_deg`` about the spindle; ``None`` where the models have none."""
    if models.crystal is None or models.crystal.a_matrix is None or models.spindle is None:
        return None
    m, angle = models.crystal.a_matrix, units.rad_from_deg(phi_deg)
    axes = [rotate_axis((m[i], m[3 + i], m[6 + i]), models.spindle, angle) if angle else (m[i], m[3 + i], m[6 + i])
            for i in range(3)]
    return tuple(axis[i] for i in range(3) for axis in axes)  # type: ignore[return-value]


def rectangles(flagged: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Rectangles (fast, fast end, slow, slow end; ends excluded) that cover the True pixels [slow, fast] once each.

    Runs of each row are joined with equal runs of the row before.
    """
    found: list[tuple[int, int, int, int]] = []
    running: dict[tuple[int, int], int] = {}
    edge = np.zeros((1, 1), dtype=np.int8)
    for slow, row in enumerate(np.vstack([flagged, np.zeros((1, flagged.shape[1]), dtype=bool)])):
        steps = np.diff(np.concatenate([edge[0], row.astype(np.int8), edge[0]]))
        runs = list(zip(np.flatnonzero(steps == 1).tolist(), np.flatnonzero(steps == -1).tolist(), strict=True))
        found += [(*run, running.pop(run), slow) for run in [*running] if run not in runs]
        for run in runs:
            running.setdefault(run, slow)
    return found


def cell_of(crystal: CrystalModel) -> Cell:
    """The cell [A, deg] of a crystal."""
    if crystal.cell is not None or crystal.a_matrix is None:
        return crystal.cell or (0.0,) * 6
    m = crystal.a_matrix
    return cell_of_axes(*dual_axes(*((m[i], m[3 + i], m[6 + i]) for i in range(3))))

"""From an experiment to a plan: every number that engines need, in SI units and radians."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cubragg import units
from cubragg.crystallography.shapes import CoherentBlock, resolve_shape
from cubragg.crystallography.vectors import Vector, rotate_axis, scale
from cubragg.experiment.beam import SourceTable
from cubragg.experiment.conventions import DetectorFrame
from cubragg.experiment.crystal import Lattice, Mosaic
from cubragg.experiment.experiment import Experiment
from cubragg.experiment.panel import Panel, live_pixels
from cubragg.experiment.sampling import ROI
from cubragg.experiment.structure_factors import StructureFactors
from cubragg.nanobragg.fill_range import Sweep
from cubragg.nanobragg.phi_zero import carried_rotations
from cubragg.plan.panel_plan import PanelPlan, coarsest, panel_plans
from cubragg.plan.plan_warnings import plan_warnings
from cubragg.plan.rules import Rules, rules_of


@dataclass(frozen=True, eq=False)
class Plan:
    """Every number that an engine needs.

    Attributes
    ----------
    rules
        Where the semantics differ.
    panels, detector_panels
        The panels with pixels to render; and all panels of the detector.
    shape, roi, mask
        Of the image: size (slow, fast) [pixel], region, and the pixels to render, those between panels left out
        (bool [slow, fast]; ``None``: all).
    geometry
        The detector as placed: laboratory axes, and the figures that nanoBragg prints.
    curved, point_pixel
        The detector is a cylinder; solid angles have no obliquity.
    lattice, cells, crystal_shape, fudge
        The oriented lattice at phi = 0, cells along a, b, c (whole numbers as float), the shape's name in
        `crystallography.shapes.SHAPES`, and the factor on the spot radius squared.
    mosaic, phi, phi_angles
        Mosaic domains; spindle steps, and the angle of each [rad].
    cell_axes
        float64 [phi, domain, 3, 3]: a, b, c (third axis) with x, y, z [m] of each orientation.
    first_cell_axes
        The same for the very first pass through the phi loop, where nanobragg semantics differ there (``None``:
        nowhere); see `phi_zero.carried_rotations`.
    factors, interpolate
        Structure factors, and whether they are interpolated between reflections.
    sources, wavelength
        The sources, and the central wavelength [m].
    fluence, polarized, kahn_factor
        Photons per area [1/m^2]; whether photons are corrected for polarization, and how far the beam is polarized.
    oversample, recommended_oversample
        Sub-pixels along each edge of a pixel: in use, and those that resolve the crystal's fringes.
    coarsest
        The geometry that decides on the recommended oversampling.
    dmin
        Resolution limit [m]; 0: none.
    samples
        What the sum over a pixel is divided by: sources, domains, spindle steps and sub-pixels.
    water
        Start value of the sum in nanobragg semantics [electron^2]; in physical semantics water photons per steradian.
    notices
        Warnings for the user.
    """

    rules: Rules
    panels: tuple[PanelPlan, ...]
    detector_panels: tuple[Panel, ...]
    shape: tuple[int, int]
    roi: ROI
    mask: np.ndarray | None
    geometry: DetectorFrame
    curved: bool
    point_pixel: bool
    lattice: Lattice
    cells: Vector
    crystal_shape: str
    fudge: float
    mosaic: Mosaic
    phi: Sweep
    phi_angles: list[float]
    cell_axes: np.ndarray
    first_cell_axes: np.ndarray | None
    factors: StructureFactors
    interpolate: bool
    sources: SourceTable
    wavelength: float
    fluence: float
    polarized: bool
    kahn_factor: float
    oversample: int
    recommended_oversample: int
    coarsest: DetectorFrame
    dmin: float
    samples: int
    water: float
    notices: tuple[str, ...] = ()

    @property
    def orientations(self) -> int:
        """Spindle steps times mosaic domains."""
        return self.cell_axes.shape[0] * self.cell_axes.shape[1]

    @property
    def block(self) -> CoherentBlock:
        """The coherent block, for the crystal's shape."""
        stars = np.array((self.lattice.a_star, self.lattice.b_star, self.lattice.c_star))
        return CoherentBlock(self.cells, stars, self.fudge)

    def panel_at(self, fast: int, slow: int) -> PanelPlan | None:
        """The panel that holds a pixel of the image; ``None`` where no panel with pixels to render does."""
        for panel in self.panels:
            rows, columns = panel.window
            if rows.start <= slow < rows.stop and columns.start <= fast < columns.stop:
                return panel
        return None


def make_plan(experiment: Experiment) -> Plan:
    """Resolve an experiment.

    Raises
    ------
    ConfigError
        Where the parts, each valid, cannot be rendered together.
    """
    beam, crystal, detector = experiment.beam, experiment.crystal, experiment.detector
    sampling, goniometer = experiment.sampling, experiment.goniometer
    wavelength = units.m_from_angstrom(beam.wavelength_A)
    placed = experiment.placed()
    geometry = placed.frame
    lattice = crystal.lattice(experiment.semantics)
    sample_size, clipped = _clipped_sample(experiment)
    cells = crystal.cell_counts(lattice, sample_size)
    decisive = coarsest(placed)
    recommended = sampling.recommended_oversample(lattice, cells, decisive, wavelength)
    oversample = sampling.subpixels(recommended)
    sources = beam.source_table(geometry.beam, geometry.polar, geometry.vert)
    mosaic = crystal.mosaic()
    phi, angles = goniometer.sweep(), goniometer.angles()
    grid = experiment.structure_factors.grid
    wanted = sampling.interpolate
    if wanted is None:
        # Cells as given: a size in mm is turned into cells only after this choice.
        wanted = min(crystal.cells) <= 2
    fluence = beam.photons_per_m2()
    axes, first_axes = oriented_cells(lattice, mosaic, angles, geometry.spindle, experiment.semantics)
    shape = detector.shape()
    roi, mask = sampling.region(shape), live_pixels(placed.panels, sampling.mask)
    plan = Plan(
        rules=rules_of(experiment), shape=shape, roi=roi, mask=mask, geometry=geometry,
        panels=panel_plans(detector, placed, experiment.semantics, roi, mask), detector_panels=placed.panels,
        curved=detector.curved, point_pixel=detector.point_pixel, lattice=lattice, cells=cells,
        crystal_shape=resolve_shape(crystal.shape, experiment.semantics).name, fudge=crystal.fudge, mosaic=mosaic,
        phi=phi, phi_angles=angles, cell_axes=axes, first_cell_axes=first_axes,
        factors=experiment.structure_factors, interpolate=wanted and grid is not None,
        sources=sources, wavelength=wavelength, fluence=fluence, polarized=beam.polarized, kahn_factor=beam.kahn_factor,
        oversample=oversample, recommended_oversample=recommended, coarsest=decisive,
        dmin=sampling.dmin_A * units.ANGSTROM_M, water=_water(experiment, fluence),
        samples=len(sources.wavelength_m) * len(mosaic.rotations) * phi.count * oversample * oversample)
    return replace(plan, notices=(*clipped, *plan_warnings(experiment, plan)))


def _clipped_sample(experiment: Experiment) -> tuple[Vector, list[str]]:
    """Sample size [m], cut to the beam in y and z, and what was cut."""
    size = [units.m_from_mm(edge) for edge in experiment.crystal.sample_size_mm]
    edge = units.m_from_mm(experiment.beam.beamsize_mm)
    clipped = []
    for axis, name in ((1, "high"), (2, "wide")):
        if 0.0 <= edge < size[axis]:
            clipped.append(f"the sample ({size[axis]:g} m {name}) is clipped to the beam ({edge:g} m)")
            size[axis] = edge
    return (size[0], size[1], size[2]), clipped


def _water(experiment: Experiment, fluence: float) -> float:
    """The water term: F^2 times molecules in the cube; times r_e^2 * fluence once."""
    edge = units.water_m_from_um(experiment.sampling.water_um)
    f_water = units.WATER_F_ELECTRONS
    return (f_water * f_water * units.THOMSON_CROSS_SECTION_M2 * fluence * edge * edge * edge
            * units.WATER_DENSITY_G_PER_M3 * units.AVOGADRO_PER_MOL / units.WATER_MW_G_PER_MOL)


def oriented_cells(lattice: Lattice, mosaic: Mosaic, angles: list[float], spindle: Vector, semantics: str
                  ) -> tuple[np.ndarray, np.ndarray | None]:
    """Cell vectors of every (phi, domain); the second array is that of the first pass."""
    later, first = (angles, angles) if semantics == "physical" else carried_rotations(angles)
    vectors = _rotated(lattice, mosaic, later, spindle)
    return vectors, (_rotated(lattice, mosaic, first, spindle) if first != later else None)


def _rotated(lattice: Lattice, mosaic: Mosaic, angles: list[float], spindle: Vector) -> np.ndarray:
    axes = [scale(axis, units.ANGSTROM_M) for axis in (lattice.a, lattice.b, lattice.c)]
    turned = np.array([[rotate_axis(axis, spindle, angle) if angle != 0.0 else axis for axis in axes]
                       for angle in angles])
    if not mosaic.spread_rad > 0.0:
        return turned[:, None]
    domains = np.array(mosaic.rotations).reshape(-1, 3, 3)[None, :, None]  # [1, domain, 1, row, column]
    x = turned[:, None, :, None]  # [phi, 1, axis, 1, column]
    # Products are summed by columns, as the C program does; matmul may round otherwise.
    return np.ascontiguousarray(domains[..., 0] * x[..., 0] + domains[..., 1] * x[..., 1] + domains[..., 2] * x[..., 2])

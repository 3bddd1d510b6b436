"""The plan of an image: all numbers that engines need, in SI units and radians, computed from an experiment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from cubragg import units
from cubragg.crystallography.shapes import CoherentBlock, resolve_shape
from cubragg.crystallography.vectors import Vector, rotate_axis, scale
from cubragg.errors import ConfigError
from cubragg.experiment.beam import SourceTable
from cubragg.experiment.beam_stop import BeamStop
from cubragg.experiment.crystal import Lattice, Mosaic
from cubragg.experiment.detector_frame import DetectorFrame
from cubragg.experiment.experiment import Experiment
from cubragg.experiment.panel import Panel, live_pixels
from cubragg.experiment.sampling import PER_FRINGE, ROI
from cubragg.experiment.structure_factors import StructureFactors
from cubragg.nanobragg.fill_range import Sweep
from cubragg.nanobragg.phi_zero import carried_rotations
from cubragg.plan.illumination import Illumination, illumination_of
from cubragg.plan.panel_plan import PanelPlan, coarsest, panel_plans
from cubragg.plan.plan_warnings import plan_warnings
from cubragg.plan.rules import Rules, rules_of
from cubragg.plan.sample_points import Domains
from cubragg.plan.sampled_plan import with_samples
from cubragg.plan.spreads import Spreads, spreads_of

#: Largest number of orientations; each has three cell axes in memory (72 bytes).
MAX_ORIENTATIONS = 10_000_000

#: How photons are computed: ``sampled`` evaluates the lattice transform at every sample of a pixel, orientation and
#: source; ``analytic`` evaluates the integral over them in closed form.
Method = Literal["sampled", "analytic"]


@dataclass(frozen=True, eq=False)
class Plan:
    """All numbers that an engine needs to render an image.

    Attributes
    ----------
    rules
        The differences between the semantics.
    panels, detector_panels
        Panels with pixels to render, and all panels of the detector.
    shape, roi, mask
        Of the image: size (slow, fast) [pixel], region of interest, and pixels to render (bool [slow, fast], False
        between panels; ``None``: all).
    geometry
        Laboratory axes, and the geometry of the detector as nanoBragg prints it.
    curved, point_pixel
        Whether the detector is a cylinder, and whether solid angles are without obliquity.
    lattice, cells, crystal_shape, fudge
        The oriented lattice at phi = 0, cells along a, b, c (whole numbers as float), the shape's name in
        `crystallography.shapes.SHAPES`, and the factor on the spot radius squared.
    mosaic, phi, phi_start, phi_angles, phi_offsets
        Mosaic domains of nanobragg semantics; spindle steps, the angle at which the rotation starts, that of each step,
        and float64 [domain] the difference of a domain's from it [rad].
    domains
        Blocks and rays of physical semantics; ``None`` in nanobragg semantics.
    cell_axes
        float64 [phi, domain, 3, 3], cell axes of each orientation: a, b, c in rows, x, y, z [m] in columns.
    first_cell_axes
        The same for the first pass through the phi loop, if nanobragg semantics has other axes there; else ``None``.
        See `phi_zero.carried_rotations`.
    factors, interpolate
        Structure factors, and whether they are interpolated between reflections.
    sources, wavelength
        The sources, and the central wavelength [m].
    fluence, polarized, kahn_factor
        Photons per area in the centre of the beam [1/m^2]; whether there is a polarization correction, and the
        polarization of the beam.
    illumination, spreads
        The illuminated part of the crystal at the middle of the rotation range; and the distributions of the crystal's
        blocks and of the beam.
    oversample, recommended_oversample
        Sub-pixels along each edge of a pixel that are rendered, and that resolve the fringes of the coherent block.
    coarsest
        The geometry from which the recommended oversampling is computed.
    dmin
        Resolution limit [m]; 0: none.
    samples
        Number of samples by which the sum of a pixel is divided: sources x domains x spindle steps x sub-pixels.
    water
        Background of water: in nanobragg semantics the initial value of the sum [electron^2], in physical semantics
        photons per steradian.
    method
        ``sampled``, or ``analytic``: spots in closed form, with one orientation, at the start of the rotation range.
    tail_sigmas
        Half-width of the box of a spot of the method analytic, in standard deviations.
    beam_stop
        What hides part of the detector; the engines render as if it were not there, see `shadow.shadow_map`.
    parts
        Plans whose images add up to that of this plan, if its samples have different rays of the beam or places in the
        crystal; they have no parts themselves.
    warnings, notes
        Warnings for the user, and how samples were chosen.
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
    phi_start: float
    phi_angles: list[float]
    phi_offsets: np.ndarray
    cell_axes: np.ndarray
    first_cell_axes: np.ndarray | None
    factors: StructureFactors
    interpolate: bool
    sources: SourceTable
    wavelength: float
    fluence: float
    polarized: bool
    kahn_factor: float
    illumination: Illumination
    spreads: Spreads
    oversample: int
    recommended_oversample: int
    coarsest: DetectorFrame
    dmin: float
    samples: int
    water: float
    method: Method = "sampled"
    tail_sigmas: float = 5.5
    beam_stop: BeamStop | None = None
    domains: Domains | None = None
    parts: tuple[Plan, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def domain_count(self) -> int:
        """Number of mosaic domains, or of samples of block and beam, at each spindle step."""
        return self.cell_axes.shape[1]

    @property
    def orientations(self) -> int:
        """Number of orientations: spindle steps times mosaic domains."""
        return self.cell_axes.shape[0] * self.cell_axes.shape[1]

    @property
    def bragg_fluence(self) -> float:
        """Fluence times the number of illuminated blocks [1/m^2]: the factor on the scattering of one block."""
        return self.fluence * self.illumination.blocks

    @property
    def rotates(self) -> bool:
        """Whether the image is a rotation image: the spindle moves over a range, in nanobragg semantics in steps."""
        return self.phi.width > 0.0 and (self.phi.count > 1 or self.rules.per_sample)

    @property
    def block(self) -> CoherentBlock:
        """The coherent block, as the functions of its shape take it."""
        stars = np.array((self.lattice.a_star, self.lattice.b_star, self.lattice.c_star))
        return CoherentBlock(self.cells, stars, self.fudge)

    def panel_at(self, fast: int, slow: int) -> PanelPlan | None:
        """Return the panel of a pixel of the image; ``None`` if it is on no panel with pixels to render."""
        for panel in self.panels:
            rows, columns = panel.window
            if rows.start <= slow < rows.stop and columns.start <= fast < columns.stop:
                return panel
        return None


def make_plan(experiment: Experiment, method: Method = "sampled") -> Plan:
    """Return the plan of an experiment.

    The method ``analytic`` samples neither orientations nor sources nor fringes: settings of their sampling have no
    effect on its plan, but ``oversample``, a lower bound of the sub-pixels.

    Raises
    ------
    ConfigError
        If the parts of the experiment are valid but cannot be rendered together.
    """
    beam, crystal, detector = experiment.beam, experiment.crystal, experiment.detector
    sampling, goniometer = experiment.sampling, experiment.goniometer
    wavelength = units.m_from_angstrom(beam.wavelength_A)
    placed = experiment.placed()
    geometry = placed.frame
    lattice = crystal.lattice(experiment.semantics)
    sample_size, clipped = _clipped_sample(experiment)
    cells = crystal.cell_counts(lattice, sample_size)
    coarsest_frame = coarsest(placed)
    recommended = sampling.recommended_oversample(lattice, cells, coarsest_frame, wavelength,
                                                  PER_FRINGE[experiment.semantics])
    sources = beam.source_table(geometry.beam, geometry.polar, geometry.vert)
    phi_start = units.rad_from_deg(goniometer.phi_deg)
    if method == "analytic":
        oversample, recommended = sampling.oversample or 1, 1
        mosaic, phi, angles = crystal.unsampled_mosaic(), goniometer.unsampled_sweep(), goniometer.angles()[:1]
    else:
        oversample = sampling.subpixels(recommended)
        mosaic, phi, angles = crystal.mosaic(), goniometer.sweep(), goniometer.angles()
    grid = experiment.structure_factors.grid
    interpolate = sampling.interpolate
    if interpolate is None:
        # As in nanoBragg.c, the default depends on the given number of cells, not on that of a size in mm.
        interpolate = min(crystal.cells) <= 2
    if phi.count * len(mosaic.rotations) > MAX_ORIENTATIONS:
        raise ConfigError("crystal.mosaic_domains", f"got {len(mosaic.rotations)} mosaic domains at each of "
                          f"{phi.count} phi steps; at most {MAX_ORIENTATIONS} orientations are accepted")
    fluence = beam.photons_per_m2()
    axes, first_axes = oriented_cells(lattice, mosaic, angles, geometry.spindle, experiment.semantics)
    spreads = spreads_of(crystal, beam, lattice)
    illumination = illumination_of(crystal, beam, geometry, spreads.frame, _block_volume(lattice, cells),
                                   phi_start + phi.width / 2.0)
    shape = detector.shape()
    roi, mask = sampling.region(shape), live_pixels(placed.panels, sampling.mask)
    plan = Plan(
        rules=rules_of(experiment), shape=shape, roi=roi, mask=mask, geometry=geometry,
        panels=panel_plans(detector, placed, experiment.semantics, roi, mask), detector_panels=placed.panels,
        curved=detector.curved, point_pixel=detector.point_pixel, lattice=lattice, cells=cells,
        crystal_shape=resolve_shape(crystal.shape, experiment.semantics).name, fudge=crystal.fudge, mosaic=mosaic,
        phi=phi, phi_start=phi_start, phi_angles=angles, phi_offsets=np.zeros(len(mosaic.rotations)),
        cell_axes=axes, first_cell_axes=first_axes,
        factors=_factors(experiment), interpolate=interpolate and grid is not None,
        sources=sources, wavelength=wavelength, fluence=fluence, polarized=beam.polarized,
        kahn_factor=beam.kahn_in(experiment.semantics), illumination=illumination, spreads=spreads,
        oversample=oversample, recommended_oversample=recommended, coarsest=coarsest_frame,
        dmin=sampling.dmin_A * units.ANGSTROM_M, water=_water(experiment, fluence),
        samples=len(sources.wavelength_m) * len(mosaic.rotations) * phi.count * oversample * oversample, method=method,
        tail_sigmas=sampling.tail_sigmas, beam_stop=experiment.beamstop)
    if experiment.semantics == "physical" and method == "sampled":
        plan = with_samples(crystal, goniometer, beam, plan)
    return replace(plan, warnings=(*clipped, *plan_warnings(experiment, plan), *plan.warnings))


def _factors(experiment: Experiment) -> StructureFactors:
    """Return the structure factors of the semantics: in physical ones 0 0 0 is not scattering."""
    factors = experiment.structure_factors
    return factors.without_direct_beam() if experiment.semantics == "physical" else factors


def _clipped_sample(experiment: Experiment) -> tuple[Vector, list[str]]:
    """Return the size of the coherent block [m], clipped to the beam in y and z, and warnings about the clipping."""
    size = [units.m_from_mm(edge) for edge in experiment.crystal.sample_size_mm]
    edge = units.m_from_mm(experiment.beam.beamsize_mm)
    clipped = []
    for axis, name in ((1, "high"), (2, "wide")):
        if 0.0 <= edge < size[axis]:
            clipped.append(f"the sample ({size[axis]:g} m {name}) is clipped to the beam ({edge:g} m)")
            size[axis] = edge
    return (size[0], size[1], size[2]), clipped


def _block_volume(lattice: Lattice, cells: Vector) -> float:
    """Return the volume of the coherent block [m^3]."""
    return abs(lattice.volume) * units.ANGSTROM_M**3 * cells[0] * cells[1] * cells[2]


def _water(experiment: Experiment, fluence: float) -> float:
    """Return the water term: F^2 times the molecules in the cube times r_e^2 * fluence."""
    edge = units.water_m_from_um(experiment.sampling.water_um)
    f_water = units.WATER_F_ELECTRONS
    return (f_water * f_water * units.THOMSON_CROSS_SECTION_M2 * fluence * edge * edge * edge
            * units.WATER_DENSITY_G_PER_M3 * units.AVOGADRO_PER_MOL / units.WATER_MW_G_PER_MOL)


def oriented_cells(lattice: Lattice, mosaic: Mosaic, angles: list[float], spindle: Vector, semantics: str
                  ) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the cell axes of every (phi, domain), and those of the first pass if they differ.

    In physical semantics only those of the first step, without domains: the method sampled draws its own.
    """
    if semantics == "physical":
        return _rotated(lattice, mosaic._replace(spread_rad=0.0), angles[:1], spindle), None
    later, first = carried_rotations(angles)
    axes = _rotated(lattice, mosaic, later, spindle)
    return axes, (_rotated(lattice, mosaic, first, spindle) if first != later else None)


def _rotated(lattice: Lattice, mosaic: Mosaic, angles: list[float], spindle: Vector) -> np.ndarray:
    axes = [scale(axis, units.ANGSTROM_M) for axis in (lattice.a, lattice.b, lattice.c)]
    rotated = np.array([[rotate_axis(axis, spindle, angle) if angle != 0.0 else axis for axis in axes]
                        for angle in angles])
    if not mosaic.spread_rad > 0.0:
        return rotated[:, None]
    domains = np.array(mosaic.rotations).reshape(-1, 3, 3)[None, :, None]  # [1, domain, 1, row, column]
    x = rotated[:, None, :, None]  # [phi, 1, axis, 1, column]
    # Summed in the order of the C program; matmul may round differently.
    return np.ascontiguousarray(domains[..., 0] * x[..., 0] + domains[..., 1] * x[..., 1] + domains[..., 2] * x[..., 2])

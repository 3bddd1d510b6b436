"""make_plan(experiment): computes the plan of an image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cubragg import units
from cubragg.crystallography.shapes import resolve_shape
from cubragg.crystallography.vectors import Vector, rotate_axis, scale
from cubragg.errors import ConfigError
from cubragg.experiment.crystal import Lattice, Mosaic
from cubragg.experiment.experiment import Experiment, require_experiment
from cubragg.experiment.panel import live_pixels
from cubragg.experiment.sampling import PER_FRINGE
from cubragg.experiment.structure_factors import StructureFactors
from cubragg.nanobragg.phi_zero import carried_rotations
from cubragg.plan.illumination import illumination_of
from cubragg.plan.image_series import ImageSeries
from cubragg.plan.panel_plan import coarsest, panel_plans
from cubragg.plan.plan import Method, Plan
from cubragg.plan.plan_warnings import plan_warnings
from cubragg.plan.rules import rules_of
from cubragg.plan.sampled_plan import with_samples
from cubragg.plan.spreads import spreads_of

#: Largest number of orientations; each has three cell axes in memory (72 bytes).
MAX_ORIENTATIONS = 10_000_000


def make_plan(experiment: Experiment, method: Method = "sampled", series: ImageSeries | None = None) -> Plan:
    """Return the plan of an experiment, an image of a series if one is given.

    The method ``analytic`` samples neither orientations nor sources nor fringes: settings of their sampling have no
    effect on its plan, but ``oversample``, a lower bound of the sub-pixels.

    Raises
    ------
    ConfigError
        If the parts of the experiment are valid but cannot be rendered together, and for what is no experiment.
    """
    require_experiment(experiment)
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
        factors=_factors(experiment, series), series=series,
        interpolate=method == "sampled" and _interpolates(experiment, cells),
        sources=sources, wavelength=wavelength, fluence=fluence, polarized=beam.polarized,
        kahn_factor=beam.kahn_in(experiment.semantics), illumination=illumination, spreads=spreads,
        oversample=oversample, recommended_oversample=recommended, coarsest=coarsest_frame,
        dmin=sampling.dmin_A * units.ANGSTROM_M, water=_water(experiment, fluence),
        samples=len(sources.wavelength_m) * len(mosaic.rotations) * phi.count * oversample * oversample, method=method,
        tail_sigmas=sampling.tail_sigmas, beam_stop=experiment.beamstop)
    _check_before_detector(experiment, plan)
    if experiment.semantics == "physical" and method == "sampled":
        plan = with_samples(crystal, goniometer, beam, plan)
    return replace(plan, warnings=(*clipped, *plan_warnings(experiment, plan), *plan.warnings))


def _check_before_detector(experiment: Experiment, plan: Plan) -> None:
    """Refuse a path of air that ends behind the detector, and a beam stop there."""
    after, farthest = experiment.background.air_mm[1], max((panel.distance for panel in plan.panels), default=0.0)
    stop = experiment.beamstop
    if plan.panels and stop is not None and units.m_from_mm(stop.distance_mm) > farthest:
        raise ConfigError("beamstop.distance_mm", f"got {stop.distance_mm:g} mm from the crystal; the detector is at "
                          f"{1e3 * farthest:g} mm, and shorter distances are accepted")
    if plan.panels and units.m_from_mm(after) > farthest:
        raise ConfigError("background.air_mm", f"got {after:g} mm of air after the crystal; the detector is at "
                          f"{1e3 * farthest:g} mm, and shorter paths are accepted")


def _interpolates(experiment: Experiment, cells: Vector) -> bool:
    """Return whether the method sampled interpolates structure factors for a coherent block of ``cells``."""
    if experiment.structure_factors.grid is None:
        return False
    if experiment.sampling.interpolate is not None:
        return experiment.sampling.interpolate
    # nanoBragg.c decides by the given number of cells, before a size in mm replaces it.
    return min(experiment.crystal.cells if experiment.semantics == "nanobragg" else cells) <= 2


def _factors(experiment: Experiment, series: ImageSeries | None) -> StructureFactors:
    """Return the structure factors of the semantics: in physical ones 0 0 0 is not scattering."""
    factors = experiment.structure_factors
    if experiment.semantics != "physical":
        return factors
    return factors.without_direct_beam() if series is None else series.without_direct_beam(factors)


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

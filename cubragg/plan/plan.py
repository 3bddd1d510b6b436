"""From an experiment to a render plan: every number that the renderers need, in SI and radians."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cubragg import units
from cubragg.crystallography.vectors import Vector, rotate_axis, scale
from cubragg.experiment.beam import DEFAULT_FLUENCE, SourceTable
from cubragg.experiment.crystal import Lattice, Mosaic
from cubragg.experiment.detector import DetectorGeometry
from cubragg.experiment.experiment import Experiment
from cubragg.experiment.panel import live_pixels
from cubragg.experiment.sampling import ROI
from cubragg.experiment.sensor import Layers
from cubragg.nanobragg.fill_range import Sweep
from cubragg.plan.panel_geometry import PlacedPanel, coarsest, placed_panels

#: Cell angles further off than this are told to the user.
_ANGLE_ERROR_DEG = 1e-3


@dataclass(frozen=True, eq=False)
class RenderPlan:
    """What a renderer is given.

    Attributes
    ----------
    cell_vectors
        float64 [phi, domain, 3, 3]: a, b, c (third axis) with x, y, z [m] of each orientation.
    first_cell_vectors
        The same for the very first pass through the phi loop, where nanobragg semantics
        differ there (`None`: nowhere); see `carried_rotations`.
    cells
        Unit cells along a, b, c, whole numbers as float.
    geometry, layers
        Of the detector, or of the panel that the plan of a run is for.
    panels
        The panels to render, which `panels.panel_parts` makes one plan each of; ``None``: the plan is one run.
    shape, first_pixel
        Size of the image (slow, fast) [pixel]; (fast, slow) place of its first pixel on the geometry.
    mask
        bool [slow, fast]: the pixels to render, those between panels left out; ``None``: all.
    coarsest
        The geometry that decides on the recommended oversampling.
    steps
        What the sum is divided by.
    water
        Start value of the sum in nanobragg semantics, [electron^2]; in physical
        semantics water photons per steradian.
    notices
        Sentences for the user about rules that surprise.

    The rest are the resolved parts of the experiment, SI and radians.
    """

    experiment: Experiment
    geometry: DetectorGeometry
    layers: Layers
    lattice: Lattice
    cells: Vector
    sources: SourceTable
    mosaic: Mosaic
    phi: Sweep
    phi_angles: list[float]
    oversample: int
    recommended_oversample: int
    fluence: float
    interpolate: bool
    roi: ROI
    mask: np.ndarray | None
    shape: tuple[int, int]
    first_pixel: tuple[int, int]
    panels: tuple[PlacedPanel, ...] | None
    coarsest: DetectorGeometry
    dmin: float
    water: float
    steps: int
    cell_vectors: np.ndarray
    first_cell_vectors: np.ndarray | None
    notices: tuple[str, ...]

    @property
    def physical(self) -> bool:
        """Physical semantics instead of the C program's."""
        return self.experiment.semantics == "physical"


def make_plan(experiment: Experiment) -> RenderPlan:
    """Resolve an experiment.

    Raises
    ------
    ConfigError
        Where the parts, each valid, cannot be rendered together.
    """
    beam, crystal, detector = experiment.beam, experiment.crystal, experiment.detector
    sampling, goniometer = experiment.sampling, experiment.goniometer
    wavelength = units.m_from_angstrom(beam.wavelength_A)
    geometry = detector.geometry(goniometer.axis, experiment.semantics)
    lattice = crystal.lattice(wavelength, experiment.semantics)
    sample_size, clipped = _clipped_sample(experiment)
    cells = crystal.cell_counts(lattice, sample_size)
    geometries = detector.panel_geometries(geometry)
    decisive = coarsest(detector, geometry, geometries)
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
    vectors, first_vectors = oriented_cells(lattice, mosaic, angles, geometry.spindle, experiment.semantics)
    shape = detector.shape()
    roi, mask = sampling.region(shape), _live(experiment)
    layers = detector.layers(detector.sensor(), geometry, experiment.semantics)
    plan = RenderPlan(
        experiment=experiment, geometry=geometry, layers=layers, lattice=lattice, cells=cells,
        sources=sources, mosaic=mosaic, phi=phi, phi_angles=angles, oversample=oversample,
        recommended_oversample=recommended, fluence=fluence, interpolate=wanted and grid is not None,
        roi=roi, mask=mask, shape=shape, first_pixel=(0, 0),
        panels=placed_panels(experiment, geometry, geometries, roi, mask), coarsest=decisive,
        dmin=sampling.dmin_A * units.ANGSTROM_M, water=_water(experiment, fluence),
        steps=len(sources.wavelength_m) * len(mosaic.rotations) * phi.count * oversample * oversample,
        cell_vectors=vectors, first_cell_vectors=first_vectors, notices=())
    object.__setattr__(plan, "notices", tuple(_notices(plan, clipped)))
    return plan


def _live(experiment: Experiment) -> np.ndarray | None:
    """The pixels that exist on the detector and that the mask lets through, bool [slow, fast]; ``None``: all."""
    panels, mask = experiment.detector.panels, experiment.sampling.mask
    live = live_pixels(panels) if panels else None
    if live is None or mask is None:
        return mask if live is None else live
    return live & mask


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


def carried_rotations(angles: list[float]) -> tuple[list[float], list[float]]:
    """The spindle angle that nanoBragg.c really uses at each step: later passes, and the first pass.

    In C a phi of exactly 0 means "keep the vectors"; they are those of the last step that
    turned them, in the previous pass through the phi loop if need be. Only a leading 0 of
    the very first pass finds them unturned.
    """
    turned = [angle for angle in angles if angle != 0.0]
    passes = []
    for last in (turned[-1] if turned else 0.0, 0.0):
        used = []
        for angle in angles:
            last = angle if angle != 0.0 else last
            used.append(last)
        passes.append(used)
    return passes[0], passes[1]


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


def _notices(plan: RenderPlan, clipped: list[str]) -> list[str]:
    """Where the rules would surprise."""
    experiment = plan.experiment
    found = list(clipped)
    if plan.oversample < plan.recommended_oversample:
        found.append(f"oversample {plan.oversample} is too coarse for this crystal: intensity may vary across a "
                     f"sub-pixel; -oversample {plan.recommended_oversample} resolves it")
    if plan.mosaic.defaulted:
        found.append(f"mosaic spread without a number of domains: {len(plan.mosaic.rotations)} domains are used")
    if plan.mosaic.collapsed:
        found.append(f"{experiment.crystal.mosaic_domains} mosaic domains without a spread: one domain is used")
    depths_um = {1e6 / sensor.mu_per_m for sensor in experiment.detector.panel_sensors() if sensor.depth_defaulted}
    found += [f"sensor thickness without an attenuation depth: a depth of {depth:g} um is used"
              for depth in sorted(depths_um)]
    found += _beam_notices(plan)
    return found + ([] if plan.physical else _quirk_notices(plan))


def _beam_notices(plan: RenderPlan) -> list[str]:
    """Sweeps of the beam that ended otherwise than the flags suggest."""
    beam, sources = plan.experiment.beam, plan.sources
    found: list[str] = []
    if sources.from_list:
        return found
    for name, axis, sweep in (("horizontal", "hdiv", sources.horizontal), ("vertical", "vdiv", sources.vertical)):
        span, step = getattr(beam, f"{axis}_range_mrad"), getattr(beam, f"{axis}_step_mrad")
        steps = getattr(beam, f"{axis}_steps") or 0
        if (steps > 1 or span or step) and sweep.count == 1:
            found.append(f"{name} divergence comes to nothing: a range, a step > 0 and two points at least are needed")
        if steps > 0 and span is None and not step:
            found.append(f"{name} divergence has steps but no range: 1 rad is used")
    if (beam.dispersion_steps or 0) > 1 and plan.sources.dispersion.count == 1:
        found.append("dispersion steps without a dispersion: one wavelength is used")
    return found


def _quirk_notices(plan: RenderPlan) -> list[str]:
    """Rules of nanobragg semantics that physical semantics leaves out."""
    experiment, detector, sampling = plan.experiment, plan.experiment.detector, plan.experiment.sampling
    found = []
    crystal = experiment.crystal
    if crystal.cell is not None and crystal.mosflm_matrix is None:
        error = crystal.angle_error_deg(plan.lattice)
        if error > _ANGLE_ERROR_DEG:
            found.append(f"nanoBragg makes cells with three oblique angles up to {error:.3g} deg off; "
                         "--semantics physical keeps the angles")
    if detector.pivot not in (None, plan.geometry.pivot):
        found.append(f"pivot {detector.pivot} is without effect: the {detector.convention} convention "
                     f"always pivots about the {plan.geometry.pivot}")
    if detector.pix0_m is not None:
        found.append("pix0_vector is without effect beyond selecting the custom convention; "
                     "--semantics physical listens to it")
    if detector.curved and abs(plan.geometry.beam[0]) < 0.5:
        found.append("the curved detector assumes a beam along x: with this convention the image lies "
                     "near two-theta 57 deg")
    if plan.first_cell_vectors is not None or any(
            used != angle for used, angle in zip(carried_rotations(plan.phi_angles)[0], plan.phi_angles, strict=True)):
        found.append("the phi step at exactly 0 keeps the rotation of the step before it (the last one, for the first "
                     "step); a phi of 1e-9 deg or --semantics physical avoids that")
    weights = plan.sources.weight
    if plan.sources.from_list and not np.all(weights == weights[0]):
        found.append("source weights are ignored: every source counts the same; --semantics physical uses them")
    if sampling.water_um > 0.0:
        found.append("water is scaled by r_e^2 * fluence twice and divided by the number of steps"
                     + (f" (harmless at the default fluence but for the {plan.steps} steps)"
                        if plan.fluence == DEFAULT_FLUENCE else ""))
    sensors = detector.panel_sensors()
    if sampling.oversample_thick and any(sensor.thickness_m == 0.0 for sensor in sensors):
        found.append("oversample_thick without a sensor thickness multiplies by 0: the image will be zero")
    if sampling.oversample_polar and not experiment.beam.polarized:
        found.append("oversample_polar switches the polarization correction back on")
    if any(sensor.thickness_m > 0.0 and sensor.mu_per_m == 0.0 for sensor in sensors):
        found.append("a sensor thickness with an infinite attenuation depth absorbs nothing: the image will be zero")
    return found

"""The text that nanoBragg.c prints, line by line in its order and formats, for scripts that read it.

Its progress (``7% done``) and its warning during the loop over pixels are left out. Source: nanoBragg.c, the calls of
printf from "convention selected" to the end.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from cubragg import units
from cubragg.crystallography.vectors import Vector, cross, dot, norm
from cubragg.experiment.beam import SOURCE_DISTANCE_M
from cubragg.experiment.experiment import Experiment
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.pixel_factors import SubPixels
from cubragg.plan.plan import Plan
from cubragg.plan.workspace import Workspace

_TITLE = "nanoBragg nanocrystal diffraction simulator - James Holton and Ken Frankel 5-17-17"
_SHAPES = {"square": "parallelpiped", "round": "ellipsoidal", "gauss": "gaussian", "tophat": "tophat-spot"}
_DENSITY_G_PER_M3 = 1.2e6


def g(*values: float) -> str:
    """Numbers in printf's ``%g``, separated by blanks."""
    return " ".join(f"{value:g}" for value in values)


def lines_before(experiment: Experiment, plan: Plan, *, images: Iterable[str], matrix: str | None,
                 factors: Iterable[str], reflections: int, mask: str | None, seed: int | None) -> Iterator[str]:
    """Yield the lines that the C program prints before it renders.

    Parameters
    ----------
    images
        Names of the image files that are read.
    matrix, mask
        Names of the files of the orientation matrix and the mask; ``None``: none.
    factors
        The lines about reading structure factors; `lines_of_list`.
    reflections
        Number of reflections in the list or the dump.
    seed
        Seed of the noise image; ``None``: there is none.
    """
    yield from (f"reading {path}" for path in images)
    yield from _clipping_warnings(experiment)
    yield _TITLE
    yield from _mosaic_warnings(experiment, plan)
    geometry = plan.geometry
    yield f"{geometry.convention} convention selected."
    yield f"pivoting detector around {'sample' if geometry.pivot == 'sample' else 'direct beam spot'}"
    yield f"XDS incident beam: {g(*geometry.beam_in_detector)}"
    if experiment.sampling.interpolate is None:
        tricubic = min(experiment.crystal.cells) <= 2
        yield f"auto-selected {'tricubic' if tricubic else 'no'} interpolation{' of structure factors' * tricubic}"
    if matrix is not None:
        yield f"reading {matrix}"
    yield from _crystal(experiment, plan)
    yield from factors
    yield from _steps(plan)
    yield from _sources(experiment, plan)
    yield f"  created a total of {len(plan.mosaic.rotations)} mosaic domains"
    yield f"  {reflections} initialized hkls (all others ={experiment.structure_factors.default_F:g})"
    yield from _settings(experiment, plan)
    if mask is not None:
        yield f"  skipping zero-flagged pixels in {mask}"
    if seed is not None:
        yield from ("", "  noise image paramters:", f"  seed: {-seed}",
                    f"  water droplet size: {units.water_m_from_um(experiment.sampling.water_um):g} m")


def lines_of_list(path: str, default_F: float, dump: str | None) -> Iterator[str]:
    """Yield the lines about a list of reflections, and the dump that is written."""
    yield f"counting entries in {path}"
    if default_F != 0.0:
        yield from (f"initializing to default_F = {default_F:g}:", "done initializing:")
    yield f"re-reading {path}"
    if dump is not None:
        yield f"writing dump file for next time: {dump}"


def _clipping_warnings(experiment: Experiment) -> Iterator[str]:
    edge = units.m_from_mm(experiment.beam.beamsize_mm)
    for axis, name in ((1, "high"), (2, "wide")):
        size = units.m_from_mm(experiment.crystal.sample_size_mm[axis])
        if 0.0 <= edge < size:
            yield f"WARNING: clipping sample ({size:g} m {name}) with beam ({edge:g} m)"


def _mosaic_warnings(experiment: Experiment, plan: Plan) -> Iterator[str]:
    crystal, detector = experiment.crystal, experiment.detector
    if detector.thickness_um > 0.0 and detector.attenuation_um is None:
        yield f"WARNING: setting detector attenuation depth to {1.0 / units.m_from_um(detector.thickness_um):g} m"
    if plan.mosaic.defaulted:
        yield "WARNING: finite mosaicity with only one domain! upping to 10 mosaic domains"
    elif (crystal.mosaic_domains or 0) > 0 and not plan.mosaic.spread_rad > 0.0:
        spread = "no" if crystal.mosaic_spread_deg is None else "zero"
        yield f"WARNING: {spread} mosaic spread specified.  setting mosaic_domains = 1"


def _crystal(experiment: Experiment, plan: Plan) -> Iterator[str]:
    lattice = plan.lattice
    real, stars = (lattice.a, lattice.b, lattice.c), (lattice.a_star, lattice.b_star, lattice.c_star)
    if experiment.crystal.misset_seed is not None and lattice.misset_rad is not None:
        angles = " ".join(f"{units.deg_from_rad(angle):f}" for angle in lattice.misset_rad)
        yield f"random orientation misset angles: {angles} deg"
    yield f"Unit Cell: {g(*_cell(real, stars, lattice.volume))}"
    yield f"Recp Cell: {g(*_cell(stars, real, 1.0 / lattice.volume))}"
    yield f"volume = {lattice.volume:g} A^3"
    yield "real-space cell vectors (Angstrom):"
    yield from _table(("a", "b", "c"), real)
    yield "reciprocal-space cell vectors (Angstrom^-1):"
    yield from _table(("a_star", "b_star", "c_star"), stars)
    sizes_A = [norm(axis) * count for axis, count in zip(real, plan.cells, strict=True)]
    yield "crystal is {:g} x {:g} x {:g} microns".format(*(size / 1e4 for size in sizes_A))
    if not experiment.sampling.oversample:
        yield f"auto-selected {plan.oversample}-fold oversampling"
    if plan.oversample < plan.recommended_oversample:
        pixel_A = plan.wavelength * plan.geometry.distance / plan.geometry.pixel_size * 1e10
        yield f"WARNING: maximum dimension of sample is {max(sizes_A):g} A"
        yield f"         but reciprocal pixel size is {pixel_A:g} A"
        yield "         intensity may vary significantly across a pixel!"
        yield f"         recommend -oversample {plan.recommended_oversample} to work around this"
    cell_m3 = math.prod(norm(axis) * units.ANGSTROM_M for axis in real)
    yield f"approximate MW = {cell_m3 * _DENSITY_G_PER_M3 * units.AVOGADRO_PER_MOL:g}"


def _cell(axes: tuple[Vector, Vector, Vector], dual: tuple[Vector, Vector, Vector], volume: float) -> list[float]:
    """Return lengths and angles [deg] of axes, by the C program's formula: its axes need not be exactly dual."""
    lengths, others = [norm(axis) for axis in axes], [norm(axis) for axis in dual]
    angles = []
    for i, j, k in ((0, 1, 2), (1, 0, 2), (2, 0, 1)):
        sine = others[i] * volume / lengths[j] / lengths[k]
        cosine = dot(axes[j], axes[k]) / lengths[j] / lengths[k]
        angles.append(units.deg_from_rad(math.atan2(max(min(sine, 1.0), -1.0), cosine if abs(cosine) <= 1.0 else 1.0)))
    return [*lengths, *angles]


def _table(names: tuple[str, str, str], axes: tuple[Vector, Vector, Vector]) -> Iterator[str]:
    yield f"     {names[0]:<10}  {names[1]:<10}  {names[2]:<10}"
    for row, name in enumerate("XYZ"):
        yield f"{name}: " + " ".join(f"{axis[row]:11.8f}" for axis in axes)


def _steps(plan: Plan) -> Iterator[str]:
    layers = plan.panels[0].layers
    for number in range(layers.count):
        yield f"thick{number} = {layers.step_m * number * 1e6:g} um"
    for number, angle in enumerate(plan.phi_angles):
        yield f"phi{number} = {units.deg_from_rad(angle):g}"


def _sources(experiment: Experiment, plan: Plan) -> Iterator[str]:
    beam, sources = experiment.beam, plan.sources
    count = len(sources.wavelength_m)
    if sources.from_list:
        default = tuple(-SOURCE_DISTANCE_M * component for component in plan.geometry.beam)
        positions = [[start if given is None else given for given, start in zip(source.position, default, strict=True)]
                     for source in beam.sources]
        weights = sources.weight
    else:
        for h, v in _divergence_points(plan):
            yield f"divergence deviation: {h:g} {v:g}"
        for number, wavelength in enumerate(sources.wavelength_m[:sources.dispersion.count]):
            yield f"lambda{number} = {wavelength:.15g}"
        positions = (-SOURCE_DISTANCE_M * sources.incident).tolist()
        weights = np.full(count, 1.0 / count)
    yield f"  created a total of {count} sources:"
    for position, weight, wavelength in zip(positions, weights, sources.wavelength_m, strict=True):
        yield f"{g(*position)}   {weight:g} {wavelength:g}"


def _divergence_points(plan: Plan) -> Iterator[tuple[float, float]]:
    """Yield horizontal and vertical deviation [rad] of each point of the divergence, by the C program's rule."""
    horizontal, vertical = plan.sources.horizontal, plan.sources.vertical
    for i in range(horizontal.count):
        for j in range(vertical.count):
            h, v = horizontal.step * i - horizontal.width / 2.0, vertical.step * j - vertical.width / 2.0
            test = 0.0
            for angle, sweep in ((h, horizontal), (v, vertical)):
                margin = sweep.step * sweep.step / 4.0 * (1 - sweep.count % 2)
                test += (angle * angle - margin) / sweep.width / sweep.width if sweep.width > 0.0 else math.nan
            if not (plan.sources.elliptical and test * 4.0 > 1.1):
                yield h, v


def _settings(experiment: Experiment, plan: Plan) -> Iterator[str]:
    beam, geometry, layers, sources = experiment.beam, plan.geometry, plan.panels[0].layers, plan.sources
    yield "  {} xtal: {:.0f}x{:.0f}x{:.0f} cells".format(
        _SHAPES.get(experiment.crystal.shape, experiment.crystal.shape), *plan.cells)
    yield (f"  wave={plan.wavelength:g} meters +/- {sources.dispersion.width * 100:g}% in "
           f"{sources.dispersion.count} steps")
    yield f"  Kahn polarization factor: {plan.kahn_factor:f}" if beam.polarized else "  polarization effect disabled"
    if plan.curved:
        yield "  curved detector: all pixels same distance from origin"
    if plan.point_pixel:
        yield "  pixel obliquity effect disabled"
    yield f"  incident fluence: {plan.fluence:g} photons/m^2"
    yield (f"  distance={geometry.distance:g} detsize={geometry.detsize_fast:g}x{geometry.detsize_slow:g}  "
           f"pixel={geometry.pixel_size:g} meters ({geometry.fast_pixels}x{geometry.slow_pixels} pixels)")
    yield f"  sensor is {layers.thickness_m:g} m thick in {layers.count} layers with mu= {layers.mu_per_m:g}"
    yield f"  Xbeam={geometry.xbeam:g} Ybeam={geometry.ybeam:g}"
    yield f"  Fbeam={geometry.fbeam:g} Sbeam={geometry.sbeam:g}"
    yield f"  Xclose={geometry.xclose:g} Yclose={geometry.yclose:g}"
    yield f"  Fclose={geometry.fclose:g} Sclose={geometry.sclose:g}"
    for name, axis in zip("XYZ", (geometry.fast, geometry.slow, geometry.normal), strict=True):
        yield f"  DIRECTION_OF_DETECTOR_{name}-AXIS= {g(*axis)}"
    yield f"  INCIDENT_BEAM_DIRECTION= {g(*geometry.beam)}"
    yield f"  spindle ROTATION_AXIS= {g(*geometry.spindle)}"
    yield f"  POLARIZATION_PLANE_NORMAL= {g(*cross(geometry.beam, geometry.polar))}"
    yield f"  dials origin= {g(*geometry.dials_origin_mm)}"
    yield "  roi: {} < x < {} && {} < y < {}".format(*_roi(experiment, plan))
    yield f"  hdivrange={sources.horizontal.width:g} hdivstep={sources.horizontal.step:g}  radians"
    yield f"  vdivrange={sources.vertical.width:g} vdivstep={sources.vertical.step:g}  radians"
    count = len(sources.wavelength_m)
    yield f"  {-1 if sources.from_list else count // sources.dispersion.count} divergence steps"
    yield f"  {count} sources"
    yield (f"  {len(plan.mosaic.rotations)} mosaic domains over mosaic spread of "
           f"{units.deg_from_rad(plan.mosaic.spread_rad):g} degrees")
    start, width = plan.phi_angles[0], plan.phi.width
    yield (f"  {plan.phi.count} phi steps from {units.deg_from_rad(start):g} to "
           f"{units.deg_from_rad(start + width):g} degrees")
    running = "".join(f" +{name}" for name in ("thick", "polar", "omega")
                      if getattr(experiment.sampling, f"oversample_{name}"))
    yield f"  {plan.oversample}x{plan.oversample} pixel oversample steps{running}"


def _roi(experiment: Experiment, plan: Plan) -> tuple[int, int, int, int]:
    """Return the region as the C program prints it: the end is one pixel too large if it was not given."""
    slow, fast = plan.shape
    fast_min, fast_max, slow_min, slow_max = experiment.sampling.roi or (-1, -1, -1, -1)
    return (max(fast_min, 0), fast if fast_max < 0 else fast_max, max(slow_min, 0), slow if slow_max < 0 else slow_max)


def solid_angle_line(plan: Plan) -> str:
    """Return the line about the solid angle: the sum over rendered pixels and samples, divided by their number."""
    total = sum(_solid_angle(plan, panel) for panel in plan.panels)
    total /= len(plan.sources.wavelength_m) * len(plan.mosaic.rotations) * plan.phi.count
    return f"solid angle subtended by detector = {total:g} steradian ( {100.0 * total / 4.0 / math.pi:g}% sphere)"


def _solid_angle(plan: Plan, panel: PanelPlan) -> float:
    """Return the sum over the pixels of a panel; without oversampling of solid angles, that of the first sub-pixel."""
    fast_min, fast_max, slow_min, slow_max = panel.roi
    fast = np.arange(fast_min, fast_max + 1, dtype=np.float64)
    n, layers = plan.oversample, panel.layers.count
    samples = [(layer, slow, quick) for layer in range(layers) for slow in range(n) for quick in range(n)]
    if not plan.rules.running_omega:
        samples = samples[:1]
    total = 0.0
    for row in range(slow_min, slow_max + 1):
        live = slice(None) if panel.mask is None else panel.mask[row, fast_min:fast_max + 1]
        columns = fast[live]
        for layer, sub_slow, sub_fast in samples:
            sub = SubPixels(plan, panel, columns, np.full(len(columns), float(row)), layer, sub_slow, sub_fast,
                            Workspace(len(columns)))
            total += float(sub.solid_angle().sum())
    return total * layers / len(samples) if len(samples) == 1 else total / (n * n)


def lines_after(image_max: Sequence[float], statistics: Sequence[float], scales: Mapping[str, float],
                files: Mapping[str, str], pixels: int, noise: tuple[float, int] | None) -> Iterator[str]:
    """Yield the lines that the C program prints of an image.

    Parameters
    ----------
    image_max
        Maximum [photons], and its place along fast and slow [m].
    statistics
        Mean, rms and rmsd.
    scales
        Factors of the files ``int`` and ``pgm``.
    files
        Names of the files ``float``, ``int``, ``pgm`` and ``noise`` that are written.
    noise
        Photons and overloads of the noise image.
    """
    if "float" in files:
        yield f"writing {files['float']} as {pixels} 4-byte floats"
    yield "max_I = {:g}  at {:g} {:g}".format(*image_max)
    yield "mean= {:g} rms= {:g} rmsd= {:g}".format(*statistics)
    yield f"intfile_scale = {scales['int']:g}"
    if "int" in files:
        yield f"writing {files['int']} as 2-byte integers"
    if "pgm" in files:
        yield from (f"pgm_scale = {scales['pgm']:g}", f"writing {files['pgm']} as 1-byte integers")
    if noise is not None and "noise" in files:
        yield f"{noise[0]:.0f} photons on noise image ({noise[1]} overloads)"
        yield f"writing {files['noise']} as 2-byte integers"

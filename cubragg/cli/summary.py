"""Format the summary of a run for stderr: the numbers that nanoBragg prints, grouped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from cubragg import units
from cubragg.cli.run_figures import ImageFigures, Row, image_rows
from cubragg.crystallography.cell import cell_of_axes
from cubragg.crystallography.shapes import SHAPES
from cubragg.crystallography.vectors import Vector, norm
from cubragg.engine.analytic.spot_boxes import FINEST
from cubragg.experiment.one_or_several import several
from cubragg.plan.analytic_warnings import settings_without_effect
from cubragg.plan.brightest import brightest
from cubragg.run.visibility import background_at, is_absolute

if TYPE_CHECKING:
    from cubragg.experiment.detector_frame import DetectorFrame
    from cubragg.experiment.experiment import Experiment
    from cubragg.experiment.sensor import Layers
    from cubragg.plan.plan import Plan
    from cubragg.run.simulated_image import SimulatedImage

_LABEL_WIDTH = 18
_PANELS_LISTED = 8
#: Resolution at which the background is printed [A].
_RESOLUTION_A = 3.0


def summary(image: SimulatedImage, figures: Sequence[ImageFigures], written: str, total_seconds: float) -> str:
    """Return the summary of a run: its first image, figures of all images, and the names of the files."""
    experiment, plan = image.experiment, image.plan
    seconds = sum(one.seconds for one in figures)
    sections: list[tuple[str, Iterable[Row]]] = [
        ("Detector", _detector(experiment, plan)),
        ("Crystal", _crystal(experiment, plan)),
        ("Beam", _beam(experiment, plan)),
        ("Sampling", [*_sampling(experiment, plan), *_series(plan, len(figures))]),
        ("Image" if len(figures) == 1 else "Images", [*image_rows(figures), *_background(experiment, plan)]),
        ("Run", [("semantics", experiment.semantics),
                 ("backend", f"{image.backend} in {image.precision} precision, {seconds:.3g} s rendering, "
                             f"{total_seconds:.3g} s in all"),
                 ("files", written or "none")]),
    ]
    return _text(sections)


def rendering(image: SimulatedImage) -> str:
    """Return precision, tile, culling and chosen samples of a run, with the reasons."""
    culling = image.culling
    terms = "all are evaluated"
    if culling.culled:
        kept = "" if culling.kept_fraction is None else f", about {100.0 * culling.kept_fraction:.3g} % are evaluated"
        below = f"at most {culling.tolerance:g} of the peak" if culling.tolerance > 0.0 else "0"
        terms = f"those that are {below} on a tile are left out{kept}"
    rows = [("backend", f"{image.backend} in {image.precision} precision"),
            ("tile", "none" if image.backend == "numpy" else "{} x {} pixels".format(*culling.tile)),
            ("terms", f"{terms}: {culling.why}"), *(("samples", note) for note in image.plan.notes)]
    ignored = settings_without_effect(image.experiment) if image.plan.method == "analytic" else []
    if ignored:
        rows.append(("no effect", f"{', '.join(ignored)}: the method analytic does not sample"))
    return _text([("Rendering", rows)])


def _text(sections: Iterable[tuple[str, Iterable[Row]]]) -> str:
    lines = []
    for title, rows in sections:
        lines.append(title)
        lines += [f"  {label:<{_LABEL_WIDTH}}{text}" for label, text in rows]
    return "\n".join(lines)


def _numbers(*values: float) -> str:
    # + 0.0 turns -0 into 0.
    return " ".join(f"{value + 0.0:g}" for value in values)


def _decimals(vector: Vector, places: int) -> str:
    """Format right-aligned, so that vectors form a table."""
    return " ".join(f"{round(component, places) + 0.0:12.{places}f}" for component in vector)


def _mm(*lengths_m: float) -> str:
    return f"{_numbers(*(1000.0 * length for length in lengths_m))} mm"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _detector(experiment: Experiment, plan: Plan) -> list[Row]:
    geometry, detector = plan.geometry, experiment.detector
    tilts = _numbers(detector.rotx_deg, detector.roty_deg, detector.rotz_deg)
    sensors = dict.fromkeys(_sensor(panel.layers) for panel in plan.panels)
    shape = f"{geometry.fast_pixels} x {geometry.slow_pixels} pixels of {_mm(geometry.pixel_size)}"
    extras = [name for name, on in (("curved", detector.curved), ("no obliquity", detector.point_pixel)) if on]
    return [
        ("convention", f"{geometry.convention}, pivot {geometry.pivot}"),
        *_panels(experiment, plan),
        ("size", ", ".join([f"{shape} = {geometry.detsize_fast * 1000:g} x {_mm(geometry.detsize_slow)}", *extras])),
        ("distance", f"{_mm(geometry.distance)}, closest {_mm(geometry.close_distance)}"),
        ("tilts", f"{tilts} deg, two-theta {_numbers(units.deg_from_rad(geometry.twotheta))} deg about "
                  f"{_numbers(*geometry.twotheta_axis)}"),
        ("Xbeam Ybeam", _mm(geometry.xbeam, geometry.ybeam)),
        ("Fbeam Sbeam", _mm(geometry.fbeam, geometry.sbeam)),
        ("Xclose Yclose", _mm(geometry.xclose, geometry.yclose)),
        ("Fclose Sclose", _mm(geometry.fclose, geometry.sclose)),
        ("ORGX ORGY", f"{_numbers(geometry.orgx, geometry.orgy)} pixels"),
        ("pix0", f"{_numbers(*geometry.pix0)} m"),
        *_axes(geometry),
        ("DIALS origin", f"{_numbers(*geometry.dials_origin_mm)} mm"),
        *(("sensor", sensor) for sensor in sensors),
    ]


def _sensor(layers: Layers) -> str:
    if not layers.thickness_m > 0.0:
        return "not modelled"
    return (f"{layers.thickness_m * 1e6:g} um in {_plural(layers.count, 'layer')}, "
            f"absorption {layers.mu_per_m:g} /m")


def _panels(experiment: Experiment, plan: Plan) -> list[Row]:
    """Return rows for a detector of several panels: their number, and the first of them with their corners."""
    detector, panels = experiment.detector, plan.detector_panels
    if not detector.panels and detector.model is None:
        return []
    rows = [("panels", f"{len(panels)}, {len(plan.panels)} rendered, in an image of "
                       f"{plan.shape[1]} x {plan.shape[0]} pixels")]
    for number, panel in enumerate(panels[:_PANELS_LISTED]):
        size = " x ".join(dict.fromkeys(f"{edge:.5g}" for edge in panel.pixel_mm))
        rows.append((f"  {panel.name or number} ", f"{panel.fast_pixels} x {panel.slow_pixels} pixels of {size} mm, "
                     f"at {' '.join(f'{component:.6g}' for component in panel.origin_mm)} mm"
                     f"{f', {panel.material}' if panel.material else ''}"))
    if len(panels) > _PANELS_LISTED:
        rows.append(("", f"and {len(panels) - _PANELS_LISTED} more"))
    return rows


def _axes(geometry: DetectorFrame) -> list[Row]:
    return [
        ("fast axis", _numbers(*geometry.fast)),
        ("slow axis", _numbers(*geometry.slow)),
        ("normal", _numbers(*geometry.normal)),
        ("beam", f"{_numbers(*geometry.beam)}; on fast, slow, normal: {_numbers(*geometry.beam_in_detector)}"),
        ("polarization", f"E along {_numbers(*geometry.polar)}, plane normal {_numbers(*geometry.vert)}"),
        ("spindle", _numbers(*geometry.spindle)),
    ]


def _crystal(experiment: Experiment, plan: Plan) -> list[Row]:
    lattice, crystal = plan.lattice, experiment.crystal
    size = (norm(axis) * count / 1e4 for axis, count in zip((lattice.a, lattice.b, lattice.c), plan.cells, strict=True))
    rows = [
        ("cell", f"{_numbers(*cell_of_axes(lattice.a, lattice.b, lattice.c))} A, deg; "
                 f"volume {abs(lattice.volume):g} A^3"),
        ("reciprocal cell", f"{_numbers(*cell_of_axes(lattice.a_star, lattice.b_star, lattice.c_star))} 1/A, deg"),
        *((name, f"{_decimals(axis, 6)} A") for name, axis
          in zip("abc", (lattice.a, lattice.b, lattice.c), strict=True)),
        *((f"{name}*", f"{_decimals(axis, 8)} 1/A") for name, axis
          in zip("abc", (lattice.a_star, lattice.b_star, lattice.c_star), strict=True)),
    ]
    if lattice.misset_rad is not None:
        seed = "" if crystal.misset_seed is None else f", drawn with seed {crystal.misset_seed}"
        angles = " ".join(f"{units.deg_from_rad(angle):f}" for angle in lattice.misset_rad)
        rows.append(("misset", f"{angles} deg about x, y, z{seed}"))
    factors = experiment.structure_factors
    known = "no list" if factors.grid is None else f"grid of {' x '.join(str(n) for n in factors.grid.shape)}"
    method = "tricubic interpolation" if plan.interpolate else "nearest"
    return [
        *rows,
        ("size", f"{' x '.join(f'{count:.0f}' for count in plan.cells)} cells = "
                 f"{' x '.join(f'{edge:g}' for edge in size)} um, {SHAPES[plan.crystal_shape].words}"),
        ("mosaic", _mosaic(plan)),
        *_whole_crystal(experiment, plan),
        ("structure factors", f"{known}, elsewhere {factors.default_F:g}; {method}"),
    ]


def _whole_crystal(experiment: Experiment, plan: Plan) -> list[Row]:
    """Return the figures of the whole crystal and its brightest reflection, for photons that are meant absolutely."""
    crystal, illumination = experiment.crystal, plan.illumination
    rows: list[Row] = []
    if crystal.size_mm is not None:
        size = " x ".join(f"{edge:g}" for edge in several(crystal.size_mm))
        rows.append(("crystal", f"{crystal.habit} of {size} mm, {illumination.volume * 1e9:.4g} mm^3 illuminated, "
                                f"{100.0 * illumination.fraction:.4g} % of it"))
        rows.append(("blocks", f"{illumination.blocks:.4g} of {illumination.block_volume * 1e18:.4g} um^3 illuminated"))
    if is_absolute(experiment):
        found = brightest(plan)
        if found is not None:
            hkl = " ".join(map(str, found.hkl))
            rows.append(("brightest", f"{found.photons:.4g} photons on an image, of {hkl} (or its equivalents) at "
                                      f"{found.d_A:.3g} A with F {found.F:.4g}, before polarization and absorption"))
    return rows


def _background(experiment: Experiment, plan: Plan) -> list[Row]:
    """Return a row with the background per pixel at 3 A."""
    if experiment.background.empty:
        return []
    from cubragg.background.background_map import background_map

    found = background_at(plan, background_map(plan, experiment.background, experiment.beam.photons()), _RESOLUTION_A)
    return [] if found is None else [("background", f"{found:.3g} photons per pixel at {_RESOLUTION_A:g} A")]


def _mosaic(plan: Plan) -> str:
    spreads = plan.spreads
    count = _plural(plan.domain_count, "domain")
    over = f" over {_numbers(units.deg_from_rad(plan.mosaic.spread_rad))} deg"
    if plan.rules.per_sample and not spreads.cap:
        sigmas = dict.fromkeys(f"{units.deg_from_rad(sigma):g}" for sigma in spreads.mosaicity)
        over = f", sigma {' '.join(sigmas)} deg" + (f", strain {spreads.strain:g}" if spreads.strain else "")
        if spreads.of_beam:
            count = f"{_plural(plan.domain_count, 'sample')} of domains and beam"
    return f"{'closed form' if plan.method == 'analytic' else count}{over}"


def _beam(experiment: Experiment, plan: Plan) -> list[Row]:
    beam, sources = experiment.beam, plan.sources
    kahn = f"Kahn factor {plan.kahn_factor:g}" if beam.polarized else "not corrected for"
    spread = "listed" if sources.from_list else (
        f"{sources.horizontal.count} x {sources.vertical.count} over {sources.horizontal.width * 1000:g} x "
        f"{sources.vertical.width * 1000:g} mrad, {'round' if beam.round_divergence else 'square'}")
    rows = [("wavelength", f"{beam.wavelength_A:g} A{_spectrum(plan)}")]
    if any(plan.spreads.divergence):
        rows.append(("divergence", "sigma {:g} x {:g} mrad".format(*(1000 * d for d in plan.spreads.divergence))))
    return [*rows, ("sources", f"{len(sources.wavelength_m)}, {spread}"),
            ("fluence", f"{plan.fluence:g} photons/m^2"), ("polarization", kahn)]


def _spectrum(plan: Plan) -> str:
    """Return the distribution of wavelengths, to be printed behind their mean."""
    channels, dispersion = plan.spreads.channels, plan.sources.dispersion
    if len(channels) > 1:
        lines = [units.angstrom_from_m(channel.wavelength) for channel in channels]
        return f", {len(channels)} channels from {min(lines):g} to {max(lines):g} A"
    if channels[0].bandwidth > 0.0:
        return f", sigma {channels[0].bandwidth * 100:g} %"
    return f" +/- {dispersion.width * 100:g} % in {_plural(dispersion.count, 'step')}"


def _series(plan: Plan, images: int) -> list[Row]:
    """Return a row with the spindle angles of a series; that of ``phi`` is of its first image."""
    if images == 1:
        return []
    start, width = units.deg_from_rad(plan.phi_start), units.deg_from_rad(plan.phi.width)
    return [("series", f"{images} images from {_numbers(start)} to {_numbers(start + images * width)} deg")]


def _sampling(experiment: Experiment, plan: Plan) -> list[Row]:
    sampling = experiment.sampling
    start, end = (units.deg_from_rad(angle) for angle in (plan.phi_start, plan.phi_start + plan.phi.width))
    running = [name for name in ("thick", "polar", "omega") if getattr(sampling, f"oversample_{name}")]
    if plan.method == "analytic":
        least = min(plan.oversample, FINEST)
        subpixels = f"by the size of each spot, at least {least} x {least} sub-pixels"
    else:
        subpixels = (f"{plan.oversample} x {plan.oversample} sub-pixels"
                     f"{'' if sampling.oversample else ', automatic'}")
    steps = "closed form" if plan.method == "analytic" else _plural(plan.phi.count, "step")
    rows = [("phi", f"{steps} from {_numbers(start)} to {_numbers(end)} deg"),
            ("oversample", f"{subpixels}{''.join(f' +{name}' for name in running)}"),
            ("region", "{} to {} fast, {} to {} slow".format(*plan.roi))]
    if plan.mask is not None:
        between = " or between panels" if experiment.detector.panels or experiment.detector.model else ""
        rows.append(("mask", f"{_plural(int((~plan.mask).sum()), 'pixel')} skipped{between}"))
    if sampling.dmin_A > 0.0:
        rows.append(("resolution", f"down to {sampling.dmin_A:g} A"))
    if sampling.water_um > 0.0:
        rows.append(("water", f"cube of {sampling.water_um:g} um"))
    return rows

"""``cubragg background``: extract the structure factor of amorphous scattering from an image."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from cubragg.cli.base_command import BaseCommand, FiniteRange, FlagOption
from cubragg.cli.inputs import InputFile, reading
from cubragg.errors import ConfigError, CubraggError, FormatError

if TYPE_CHECKING:
    import numpy as np

    from cubragg.background.radial_factor import RadialFactor
    from cubragg.plan.plan import Plan
    from cubragg.run.file_image import FileImage

_POSITIVE = FiniteRange(min=0.0, min_open=True)


class Options(NamedTuple):
    """The options of ``background``."""

    output: str
    number: int | None
    geometry: str | None
    wavelength_A: float | None
    distance_mm: float | None
    flux: float
    exposure_s: float | None
    path_mm: float
    density: float
    weight: float
    offset: float | None
    bins: int


def background(path: str, options: Options) -> None:
    """Write the table and print a summary.

    Raises
    ------
    CubraggError
        See `cubragg.errors`.
    """
    from cubragg.background.radial_factor import radial_factor
    from cubragg.io.form_factor_file import write_form_factor

    for name in (path, options.geometry):
        if name is not None and os.path.realpath(options.output) == os.path.realpath(name):
            raise ConfigError("-o", f"got {options.output!r}, which is an input; every file needs its own name")
    image = _image(path, options)
    plan, exposure = _plan(image, options)
    counts = image.drawn_counts(0) + (0.0 if options.offset is None else image.pedestal - options.offset)
    stol, per_F2 = _maps(plan, options, options.flux * exposure)
    found = radial_factor(counts, stol, per_F2, per_F2 > 0.0, bins=options.bins)
    if not len(found.stol):
        raise FormatError(f"{path}: no ring of the image has 100 pixels; give fewer --bins")
    comments = (f"amorphous scattering of {os.path.basename(path)}: sin(theta)/lambda [1/A], F of a molecule",
                f"for {options.flux:g} photons/s, {exposure:g} s, {options.path_mm:g} mm of {options.density:g} g/cm^3 "
                f"and {options.weight:g} g/mol")
    try:
        write_form_factor(options.output, {"stol": found.stol, "F": found.F, "sigma_F": found.sigma_F,
                                           "mean_counts": found.counts, "pixels": found.pixels,
                                           "left_out": found.left_out}, comments)
    except OSError as error:
        raise CubraggError(f"-o: cannot write {options.output!r}: {error.strerror or error}") from error
    click.echo(_summary(found, options, exposure), err=True)


def _image(path: str, options: Options) -> FileImage:
    from cubragg.io.images.read_image import read_image
    from cubragg.run.file_image import FileImage
    from cubragg.run.read_file import read

    with reading(InputFile(path, "IMAGE")):
        try:
            image = read(path, number=options.number, wavelength_A=options.wavelength_A,
                         distance_mm=options.distance_mm)
        except FormatError:
            read_image(path, number=options.number or 1)  # an error about an image, not about another kind of file
            raise
    if not isinstance(image, FileImage):
        raise ConfigError("IMAGE", f"got {path!r}, which is not an image")
    return image


def _plan(image: FileImage, options: Options) -> tuple[Plan, float]:
    """Return a plan of the image's detector with its measured pixels, and the exposure [s]."""
    from dataclasses import replace

    from cubragg.experiment import Crystal, ExperimentParts, Sampling, StructureFactors
    from cubragg.plan.make_plan import make_plan
    from cubragg.run.read_file import read

    parts: ExperimentParts | None = image.experiment
    if options.geometry is not None:
        with reading(InputFile(options.geometry, "--from")):
            given: Any = read(options.geometry, wavelength_A=options.wavelength_A, distance_mm=options.distance_mm)
        parts = given if isinstance(given, ExperimentParts) else getattr(given, "experiment", None)
    if parts is None or parts.detector is None or parts.beam is None:
        raise FormatError(f"{options.geometry or image.path}: no geometry of a detector; give --from with a file that "
                          "describes it")
    if parts.detector.shape() != image.photons.shape:
        slow, fast = parts.detector.shape()
        raise FormatError(f"--from: got a detector of {fast} x {slow} pixels; the image has {image.photons.shape[1]} x "
                          f"{image.photons.shape[0]}")
    exposure = options.exposure_s or parts.beam.exposure_s
    # Only the geometry of the plan is used: any crystal will do.
    experiment = replace(parts, crystal=None).complete(
        StructureFactors(default_F=1.0), Crystal(cell=(10.0, 10.0, 10.0, 90.0, 90.0, 90.0)),
        sampling=Sampling(mask=image.mask, oversample=1))
    return make_plan(experiment), exposure


def _maps(plan: Plan, options: Options, photons: float) -> tuple[np.ndarray, np.ndarray]:
    """Return sin(theta)/lambda [1/A] and the photons for F = 1 of each pixel."""
    import numpy as np

    from cubragg.background.background_map import background_map
    from cubragg.experiment import Background, Scatterer

    unit = Scatterer(np.array(((0.0, 1.0), (1e3, 1.0))), options.path_mm, options.density, options.weight)
    ramp = np.array(((0.0, 0.0), (1e3, 1e3)))
    return (background_map(plan, Background(radial=ramp), 1.0),
            background_map(plan, Background(scatterers=(unit,)), photons))


def _summary(found: RadialFactor, options: Options, exposure: float) -> str:
    pixels, left_out = int(found.pixels.sum()), int(found.left_out.sum())
    rows = (("resolution", f"{0.5 / found.stol[0]:.3g} to {0.5 / found.stol[-1]:.3g} A in {len(found.stol)} rings"),
            ("F", f"{abs(found.F).min():.3g} to {abs(found.F).max():.3g} electrons"),
            ("pixels", f"{pixels}, and {left_out} outliers ({left_out / max(pixels + left_out, 1):.2%}) left out"),
            ("file", f"{options.output}; the same background: cubragg --semantics physical -flux {options.flux:g} "
                     f"-exposure {exposure:g} --background stol={options.output}:{options.path_mm:g}:"
                     f"{options.density:g}:{options.weight:g}"))
    return "\n".join(f"{name:<12}{text}" for name, text in rows)


_NOTES = """Pixels are averaged in rings of equal width in sin(theta)/lambda; those more than three standard deviations
from the median of their ring, such as Bragg spots, are left out. The mean is divided by polarization, solid angle and
absorption of the sensor. The scale of F depends on -flux and --path, which are guesses unless they are given; with the
same values for simulate the background has the photons of the image.

Exit status: 0, 1 if the run failed or a file cannot be read, 2 for an error in the command line."""


@click.command("background", cls=BaseCommand, epilog=_NOTES,
               short_help="Extract the background of an image, for --background.")
@click.argument("image")
@click.option("-o", "--output", "output", cls=FlagOption, required=True, metavar="<file>",
              help="Write sin(theta)/lambda, F and statistics.")
@click.option("--number", cls=FlagOption, type=click.IntRange(min=1), metavar="<n>",
              help="Image in a file with several, from 1.  [1]")
@click.option("--from", "geometry", cls=FlagOption, metavar="<file>",
              help="Geometry, instead of that of the image's header.")
@click.option("-lambda", "wavelength_A", cls=FlagOption, type=_POSITIVE, metavar="<A>",
              help="Wavelength, if the header has none.")
@click.option("-distance", "distance_mm", cls=FlagOption, type=_POSITIVE, metavar="<mm>", help="Distance.")
@click.option("-flux", cls=FlagOption, type=_POSITIVE, default=1e12, metavar="<photons/s>",
              help="Photons in the beam.  [1e12]")
@click.option("-exposure", "exposure_s", cls=FlagOption, type=_POSITIVE, metavar="<s>",
              help="Exposure.  [that of the header]")
@click.option("--path", "path_mm", cls=FlagOption, type=_POSITIVE, default=1.0, metavar="<mm>",
              help="Material along the beam.  [1]")
@click.option("-density", cls=FlagOption, type=_POSITIVE, default=1.0, metavar="<g/cm^3>", help="Its density.  [1]")
@click.option("-MW", "weight", cls=FlagOption, type=_POSITIVE, default=18.0, metavar="<g/mol>",
              help="Weight of a molecule.  [18]")
@click.option("-adc", "offset", cls=FlagOption, type=float, metavar="<counts>",
              help="Offset of the pixels.  [that of the header, else 0]")
@click.option("--bins", cls=FlagOption, type=click.IntRange(min=2), default=200, metavar="<n>",
              help="Number of rings.  [200]")
def command(image: str, **options: Any) -> None:
    """Extract the structure factor of the amorphous material in the beam from an image (SMV, CBF, NXmx, ...)."""
    background(image, Options(**options))

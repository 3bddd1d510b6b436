"""``cubragg view``: make a picture of an image, as a file or in a window."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from cubragg.cli.base_command import BaseCommand
from cubragg.cli.inputs import InputFile, numbered, reading
from cubragg.crystallography.vectors import Vector, combine, scale
from cubragg.errors import ConfigError, CubraggError, FormatError

if TYPE_CHECKING:
    import numpy as np

    from cubragg.experiment.detector import Placed
    from cubragg.experiment.panel import Panel
    from cubragg.io.geometry.experiment_models import ExperimentModels
    from cubragg.io.images.read_image import ReadImage
    from cubragg.view.colours import Style
    from cubragg.view.figure import Notes

#: Numbers that describe a detector perpendicular to the beam, and their flags.
_FLAGS = {"wavelength_A": "-lambda", "distance_mm": "-distance", "pixel_size_mm": "-pixel", "beam_px": "--beam"}


class Scene(NamedTuple):
    """Detector and beam of an image, the file or flags that gave them, and warnings."""

    placed: Placed
    wavelength_A: float
    source: str
    warnings: tuple[str, ...] = ()
    curved: bool = False


class Given(NamedTuple):
    """Detector and beam on the command line: files, and numbers that override them."""

    config: str | None
    described: str | None
    wavelength_A: float | None
    distance_mm: float | None
    pixel_size_mm: float | None
    beam_px: tuple[float, float] | None

    @property
    def flags(self) -> str:
        """Flags of the numbers that were given."""
        return ", ".join(flag for name, flag in _FLAGS.items() if getattr(self, name) is not None)

    @property
    def missing(self) -> str:
        """Flags of the numbers that a detector without a file lacks."""
        return ", ".join(flag for name, flag in _FLAGS.items() if getattr(self, name) is None)


def view(file: str, output: str | None, style: Style, marks: list[str], given: Given, shape: tuple[int, int] | None,
         number: int) -> None:
    """Draw the picture and print a summary of the image.

    Raises
    ------
    CubraggError
        See `cubragg.errors`.
    """
    from cubragg.io.files.names import display_name
    from cubragg.io.images.read_image import read_image
    from cubragg.view.figure import Notes, require_matplotlib, write_picture
    from cubragg.view.picture_notes import notes_for
    from cubragg.view.png import check_name, is_vector

    if marks or style.dpi is not None:
        require_matplotlib(f"--png-{[*marks, 'dpi'][0]}")
    if output is not None:
        if os.path.realpath(output) == os.path.realpath(file):
            raise ConfigError("--png", f"got {output!r}, which is the image itself; another name is accepted")
        check_name(output)
        if is_vector(output):
            require_matplotlib("--png")
    with reading(InputFile(file, "FILE")):
        image = read_image(file, (shape[1], shape[0]) if shape else None, number)
    found = _scene(file, image.pixels.shape, given, needed="--png-rings" if "rings" in marks else given.flags)
    scene = found if isinstance(found, Scene) else None
    mask = _mask(image, scene)
    unit = "photons/pixel" if image.form == "float image" else "counts"
    title = f"{display_name(file)}{f', image {number} of {image.frames}' if image.frames > 1 else ''}"
    if scene is None:
        notes = Notes(title=title, unit=unit, zoom="zoom" in marks)
    else:
        notes = notes_for(marks, *scene.placed, scene.wavelength_A, curved=scene.curved, title=title, unit=unit)
    for name, text in _summary(image, mask):
        click.echo(f"{name:<18}{text}")
    if scene is None:
        click.echo(f"{'geometry':<18}unknown: {found}")
    else:
        click.echo(f"{'geometry':<18}{notes.facts}\n{'taken from':<18}{scene.source}")
        for warning in scene.warnings:
            click.echo(f"{'note':<18}{warning}")
    if output is None and _has_display():
        _show(image, style, notes, mask)
        return
    target = output or f"{file}{f'.{number}' if image.frames > 1 else ''}.png"
    try:
        write_picture(target, image.pixels, style, notes, mask)
    except OSError as error:
        raise CubraggError(f"--png: cannot write {target!r}: {error.strerror or error}") from error
    click.echo(f"{'written':<18}{target}" + (" (no display is available)" if output is None else ""))


def _mask(image: ReadImage, scene: Scene | None) -> np.ndarray | None:
    """Return the measured pixels; negative values of signed integers mark pixels that were not measured."""
    from cubragg.experiment.panel import live_pixels

    signed = image.mask is None and image.stored.kind == "i"
    masks = [image.pixels >= 0.0 if signed else image.mask,
             live_pixels(scene.placed.panels) if scene is not None else None]
    known = [mask for mask in masks if mask is not None]
    return None if not known else known[0] if len(known) == 1 else known[0] & known[1]


def _summary(image: ReadImage, mask: np.ndarray | None) -> list[tuple[str, str]]:
    import numpy as np

    slow, fast = image.pixels.shape
    measured = np.isfinite(image.pixels) if mask is None else np.isfinite(image.pixels) & mask
    values = image.pixels[measured]
    rows = [("image", f"{image.form}, {fast} x {slow} pixels (fast slow), {image.stored}"
             f"{f', {image.frames} in the file' if image.frames > 1 else ''}")]
    if values.size:
        at_slow, at_fast = np.unravel_index(np.argmax(np.where(measured, image.pixels, -np.inf)), image.pixels.shape)
        rows += [("min, mean, max", f"{values.min():.6g}, {values.mean():.6g}, {values.max():.6g} "
                                    f"at {at_fast} {at_slow} (fast slow)")]
    if image.stored.kind in "iu":
        top = _saturation(image)
        rows.append(("saturated", f"{int((values >= top).sum())} (at {top:.10g} and above)"))
    rows.append(("masked", f"{image.pixels.size - values.size}"))
    return rows


def _saturation(image: ReadImage) -> float:
    """Return the saturation value: that of the header, else the largest number of the pixel type."""
    import numpy as np

    cutoff = re.search(r"\d+", image.header.get("Count_cutoff", ""))
    largest = float(np.iinfo(image.stored).max)
    # In Eiger images the largest number marks pixels without a value.
    return float(cutoff[0]) if cutoff else largest - 1.0 if image.form == "Eiger" else largest


def _scene(file: str, shape: tuple[int, ...], given: Given, *, needed: str) -> Scene | FormatError:
    """Return detector and beam from files, the image's header or flags; else the error that says why not.

    ``needed`` names the flags that require them, if any.
    """
    if given.config is not None:
        scene = _from_config(given.config)
        if given.described is None:
            if given.flags:
                raise ConfigError("--config", f"got {given.flags} as well; only --from is accepted beside it")
            return _fitting(scene, "--config", shape)
        return _fitting(_from_models(_models(given.described), given, given.described, scene.wavelength_A), "--from",
                        shape)
    if given.described is not None:
        return _fitting(_from_models(_models(given.described), given, given.described, None), "--from", shape)
    if not given.missing:
        return _from_models(_facing(given, shape), given, "", None)
    try:
        models = _of_header(file)
    except FormatError as error:
        if needed:
            raise ConfigError(needed, f"{error}; give {given.missing}, or --from or --config") from None
        return error
    return _fitting(_from_models(models, given, f"the header of {file}", None), "FILE", shape)


def _models(described: str) -> ExperimentModels:
    from cubragg.io.geometry.sniff import read_models

    path, number = numbered(described)
    with reading(InputFile(path, "--from")):
        models = read_models(path, number)
    if not models.panels:
        raise FormatError(f"{described}: no detector in this file, give one that describes a detector")
    return models


def _of_header(file: str) -> ExperimentModels:
    """Read the models of an image's header, without a mask: the pixels mark what was not measured.

    Raises
    ------
    FormatError
        If it does not give the position of the detector.
    """
    from cubragg.io.geometry.sniff import read_header

    models = read_header(file)
    return replace(models, panels=tuple(replace(panel, mask=None) for panel in models.panels))


def _facing(given: Given, shape: tuple[int, ...]) -> ExperimentModels:
    """Return a detector perpendicular to the beam, from the four numbers given."""
    from cubragg.experiment.panel import Panel
    from cubragg.io.geometry.experiment_models import BeamModel, ExperimentModels

    pixel, beam = given.pixel_size_mm or 0.0, given.beam_px or (0.0, 0.0)
    panel = Panel(shape[1], shape[0], (-beam[0] * pixel, beam[1] * pixel, -(given.distance_mm or 0.0)),
                  (pixel, 0.0, 0.0), (0.0, -pixel, 0.0))
    return ExperimentModels(BeamModel((0.0, 0.0, -1.0), given.wavelength_A), (panel,))


def _from_models(models: ExperimentModels, given: Given, source: str, wavelength_A: float | None) -> Scene:
    """Return the scene of models from ``source``, overridden by the given numbers.

    ``wavelength_A`` is used for models without a wavelength.
    """
    from cubragg.experiment.panel import panel_in_beam
    from cubragg.io.geometry.experiment_models import BeamModel
    from cubragg.io.geometry.model_settings import placed_models

    beam = models.beam or BeamModel((0.0, 0.0, -1.0))
    wavelength = given.wavelength_A or beam.wavelength_A or wavelength_A
    if wavelength is None:
        raise FormatError(f"{models.missing_wavelength or f'{source}: no wavelength is given'}; give -lambda")
    models = replace(models, beam=beam)
    motion: dict[str, object] = {}
    if source and given.pixel_size_mm is not None:
        models = replace(models, panels=(_scaled(models.panels, beam.direction, given.pixel_size_mm, source),))
    if source and given.distance_mm is not None:
        motion["distance_mm"] = given.distance_mm
    if source and given.beam_px is not None:
        hit = panel_in_beam(models.panels, beam.direction)
        motion["beam_centre_mm"] = tuple((position - before) * edge for position, before, edge in zip(
            given.beam_px, hit.offset, hit.pixel_mm, strict=True))
    named = f"{source}, but {given.flags}" if source and given.flags else source or given.flags
    return Scene(placed_models(models, **motion), wavelength, named, models.warnings)


def _scaled(panels: Sequence[Panel], beam: Vector, pixel_mm: float, source: str) -> Panel:
    """Return the single panel with another pixel size; the beam hits the same pixel as before."""
    if len(panels) > 1:
        raise ConfigError("-pixel", f"got {pixel_mm:g} mm, but the panels of {source} have a pixel "
                          "size of their own; leave it out")
    panel = panels[0]
    spot = panel.spot(beam)
    held = (0.0, 0.0) if spot is None else (spot.fast_px, spot.slow_px)
    fast, slow = scale(panel.fast, pixel_mm), scale(panel.slow, pixel_mm)
    corner = combine((1.0, panel.place_mm(*held)), (-held[0], fast), (-held[1], slow))
    return replace(panel, origin_mm=corner, fast_mm=fast, slow_mm=slow)


def _from_config(config: str) -> Scene:
    from cubragg.cli.build import build
    from cubragg.cli.parser import parse

    job = build(parse(["--config", config]), "physical")
    experiment = job.experiment
    with job.replay.naming():
        placed = experiment.placed()
    return Scene(placed, experiment.beam.wavelength_A, config, curved=experiment.detector.curved)


def _fitting(scene: Scene, source: str, shape: tuple[int, ...]) -> Scene:
    """Return the scene if its detector has as many pixels as the image."""
    from cubragg.experiment.panel import image_shape

    slow, fast = image_shape(scene.placed.panels)
    if (slow, fast) != shape:
        raise ConfigError(source, f"got a detector of {fast} x {slow} pixels; the image has {shape[1]} x {shape[0]}")
    return scene


def _has_display() -> bool:
    """Return whether a window can be shown: a display, and matplotlib with a window toolkit."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    try:
        from matplotlib import pyplot
    except ImportError:
        return False
    return pyplot.get_backend().lower() not in ("agg", "pdf", "ps", "svg", "cairo", "template")


def _show(image: ReadImage, style: Style, notes: Notes, mask: np.ndarray | None) -> None:
    from matplotlib import pyplot

    from cubragg.view.figure import draw

    figure = pyplot.figure()
    draw(figure, image.pixels, style, notes, mask)
    pyplot.show()


_NOTES = """\b
Rings require the detector geometry: from the header of SMV, miniCBF and NXmx images, or from --from
or --config. -lambda, -distance, -pixel and --beam override header and --from; all four together
replace them. Without --png, a window opens if there is a display; else the picture is FILE.png.

\b
  cubragg view out.img --png-rings --png-zoom
  cubragg view series_master.h5 --number 12 --png-scale log -o frame.png
  cubragg view run.h5 --from refined.expt --png-rings"""


@click.command("view", cls=BaseCommand, short_help="Make a picture of an image file, or show it.", epilog=_NOTES)
@click.argument("file")
@click.option("-o", "--png", "output", metavar="<file>",
              help="Write the picture to this file: .png, or .svg or .pdf with matplotlib.")
@click.option("--png-colors", "--png-colours", "colours", default="inverted", metavar="<name>",
              type=click.Choice(["inverted", "grey", "sea", "fire", "gray", "gray_r", "viridis", "magma", "inferno",
                                 "cividis"]),
              help="Colours: inverted (dark spots on white), grey, sea, fire, gray, gray_r, viridis, magma, inferno, "
                   "cividis.  [inverted]")
@click.option("--png-scale", "scale", type=click.Choice(["linear", "sqrt", "log"]), default="sqrt",
              help="Scale from values to lightness.  [sqrt]")
@click.option("--png-range", "percentiles", type=float, nargs=2, metavar="<low high>",
              help="Percentiles of the pixels > 0 at the ends of the scale.  [automatic]")
@click.option("--png-rings", "rings", is_flag=True, help="Resolution rings, beam centre, axes, colour bar.")
@click.option("--png-zoom", "zoom", is_flag=True, help="The brightest spot enlarged.")
@click.option("--png-dpi", "dpi", type=click.FloatRange(10.0, 1200.0), metavar="<1/inch>",
              help="A figure with this resolution.  [100]")
@click.option("-from", "--from", "described", metavar="<file>",
              help="Take the detector from an .expt, .geom, NXmx file or another image.")
@click.option("--config", metavar="<file>", help="Or from an experiment in TOML, as simulate --save-config writes it.")
@click.option("-lambda", "--lambda", "wavelength_A", type=float, metavar="<A>", help="Wavelength.")
@click.option("-distance", "--distance", "distance_mm", type=float, metavar="<mm>", help="Distance along the beam.")
@click.option("-pixel", "--pixel", "pixel_size_mm", type=float, metavar="<mm>", help="Edge of a pixel.")
@click.option("-beam", "--beam", "beam_px", type=float, nargs=2, metavar="<fast slow>",
              help="Beam centre [pixel], from the outer corner of the first pixel.")
@click.option("--shape", type=click.IntRange(1), nargs=2, metavar="<fast slow>",
              help="Pixels of a float image (.bin) that is not square.")
@click.option("--number", type=click.IntRange(1), default=1, metavar="<n>",
              help="Which image of a file with several, from 1.  [1]")
def command(file: str, output: str | None, colours: str, scale: str, percentiles: tuple[float, float] | None,
            rings: bool, zoom: bool, dpi: float | None, shape: tuple[int, int] | None, number: int,
            **geometry: Any) -> None:
    """Make a picture of an image: SMV, CBF, TIFF, EDF, HDF5 and other formats that fabio reads, or floats (.bin)."""
    from cubragg.view.colours import Style

    given = Given(**geometry)
    for name in ("wavelength_A", "distance_mm", "pixel_size_mm"):
        value = getattr(given, name)
        if value is not None and not 0.0 < value < float("inf"):
            raise ConfigError(_FLAGS[name], f"got {value:g} {name.rpartition('_')[2]}; a value > 0 is accepted")
    try:
        style = Style(colours, scale, percentiles, dpi)
    except ConfigError as error:
        raise ConfigError("--png-range", error.what) from None
    marks = [name for name, enabled in (("rings", rings), ("zoom", zoom)) if enabled]
    view(file, output, style, marks, given, shape, number)

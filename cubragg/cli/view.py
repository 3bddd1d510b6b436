"""``cubragg view``: a picture of any image, as a file or in a window."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from cubragg.errors import ConfigError, CubraggError

if TYPE_CHECKING:
    import numpy as np

    from cubragg.compare.readers import ReadImage
    from cubragg.experiment.detector import DetectorGeometry
    from cubragg.io.colours import Style
    from cubragg.io.figure import Notes
    from cubragg.io.placement import Placement

#: What rings need, and what gives it.
_SOURCES = {"wavelength_A": ("wavelength", "-lambda"), "distance_mm": ("distance", "-distance"),
            "pixel_size_mm": ("pixel size", "-pixel"), "beam_px": ("beam centre", "--beam")}


class Scene(NamedTuple):
    """Detector and beam of an image, and where they were learnt from."""

    geometry: DetectorGeometry
    wavelength_A: float
    curved: bool
    told: str


class Given(NamedTuple):
    """What the command line says about detector and beam, under the names of `io.placement.Placement`."""

    wavelength_A: float | None
    distance_mm: float | None
    pixel_size_mm: float | None
    beam_px: tuple[float, float] | None


def view(file: str, output: str | None, style: Style, marks: list[str], given: Given, config: str | None,
         shape: tuple[int, int] | None, number: int) -> None:
    """Draw the picture and print what the image is.

    Raises
    ------
    CubraggError
        See `cubragg.errors`.
    """
    from cubragg.cli.inputs import InputFile, reading
    from cubragg.cli.pictures import notes_for
    from cubragg.compare.readers import read_image
    from cubragg.io.figure import Notes, require_matplotlib, write_picture

    if marks:
        require_matplotlib(f"--png-{marks[0]}")
    with reading(InputFile(file, "FILE")):
        image = read_image(file, (shape[1], shape[0]) if shape else None, number)
    mask = _mask(image)
    scene = _scene(file, image, given, config, needed="rings" in marks)
    unit = "photons/pixel" if image.form == "float image" else "counts"
    title = f"{Path(file).name}{f', image {number} of {image.frames}' if image.frames > 1 else ''}"
    if scene is None:
        notes = Notes(title=title, unit=unit, zoom="zoom" in marks)
    else:
        notes = notes_for(marks, scene.geometry, scene.wavelength_A, title=title, unit=unit, curved=scene.curved)
    for name, text in _summary(image, mask):
        click.echo(f"{name:<18}{text}")
    if scene is not None:
        click.echo(f"{'geometry':<18}{notes.facts}\n{'taken from':<18}{scene.told}")
    if output is None and _has_display():
        _show(image, style, notes, mask)
        return
    target = output or f"{file}{f'.{number}' if image.frames > 1 else ''}.png"
    if os.path.realpath(target) == os.path.realpath(file):
        raise ConfigError("--png", f"got {target!r}, which is the image itself; another name is accepted")
    try:
        write_picture(target, image.pixels, style, notes, mask)
    except OSError as error:
        raise CubraggError(f"--png: cannot write {target!r}: {error.strerror or error}") from error
    click.echo(f"{'written':<18}{target}" + (" (no window can be shown here)" if output is None else ""))


def _mask(image: ReadImage) -> np.ndarray | None:
    """Pixels that were measured; in whole numbers with a sign, negative ones mark those that were not."""
    if image.mask is None and image.stored.kind == "i":
        return image.pixels >= 0.0
    return image.mask


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
    """The count that means "or more": the one of the header, else the largest that the file can hold."""
    import numpy as np

    from cubragg.io.placement import first_number

    cutoff = first_number(image.header.get("Count_cutoff"))
    largest = float(np.iinfo(image.stored).max)
    # The largest number of an Eiger image marks pixels without a value.
    return cutoff or (largest - 1.0 if image.form == "Eiger" else largest)


def _scene(file: str, image: ReadImage, given: Given, config: str | None, *, needed: bool) -> Scene | None:
    """Detector and beam from an experiment file or from header and flags; ``None`` if not known and not ``needed``."""
    from cubragg.io.placement import Placement

    if config is not None:
        if any(value is not None for value in given):
            raise ConfigError("--config", "got -lambda, -distance, -pixel or --beam as well; the file says it all")
        return _from_config(config, image.pixels.shape)
    header = _from_header(file, image)
    placement = header.overlaid(**given._asdict())
    missing = placement.missing()
    if missing:
        if needed:
            names, flags = zip(*(_SOURCES[name] for name in missing), strict=True)
            raise ConfigError("--png-rings", f"got no {', '.join(names)} from {file!r}; give {', '.join(flags)} "
                              "or --config")
        return None
    told = ", ".join(f"{_SOURCES[name][1]}" for name, value in given._asdict().items() if value is not None)
    if header != Placement():
        told = f"the header of {file}" + (f", but {told}" if told else "")
    if placement.twotheta_deg:
        told += (f"; the two-theta of {placement.twotheta_deg:g} deg in the header is left out, for its axis is not "
                 "there (--config tells)")
    assert placement.wavelength_A is not None
    return Scene(placement.geometry(image.pixels.shape), placement.wavelength_A, False, told)


def _from_header(file: str, image: ReadImage) -> Placement:
    from cubragg.io.placement import Placement, from_minicbf, from_nexus, from_smv

    if image.form == "SMV":
        return from_smv(image.header)
    if image.form == "CBF":
        return from_minicbf(image.header)
    return from_nexus(file) if image.form == "Eiger" else Placement()


def _from_config(config: str, shape: tuple[int, ...]) -> Scene:
    from cubragg.cli.build import build
    from cubragg.cli.legacy import parse

    job = build(parse(["--config", config]))
    experiment = job.experiment
    if experiment.detector.shape() != shape:
        slow, fast = experiment.detector.shape()
        raise ConfigError("--config", f"got a detector of {fast} x {slow} pixels; the image has {shape[1]} x "
                          f"{shape[0]}")
    with job.replay.naming():
        geometry = experiment.detector.geometry(experiment.goniometer.axis, experiment.semantics)
    return Scene(geometry, experiment.beam.wavelength_A, experiment.detector.curved, config)


def _has_display() -> bool:
    """Whether a window can be shown: there is a screen, and matplotlib has something to draw on it with."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    try:
        from matplotlib import pyplot
    except ImportError:
        return False
    return pyplot.get_backend().lower() not in ("agg", "pdf", "ps", "svg", "cairo", "template")


def _show(image: ReadImage, style: Style, notes: Notes, mask: np.ndarray | None) -> None:
    from matplotlib import pyplot

    from cubragg.io.figure import draw

    figure = pyplot.figure()
    draw(figure, image.pixels, style, notes, mask)
    pyplot.show()


_NOTES = """\b
Rings need wavelength, distance, pixel size and beam centre. They are taken from the header of SMV,
miniCBF and Eiger images; the options overrule it, and --config tells the rest, a tilt or a curved
detector for one. Without --png, a window opens where there is a display; else the picture is FILE.png.

\b
  cubragg view out.img --png-rings --png-zoom
  cubragg view series_master.h5 --number 12 --png-scale log -o frame.png
  cubragg view out.bin --config exp.toml --png-rings"""


@click.command("view", short_help="Make a picture of an image file, or show it.", epilog=_NOTES)
@click.argument("file")
@click.option("-o", "--png", "output", metavar="<file>", help="Write the picture there.")
@click.option("--png-colors", "--png-colours", "colours", type=click.Choice(["inverted", "grey", "sea", "fire"]),
              default="inverted", help="Colours; inverted: dark spots on white.  [inverted]")
@click.option("--png-scale", "scale", type=click.Choice(["linear", "sqrt", "log"]), default="sqrt",
              help="How values become lightness.  [sqrt]")
@click.option("--png-range", "percentiles", type=float, nargs=2, metavar="<low high>",
              help="Percentiles of the pixels > 0 at its ends.  [automatic]")
@click.option("--png-rings", "rings", is_flag=True, help="Resolution rings, beam centre, axes, colour bar.")
@click.option("--png-zoom", "zoom", is_flag=True, help="The brightest spot enlarged.")
@click.option("-lambda", "--lambda", "wavelength_A", type=float, metavar="<A>", help="Wavelength.")
@click.option("-distance", "--distance", "distance_mm", type=float, metavar="<mm>", help="Distance along the beam.")
@click.option("-pixel", "--pixel", "pixel_size_mm", type=float, metavar="<mm>", help="Edge of a pixel.")
@click.option("-beam", "--beam", "beam_px", type=float, nargs=2, metavar="<fast slow>",
              help="Beam centre [pixel], from the outer corner of the first pixel.")
@click.option("--config", metavar="<file>", help="Experiment in TOML, as simulate --save-config writes it.")
@click.option("--shape", type=click.IntRange(1), nargs=2, metavar="<fast slow>",
              help="Pixels of a float image (.bin) that is not square.")
@click.option("--number", type=click.IntRange(1), default=1, metavar="<n>",
              help="Which image of a file with several, from 1.  [1]")
def command(file: str, output: str | None, colours: str, scale: str, percentiles: tuple[float, float] | None,
            rings: bool, zoom: bool, wavelength_A: float | None, distance_mm: float | None,
            pixel_size_mm: float | None, beam_px: tuple[float, float] | None, config: str | None,
            shape: tuple[int, int] | None, number: int) -> None:
    """Make a picture of an image: SMV, CBF, TIFF, EDF, HDF5 and what else fabio reads, or floats (.bin)."""
    from cubragg.io.colours import Style

    given = Given(wavelength_A, distance_mm, pixel_size_mm, beam_px)
    for name, value in given._asdict().items():
        if name != "beam_px" and value is not None and not 0.0 < value < float("inf"):
            raise ConfigError(_SOURCES[name][1], f"got {value:g}; a {_SOURCES[name][0]} > 0 is accepted")
    try:
        style = Style(colours, scale, percentiles)
    except ConfigError as error:
        raise ConfigError("--png-range", error.what) from None
    marks = [name for name, wanted in (("rings", rings), ("zoom", zoom)) if wanted]
    view(file, output, style, marks, given, config, shape, number)

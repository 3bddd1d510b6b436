"""``cubragg view``: make a picture of an image, as a file or in a window, or a contact sheet of several."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from cubragg.cli.base_command import BaseCommand, option
from cubragg.cli.inputs import InputFile, reading
from cubragg.cli.picture_geometry import FLAGS, Given, Scene, scene_of
from cubragg.cli.picture_options import check_picture, picture_options, style_of
from cubragg.errors import ConfigError, CubraggError

if TYPE_CHECKING:
    import numpy as np

    from cubragg.io.images.read_image import ReadImage
    from cubragg.view.colours import Style
    from cubragg.view.notes import Notes

#: Largest number of spots that can be marked, and images on a contact sheet if no other number is given.
_MOST_SPOTS, _SHEET = 100_000, 16


class Shown(NamedTuple):
    """An image of a file as pictures show it.

    Attributes
    ----------
    image, mask
        The image, and its measured pixels; ``None``: all.
    notes
        What the picture shows of detector and beam.
    source
        Lines about the geometry: names and texts.
    """

    image: ReadImage
    mask: np.ndarray | None
    notes: Notes
    source: list[tuple[str, str]]


class Options(NamedTuple):
    """The options of ``view``, by the names of its parameters."""

    output: str | None
    contact: str | None
    sheet: int | None
    style: Style
    rings: bool
    zoom: bool
    spots: int | None
    truth: str | None
    counts: bool
    seed: int
    given: Given
    shape: tuple[int, int] | None
    number: int | None

    @property
    def figure(self) -> str | None:
        """The flag that makes the picture a figure; ``None``: none does."""
        flags = (("--png-rings", self.rings), ("--png-spots", self.spots is not None), ("--png-zoom", self.zoom),
                 ("--png-dpi", self.style.dpi is not None))
        return next((flag for flag, given in flags if given), None)

    def check(self, files: tuple[str, ...]) -> None:
        """Refuse options that have no effect together, and names that cannot be written.

        Raises
        ------
        ConfigError
            Naming the option.
        """
        if self.contact is None:
            if len(files) > 1:
                raise ConfigError("FILE", f"got {len(files)} images; one is accepted, or --contact FILE for a sheet")
            if self.sheet is not None:
                raise ConfigError("--contact-images", "got no --contact; give --contact FILE, the sheet")
        else:
            for flag, given in (("--png", self.output is not None), ("--png-spots", self.spots is not None),
                                ("--png-zoom", self.zoom), ("--png-rings", self.rings),
                                ("--number", self.number is not None)):
                if given:
                    raise ConfigError(flag, "got --contact as well; it applies to the picture of one image")
        if self.truth is not None and self.spots is None:
            raise ConfigError("--truth", "got no --png-spots; give it, its spots are marked then")
        for name, flag in ((self.output, "--png"), (self.contact, "--contact")):
            if name is not None:
                dpi = "--png-dpi" if self.style.dpi is not None else None
                check_picture(name, flag, files, figure=dpi if flag == "--contact" else self.figure)
        if self.output is None and self.figure is not None:
            from cubragg.view.figure import require_matplotlib

            require_matplotlib(self.figure)


def view(file: str, options: Options) -> None:
    """Draw the picture of one image and print a summary of it.

    Raises
    ------
    CubraggError
        See `cubragg.errors`.
    """
    from cubragg.view.colours import without_masked
    from cubragg.view.figure import write_picture

    number = options.number or 1
    shown = _read(file, number, options)
    image, mask, notes = shown.image, shown.mask, shown.notes
    lines = [*_summary(image, mask), *shown.source]
    pixels = image.pixels
    if options.counts:
        pixels, notes = _counts(shown, options.seed)
    if options.spots is not None:
        from cubragg.cli.marked_spots import marked_spots

        marked = marked_spots(file, number, options.truth, options.spots, without_masked(image.pixels, mask), notes)
        notes = replace(notes, spots=marked.spots)
        lines.append(("spots", marked.source))
    for name, text in lines:
        click.echo(f"{name:<18}{text}")
    if options.output is None and _has_display():
        _show(pixels, options.style, notes, mask)
        return
    target = options.output or f"{file}{f'.{number}' if image.frames > 1 else ''}.png"
    with _writing("--png", target):
        write_picture(target, pixels, options.style, notes, mask)
    click.echo(f"{'written':<18}{target}" + (" (no display is available)" if options.output is None else ""))


def contact(files: tuple[str, ...], options: Options) -> None:
    """Draw a contact sheet of several files, or of images spread evenly over one.

    Raises
    ------
    CubraggError
        See `cubragg.errors`.
    """
    import numpy as np

    from cubragg.io.files.names import display_name
    from cubragg.view.contact_sheet import small_image, tiles_of, write_sheet

    assert options.contact is not None
    most = options.sheet or _SHEET
    if len(files) > 1:
        spread = sorted({int(place) for place in np.linspace(0, len(files) - 1, min(most, len(files)))})
        unique = len({os.path.basename(file) for file in files}) == len(files)
        names = [os.path.basename(file) if unique else file for file in map(display_name, files)]
        chosen = [(files[place], 1, names[place]) for place in spread]
        total = len(files)
    else:
        total = _read(files[0], 1, options).image.frames
        spread = sorted({int(place) for place in np.linspace(1, total, min(most, total))})
        chosen = [(files[0], number, f"image {number}") for number in spread]
    images = []
    for file, number, _ in chosen:
        shown = _read(file, number, options)
        pixels, notes = _counts(shown, options.seed) if options.counts else (shown.image.pixels, shown.notes)
        images.append(small_image(pixels, options.style, notes, shown.mask))
    tiles = tiles_of(images, [name for _, _, name in chosen], options.style, one_scale=len(files) == 1)
    with _writing("--contact", options.contact):
        write_sheet(options.contact, tiles, options.style.dpi)
    click.echo(f"{'images':<18}{len(tiles)} of {total}{', spread evenly' if len(tiles) < total else ''}\n"
               f"{'written':<18}{options.contact}")


@contextmanager
def _writing(flag: str, path: str) -> Iterator[None]:
    """Convert an `OSError` into an error that names the flag and the file."""
    try:
        yield
    except OSError as error:
        raise CubraggError(f"{flag}: cannot write {path!r}: {error.strerror or error}") from error


def _read(file: str, number: int, options: Options) -> Shown:
    """Return an image of a file, with its detector and beam as far as they are known."""
    from cubragg.io.files.names import display_name
    from cubragg.io.images.read_image import read_image
    from cubragg.view.notes import Notes
    from cubragg.view.picture_notes import notes_for

    shape, given = options.shape, options.given
    with reading(InputFile(file, "FILE")):
        image = read_image(file, (shape[1], shape[0]) if shape else None, number)
    found = scene_of(file, image.pixels.shape, given, needed="--png-rings" if options.rings else given.flags)
    unit = "photons/pixel" if image.form == "float image" else "counts"
    title = f"{display_name(file)}{f', image {number} of {image.frames}' if image.frames > 1 else ''}"
    marks = [name for name, wanted in (("rings", options.rings), ("zoom", options.zoom)) if wanted]
    if not isinstance(found, Scene):
        notes = Notes(title=title, unit=unit, zoom=options.zoom)
        return Shown(image, _mask(image, None), notes, [("geometry", f"unknown: {found}")])
    notes = notes_for(marks, *found.placed, found.wavelength_A, curved=found.curved, title=title, unit=unit)
    return Shown(image, _mask(image, found), notes, [
        ("geometry", notes.facts), ("taken from", found.source), *(("note", warning) for warning in found.warnings)])


def _counts(shown: Shown, seed: int) -> tuple[np.ndarray, Notes]:
    """Return counts of an image of expected photons; those of a file that holds counts are its pixels."""
    from cubragg.detect.noise import noise_counts

    pixels = shown.image.pixels
    if shown.image.stored.kind != "f":
        click.echo(f"{'note':<18}--png-counts changes nothing: the file holds counts ({shown.image.stored})")
        return pixels, shown.notes
    slow, fast = pixels.shape
    return noise_counts(pixels, (0, fast - 1, 0, slow - 1), seed), replace(shown.notes, unit="counts")


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


def _has_display() -> bool:
    """Return whether a window can be shown: a display, and matplotlib with a window toolkit."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    try:
        from matplotlib import pyplot
    except ImportError:
        return False
    return pyplot.get_backend().lower() not in ("agg", "pdf", "ps", "svg", "cairo", "template")


def _show(pixels: np.ndarray, style: Style, notes: Notes, mask: np.ndarray | None) -> None:
    from matplotlib import pyplot

    from cubragg.view.figure import draw

    figure = pyplot.figure()
    draw(figure, pixels, style, notes, mask)
    pyplot.show()


_NOTES = """Without --png or --contact, a window opens if there is a display; else the picture is FILE.png.

Rings require the detector geometry: from the header of SMV, miniCBF and NXmx images, or from --from or --config.
-lambda, -distance, -pixel and --beam override header and --from; all four together replace them.

--png-spots marks the reflections of --truth or, in the folder of a data set, of its truth; elsewhere the spots that
are found in the image.

\b
  cubragg view out.img --png-rings --png-zoom
  cubragg view run/master.nxs --number 12 --png-spots 200 -o frame.png
  cubragg view run.h5 --from refined.expt --png-rings -o frame.pdf
  cubragg view run/master.nxs --contact sheet.png"""
_GROUPS = {
    "Picture": ("output", "contact", "sheet", "number", "shape"),
    "Drawing": ("colours", "scale", "percentiles", "rings", "zoom", "spots", "truth", "counts", "seed", "dpi"),
    "Detector and beam": ("described", "config", "wavelength_A", "distance_mm", "pixel_size_mm", "beam_px"),
}


@click.command("view", cls=BaseCommand, groups=_GROUPS, epilog=_NOTES,
               short_help="Make a picture of an image file, or show it.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@option("-o", "--png", "output", metavar="<file>",
        help="Write the picture to this file: .png, or .svg or .pdf with matplotlib.")
@option("--contact", metavar="<file>",
        help="Write one sheet with all files, or with images of a file that has several.")
@option("--contact-images", "sheet", type=click.IntRange(1, 1000), metavar="<n>",
        help=f"Images on the sheet, evenly spread.  [{_SHEET}]")
@option("--number", type=click.IntRange(1), metavar="<n>",
        help="Which image of a file with several, from 1.  [1]")
@picture_options
@option("--png-zoom", "zoom", is_flag=True, help="The brightest spot enlarged.")
@option("--png-spots", "spots", type=click.IntRange(1, _MOST_SPOTS), is_flag=False, flag_value="1000",
        metavar="[<n>]", help="Circle spots: the brightest n, without it 1000.")
@option("--truth", metavar="<file>", help="Reflection table of the image (.csv, .h5, .refl), for --png-spots.")
@option("--png-counts", "counts", is_flag=True,
        help="Counts with noise of an image of expected photons (.bin).")
@option("-seed", "--seed", "seed", type=click.IntRange(0), default=0, metavar="<n>",
        help="Seed of that noise.  [0]")
@option("-from", "--from", "described", metavar="<file>",
        help="Take the detector from an .expt, .geom, NXmx file or another image.")
@option("--config", metavar="<file>", help="Or from an experiment in TOML, as simulate --save-config writes it.")
@option("-lambda", "--lambda", "wavelength_A", type=float, metavar="<A>", help="Wavelength.")
@option("-distance", "--distance", "distance_mm", type=float, metavar="<mm>", help="Distance along the beam.")
@option("-pixel", "--pixel", "pixel_size_mm", type=float, metavar="<mm>", help="Edge of a pixel.")
@option("-beam", "--beam", "beam_px", type=float, nargs=2, metavar="<fast slow>",
        help="Beam centre [pixel], from the outer corner of the first pixel.")
@option("--shape", type=click.IntRange(1), nargs=2, metavar="<fast slow>",
        help="Pixels of a float image (.bin) that is not square.")
def command(files: tuple[str, ...], colours: str, scale: str, percentiles: tuple[float, float] | None,
            dpi: float | None, **words: Any) -> None:
    """Make a picture of an image: SMV, CBF, TIFF, EDF, HDF5 and other formats that fabio reads, or floats (.bin)."""
    given = Given(**{name: words.pop(name) for name in Given._fields})
    for name in ("wavelength_A", "distance_mm", "pixel_size_mm"):
        value = getattr(given, name)
        if value is not None and not 0.0 < value < float("inf"):
            raise ConfigError(FLAGS[name], f"got {value:g} {name.rpartition('_')[2]}; a value > 0 is accepted")
    options = Options(style=style_of(colours, scale, percentiles, dpi), given=given, **words)
    options.check(files)
    if options.contact is not None:
        contact(files, options)
    else:
        view(files[0], options)

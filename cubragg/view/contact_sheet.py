"""Put pictures of several images on one sheet, each with its name below."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cubragg.io.files.atomic import atomic_path
from cubragg.view.colours import Limits, Style, levels, limits, paint, without_beam, without_masked
from cubragg.view.drawn_view import DrawnView
from cubragg.view.figure import save_figure
from cubragg.view.figure_parts import Canvas
from cubragg.view.notes import Notes
from cubragg.view.png import is_vector, png_bytes

#: Longer edge of a picture on the sheet [pixel].
_EDGE = 320
#: Pictures in a row, the space between them, and the height of a name and the width of a letter [pixel].
_COLUMNS, _GAP, _NAME, _LETTER = 4, 4, 14, 6


class Tile(NamedTuple):
    """A picture on the sheet: colours uint8 [down, right, 3], and its name."""

    colours: np.ndarray
    name: str


class SmallImage(NamedTuple):
    """Pixels [down, right] of a picture on the sheet, and the ends of the scale that the image would have alone."""

    pixels: np.ndarray
    ends: Limits


def small_image(image: np.ndarray, style: Style, notes: Notes, mask: np.ndarray | None) -> SmallImage:
    """Return an image [slow, fast] for a sheet: reduced, or with its pixels enlarged."""
    values = without_masked(image, mask)
    pixels = DrawnView(notes, values, _EDGE).pixels
    factor = max(1, _EDGE // max(pixels.shape))
    return SmallImage(pixels.repeat(factor, axis=0).repeat(factor, axis=1),
                      limits(without_beam(values, notes.near_beam(image.shape)), style))


def tiles_of(images: Sequence[SmallImage], names: Sequence[str], style: Style, *, one_scale: bool) -> list[Tile]:
    """Return the pictures of images with their names, each on a scale of its own or all on one."""
    common = Limits(min(image.ends.low for image in images), max(image.ends.high for image in images))
    return [Tile(paint(levels(image.pixels, common if one_scale else image.ends, style.scale), style.colours), name)
            for image, name in zip(images, names, strict=True)]


def contact_sheet(tiles: Sequence[Tile]) -> np.ndarray:
    """Return pictures of any size in rows of four on white, names below them: colours uint8 [down, right, 3]."""
    from PIL import Image, ImageDraw

    places, (height, width) = _layout(tiles)
    sheet = Image.new("RGB", (width, height), "white")
    drawing = ImageDraw.Draw(sheet)
    for tile, (left, top) in zip(tiles, places, strict=True):
        sheet.paste(Image.fromarray(tile.colours), (left, top))
        drawing.text((left, top + tile.colours.shape[0] + 1), _shown(tile).encode("ascii", "replace").decode(), "black")
    return np.asarray(sheet)


def write_sheet(path: Path | str, tiles: Sequence[Tile], dpi: float | None) -> None:
    """Write a sheet as PNG or, with matplotlib, as SVG or PDF or with ``dpi`` dots per inch.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    if dpi is None and not is_vector(path):
        with atomic_path(path) as temporary:
            temporary.write_bytes(png_bytes(contact_sheet(tiles)))
        return
    from matplotlib.figure import Figure

    places, (height, width) = _layout(tiles)
    canvas = Canvas(Figure(), width, height)
    for tile, (left, top) in zip(tiles, places, strict=True):
        down, right = tile.colours.shape[:2]
        axes = canvas.axes(left, height - top - down, right, down)
        axes.imshow(tile.colours, interpolation="nearest", aspect="auto")
        axes.set_axis_off()
        canvas.text(left, height - top - down - _NAME + 3, _shown(tile), fontsize=7)
    save_figure(path, canvas.figure, dpi)


def _layout(tiles: Sequence[Tile]) -> tuple[list[tuple[int, int]], tuple[int, int]]:
    """Return left and top of each picture, and height and width of the sheet [pixel]."""
    height, width = (max(tile.colours.shape[axis] for tile in tiles) + _GAP for axis in range(2))
    columns = min(_COLUMNS, len(tiles))
    places = [(place % columns * width, place // columns * (height + _NAME)) for place in range(len(tiles))]
    return places, (math.ceil(len(tiles) / columns) * (height + _NAME), columns * width)


def _shown(tile: Tile) -> str:
    """The name, or as much of its end as fits below the picture."""
    most = max(tile.colours.shape[1] // _LETTER, 4)
    return tile.name if len(tile.name) <= most else f"...{tile.name[3 - most:]}"

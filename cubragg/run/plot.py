"""Draws an image: with matplotlib, and for notebooks without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cubragg.run.image_data import ImageData
from cubragg.view.colours import Style
from cubragg.view.figure import draw
from cubragg.view.notes import Notes
from cubragg.view.picture_notes import notes_for, spots_of
from cubragg.view.png import picture, png_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cubragg.reflections.reflection_table import ReflectionTable


def notes_of(image: ImageData, marks: Sequence[str] = ()) -> Notes:
    """Return the notes of a picture of an image, with rings and a close-up as ``marks`` lists."""
    scene = image.scene()
    if scene is None:
        return Notes(title=image.title, zoom="zoom" in marks)
    return notes_for(marks, scene.panels, scene.frame, scene.wavelength_A, curved=scene.curved, title=image.title)


def notebook_png(image: ImageData, longest_edge: int) -> bytes:
    """Return the picture of an image as PNG; see `Image._repr_png_`."""
    notes = notes_of(image)
    return png_bytes(picture(image.on_host, mask=image.live, longest_edge=longest_edge, assembly=notes.assembly,
                             beam=notes.near_beam(image.photons.shape)))


def plot_image(image: ImageData, *, figure: Figure | None, style: Style, rings: bool, zoom: bool,
               table: ReflectionTable | None, spots: bool | int, seed: int | None) -> Figure:
    """Draw an image into a figure, or its counts of a seed; see `Image.plot`. ``spots`` of ``table`` are marked."""
    if figure is None:
        from matplotlib import pyplot

        figure = pyplot.figure()
    notes = notes_of(image, [name for name, shown in (("rings", rings), ("zoom", zoom)) if shown])
    if table is not None:
        notes = replace(notes, spots=spots_of(table) if spots is True else spots_of(table, spots))
    pixels = image.on_host
    if seed is not None:
        pixels, notes = image.drawn_counts(seed), replace(notes, unit="counts")
    draw(figure, pixels, style, notes, image.live)
    return figure

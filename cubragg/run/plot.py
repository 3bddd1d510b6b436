"""Draws an image with matplotlib."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cubragg.view.colours import Style
from cubragg.view.figure import Notes, draw
from cubragg.view.picture_notes import notes_for, spots_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cubragg.reflections.reflection_table import ReflectionTable
    from cubragg.run.image import Image


def plot_image(image: Image, *, figure: Figure | None, style: Style, rings: bool, zoom: bool,
               table: ReflectionTable | None) -> Figure:
    """Draw an image into a figure; see `Image.plot`. Reflections of ``table`` are marked."""
    if figure is None:
        from matplotlib import pyplot

        figure = pyplot.figure()
    marks = [name for name, shown in (("rings", rings), ("zoom", zoom)) if shown]
    scene = image.scene()
    notes = (Notes(title=image.title, zoom=zoom) if scene is None else notes_for(
        marks, scene.panels, scene.frame, scene.wavelength_A, curved=scene.curved, title=image.title))
    if table is not None:
        notes = replace(notes, spots=spots_of(table))
    draw(figure, image.on_host, style, notes, image.live)
    return figure

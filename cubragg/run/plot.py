"""Draws an image with matplotlib."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cubragg.experiment.experiment import Experiment
from cubragg.plan.plan import Plan
from cubragg.view.colours import Style
from cubragg.view.figure import draw
from cubragg.view.picture_notes import notes_for, spots_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cubragg.reflections.reflection_table import ReflectionTable


def plot_image(photons: np.ndarray, experiment: Experiment, plan: Plan, *, figure: Figure | None, style: Style,
               rings: bool, zoom: bool, table: ReflectionTable | None) -> Figure:
    """Draw an image into a figure; see `Image.plot`. Reflections of ``table`` are marked."""
    if figure is None:
        from matplotlib import pyplot

        figure = pyplot.figure()
    marks = [name for name, shown in (("rings", rings), ("zoom", zoom)) if shown]
    notes = notes_for(marks, plan.detector_panels, plan.geometry, experiment.beam.wavelength_A,
                      curved=experiment.detector.curved, title="Expected photons")
    if table is not None:
        notes = replace(notes, spots=spots_of(table))
    draw(figure, photons, style, notes, plan.mask)
    return figure

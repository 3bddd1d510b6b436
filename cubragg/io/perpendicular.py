"""Oblique panels in formats that know perpendicular axes only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from cubragg.crystallography.vectors import combine, dot, scale, unit
from cubragg.errors import FormatError
from cubragg.experiment.panel import Panel

#: Cosine between fast and slow axis up to which dxtbx takes a panel.
_OBLIQUE = 1e-7
#: Pixels may move this far to make a panel perpendicular [pixel].
_MOST_PIXELS = 1.0


def squared(panel: Panel) -> tuple[Panel, float]:
    """The nearest panel with perpendicular axes, and by how many pixels its corners are off.

    Its middle and the sizes of its pixels stay. Of the angle that is missing, fast and slow take the shares by which
    the corners move least: theirs turn by a and b = angle - a, move by (a width, b height) / 2, and
    a = angle height^2 / (width^2 + height^2).
    """
    fast, slow = panel.fast, panel.slow
    cosine = dot(fast, slow)
    if abs(cosine) <= _OBLIQUE:
        return panel, 0.0
    fast_mm, slow_mm = panel.pixel_mm
    width, height = fast_mm * panel.fast_pixels, slow_mm * panel.slow_pixels
    towards = unit(combine((1.0, slow), (-cosine, fast)))  # in the plane, across fast
    missing = math.asin(cosine)  # slow is this much too near to fast
    share = -missing * height**2 / (width**2 + height**2)
    new_fast = combine((math.cos(share), fast), (math.sin(share), towards))
    new_slow = combine((-math.sin(share), fast), (math.cos(share), towards))
    steps = scale(new_fast, fast_mm), scale(new_slow, slow_mm)
    middle = panel.place_mm(panel.fast_pixels / 2.0, panel.slow_pixels / 2.0)
    origin = combine((1.0, middle), (-panel.fast_pixels / 2.0, steps[0]), (-panel.slow_pixels / 2.0, steps[1]))
    found = replace(panel, origin_mm=origin, fast_mm=steps[0], slow_mm=steps[1])
    off = max(math.dist(a, b) for a, b in zip(panel.corners_mm, found.corners_mm, strict=True))
    return found, off / min(fast_mm, slow_mm)


def squared_panels(panels: Sequence[Panel]) -> tuple[Panel, ...]:
    """The nearest panels with perpendicular axes.

    Raises
    ------
    FormatError
        If a pixel would be off by more than a pixel.
    """
    found = []
    for number, panel in enumerate(panels):
        nearest, off = squared(panel)
        if off > _MOST_PIXELS:
            raise FormatError(f"got panel {panel.name or number} with axes that are not perpendicular; the nearest "
                              f"perpendicular ones are {off:.3g} pixels off, and a .geom has them as they are")
        found.append(nearest)
    return tuple(found)


def obliqueness(panels: Sequence[Panel]) -> str | None:
    """What a format with perpendicular axes changes; ``None``: nothing."""
    off = max(squared(panel)[1] for panel in panels)
    if off == 0.0:
        return None
    return (f"panel axes that are not perpendicular are written as the nearest perpendicular ones: pixels are off by "
            f"{off:.3g} at most; a .geom has them as they are")

"""Approximation of oblique panels for formats whose panels have perpendicular axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from cubragg.crystallography.vectors import combine, dot, scale, unit
from cubragg.errors import FormatError
from cubragg.experiment.panel import Panel

#: Largest cosine between fast and slow axis that dxtbx accepts.
_OBLIQUE = 1e-7
#: Largest shift of a pixel that is accepted when a panel is made perpendicular [pixel].
_MAX_SHIFT_PX = 1.0


def squared(panel: Panel) -> tuple[Panel, float]:
    """Return the nearest panel with perpendicular axes, and the shift of its corners [pixel].

    The centre of the panel and the size of its pixels do not change. Fast is rotated by a and slow by b, with a + b the
    deviation from 90 deg. Corners move by (a width, b height) / 2, which is smallest for
    a = (a + b) height^2 / (width^2 + height^2).
    """
    fast, slow = panel.fast, panel.slow
    cosine = dot(fast, slow)
    if abs(cosine) <= _OBLIQUE:
        return panel, 0.0
    fast_mm, slow_mm = panel.pixel_mm
    width, height = fast_mm * panel.fast_pixels, slow_mm * panel.slow_pixels
    towards = unit(combine((1.0, slow), (-cosine, fast)))  # in the plane, perpendicular to fast
    deviation = math.asin(cosine)  # of the angle between fast and slow from 90 deg
    angle = -deviation * height**2 / (width**2 + height**2)
    new_fast = combine((math.cos(angle), fast), (math.sin(angle), towards))
    new_slow = combine((-math.sin(angle), fast), (math.cos(angle), towards))
    steps = scale(new_fast, fast_mm), scale(new_slow, slow_mm)
    centre = panel.place_mm(panel.fast_pixels / 2.0, panel.slow_pixels / 2.0)
    origin = combine((1.0, centre), (-panel.fast_pixels / 2.0, steps[0]), (-panel.slow_pixels / 2.0, steps[1]))
    found = replace(panel, origin_mm=origin, fast_mm=steps[0], slow_mm=steps[1])
    off = max(math.dist(a, b) for a, b in zip(panel.corners_mm, found.corners_mm, strict=True))
    return found, off / min(fast_mm, slow_mm)


def squared_panels(panels: Sequence[Panel]) -> tuple[Panel, ...]:
    """Return the nearest panels with perpendicular axes.

    Raises
    ------
    FormatError
        If a pixel would move by more than a pixel.
    """
    found = []
    for number, panel in enumerate(panels):
        nearest, off = squared(panel)
        if off > _MAX_SHIFT_PX:
            raise FormatError(f"got panel {panel.name or number} with axes that are not perpendicular; perpendicular "
                              f"axes would shift its pixels by up to {off:.3g} pixels; write a .geom, which keeps "
                              "the axes")
        found.append(nearest)
    return tuple(found)


def obliqueness(panels: Sequence[Panel]) -> str | None:
    """Return the warning about pixels that a format with perpendicular axes shifts; ``None`` if there are none."""
    off = max(squared(panel)[1] for panel in panels)
    if off == 0.0:
        return None
    return (f"panel axes that are not perpendicular are written as the nearest perpendicular ones, which shifts "
            f"pixels by up to {off:.3g} pixels; a .geom keeps the axes")

"""Renders a detector panel by panel, each on its own geometry, into one image. `specs/panels.md`"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.plan import Plan

Progress = Callable[[int, int], None]
#: Renders a panel; returns its image, and the (fast, slow) pixel at which interpolation stopped, or ``None``.
RenderPanel = Callable[[PanelPlan, Progress | None], tuple[np.ndarray, tuple[int, int] | None]]


def render_panels(plan: Plan, render: RenderPanel, progress: Progress | None
                  ) -> tuple[np.ndarray, tuple[int, int] | None]:
    """Render a plan: the float32 image [slow, fast], and the first pixel at which interpolation stopped, or ``None``.

    Parameters
    ----------
    render
        Renders one panel.
    progress
        Called with (pixels done, pixels in total) of the whole image.
    """
    total = sum(panel.pixel_count for panel in plan.panels)
    image, stopped_at, before = np.zeros(plan.shape, dtype=np.float32), None, 0
    for panel in plan.panels:
        pixels, stop = render(panel, counted_on(progress, before, total))
        if len(plan.panels) == 1 and panel.shape == plan.shape:
            image = pixels  # avoids copying a large image
        else:
            image[panel.window] = pixels
        before += panel.pixel_count
        if stopped_at is None and stop is not None:
            stopped_at = panel.in_image(*stop)
    return image, stopped_at


def whole_image(plan: Plan) -> bool:
    """Return whether a single panel fills the image."""
    return len(plan.panels) == 1 and plan.panels[0].shape == plan.shape


def counted_on(progress: Progress | None, before: int, total: int) -> Progress | None:
    """Return a callback for one panel that reports progress of the image: ``before`` pixels are done, of ``total``."""
    if progress is None:
        return None
    report = progress
    return lambda done, _: report(before + done, total)


def row_bands(panel: PanelPlan, height: int, end: int, pixels: int) -> Iterator[tuple[range, range, np.ndarray]]:
    """Divide the region of a panel into bands of whole rows of tiles.

    Parameters
    ----------
    height, end
        Rows of a tile, and the number of rows of tiles.
    pixels
        About the number of pixels of a band.

    Yields
    ------
    Rows of tiles, rows of the panel, and the band of zeros, float32 [rows, fast], whose memory the next one takes.
    """
    slow_pixels, fast_pixels = panel.shape
    at_once = max(1, pixels // (fast_pixels * height))
    buffer = np.empty((min(at_once * height, slow_pixels), fast_pixels), dtype=np.float32)
    for first in range(0, end, at_once):
        tiles = range(first, min(first + at_once, end))
        rows = range(panel.roi[2] + tiles.start * height, min(panel.roi[2] + tiles.stop * height, panel.roi[3] + 1))
        band = buffer[:len(rows)]
        band.fill(0.0)
        yield tiles, rows, band

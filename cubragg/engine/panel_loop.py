"""The image of a detector: panel by panel, each rendered on its own geometry and pasted in. `specs/panels.md`"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.plan import Plan

Progress = Callable[[int, int], None]
#: Renders a panel: its image, and its (fast, slow) pixel that switched interpolation off.
RenderPanel = Callable[[PanelPlan, Progress | None], tuple[np.ndarray, tuple[int, int] | None]]


def render_panels(plan: Plan, render: RenderPanel, progress: Progress | None
                  ) -> tuple[np.ndarray, tuple[int, int] | None]:
    """The float32 image [slow, fast] of a plan, and its first pixel that switched interpolation off.

    Parameters
    ----------
    render
        Renders one panel.
    progress
        Called with (pixels done, pixels in all) of the whole image.
    """
    total = sum(panel.pixel_count for panel in plan.panels)
    image, stopped_at, before = np.zeros(plan.shape, dtype=np.float32), None, 0
    for panel in plan.panels:
        pixels, stop = render(panel, counted_on(progress, before, total))
        if len(plan.panels) == 1 and panel.shape == plan.shape:
            image = pixels  # large images are not copied
        else:
            image[panel.window] = pixels
        before += panel.pixel_count
        if stopped_at is None and stop is not None:
            stopped_at = panel.in_image(*stop)
    return image, stopped_at


def counted_on(progress: Progress | None, before: int, total: int) -> Progress | None:
    """The progress of a panel as that of the image: ``before`` pixels of other panels, ``total`` in all."""
    if progress is None:
        return None
    report = progress
    return lambda done, _: report(before + done, total)

"""From a detector of many panels to one run a panel, and back to one image.

Each panel is rendered as a run of its own, on its own geometry, and pasted into the image.
The runs share everything else. `specs/panels.md`
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from cubragg.plan.panel_geometry import PlacedPanel, Window
from cubragg.plan.plan import RenderPlan

Progress = Callable[[int, int], None]
#: Renders a plan without panels: the image, and the pixel that switched interpolation off.
Run = Callable[[RenderPlan, Progress | None], tuple[np.ndarray, tuple[int, int] | None]]


class PanelPart(NamedTuple):
    """The plan of one run, and the part of the image that it fills."""

    plan: RenderPlan
    window: Window


def panel_parts(plan: RenderPlan) -> list[PanelPart]:
    """The runs that make the image of a plan, none for what is not rendered; the plan itself without panels."""
    if plan.panels is None:
        return [PanelPart(plan, (slice(0, plan.shape[0]), slice(0, plan.shape[1])))]
    return [_part(plan, panel) for panel in plan.panels]


def _part(plan: RenderPlan, panel: PlacedPanel) -> PanelPart:
    rows, columns = panel.window
    shape = rows.stop - rows.start, columns.stop - columns.start
    return PanelPart(replace(plan, geometry=panel.geometry, layers=panel.layers, first_pixel=panel.first_pixel,
                             shape=shape, roi=panel.roi, mask=panel.mask, panels=None), panel.window)


def part_at(plan: RenderPlan, fast: int, slow: int) -> PanelPart | None:
    """The run that renders a pixel of the image; ``None`` if none does."""
    if plan.panels is None:
        return panel_parts(plan)[0]
    for panel in plan.panels:
        rows, columns = panel.window
        if rows.start <= slow < rows.stop and columns.start <= fast < columns.stop:
            return _part(plan, panel)
    return None


def place_count(plan: RenderPlan) -> int:
    """Pixels of the region of a run."""
    fast_min, fast_max, slow_min, slow_max = plan.roi
    return (fast_max - fast_min + 1) * (slow_max - slow_min + 1)


def render_panels(plan: RenderPlan, run: Run, progress: Progress | None
                  ) -> tuple[np.ndarray, tuple[int, int] | None]:
    """The float32 image [slow, fast] of a plan, and the first pixel that switched interpolation off.

    Parameters
    ----------
    run
        Renders one panel; what its calls share is its own affair.
    progress
        Called with (pixels done, pixels in all) of the whole image.
    """
    if plan.panels is None:
        return run(plan, progress)
    image, stopped_at = np.zeros(plan.shape, dtype=np.float32), None
    parts = panel_parts(plan)
    before, total = 0, sum(place_count(part.plan) for part in parts)
    for part in parts:
        image[part.window], stop = run(part.plan, counted_on(progress, before, total))
        before += place_count(part.plan)
        if stopped_at is None and stop is not None:
            stopped_at = in_image(part, *stop)
    return image, stopped_at


def in_image(part: PanelPart, fast: int, slow: int) -> tuple[int, int]:
    """The (fast, slow) pixel of the image that is a run's."""
    return fast + part.window[1].start, slow + part.window[0].start


def counted_on(progress: Progress | None, before: int, total: int) -> Progress | None:
    """Progress of a run, told as the image's: pixels ``before`` it, of ``total``."""
    if progress is None:
        return None
    told = progress
    return lambda done, _: told(before + done, total)

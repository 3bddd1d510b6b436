"""The pixels of a panel whose value depends on the order in which nanoBragg.c renders them.

There are at most two, only in nanobragg semantics: the first pixel rendered, whose first pass through the phi loop uses
other orientations (`phi_zero`), and the pixel that stops interpolation of structure factors. The kernels do not
implement these rules; the NumPy engine renders each such pixel as an image of one pixel.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cubragg.engine.reference.numpy_engine import NumpyEngine
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.plan import Plan


def first_index(plan: Plan, panel: PanelPlan) -> int | None:
    """Return the roi index of the pixel whose first pass through the phi loop differs; ``None`` if there is none."""
    if plan.first_cell_axes is None:
        return None
    engine = NumpyEngine(replace(plan, interpolate=False))
    engine.set_panel(panel)
    return engine.order_dependent_pixels()[0]


def pixel_photons(plan: Plan, panel: PanelPlan, index: int, *, first_pass: bool) -> np.float32:
    """Render the pixel that stops interpolation, or with ``first_pass`` the first of its panel; it may be both."""
    engine, (fast, slow) = _single_pixel(plan, panel, index, first_pass=first_pass)
    return engine.render(1)[slow + panel.window[0].start, fast + panel.window[1].start]


def stops_interpolation(plan: Plan, panel: PanelPlan, index: int) -> bool:
    """Return whether the first pixel rendered of a panel stops interpolation."""
    return _single_pixel(plan, panel, index, first_pass=True)[0].order_dependent_pixels()[1] is not None


def _single_pixel(plan: Plan, panel: PanelPlan, index: int, *, first_pass: bool
                  ) -> tuple[NumpyEngine, tuple[int, int]]:
    """Return an engine for one pixel of a panel, and the pixel (fast, slow) on the panel."""
    fast, slow = panel.pixel_at(index)
    one = replace(plan, panels=(panel._replace(roi=(fast, fast, slow, slow)),),
                  first_cell_axes=plan.first_cell_axes if first_pass else None)
    return NumpyEngine(one, block_pixels=1), (fast, slow)

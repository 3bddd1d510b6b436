"""The flat background of water of an analytic image, with solid angle and polarization of each pixel."""

from __future__ import annotations

import numpy as np

from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.pixel_factors import SubPixels
from cubragg.plan.plan import Plan
from cubragg.plan.workspace import Workspace


def add_water(plan: Plan, panel: PanelPlan, image: np.ndarray) -> None:
    """Add the photons of water to the rendered pixels of a panel, float32 [slow, fast], in place."""
    if not plan.water > 0.0:
        return
    fast_min, fast_max, slow_min, slow_max = panel.roi
    fast = np.arange(fast_min, fast_max + 1, dtype=np.float64)
    work = Workspace(len(fast))
    for row in range(slow_min, slow_max + 1):
        sub = SubPixels(plan, panel, fast, np.full(len(fast), float(row)), 0, 0, 0, work)
        photons = plan.water * sub.solid_angle()
        if plan.polarized:
            photons = photons * sub.polarization(plan.geometry.beam)
        if panel.mask is not None:
            photons = np.where(panel.mask[row, fast_min:fast_max + 1], photons, 0.0)
        image[row, fast_min:fast_max + 1] += photons

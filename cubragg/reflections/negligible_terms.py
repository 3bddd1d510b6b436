"""Terms and pixels that change no listed reflection: together they are far below the photons that it needs."""

from __future__ import annotations

import math

import numpy as np

from cubragg import units
from cubragg.engine.culling import largest_factor
from cubragg.engine.order_dependent import first_index
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.pixel_factors import SubPixels
from cubragg.plan.plan import Plan
from cubragg.plan.workspace import Workspace

#: Photons that terms may have which are left out, of those that a reflection needs to be listed.
_LEFT_OUT = 1e-15
#: Photons of a reflection in a pixel that labels lack, over the least that its brightest pixel can have.
_LEFT_OUT_OF_LABELS = 1e-6
#: Largest tolerance, of images that are too faint for any reflection.
_LARGEST = 1e-6
#: Points along each edge of a panel at which its solid angle is computed.
_POINTS = 9


def negligible_fraction(plan: Plan, min_photons: float) -> float:
    """Return the tolerance of culling with which reflections of ``min_photons`` lose at most 1e-15 of their photons.

    Terms below this fraction of the theoretical peak, the largest F^2 times (Na Nb Nc)^2, would have less even if every
    sample of a panel were one. 0 without a threshold.
    """
    most = _most_photons(plan)
    if not (min_photons > 0.0 and math.isfinite(most)):
        return 0.0
    return min(_LEFT_OUT * min_photons / most, _LARGEST) if most > 0.0 else _LARGEST


def largest_negligible_term(plan: Plan, min_photons: float, *, with_factor: bool) -> float:
    """Return the squared lattice amplitude of terms of `negligible_fraction`, ``with_factor`` F^2 times it.

    0: only terms that are 0 are negligible.
    """
    fraction = negligible_fraction(plan, min_photons)
    if not fraction > 0.0:
        return 0.0
    amplitude = (largest_factor(plan) if with_factor else 1.0) * math.prod(plan.cells)
    return fraction * amplitude * amplitude


def negligible_in_pixel(panel: PanelPlan, min_photons: float, fraction: float) -> float:
    """Return the photons of a reflection in a pixel of a panel below which labels do without them.

    Parameters
    ----------
    min_photons, fraction
        Photons of the faintest reflection with labels, and the fraction of its brightest pixel that a pixel needs.
    """
    return _LEFT_OUT_OF_LABELS * fraction * min_photons / panel.pixel_count


def too_few_photons(panel: PanelPlan, min_photons: float) -> float:
    """Return the photons of a pixel of a panel that are negligible: all together have 1e-15 of ``min_photons``."""
    return _LEFT_OUT * min_photons / panel.pixel_count


def counting_pixels(plan: Plan, panel: PanelPlan, photons: np.ndarray | None, min_photons: float
                    ) -> np.ndarray | None:
    """Return which pixels of a panel have photons that count, bool [slow, fast]; ``None``: all of them.

    The others together have less than 1e-15 of ``min_photons``. In nanobragg semantics the first pixel counts, and all
    where another one may differ: the first within dmin, and that which stops interpolation.

    Parameters
    ----------
    photons
        The image of all terms, float32 [slow, fast], without background; ``None`` if it is not known.
    """
    unknown_first = plan.first_cell_axes is not None and plan.dmin > 0.0
    ordered = not plan.rules.per_sample and (plan.interpolate or unknown_first)
    if photons is None or not min_photons > 0.0 or ordered:
        return None
    counting: np.ndarray = ~(photons[panel.window] <= too_few_photons(panel, min_photons))
    first = first_index(plan, panel)
    if first is not None:
        fast, slow = panel.pixel_at(first)
        counting[slow, fast] = True
    return counting


def _most_photons(plan: Plan) -> float:
    """Return the photons of the panel with most pixels, were every sample at the peak and nearest to the crystal."""
    fluence = sum(part.bragg_fluence for part in plan.parts or (plan,))
    peak = (largest_factor(plan) * math.prod(plan.cells)) ** 2
    return max((units.THOMSON_CROSS_SECTION_M2 * fluence * peak * panel.layers.count * panel.pixel_count
                * _largest_solid_angle(plan, number) for number, panel in enumerate(plan.panels)), default=0.0)


def _largest_solid_angle(plan: Plan, number: int) -> float:
    """Return the largest solid angle of a pixel of a panel, at points spread over it [sr]; 1 / path^2 of a point."""
    panel = plan.panels[number]
    fast_min, fast_max, slow_min, slow_max = panel.roi
    fast, slow = (axis.reshape(-1) for axis in np.meshgrid(np.linspace(fast_min, fast_max, _POINTS),
                                                           np.linspace(slow_min, slow_max, _POINTS)))
    return float(SubPixels(plan, panel, fast, slow, 0, 0, 0, Workspace(len(fast))).solid_angle().max())

"""Reflections that pass the sphere during an image: the segments that every channel of the beam lights.

`specs/analytic.md`, section 2
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from cubragg import units
from cubragg.engine.analytic.passages import passages_of
from cubragg.engine.analytic.rotation_segments import Segments, nodes_in_range, segments_of
from cubragg.engine.analytic.spot_model import Channel, SpotModel
from cubragg.plan.pixel_factors import on_cylinder
from cubragg.plan.plan import Plan

#: Spots are left out beyond the largest scattering vector of the panels by this factor.
_MARGIN = 1.02
#: Points along each edge of a panel at which scattering vectors are computed.
_POINTS = 9


class Passing(NamedTuple):
    """Segments of a channel, near the sphere, of reflections with a structure factor ``F`` [n] [electrons]."""

    channel: Channel
    segments: Segments
    F: np.ndarray


def passing_of(plan: Plan, model: SpotModel, channel: Channel) -> Passing:
    """Return the segments that a channel lights during the image."""
    longest = longest_vector(plan, channel)
    if plan.dmin > 0.0:
        longest = min(longest, units.ANGSTROM_M / plan.dmin)
    search = nodes_in_range if plan.series is None else passages_of(plan.series).nodes
    return Passing(channel, *segments_of(model, channel, longest, plan.factors.at, search))


def longest_vector(plan: Plan, channel: Channel) -> float:
    """Return an upper bound of the scattering vectors on the panels [1/A].

    Scattering vectors are computed at points of each panel, and the bound is larger by a margin.
    """
    least = 1.0
    for panel in plan.panels:
        fast_min, fast_max, slow_min, slow_max = panel.roi
        fast = (np.linspace(fast_min, fast_max + 1, _POINTS) + panel.first_pixel[0]) * panel.edges[0]
        slow = (np.linspace(slow_min, slow_max + 1, _POINTS) + panel.first_pixel[1]) * panel.edges[1]
        corners = (np.array(panel.origin) + fast[:, None, None] * np.array(panel.fast)
                   + slow[None, :, None] * np.array(panel.slow))
        if plan.curved:
            corners = on_cylinder(panel, plan.geometry.beam, corners.reshape(-1, 3).T).T
        cosines = corners @ channel.incident / np.linalg.norm(corners, axis=-1)
        least = min(least, float(cosines.min()))
    return _MARGIN * math.sqrt(max(2.0 - 2.0 * least, 0.0)) / channel.wavelength_A

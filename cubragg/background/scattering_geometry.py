"""Rays of the beam, pixels that are rendered, and positions from points on the beam, for maps of the background."""

from __future__ import annotations

from typing import Any

import numpy as np

from cubragg.experiment.sensor import Layers
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.pixel_factors import SubPixels
from cubragg.plan.plan import Plan

#: With more sources than this, all their photons have the central wavelength and the mean direction.
_MOST_SOURCES = 64


def rays_of(plan: Plan) -> list[tuple[Any, float, float]]:
    """Return (direction, wavelength [m], fraction of the photons) of the sources."""
    sources = plan.sources
    weights = sources.weight / sources.weight.sum()
    if len(weights) > _MOST_SOURCES:
        return [(plan.geometry.beam, plan.wavelength, 1.0)]
    return [(tuple(direction), wavelength, weight)
            for direction, wavelength, weight in zip(sources.incident, sources.wavelength_m, weights, strict=True)]


def move_origin(pixels: SubPixels, plan: Plan, panel: PanelPlan, offset: float) -> float:
    """Count positions from a point on the beam, ``offset`` behind the crystal [m].

    Returns the distance of the panel's plane from there over that from the crystal: a factor on solid angles.
    """
    if not offset:
        return 1.0
    beam = np.array(plan.geometry.beam)
    pixels.position = pixels.position - beam[:, None] * offset
    pixels.path = np.sqrt((pixels.position**2).sum(axis=0))
    pixels.direction = pixels.position / pixels.path
    if plan.point_pixel:
        return 1.0
    return 1.0 - offset * float(beam @ np.array(panel.normal)) / panel.close_distance


def absorbed(layers: Layers, parallax: np.ndarray) -> np.ndarray:
    """Return the fraction of the photons that a whole sensor absorbs, [n] like the cosines with its normal."""
    front, back = (np.asarray(-depth * layers.mu_per_m, parallax.dtype) for depth in (
        layers.edges_m(0)[0], layers.edges_m(layers.count - 1)[1]))
    return np.exp(front / parallax) - np.exp(back / parallax)


def rendered_pixels(plan: Plan) -> np.ndarray:
    """Return the pixels to render, bool [slow, fast]."""
    rendered = np.zeros(plan.shape, dtype=bool)
    for panel in plan.panels:
        rows, columns = panel.window
        fast_min, fast_max, slow_min, slow_max = panel.roi
        window = (slice(rows.start + slow_min, rows.start + slow_max + 1),
                  slice(columns.start + fast_min, columns.start + fast_max + 1))
        rendered[window] = True if panel.mask is None else panel.mask[slow_min:slow_max + 1, fast_min:fast_max + 1]
    return rendered

"""The spots of an image in NumPy: boxes and constants for each panel; the twin of `kernels/spot_list.cu`.

`specs/analytic.md`
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cubragg import units
from cubragg.engine.analytic import spot_boxes, spot_constants
from cubragg.engine.analytic.covariances import Spread, footprint_part, spread_of
from cubragg.engine.analytic.panel_spots import PanelSpots
from cubragg.engine.analytic.passing import Passing
from cubragg.engine.analytic.profile import ROOT_TWO_PI
from cubragg.engine.analytic.rotation_segments import REACH_SIGMAS, Segments, nodes_at
from cubragg.engine.analytic.second_order import Linear, second_order
from cubragg.engine.analytic.spot_geometry import GRAZING, Rays, rays_on, reciprocal_steps
from cubragg.engine.analytic.spot_model import Channel, SpotModel
from cubragg.engine.analytic.spot_outline import fill_outline
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.plan import Plan

#: Depth in absorption lengths beyond which a sensor captures everything; without a sensor, that of its back.
OPAQUE = 1e4
#: Factor on the bound of a spot's size, and pixels added to it, for what the bound leaves out: curvature, blur.
_SIZE_MARGIN = 1.2
_LEAST_MARGIN = 10.0


@dataclass(frozen=True, eq=False)
class Nodes:
    """Segments of a channel with everything that does not depend on the panel; arrays over segments.

    Attributes
    ----------
    channel, segments
        The channel of the beam, and the segments.
    F
        Structure factors [n] [electrons].
    G, velocity
        Nodes at the segments' phi [n, 3] [1/A], and their change per angle [1/A/rad] (0 in a still).
    k, s
        Directions of the diffracted rays [n, 3], and excitation errors [n] [1/A].
    spread
        Their distributions.
    """

    channel: Channel
    segments: Segments
    F: np.ndarray
    G: np.ndarray
    velocity: np.ndarray
    k: np.ndarray
    s: np.ndarray
    spread: Spread

    def __len__(self) -> int:
        return len(self.F)

    def where(self, chosen: np.ndarray) -> Nodes:
        """Return some of the segments."""
        return Nodes(self.channel, self.segments.where(chosen), self.F[chosen], self.G[chosen],
                     self.velocity[chosen], self.k[chosen], self.s[chosen], self.spread.where(chosen))


def nodes_of(model: SpotModel, channel: Channel, segments: Segments, F: np.ndarray) -> Nodes:
    """Return the nodes of segments with structure factors F [n]."""
    G = nodes_at(model, segments.hkl @ model.stars, segments.phi)
    velocity = np.cross(model.spindle, G) if model.width > 0.0 else np.zeros_like(G)
    beam = channel.k0 + G
    length = np.linalg.norm(beam, axis=1)
    # |k0 + G| - |k0| without cancellation.
    k0 = 1.0 / channel.wavelength_A
    s = np.einsum("ni,ni->n", G, G + 2.0 * channel.k0) / (length + k0)
    return Nodes(channel, segments, F, G, velocity, beam / length[:, None], s,
                 spread_of(model, channel, G, segments.phi))


class LayerSpots(NamedTuple):
    """Spots in one layer of a panel: their records [n], numbers of their nodes [n], and pace [n] [1/rad]."""

    records: np.ndarray
    node: np.ndarray
    pace: np.ndarray


def spots_on(plan: Plan, panel: PanelPlan, layer: int, model: SpotModel, nodes: Nodes) -> LayerSpots:
    """Return the spots on the region of a panel in one layer."""
    tail = plan.tail_sigmas
    rays = rays_on(panel, nodes.k, panel.layers.depth_m(layer), model.centre,
                   plan.geometry.beam if plan.curved else None)
    index = np.flatnonzero(_near_region(panel, nodes, rays, tail))
    nodes, rays = nodes.where(index), Rays(*(part[index] for part in rays))
    wavelength = nodes.channel.wavelength_A
    J = reciprocal_steps(nodes.k, rays, wavelength)
    covariance = nodes.spread.covariance
    if model.position.any():
        covariance = covariance + footprint_part(nodes.k, rays.distance, model.position, wavelength)
    speed = np.einsum("ni,ni->n", nodes.k, nodes.velocity)
    start, end = nodes.segments.start, nodes.segments.end
    bare = spot_boxes.sections_of(covariance, nodes.k, rays.pixel_of * wavelength, nodes.velocity, nodes.s)
    count, blur = spot_boxes.subpixels(bare, speed, start, end, plan.oversample)
    # Each sample is the mid-point of a sub-pixel: the average over it is a blur.
    covariance = covariance + (1.0 / (12.0 * count * count) + blur)[:, None, None] * (J @ J.transpose(0, 2, 1))
    lower, upper = _bounds(model, nodes, rays, covariance, tail)
    fast_min, fast_max, slow_min, slow_max = panel.roi
    position = np.stack([rays.fast, rays.slow], axis=1)
    n = count[:, None]
    # The box in sub-pixels; its pixels are those that hold any of them.
    sub_first = np.maximum(np.floor((position + lower) * n), n * (fast_min, slow_min))
    sub_last = np.minimum(np.floor((position + upper) * n), n * (fast_max + 1, slow_max + 1) - 1)
    first, last = np.floor_divide(sub_first, n), np.floor_divide(sub_last, n)
    seen = np.flatnonzero((sub_first <= sub_last).all(axis=1))
    nodes, rays = nodes.where(seen), Rays(*(part[seen] for part in rays))
    records = np.zeros(len(seen), dtype=spot_constants.record("f8"))
    for axis, name in enumerate(("fast", "slow")):
        records[f"{name}_min"], records[f"{name}_max"] = first[seen, axis], last[seen, axis]
        records["offset"][:, axis] = position[seen, axis] - first[seen, axis]
        corner = first[seen, axis] * count[seen]
        records[f"{name}_first"] = sub_first[seen, axis] - corner
        records[f"{name}_last"] = sub_last[seen, axis] - corner
    records["subpixels"] = count[seen]
    pace = fill_profile(records, model, nodes, rays, covariance[seen])
    _fill_factors(records, plan, panel, layer, nodes, rays)
    fill_outline(records, lower[seen], upper[seen], tail)
    return LayerSpots(records, index[seen], pace)


def _near_region(panel: PanelPlan, nodes: Nodes, rays: Rays, tail: float) -> np.ndarray:
    """Return whether spots can reach the region of a panel [n], by a bound of their size that is quickly computed."""
    pixels_of_q = np.linalg.norm(rays.pixel_of, axis=(1, 2)) * nodes.channel.wavelength_A
    widest = np.sqrt(np.trace(nodes.spread.covariance, axis1=1, axis2=2))
    moved = np.linalg.norm(nodes.velocity, axis=1) * (nodes.segments.end - nodes.segments.start)
    reach = _SIZE_MARGIN * pixels_of_q * ((tail + REACH_SIGMAS) * widest + moved) + _LEAST_MARGIN
    fast_min, fast_max, slow_min, slow_max = panel.roi
    return (rays.meets & (rays.fast > fast_min - reach) & (rays.fast < fast_max + 1 + reach)
            & (rays.slow > slow_min - reach) & (rays.slow < slow_max + 1 + reach))


def _bounds(model: SpotModel, nodes: Nodes, rays: Rays, covariance: np.ndarray, tail: float
            ) -> tuple[np.ndarray, np.ndarray]:
    """Return the bounds of the spots in pixels from their rays."""
    wavelength = nodes.channel.wavelength_A
    pixel_of_q = rays.pixel_of * wavelength
    sections = spot_boxes.sections_of(covariance, nodes.k, pixel_of_q, nodes.velocity, nodes.s)
    length = np.linalg.norm(nodes.G, axis=1)
    radial = nodes.G / length[:, None]
    widest = math.sqrt(float(np.linalg.eigvalsh(model.mosaicity)[-1]))
    sine = np.einsum("ni,ni->n", radial, nodes.k)
    sag = (tail * widest) ** 2 * length / (2.0 * np.maximum(1.0 - sine * sine, 1e-6))
    inwards = -np.einsum("nij,nj->ni", pixel_of_q, radial) * sag[:, None]
    # The path bends towards the spindle.
    reach = np.maximum(np.abs(nodes.segments.start), np.abs(nodes.segments.end))
    towards = np.einsum("nij,nj->ni", pixel_of_q, nodes.G - (nodes.G @ model.spindle)[:, None] * model.spindle)
    bends = (inwards, -0.5 * np.square(reach)[:, None] * towards)
    stretch = tail * math.sqrt(nodes.channel.covariance[0, 0])
    return spot_boxes.bounds(sections, nodes.s, nodes.segments.start, nodes.segments.end, bends, stretch, tail)


def fill_profile(records: np.ndarray, model: SpotModel, nodes: Nodes, rays: Rays, covariance: np.ndarray
                  ) -> np.ndarray:
    """Fill in the geometry of the samples, the functionals of delta and the amplitude; returns the pace."""
    k, distance = nodes.k, rays.distance
    steps = rays.steps / distance[:, None, None]
    records["towards"] = np.einsum("ni,nij->nj", k, steps)
    gram = steps.transpose(0, 2, 1) @ steps
    records["square"] = np.stack([gram[:, 0, 0], gram[:, 0, 1], gram[:, 1, 1]], axis=1)
    frames = spot_constants.frames_of(covariance, nodes.velocity, np.linalg.norm(nodes.G, axis=1))
    moving = model.width > 0.0
    second = second_order(Linear(frames.standard, frames.pace, nodes.G, nodes.velocity,
                                 model.spindle if moving else np.zeros(3), nodes.spread,
                                 covariance - nodes.spread.covariance))
    inverse = 1.0 / nodes.channel.wavelength_A
    rows = records["rows"]
    rows[:, :, :2] = frames.standard @ steps * inverse
    towards = np.einsum("nri,ni->nr", frames.standard, k)
    rows[:, :, 2], rows[:, :, 3] = towards * inverse, towards * nodes.s[:, None]
    for name, values in second._asdict().items():
        records[name] = values
    peak = (units.THOMSON_CROSS_SECTION_M2 * nodes.channel.weight * np.square(nodes.F) * model.integral
            * (2.0 * math.pi) ** -1.5 / frames.determinant)
    if moving:
        records["ends"] = frames.pace[:, None] * np.stack([nodes.segments.start, nodes.segments.end], axis=1)
        length = records["ends"][:, 1] - records["ends"][:, 0]
        records["path"] = np.where(length < spot_constants.SHORTEST, spot_constants.SHORT_PATH,
                                   spot_constants.LONG_PATH)
        peak = peak * ROOT_TWO_PI / (frames.pace * model.width)
    records["amplitude"] = peak
    return frames.pace


def _fill_factors(records: np.ndarray, plan: Plan, panel: PanelPlan, layer: int, nodes: Nodes, rays: Rays) -> None:
    """Fill in what polarization, solid angle and capture of a pixel are computed from."""
    records["amplitude"] *= plan.bragg_fluence
    axes = polarization_axes(plan, nodes.channel)
    steps = rays.steps / rays.distance[:, None, None]
    records["direction"][:, :, 0] = nodes.k @ axes.T
    records["direction"][:, :, 1:] = axes @ steps
    distance = rays.distance
    if plan.point_pixel:
        records["solid_angle"] = 1.0 / np.square(distance)
    else:
        records["solid_angle"] = panel.area * panel.close_distance / distance**3
    layers = panel.layers
    records["depths"] = 0.0, OPAQUE
    if layers.thickness_m > 0.0:
        per_depth = layers.mu_per_m / np.maximum(nodes.k @ np.array(panel.normal), GRAZING)
        records["depths"] = np.outer(per_depth, layers.edges_m(layer))


def polarization_axes(plan: Plan, channel: Channel) -> np.ndarray:
    """Return the directions of the beam, its E vector and its B vector in rows, float64 [3, 3]."""
    magnetic = np.cross(np.array(plan.geometry.polar), channel.incident)
    magnetic = magnetic / np.linalg.norm(magnetic)
    return np.array([channel.incident, np.cross(channel.incident, magnetic), magnetic])


def spots_by_numpy(plan: Plan, model: SpotModel, passing: list[Passing]) -> list[PanelSpots]:
    """Return the spots of segments of all channels on each panel of a plan."""
    nodes = [nodes_of(model, *part) for part in passing]
    return [_on_panel(plan, panel, model, nodes) for panel in plan.panels]


def _on_panel(plan: Plan, panel: PanelPlan, model: SpotModel, nodes: list[Nodes]) -> PanelSpots:
    """Return the spots of all channels and layers on one panel."""
    found = []
    for number, channel_nodes in enumerate(nodes):
        for layer in range(panel.layers.count):
            records, node, pace = spots_on(plan, panel, layer, model, channel_nodes)
            part = channel_nodes.where(node)
            entering = np.einsum("ni,ni->n", part.velocity, part.k) < 0.0
            found.append((records, part.segments.hkl, part.F, part.segments.phi, pace, entering,
                          np.full(len(node), number)))
    return PanelSpots(panel, *(np.concatenate(columns) for columns in zip(*found, strict=True)))

"""Spots of the method analytic on free directions, without pixels, and sampled images of the same distributions."""

from __future__ import annotations

import dataclasses

import numpy as np

from cubragg import Experiment
from cubragg.engine.analytic import rotation_segments, spots
from cubragg.engine.analytic.covariances import rotations
from cubragg.engine.analytic.model_of_plan import model_of
from cubragg.engine.analytic.profile import profile
from cubragg.engine.analytic.spot_constants import BENT, perpendicular, record
from cubragg.engine.analytic.spot_geometry import Rays
from cubragg.engine.analytic.spot_model import Channel, SpotModel
from cubragg.engine.analytic.spot_outline import fill_outline
from cubragg.plan.make_plan import make_plan
from cubragg.plan.plan import Plan
from cubragg.units import THOMSON_CROSS_SECTION_M2

#: Step along the axes across the ray, in lengths of it, in place of a pixel.
_STEP = 1e-4


def one_node(G: np.ndarray, spindle: np.ndarray, *, block: np.ndarray, mosaicity: np.ndarray, bandwidth: float,
             divergence: tuple[float, float], start: float, width: float, strain: float = 0.0) -> SpotModel:
    """A crystal whose node 1 0 0 is ``G`` at phi = 0, at a wavelength of 1 A of a beam along z.

    ``block`` and ``mosaicity`` are covariances [3, 3] [1/A^2, rad^2], ``divergence`` is along x and y [rad].
    """
    across = np.cross(G, [0.3, 1.0, 0.2])
    across /= np.linalg.norm(across)
    third = np.cross(G, across)
    channel = Channel(1.0, np.array([0.0, 0.0, 1.0]), 1.0, np.diag(np.square([bandwidth, *divergence, 0.0])))
    stars = np.array([G, 10.0 * across, 10.0 * third / np.linalg.norm(third)])
    return SpotModel(stars, block, 1.0, mosaicity, strain, np.zeros(3), np.zeros((3, 3)), (channel,), spindle, start,
                     width)


def density_at(model: SpotModel, directions: np.ndarray) -> np.ndarray:
    """Mean density of the spot of 1 0 0, second order included, in directions [..., 3], unit vectors [A^3]."""
    channel, = model.channels
    cells = rotation_segments.cells_of(model.start, model.width)
    parts = [rotation_segments.split_at_extremes(model, channel, np.array([[1, 0, 0]]), cell) for cell in cells]
    segments = rotation_segments.Segments(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    segments = segments.where(rotation_segments.near_sphere(model, channel, segments))
    nodes = spots.nodes_of(model, channel, segments, np.ones(len(segments.phi)))
    total = np.zeros(directions.shape[:-1])
    for number in range(len(nodes)):
        total += _density_of(model, nodes.where(np.array([number])), directions)
    return total


def _density_of(model: SpotModel, node: spots.Nodes, directions: np.ndarray) -> np.ndarray:
    k = node.k[0]
    first, second = (axis[0] for axis in perpendicular(node.k))
    rays = Rays(np.array([True]), np.zeros(1), np.zeros(1), np.ones(1), np.stack([first, second], axis=1)[None] * _STEP,
                np.stack([first, second])[None] / _STEP)
    spot = np.zeros(1, dtype=record("f8"))
    spots.fill_profile(spot, model, node, rays, node.spread.covariance)
    flat = directions.reshape(-1, 3)
    on_plane = flat / (flat @ k)[:, None] - k
    place = np.stack([on_plane @ first, on_plane @ second], axis=1) / _STEP
    fill_outline(spot, place.min(axis=0)[None], place.max(axis=0)[None], 5.5)
    spot["bent"] = np.maximum(spot["bent"], BENT)
    values, _ = profile(np.repeat(spot, len(flat)), *place.T)
    return (values * spot["amplitude"] / THOMSON_CROSS_SECTION_M2).reshape(directions.shape[:-1])


def gaussian_domains(changed: Experiment, count: int, seed: int) -> Plan:
    """The sampled plan of an experiment with Gaussian rotations and random spindle angles, one of each for a domain."""
    model = model_of(make_plan(changed, "analytic"))
    rng = np.random.default_rng(seed)
    phi = model.start + model.width * rng.random(count)
    turns = rng.normal(size=(count, 3)) @ np.linalg.cholesky(model.mosaicity).T
    angle = np.linalg.norm(turns, axis=1)
    own = np.array([rotations(turn / size, np.array([size]))[0] for turn, size in zip(turns, angle, strict=True)])
    cell = np.linalg.inv(model.stars).T * 1e-10
    axes = np.einsum("nij,kj->nki", rotations(model.spindle, phi) @ own, cell)
    plain = dataclasses.replace(changed, crystal=dataclasses.replace(changed.crystal, mosaicity_deg=None))
    return dataclasses.replace(make_plan(plain), cell_axes=np.ascontiguousarray(axes[None]), phi_angles=[0.0])

"""Formulas of the method analytic: exact integrations, closed forms, Monte Carlo and brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special

from cubragg.crystallography.shapes import SHAPES, CoherentBlock
from cubragg.crystallography.shapes.crystal_shape import FreshBuffers
from cubragg.engine.analytic import normal_functions, rotation_segments
from cubragg.engine.analytic.covariances import beam_part, footprint_part, mosaic_part, rotations
from cubragg.engine.analytic.spot_model import (
    Channel,
    block_covariance,
    block_integral,
    channel_of,
    mosaic_covariance,
)
from support.analytic_cases import exact_cases, sampled_cases
from support.analytic_model import one_node
from support.marks import slow_after


@pytest.mark.requirement("AT-ANA-003")
@pytest.mark.parametrize("case", slow_after(11, exact_cases()), ids=repr)
def test_spots_are_those_of_an_exact_integration(case):
    errors = case.errors()
    assert abs(errors.sum) < 1e-3
    assert errors.profile < 1e-5
    assert errors.centroid < 0.002


@pytest.mark.requirement("AT-ANA-003")
@pytest.mark.parametrize("case", slow_after(9, sampled_cases()), ids=repr)
def test_spots_of_any_block_and_mosaicity_are_those_of_quasi_random_sampling(case):
    errors, noise = case.errors(), case.noise
    # 0.2 % of the image, and 1e-3 of the full reflection: third order in a bandwidth of 2 % is 1.2e-3 of a still.
    assert abs(errors.sum) < 2e-3
    assert abs(errors.sum) * case.share < 1e-3 + 3.0 * noise.sum
    assert errors.profile < 1e-5 + 4.0 * noise.profile
    assert errors.centroid < 0.002 + 3.0 * noise.centroid


@pytest.mark.requirement("AT-ANA-001")
@pytest.mark.parametrize(("name", "sigma", "integral"), [
    ("square", 0.398942, 1.0), ("round", 0.494968, 1.0), ("gauss", 0.396863, 0.984443)])
def test_gaussians_have_the_height_and_the_integral_of_the_shapes(name, sigma, integral):
    block = CoherentBlock((4.0, 6.0, 9.0), np.diag([0.02, 0.015, 0.01]), 1.0)
    covariance = block_covariance(SHAPES[name], block)
    assert np.sqrt(np.diag(covariance)) == pytest.approx(sigma * np.array([0.02 / 4, 0.015 / 6, 0.01 / 9]), rel=2e-6)
    cells = 4.0 * 6.0 * 9.0
    assert block_integral(SHAPES[name], block) == pytest.approx(integral * cells / block.volume, rel=2e-6)
    height = np.square(SHAPES[name].amplitude(np.zeros((3, 1)), np.zeros((3, 1)), block, FreshBuffers()))[0]
    gaussian = block_integral(SHAPES[name], block) / math.sqrt((2 * math.pi) ** 3 * np.linalg.det(covariance))
    assert gaussian == pytest.approx(height, rel=1e-6)


@pytest.mark.requirement("AT-ANA-001")
@pytest.mark.parametrize("fudge", [1.0, 0.7])
@pytest.mark.parametrize("name", ["gauss", "gauss_star"])
def test_gaussian_shapes_are_themselves(name, fudge):
    stars = np.array([[0.02, 0.001, 0.0], [0.0, 0.015, 0.002], [0.0, 0.0, 0.01]])
    block = CoherentBlock((4.0, 6.0, 9.0), stars, fudge)
    offset = np.random.default_rng(1).uniform(-0.1, 0.1, (3, 50))
    amplitude = SHAPES[name].amplitude(offset, np.zeros_like(offset), block, FreshBuffers())
    covariance = block_covariance(SHAPES[name], block)
    q = offset.T @ stars
    density = np.exp(-0.5 * np.einsum("ni,ij,nj->n", q, np.linalg.inv(covariance), q)) / math.sqrt(
        (2 * math.pi) ** 3 * np.linalg.det(covariance))
    assert block_integral(SHAPES[name], block) * density == pytest.approx(np.square(amplitude), rel=1e-9)


@pytest.mark.requirement("AT-ANA-002")
def test_covariances_are_those_of_drawn_crystals_and_beams():
    rng = np.random.default_rng(2)
    count = 400_000
    G, wavelength = np.array([0.21, -0.1, 0.33]), 1.1
    frame = rotations(np.array([0.0, 0.6, 0.8]), np.array([0.7]))[0]
    covariance = mosaic_covariance((0.001, 0.004, 0.002), frame)
    turns = rng.normal(size=(count, 3)) * (0.001, 0.004, 0.002) @ frame.T
    assert mosaic_part(G[None], covariance)[0] == pytest.approx(np.cov(np.cross(turns, G).T), rel=0.02, abs=3e-9)
    incident = np.array([0.0, 0.0, 1.0])
    x = rng.normal(size=count) * 0.004
    di = rng.normal(size=(count, 3)) * (0.001, 0.002, 0.0) + 0.3 * x[:, None] * (1.0, 0.0, 0.0)
    channel = channel_of(incident + di, wavelength * (1.0 + x), np.ones(count))
    q = (np.array([0.3, 0.1, 0.9]) - incident) / wavelength  # the same direction for every source
    seen = (np.array([0.3, 0.1, 0.9]) - incident - di) / (wavelength * (1.0 + x))[:, None]
    B, mixed = beam_part(q[None], channel)
    assert B[0] == pytest.approx(np.cov((seen - q).T), rel=0.03, abs=2e-8)
    assert mixed[0] == pytest.approx([-np.cov(x, seen[:, axis])[0, 1] for axis in range(3)], rel=0.03, abs=1e-8)


@pytest.mark.requirement("AT-ANA-002")
def test_the_footprint_is_that_of_drawn_positions():
    rng = np.random.default_rng(3)
    k, distance, wavelength = np.array([0.6, 0.0, 0.8]), 0.15, 1.0
    position = rng.normal(size=(200_000, 3)) * (2e-5, 1e-5, 3e-5)
    ray = distance * k - position
    q = ray / np.linalg.norm(ray, axis=1)[:, None] / wavelength
    X = footprint_part(k[None], np.array([distance]), np.cov(position.T), wavelength)[0]
    assert np.abs(X - np.cov(q.T)).max() < 0.01 * np.abs(X).max()
    assert abs(k @ X @ k) < 1e-20


def test_normal_functions_keep_their_relative_accuracy():
    x = np.linspace(0.0, 37.0, 4000)
    expected = math.sqrt(math.pi / 2) * special.erfcx(x / math.sqrt(2))
    assert normal_functions.mills(x) == pytest.approx(expected, rel=1e-14)
    low = np.concatenate([np.linspace(-30.0, 30.0, 500), [-1e3, 5.0]])
    for length in (0.05, 1.0, 20.0):
        high = low + length
        found = normal_functions.between(low, high, normal_functions.density(low), normal_functions.density(high))
        tail = np.where(low > 0.0, special.ndtr(-low) - special.ndtr(-high), special.ndtr(high) - special.ndtr(low))
        # The exponent of the density, up to 450, is rounded.
        assert found == pytest.approx(tail, rel=450 * 2e-15, abs=1e-300)


@pytest.mark.parametrize("seed", range(4))
def test_nodes_near_the_sphere_are_all_found(seed):
    rng = np.random.default_rng(seed)
    stars = np.diag(rng.uniform(0.02, 0.06, 3)) + rng.uniform(-0.004, 0.004, (3, 3))
    k0 = rng.normal(size=3)
    k0 *= rng.uniform(0.5, 1.5) / np.linalg.norm(k0)
    longest, reach = rng.uniform(0.2, 0.6), rng.choice([0.002, 0.02, 0.3])
    reaches = [int(longest * edge) + 1 for edge in np.linalg.norm(np.linalg.inv(stars), axis=0)]
    h, k, l = (part.reshape(-1) for part in np.meshgrid(*(np.arange(-r, r + 1) for r in reaches)))  # noqa: E741
    hkl = np.column_stack([h, k, l])
    g = hkl @ stars
    near = np.abs(np.linalg.norm(k0 + g, axis=1) - np.linalg.norm(k0)) <= reach
    near &= np.linalg.norm(g, axis=1) <= longest
    expected = hkl[near & hkl.any(axis=1)]
    found = rotation_segments.nodes_near_sphere(stars, k0, longest, reach, row=seed % 3)
    order = [axis for axis in range(3) if axis != seed % 3] + [seed % 3]
    assert found[:, order].tolist() == sorted(expected[:, order].tolist())


@pytest.mark.parametrize("seed", range(4))
def test_segments_hold_one_crossing_each(seed):
    rng = np.random.default_rng(10 + seed)
    incident = np.array([0.0, 0.0, 1.0])
    spindle = rng.normal(size=3)
    spindle /= np.linalg.norm(spindle)
    model = one_node(np.array([0.3, 0.2, -0.1]), spindle, block=1e-6 * np.eye(3), mosaicity=1e-4 * np.eye(3),
                     bandwidth=0.0, divergence=(0.0, 0.0), start=0.2, width=0.0)
    channel = Channel(1.0, incident, 1.0, np.zeros((4, 4)))
    hkl = np.array([[1, 0, 0]])
    start, end = 0.2, 0.2 + 2.9 * math.pi / 3.0
    parts = rotation_segments.split_at_extremes(model, channel, hkl, (start, end))
    g = hkl @ model.stars
    edges = []
    for phi, low, high in zip(parts.phi, parts.start, parts.end, strict=True):
        edges += [phi + low, phi + high]
        fine = np.linspace(phi + low, phi + high, 4001)
        s = rotation_segments.excitation(model, channel, np.repeat(g, len(fine), axis=0), fine)
        steps = np.diff(s)
        assert np.all(steps >= -1e-12) or np.all(steps <= 1e-12)
        at_phi = rotation_segments.excitation(model, channel, g, np.array([phi]))[0]
        assert abs(at_phi) <= np.abs(s).min() + 1e-12
    assert edges[0] == pytest.approx(start)
    assert edges[-1] == pytest.approx(end)
    assert edges[1:-1:2] == pytest.approx(edges[2::2])


def test_grid_cells_cover_a_range():
    degree = math.radians(1.0)
    assert rotation_segments.cells_of(0.0, 0.0) == [(0.0, 0.0)]
    assert rotation_segments.cells_of(0.0, degree) == [(0.0, degree)]
    cells = rotation_segments.cells_of(0.3 * degree, 2.0 * degree)
    assert np.array(cells) / degree == pytest.approx(np.array([(0.3, 1.0), (1.0, 2.0), (2.0, 2.3)]))



"""Integrate single spots by quasi-random sampling: ``python scripts/analytic_reference.py [CASES] [FOLDER] [SEED]``.

Writes `sampled.json` and `sampled.npz` of tests/data/analytic, which the method analytic is compared with; another seed
than 2026 makes other cases. It uses none of cubragg's code. A random crystal, block, mosaicity, beam and spindle make a
case; domains, spindle angles, wavelengths and directions of the beam are drawn from scrambled Sobol sequences, and each
of them turns, scales and moves the exact Gaussian block in front of a grid of directions. The component of the rotation
that takes the node
through the Ewald sphere is drawn near the sphere and weighted. The same samples of the linear model, of which the
average is known, are subtracted: what is sampled is the difference. Four scramblings show its noise; while that of a
profile is above three quarters of the limit of the method, it is sampled again with four times as many.
`tests/data/analytic/README.md`
"""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import qmc

FOLDER = Path(__file__).resolve().parents[1] / "tests/data/analytic"
SCRAMBLINGS = 4
LOG_SAMPLES, MOST_LOG_SAMPLES = 16, 22
#: Samples of a chunk, and largest deviation of the block that is evaluated.
CHUNK, REACH = 256, 6.5
#: Most points of the grid along an axis, and largest noise of a sum; other cases are drawn again.
MOST_POINTS, MOST_NOISE = 240, 3e-4
#: Noise of a profile above which there are more samples.
MOST_PROFILE_NOISE = 7.5e-6
BEAM = np.array([0.0, 0.0, 1.0])


def turned(vectors: np.ndarray) -> np.ndarray:
    """Return the rotation matrices [n, 3, 3] of rotation vectors [n, 3]."""
    angle = np.linalg.norm(vectors, axis=1)
    x, y, z = (vectors / np.maximum(angle, 1e-300)[:, None]).T
    zero = np.zeros_like(x)
    K = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)
    return np.eye(3) + np.sin(angle)[:, None, None] * K + (1.0 - np.cos(angle))[:, None, None] * (K @ K)


def reciprocal(cell: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return a*, b*, c* in rows [1/A], and the axes of mosaicity in columns: a, in the a-b plane, c*."""
    a, b, c, alpha, beta, gamma = *cell[:3], *np.radians(cell[3:])
    x = (math.cos(alpha) - math.cos(beta) * math.cos(gamma)) / math.sin(gamma)
    rows = np.array([[a, 0, 0], [b * math.cos(gamma), b * math.sin(gamma), 0],
                     [c * math.cos(beta), c * x, c * math.sqrt(1 - math.cos(beta) ** 2 - x * x)]])
    return np.linalg.inv(rows).T, np.eye(3)


def random_case(number: int, rng: np.random.Generator) -> dict[str, Any]:
    """Return a random experiment around one reflection, at a wavelength of 1 A."""
    wavelength = 1.0
    edges = rng.uniform(30.0, 150.0, 3)
    kind = ("triclinic", "cubic", "orthorhombic", "monoclinic")[number % 4]
    angles = {"triclinic": rng.uniform(65.0, 115.0, 3), "monoclinic": np.array([90.0, rng.uniform(90.0, 120.0), 90.0])
              }.get(kind, np.full(3, 90.0))
    if kind == "cubic":
        edges[:] = edges[0]
    stars, axes = reciprocal((*edges, *angles))
    orientation = turned(rng.normal(size=(1, 3)) * 3.0)[0]
    stars, axes = stars @ orientation.T, orientation @ axes
    cells = np.exp(rng.uniform(math.log(3.0), math.log(1000.0)) + rng.uniform(-1.0, 1.0, 3))
    cells = np.clip(cells.round(), 3.0, 1000.0)
    two_theta = rng.uniform(2.0, 60.0)
    length = 2.0 * math.sin(math.radians(two_theta) / 2.0) / wavelength
    block = np.einsum("i,ij,ik->jk", np.square(0.396863 / cells), stars, stars)
    narrow = math.sqrt(np.linalg.eigvalsh(block)[0])
    eta = np.exp(rng.uniform(math.log(0.02), math.log(2.0), 3)) if number % 5 else np.zeros(3)
    eta *= min(1.0, 40.0 * math.degrees(narrow / length) / max(eta.max(), 1e-9))
    D = axes @ np.diag(np.square(np.radians(eta))) @ axes.T
    k = np.array([math.sin(math.radians(two_theta)), 0.0, math.cos(math.radians(two_theta))])
    G = (k - BEAM) / wavelength
    radial = G / length
    first = np.cross(k, BEAM)
    first /= np.linalg.norm(first)
    third = (k + BEAM) / np.linalg.norm(k + BEAM)
    zeta, mix = rng.uniform(0.05, 1.0), rng.uniform(0.0, 2.0 * math.pi)
    spindle = zeta * first + math.sqrt(1.0 - zeta * zeta) * (math.cos(mix) * third + math.sin(mix) * radial)
    width = math.radians(float(rng.choice([0.0, 0.1, 0.5, 2.0, 20.0])))
    bandwidth = float(rng.choice([0.0, 0.0, 1e-3, 5e-3, 2e-2]))
    divergence = rng.uniform(0.0, 3e-3, 2) if number % 3 == 0 else np.zeros(2)
    strain = float(rng.choice([0.0, 0.0, 1e-3]))
    case: dict[str, Any] = {
        "name": f"{number}: {kind}, {two_theta:.1f} deg", "cells": cells.tolist(), "edges_A": edges.round(2).tolist(),
        "eta_deg": eta.tolist(), "two_theta_deg": two_theta, "zeta": zeta, "G": G, "block": block, "mosaicity": D,
        "spindle": spindle, "bandwidth": bandwidth, "divergence": divergence, "strain": strain, "width": width}
    sigma_s = math.sqrt(k @ covariance(case, G) @ k)
    off = rng.uniform(-1.5, 1.5)
    if width > 0.0:
        case["start"] = -0.5 * width + off * sigma_s / abs(k @ np.cross(spindle, G))
    else:
        case["start"] = 0.0
        axis = np.cross(k, G) / np.linalg.norm(np.cross(k, G))
        case["G"] = turned(axis[None] * off * sigma_s / (k @ np.cross(axis, G)))[0] @ G
    return case


def covariance(case: dict[str, Any], G: np.ndarray) -> np.ndarray:
    """Return the first-order covariance of the spot [3, 3] [1/A^2]."""
    cross = np.array([[0.0, -G[2], G[1]], [G[2], 0.0, -G[0]], [-G[1], G[0], 0.0]])
    return (case["block"] + cross @ case["mosaicity"] @ cross.T
            + (case["bandwidth"] ** 2 + case["strain"] ** 2) * np.outer(G, G)
            + np.diag([*np.square(case["divergence"]), 0.0]))


class Draws:
    """Domains, angles and beams of a case, with weights.

    Attributes
    ----------
    turn
        Rotations from the crystal at phi = 0 to the sample [n, 3, 3], mosaic and spindle.
    node
        Turned node, with strain [n, 3] [1/A].
    scale, direction
        1 + x, and deviations of the beam [n, 3].
    linear
        Displacement of the node to first order [n, 3] [1/A].
    weight
        Of the sample, including 1 / n.
    ends
        Range of spindle angles that is sampled [rad].
    """

    ends = (0.0, 0.0)

    def __init__(self, case: dict[str, Any], log_samples: int, seed: int) -> None:
        G, D, spindle = case["G"], case["mosaicity"], case["spindle"]
        count = 2**log_samples
        unit = qmc.Sobol(9, seed=np.random.default_rng(seed)).random_base2(log_samples)
        unit = np.clip(unit, 1e-12, 1.0 - 1e-12)
        normal = ndtri(unit)
        x, epsilon = case["bandwidth"] * normal[:, 0], case["strain"] * normal[:, 1]
        self.direction = np.zeros((count, 3))
        self.direction[:, :2] = normal[:, 2:4] * case["divergence"]
        self.direction[:, 2] = np.sqrt(1.0 - np.square(self.direction).sum(axis=1)) - 1.0
        k = BEAM + G
        k = k / np.linalg.norm(k)
        velocity = np.cross(spindle, G)
        speed = k @ velocity
        angle = np.zeros(count)
        self.weight = np.full(count, 1.0 / count)
        if case["width"] > 0.0:
            sigma_s = math.sqrt(k @ covariance(case, G) @ k)
            reach = 8.0 * sigma_s / abs(speed) + 0.01
            self.ends = max(case["start"], -reach), min(case["start"] + case["width"], reach)
            angle = self.ends[0] + (self.ends[1] - self.ends[0]) * unit[:, 5]
            self.weight *= (self.ends[1] - self.ends[0]) / case["width"]
        spun = turned(angle[:, None] * spindle)
        at_angle = np.einsum("nij,j->ni", spun, G)
        # The component u of the rotation moves the node through the sphere: w = column u + rest.
        through = np.cross(G, k)
        variance = through @ D @ through
        rest = normal[:, 6:] @ np.linalg.cholesky(D + 1e-30 * np.eye(3)).T
        wanted = -(np.linalg.norm(BEAM + at_angle, axis=1) - 1.0 + (x + epsilon) * (G @ k) + self.direction @ k)
        if variance > 0.0:
            column = D @ through / variance
            rest -= np.outer(rest @ through, column)
            sag = 0.5 * np.linalg.norm(G) * (3.0 * math.sqrt(np.linalg.eigvalsh(D)[-1])) ** 2
            width = 1.5**2 * (k @ case["block"] @ k + sag * sag)
            proposal = 1.0 / (1.0 / variance + 1.0 / width)
            mean = wanted * proposal / width
            proposal *= 1.2**2
            u = mean + math.sqrt(proposal) * normal[:, 4]
            self.weight *= math.sqrt(proposal / variance) * np.exp(
                -0.5 * u * u / variance + 0.5 * np.square(u - mean) / proposal)
            rest += np.outer(u, column)
        self.turn = spun @ turned(rest)
        self.node = np.einsum("nij,j->ni", self.turn, G) * (1.0 + epsilon)[:, None]
        self.scale = 1.0 + x
        across = self.direction * (1.0, 1.0, 0.0)
        self.linear = (np.cross(rest, G) + np.outer(x + epsilon, G) + np.outer(angle, velocity) + across)


def grid_of(case: dict[str, Any]) -> bool:
    """Add the grid of directions to a case: along the narrow and the wide axis of its spot. False if it is too fine."""
    draws = Draws(case, 13, 99)
    rng = np.random.default_rng(5)
    moved = rng.normal(size=draws.node.shape) @ np.linalg.cholesky(case["block"]).T
    points = draws.scale[:, None] * (draws.node + np.einsum("nij,nj->ni", draws.turn, moved)) + draws.direction
    beam = BEAM + points
    k = BEAM + case["G"]
    sigma = math.sqrt(k @ case["block"] @ k)
    weight = draws.weight * np.exp(-0.5 * np.square((np.linalg.norm(beam, axis=1) - 1.0) / (0.5 * sigma)))
    weight /= weight.sum()
    direction = beam / np.linalg.norm(beam, axis=1)[:, None]
    ray = weight @ direction
    ray /= np.linalg.norm(ray)
    on_plane = direction / (direction @ ray)[:, None] - ray
    _, vectors = np.linalg.eigh(np.einsum("n,ni,nj->ij", weight, on_plane, on_plane))
    axes = vectors[:, 1:].T
    case["ray"], case["axes"] = ray, axes
    for name, axis in zip(("first", "second"), axes, strict=True):
        position = on_plane @ axis
        kept = weight > 1e-7 * weight.max()
        order = np.argsort(position[kept])
        share = np.cumsum(weight[kept][order])
        low, high = np.interp([2e-3, 1.0 - 2e-3], share / share[-1], position[kept][order])
        case[name] = [1.55 * low - 0.55 * high, 1.55 * high - 0.55 * low]
        block = case["block"]
        smooth = math.sqrt(axis @ block @ axis - (axis @ block @ k) ** 2 / (k @ block @ k))
        spread = math.sqrt(weight @ np.square(position) - (weight @ position) ** 2)
        step = smooth if name == "first" else max(smooth, 0.35 * spread)
        count = max(int(3.4 * (high - low) / step), 31) | 1
        case[name].append(count)
    return max(case["first"][2], case["second"][2]) <= MOST_POINTS


def linear_density(case: dict[str, Any], q: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    """Return the mean density of the linear model at scattering vectors q [..., 3]."""
    W = np.linalg.inv(covariance(case, case["G"]))
    delta = q - case["G"]
    height = math.sqrt(np.linalg.det(W)) * (2.0 * math.pi) ** -1.5
    square = np.einsum("...i,ij,...j->...", delta, W, delta)
    if case["width"] == 0.0:
        return height * np.exp(-0.5 * square)
    v = np.cross(case["spindle"], case["G"])
    a, b = v @ W @ v, delta @ (W @ v)
    pace = math.sqrt(a)
    low, high = pace * ends[0] - b / pace, pace * ends[1] - b / pace
    share = np.where(low > 0.0, ndtr(-low) - ndtr(-high), ndtr(high) - ndtr(low))
    return height * np.exp(-0.5 * (square - b * b / a)) * math.sqrt(2.0 * math.pi) / pace * share / case["width"]


def photons(case: dict[str, Any], draws: Draws) -> np.ndarray:
    """Return the photons in the directions of the grid [first, second]."""
    first, second = (np.linspace(*case[name]) for name in ("first", "second"))
    u, w = case["axes"]
    on_plane = case["ray"] + first[:, None, None] * u + second[None, :, None] * w
    distance = np.linalg.norm(on_plane, axis=-1)
    q = on_plane / distance[..., None] - BEAM
    solid_angle = (first[1] - first[0]) * (second[1] - second[0]) / distance**3
    standard = np.linalg.inv(np.linalg.cholesky(case["block"]))
    height = np.linalg.det(standard) * (2.0 * math.pi) ** -1.5
    exact = draws.scale[:, None] * draws.node + draws.direction
    reach = REACH * math.sqrt(np.linalg.eigvalsh(case["block"])[-1])
    # Scattering vectors of a column of the grid are on an arc: points are sorted along w and culled with their sag.
    image = np.zeros(q.shape[:2])
    levels = q @ w
    for sign, node in ((1.0, exact), (-1.0, case["G"] + draws.linear)):
        order = np.argsort(node @ w)
        for some in np.split(order, range(CHUNK, len(order), CHUNK)):
            low, high = node[some[0]] @ w - reach, node[some[-1]] @ w + reach
            columns = np.flatnonzero((levels.max(axis=0) > low) & (levels.min(axis=0) < high))
            if not len(columns):
                continue
            part = q[:, columns].reshape(-1, 3)
            if sign > 0.0:
                # Deviation in the crystal's axes: R^T ((q - di) / (1 + x) - node).
                matrices = standard @ draws.turn[some].transpose(0, 2, 1) / draws.scale[some, None, None]
                constant = np.einsum("nij,nj->ni", matrices, node[some])
                y = (matrices.reshape(-1, 3) @ part.T).reshape(len(some), 3, -1) - constant[:, :, None]
            else:
                y = (standard @ part.T)[None] - (node[some] @ standard.T)[:, :, None]
            value = draws.weight[some] @ np.exp(-0.5 * np.einsum("nij,nij->nj", y, y))
            image[:, columns] += sign * height * value.reshape(len(first), -1)
    return (image + linear_density(case, q, draws.ends)) * solid_angle


def solve(case: dict[str, Any], log_samples: int = LOG_SAMPLES) -> np.ndarray:
    """Add sums, centroids and their noise to a case; return the mean of the scramblings."""
    first, second = (np.linspace(*case[name]) for name in ("first", "second"))
    images = [photons(case, Draws(case, log_samples, seed)) for seed in range(SCRAMBLINGS)]
    sums = [image.sum() for image in images]
    mean = np.mean(images, axis=0)
    total = mean.sum()
    centres = np.array([[image.sum(1) @ first, image.sum(0) @ second] for image in images]) / np.array(sums)[:, None]
    case["sum"] = total
    case["noise"] = float(np.std(sums, ddof=1) / math.sqrt(SCRAMBLINGS) / total)
    case["centroid"] = [mean.sum(1) @ first / total, mean.sum(0) @ second / total]
    case["centroid_noise"] = (np.std(centres, axis=0, ddof=1) / math.sqrt(SCRAMBLINGS)).tolist()
    case["sigma"] = [math.sqrt(mean.sum(1) @ np.square(first) / total - case["centroid"][0] ** 2),
                     math.sqrt(mean.sum(0) @ np.square(second) / total - case["centroid"][1] ** 2)]
    halves = images[0] + images[1], images[2] + images[3]
    case["profile_noise"] = float(1.0 - np.corrcoef(halves[0].ravel(), halves[1].ravel())[0, 1]) / 4.0
    edge = max(mean[0].max(), mean[-1].max(), mean[:, 0].max(), mean[:, -1].max())
    case["edge"] = float(edge / mean.max())
    return mean


def main(arguments: list[str]) -> None:
    """Write the cases."""
    count = int(arguments[0]) if arguments else 48
    folder = Path(arguments[1]) if len(arguments) > 1 else FOLDER
    rng = np.random.default_rng(int(arguments[2]) if len(arguments) > 2 else 2026)
    cases: list[dict[str, Any]] = []
    images: dict[str, np.ndarray] = {}
    while len(cases) < count:
        case = random_case(len(cases), rng)
        if not grid_of(case):
            continue
        image = solve(case)
        if case["noise"] > MOST_NOISE:
            continue
        for log_samples in range(LOG_SAMPLES + 2, MOST_LOG_SAMPLES + 1, 2):
            if case["profile_noise"] > MOST_PROFILE_NOISE:
                image = solve(case, log_samples)
        case["every"] = [max(1, round(size / 24)) for size in image.shape]
        images[case["name"]] = image[::case["every"][0], ::case["every"][1]].astype(np.float32)
        cases.append({name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in case.items()})
        print(f"{case['name']:32s} width {math.degrees(case['width']):4.1f} zeta {case['zeta']:.2f} grid {image.shape} "
              f"edge {case['edge']:.0e} noise {case['noise']:.1e} profile {case['profile_noise']:.1e}", flush=True)
    (folder / "sampled.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
    np.savez_compressed(folder / "sampled.npz", **images)


if __name__ == "__main__":
    main(sys.argv[1:])

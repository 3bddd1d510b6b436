"""Single spots that were integrated without cubragg, and the errors of the method analytic: `tests/data/analytic`."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cubragg.engine.analytic.covariances import excitation_variance
from cubragg.engine.analytic.rotation_segments import nodes_at
from support.analytic_model import density_at, one_node

DATA = Path(__file__).parents[1] / "data" / "analytic"
#: Pixel of the centroids' limit, in lengths of the ray.
PIXEL = 0.172 / 150


class Errors(NamedTuple):
    """Relative error of the sum, 1 - cc of the profile, error of the centroid over the larger of pixel and sigma."""

    sum: float
    profile: float
    centroid: float


class Case:
    """An integrated spot.

    Attributes
    ----------
    name, noise
        Its name, and standard deviations of its sum, profile and centroid by sampling, as `Errors`; 0 if it is exact.
    """

    def __init__(self, values: dict[str, Any], photons: np.ndarray, axes: Any) -> None:
        self.name, self._values, self._photons = str(values["name"]), values, photons.astype(np.float64)
        self._axes = np.array(axes)
        self._per = [1.0 / max(PIXEL, sigma) for sigma in values["sigma"]]
        centroid = [noise * per for noise, per in zip(values.get("centroid_noise", (0.0, 0.0)), self._per, strict=True)]
        self.noise = Errors(values.get("noise", 0.0), values.get("profile_noise", 0.0), max(centroid))

    def __repr__(self) -> str:
        return self.name

    @property
    def share(self) -> float:
        """Photons of a still over those in the middle of its rocking curve, exp(-s^2 / (2 sigma_s^2)); 1 otherwise."""
        if self._values["width"]:
            return 1.0
        model = self._model()
        channel, = model.channels
        phi, G = np.array([model.start]), np.array([self._values["G"]])
        G = nodes_at(model, G, phi)
        k = channel.k0 + G
        length = np.linalg.norm(k, axis=1)
        s = length - 1.0 / channel.wavelength_A
        variance = excitation_variance(model, channel, G, k / length[:, None], phi)
        return math.exp(-0.5 * float(s[0] ** 2 / variance[0]))

    def errors(self) -> Errors:
        """Render the spot, and return its errors."""
        case = self._values
        first, second = (np.linspace(*case[name]) for name in ("first", "second"))
        on_plane = (np.array(case["ray"]) + first[:, None, None] * self._axes[0]
                    + second[None, :, None] * self._axes[1])
        distance = np.linalg.norm(on_plane, axis=-1)
        solid_angle = (first[1] - first[0]) * (second[1] - second[0]) / distance**3
        photons = density_at(self._model(), on_plane / distance[..., None]) * solid_angle
        total = photons.sum()
        own = photons[::case["every"][0], ::case["every"][1]]
        centroid = photons.sum(1) @ first / total, photons.sum(0) @ second / total
        apart = np.abs(np.subtract(centroid, case["centroid"])) * self._per
        return Errors(total / case["sum"] - 1.0, 1.0 - np.corrcoef(own.ravel(), self._photons.ravel())[0, 1],
                      float(apart.max()))

    def _model(self):
        case = self._values
        if "block" in case:
            block, mosaicity = np.array(case["block"]), np.array(case["mosaicity"])
            divergence = tuple(case["divergence"])
        else:
            block = (0.3989422804 / case["block_A"]) ** 2 * np.eye(3)
            mosaicity = math.radians(case["eta_deg"]) ** 2 * np.eye(3)
            divergence = (math.radians(case["divergence_deg"]),) * 2
        return one_node(np.array(case["G"]), np.array(case["spindle"]), block=block, mosaicity=mosaicity,
                        bandwidth=case["bandwidth"], divergence=divergence, start=case["start"], width=case["width"],
                        strain=case.get("strain", 0.0))


def exact_cases() -> list[Case]:
    """Spherical blocks and isotropic mosaicity, by quadrature."""
    photons = np.load(DATA / "exact.npz")
    return [Case(values, photons[values["name"]], (values["first_axis"], values["second_axis"]))
            for values in json.loads((DATA / "exact.json").read_text())]


def sampled_cases() -> list[Case]:
    """Any blocks and mosaicity, by quasi-random sampling."""
    photons = np.load(DATA / "sampled.npz")
    return [Case(values, photons[values["name"]], values["axes"])
            for values in json.loads((DATA / "sampled.json").read_text())]


def all_cases() -> list[Case]:
    """All of them."""
    return exact_cases() + sampled_cases()

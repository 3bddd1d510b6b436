"""Whether spots will be seen: expected photons of the crystal against those of everything else."""

from __future__ import annotations

import math

import numpy as np

from cubragg import units
from cubragg.crystallography.vectors import Vector, combine, cross, unit
from cubragg.experiment.experiment import Experiment
from cubragg.plan.plan import Plan

#: Directions around the beam at which the background of a resolution is looked at.
_DIRECTIONS = 64


def is_absolute(experiment: Experiment) -> bool:
    """Return whether photons are meant to be those of an experiment: a crystal with a size, or a beam with a flux."""
    return experiment.semantics == "physical" and (experiment.crystal.size_mm is not None or experiment.beam.flux > 0.0)


def visibility_warnings(peak: float, background: float) -> list[str]:
    """Return a warning if no spot will be seen.

    Parameters
    ----------
    peak
        Expected photons of the crystal in their brightest pixel.
    background
        Expected photons of the background in a pixel.
    """
    noise = math.sqrt(background)
    if peak >= 1.0 + noise:
        return []
    if peak < 1.0:
        return [f"no spot will be seen: the brightest pixel has {peak:.3g} expected photons of the crystal; a larger "
                "crystal (--crystal-size), a longer -exposure or a larger -flux gives more"]
    return [f"no spot will be seen: the brightest pixel has {peak:.3g} expected photons of the crystal, and the "
            f"background of {background:.3g} photons, with a noise of {noise:.3g}, drowns them; less --background or a "
            "larger crystal (--crystal-size) helps"]


def background_at(plan: Plan, image: np.ndarray, d_A: float) -> float | None:
    """Return the mean of an image over pixels at a resolution [A]; ``None`` if there is none on the detector."""
    sine = units.angstrom_from_m(plan.wavelength) / (2.0 * d_A)
    if not sine < 1.0:
        return None
    two_theta = 2.0 * math.asin(sine)
    found = []
    for azimuth in np.linspace(0.0, 2.0 * math.pi, _DIRECTIONS, endpoint=False).tolist():
        pixel = _pixel_along(plan, combine(
            (math.cos(two_theta), plan.geometry.beam), (math.sin(two_theta) * math.cos(azimuth), plan.geometry.polar),
            (math.sin(two_theta) * math.sin(azimuth), unit(cross(plan.geometry.beam, plan.geometry.polar)))))
        if pixel is not None:
            found.append(float(image[pixel]))
    return math.fsum(found) / len(found) if found else None


def _pixel_along(plan: Plan, direction: Vector) -> tuple[int, int] | None:
    """Return the rendered pixel (slow, fast) of the image that a ray from the crystal meets."""
    for panel in plan.panels:
        axes = np.array((panel.fast, panel.slow, direction)).T * (1.0, 1.0, -1.0)
        try:
            fast, slow, length = np.linalg.solve(axes, -np.array(panel.origin)).tolist()
        except np.linalg.LinAlgError:
            continue
        place = (math.floor(fast / panel.edges[0]) - panel.first_pixel[0],
                 math.floor(slow / panel.edges[1]) - panel.first_pixel[1])
        fast_min, fast_max, slow_min, slow_max = panel.roi
        if length > 0.0 and fast_min <= place[0] <= fast_max and slow_min <= place[1] <= slow_max and (
                panel.mask is None or panel.mask[place[1], place[0]]):
            fast_pixel, slow_pixel = panel.in_image(*place)
            return slow_pixel, fast_pixel
    return None

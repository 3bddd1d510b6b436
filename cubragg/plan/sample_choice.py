"""Chooses the samples of an image in physical semantics: spindle steps, domains, rays of the beam and sub-pixels.

What is not given is chosen for an error of spot sums below `TARGET`; what is given is kept, with a warning if the error
is larger than `ACCEPTED`. `specs/sampling.md`
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from cubragg import units
from cubragg.crystallography.shapes import SHAPES
from cubragg.experiment.crystal import Crystal
from cubragg.experiment.goniometer import Goniometer
from cubragg.plan.plan import Plan
from cubragg.plan.quasi_random import uniform_points
from cubragg.plan.spreads import SpectralLine
from cubragg.plan.sum_error import REFLECTIONS, Conditions, has_domains, passage, sum_error

#: Largest error of spot sums of what is chosen, and of what is given without a warning.
TARGET, ACCEPTED = 0.005, 0.01
#: Spindle steps per 1/L of the path of the outermost node: without domains, and with domains at angles of their own.
_STEPS, _STEPS_OF_DOMAINS = 1.4, 0.7
#: Numbers of domains that are tried, and largest number of orientations that is chosen.
_LEAST_DOMAINS, _MOST_ORIENTATIONS = 8, 2**14
#: Largest number of channels of a spectrum whose error is estimated; of more, neighbours are grouped.
_MOST_CHANNELS = 32
#: Largest number of rays of the beam, each of which renders part of the domains.
_MOST_RAYS = 256
#: Places in the crystal: fewest and most, and pixels from one to the next.
_LEAST_PLACES, _MOST_PLACES, _PLACE_PX = 16, 1024, 0.5


class SampleCount(NamedTuple):
    """Numbers of samples.

    Attributes
    ----------
    phi_steps, domains
        Spindle steps, and domains at each.
    parts
        Groups of domains with a ray of the beam and a place in the crystal of their own.
    error
        Expected error of spot sums, relative to their root mean square.
    notes, warnings
        How they were chosen, and warnings.
    """

    phi_steps: int
    domains: int
    parts: int
    error: float
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def choose_samples(crystal: Crystal, goniometer: Goniometer, plan: Plan) -> SampleCount:
    """Return the numbers of samples of a plan in physical semantics."""
    conditions = conditions_of(plan)
    given_steps = goniometer.phi_steps is not None or goniometer.phi_step_deg is not None
    several = has_domains(conditions)
    steps = plan.phi.count if given_steps or not conditions.width > 0.0 else _chosen_steps(conditions, several)
    places = _places(plan)
    if crystal.mosaic_domains:
        domains = crystal.mosaic_domains * math.ceil(max(places, 64 if plan.spreads.of_beam else 1)
                                                     / crystal.mosaic_domains)
    else:
        domains = max(_chosen_domains(conditions, steps, plan) if several else 1, places)
    rays = 1 if not plan.spreads.of_beam else domains if crystal.mosaic_domains else _MOST_RAYS
    parts = _divisor(domains, max(rays, places))
    error = sum_error(conditions, steps, domains, parts)
    return SampleCount(steps, domains, parts, error, *_report(crystal, given_steps, several, steps, domains, error,
                                                              conditions))


def _report(crystal: Crystal, given_steps: bool, several: bool, steps: int, domains: int, error: float,
            conditions: Conditions) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the notes and warnings about the numbers of samples."""
    notes, warnings = [], []
    per_step = units.deg_from_rad(conditions.width / max(passage(conditions), 1e-9))
    if conditions.width > 0.0 and not given_steps:
        notes.append(f"{steps} phi steps of {units.deg_from_rad(conditions.width) / steps:.3g} deg are used: d/L, the "
                     f"width of the rocking curve of a block, is {per_step:.3g} deg at the edge of the detector; "
                     "-phisteps sets their number")
    if several and not crystal.mosaic_domains:
        notes.append(f"{domains} domains are used, for an expected error of spot sums of {100.0 * error:.2g} %; "
                     "-mosaic_domains sets their number")
    if error > ACCEPTED:
        step_deg = units.deg_from_rad(conditions.width) / steps
        wrong = [f"{steps} phi steps of {step_deg:.3g} deg"] if conditions.width else []
        wrong += [f"{domains} domains"] if several else []
        enough = _chosen_steps(conditions, several) if conditions.width and given_steps else 0
        cure = [f"-phisteps {enough}"] if enough > steps else []
        cure += ["more -mosaic_domains"] if several else []
        warnings.append(f"{' and '.join(wrong) or 'one orientation'} are too coarse: spot sums are wrong by about "
                        f"{100.0 * error:.2g} % (rms)" + (f"; less with {' and '.join(cure)}" if cure else ""))
    return tuple(notes), tuple(warnings)


def _chosen_steps(conditions: Conditions, several: bool) -> int:
    """Return the number of spindle steps: that of a passage, and without domains as many more as `TARGET` needs."""
    steps = max(1, min(math.ceil((_STEPS_OF_DOMAINS if several else _STEPS) * passage(conditions)), _MOST_ORIENTATIONS))
    while not several and steps < _MOST_ORIENTATIONS and sum_error(conditions, steps, 1, 1) > 0.8 * TARGET:
        steps += math.ceil(0.2 * steps)
    return steps


def _chosen_domains(conditions: Conditions, steps: int, plan: Plan) -> int:
    """Return the smallest power of two of domains that reaches `TARGET`, or else the largest that is chosen."""
    domains = _LEAST_DOMAINS
    while 2 * domains * steps <= _MOST_ORIENTATIONS:
        rays = _divisor(domains, _MOST_RAYS) if plan.spreads.of_beam else 1
        if sum_error(conditions, steps, domains, rays) < 0.8 * TARGET:
            break
        domains *= 2
    return domains


def _divisor(number: int, most: int) -> int:
    """Return the largest divisor of a number that is at most ``most``, at least 1."""
    return next(divisor for divisor in range(max(min(number, most), 1), 0, -1) if number % divisor == 0)


def _places(plan: Plan) -> int:
    """Return the number of places that show the size of the crystal on the detector: a power of two, 1 for a block."""
    covariance = plan.illumination.covariance
    if not covariance.any():
        return 1
    extent = math.sqrt(12.0 * float(np.linalg.eigvalsh(covariance)[-1]))
    pixel = min(units.m_from_mm(min(panel.pixel_mm)) for panel in plan.detector_panels)
    wanted = (extent / (_PLACE_PX * pixel)) ** 2
    return 1 << math.ceil(math.log2(min(max(wanted, _LEAST_PLACES), _MOST_PLACES)))


def conditions_of(plan: Plan) -> Conditions:
    """Return what the error of spot sums of a plan depends on, rounded so that similar plans share it."""
    spreads, geometry = plan.spreads, plan.geometry
    edges = np.linalg.norm((plan.lattice.a, plan.lattice.b, plan.lattice.c), axis=1) * plan.cells
    # A round block of N cells is narrower in reciprocal space than its Gaussian.
    return Conditions(
        _directions(plan), geometry.beam, geometry.spindle, (geometry.polar, geometry.vert),
        _rounded(plan.wavelength), _rounded(plan.phi.width), _rounded(float(edges.max()) * units.ANGSTROM_M),
        SHAPES[plan.crystal_shape].name != "square", _rounded(max(spreads.mosaicity)), _rounded(spreads.strain),
        (_rounded(spreads.divergence[0]), _rounded(spreads.divergence[1])), _grouped(spreads.channels))


def _grouped(channels: tuple[SpectralLine, ...]) -> tuple[SpectralLine, ...]:
    """Return a spectrum of few channels with the same mean and variance: measured ones have thousands."""
    if len(channels) <= _MOST_CHANNELS:
        return channels
    wavelength, fraction, bandwidth = np.array(sorted(channels)).T
    group = np.minimum((np.cumsum(fraction) - 0.5 * fraction) * _MOST_CHANNELS, _MOST_CHANNELS - 1).astype(np.intp)
    whole, first, second = (np.bincount(group, fraction * power) for power in (
        np.ones_like(wavelength), wavelength, wavelength**2 * (1.0 + bandwidth**2)))
    used = whole > 0.0
    mean, square = first[used] / whole[used], second[used] / whole[used]
    sigma = np.sqrt(np.maximum(square / mean**2 - 1.0, 0.0))
    return tuple(SpectralLine(*values) for values in zip(mean.tolist(), whole[used].tolist(), sigma.tolist(),
                                                         strict=True))


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def _directions(plan: Plan) -> tuple[tuple[float, float, float], ...]:
    """Return unit vectors to pixels all over the detector, to 0.01; a region of interest does not change them."""
    weights = np.cumsum([panel.fast_pixels * panel.slow_pixels for panel in plan.detector_panels])
    found = []
    for u, v, w in uniform_points(REFLECTIONS, 3).tolist():
        panel = plan.detector_panels[int(np.searchsorted(weights, w * weights[-1], side="right"))]
        position = (np.array(panel.origin_mm) + u * panel.fast_pixels * np.array(panel.fast_mm)
                    + v * panel.slow_pixels * np.array(panel.slow_mm))
        direction = np.round(position / np.linalg.norm(position), 2)
        x, y, z = (direction / np.linalg.norm(direction)).tolist()
        found.append((x, y, z))
    return tuple(found)

"""Sub-pixels and bounding boxes of spots. `specs/analytic.md`, section 2.3 and 2.4."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

#: Most sub-pixels along an edge of a pixel that the rule asks for.
MOST_SUBPIXELS = 8
#: Most sub-pixels along an edge at all: with their blur, more change nothing.
FINEST = 32
#: Least standard deviation of a spot in sub-pixels; narrower ones are blurred to it.
LEAST_SIGMA = 0.8
#: Rotation beyond the crossing, in rocking widths, that records a spot fully.
FULL_SIGMAS = 5.0


class Sections(NamedTuple):
    """Shape of spots on the detector, in pixels.

    Attributes
    ----------
    section, shadow
        float64 [n, 2, 2]: covariance where the sphere cuts the distribution, and of the distribution along its path.
    shift
        float64 [n, 2]: centre of the section per excitation error [pixel A].
    path
        float64 [n, 2]: motion of the centre of the section per angle [pixel/rad]; 0 in a still.
    crossing
        float64 [n, 2]: centre of the shadow.
    sigma_s
        Standard deviation of the excitation error [n] [1/A].
    """

    section: np.ndarray
    shadow: np.ndarray
    shift: np.ndarray
    path: np.ndarray
    crossing: np.ndarray
    sigma_s: np.ndarray


def sections_of(covariance: np.ndarray, k: np.ndarray, pixel_of_q: np.ndarray, velocity: np.ndarray, s: np.ndarray
                ) -> Sections:
    """Return the shape of spots on the detector.

    Parameters
    ----------
    covariance
        Of the spots, float64 [n, 3, 3] [1/A^2].
    k, pixel_of_q
        Directions of the rays [n, 3], and pixels per change of the scattering vector [n, 2, 3] [A].
    velocity, s
        Change of the node per angle [n, 3] [1/A] (0 in a still), and excitation errors [n] [1/A].
    """
    towards = np.einsum("nij,nj->ni", covariance, k)
    variance = np.einsum("ni,ni->n", k, towards)
    shift = -np.einsum("nij,nj->ni", pixel_of_q, towards) / variance[:, None]
    plain = pixel_of_q @ covariance @ pixel_of_q.transpose(0, 2, 1)
    section = plain - variance[:, None, None] * shift[:, :, None] * shift[:, None, :]
    moving = np.einsum("nij,nj->ni", pixel_of_q, velocity)
    speed = np.einsum("ni,ni->n", k, velocity)
    with np.errstate(divide="ignore", invalid="ignore"):
        per_distance = moving / speed[:, None]
        # P_v Sigma P_v^T with P_v = 1 - v k^T / (k.v).
        back = pixel_of_q - per_distance[:, :, None] * k[:, None, :]
        shadow = back @ covariance @ back.transpose(0, 2, 1)
        crossing = -s[:, None] * per_distance
    return Sections(section, shadow, shift, moving + shift * speed[:, None], crossing, np.sqrt(variance))


def subpixels(sections: Sections, speed: np.ndarray, start: np.ndarray, end: np.ndarray, least: int
              ) -> tuple[np.ndarray, np.ndarray]:
    """Return sub-pixels along an edge [n], and the variance [pixel^2] by which each spot is blurred [n].

    ``speed`` [n] is k.v [1/A/rad], ``start`` and ``end`` [n] the ends of the segment [rad], ``least`` a lower bound.
    """
    width = narrowest(sections.section)
    with np.errstate(invalid="ignore"):
        reach = FULL_SIGMAS * sections.sigma_s
        full = (-start * np.abs(speed) > reach) & (end * np.abs(speed) > reach)
    width = np.where(full, np.fmax(narrowest(sections.shadow), width), width)
    count = np.clip(np.ceil(1.0 / np.maximum(width, 1e-3)), 1, MOST_SUBPIXELS)
    count = np.maximum(count, min(least, FINEST)).astype(np.int64)
    blur = np.maximum(np.square(LEAST_SIGMA / count) - np.square(width), 0.0)
    return count, blur


def narrowest(covariance: np.ndarray) -> np.ndarray:
    """Return the smallest standard deviation [n] of covariances [n, 2, 2]."""
    a, b, c = covariance[:, 0, 0], covariance[:, 0, 1], covariance[:, 1, 1]
    with np.errstate(invalid="ignore"):
        return np.sqrt(np.maximum(0.5 * (a + c) - np.sqrt(0.25 * np.square(a - c) + b * b), 0.0))


def bounds(sections: Sections, s: np.ndarray, start: np.ndarray, end: np.ndarray, bends: tuple[np.ndarray, ...],
           stretch: float, tail: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and upper bounds [n, 2] of spots, in pixels from the ray.

    Parameters
    ----------
    s, start, end
        Excitation errors [n] [1/A], and the ends of the segment [n] [rad].
    bends
        Displacements [n, 2] [pixel] of the outermost parts of spots by the curvature of their distributions.
    stretch
        Relative widening by the spread of wavelengths.
    tail
        Half-width in standard deviations.
    """
    centre = sections.shift * s[:, None]
    ends = [centre + sections.path * angle[:, None] for angle in (start, end)]
    half = tail * np.sqrt(np.diagonal(sections.section, axis1=1, axis2=2))
    half_shadow = tail * np.sqrt(np.diagonal(sections.shadow, axis1=1, axis2=2))
    moves = (end > start)[:, None]
    lower, upper = np.minimum(*ends) - half, np.maximum(*ends) + half
    with np.errstate(invalid="ignore"):  # infinite for a node that does not move through the sphere
        lower = np.where(moves, np.fmax(lower, sections.crossing - half_shadow), lower)
        upper = np.where(moves, np.fmin(upper, sections.crossing + half_shadow), upper)
    for bend in bends:
        lower, upper = lower + np.minimum(bend, 0.0), upper + np.maximum(bend, 0.0)
    return lower * (1.0 + stretch), upper * (1.0 + stretch)

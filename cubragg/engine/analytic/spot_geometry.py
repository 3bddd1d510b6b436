"""Where diffracted rays meet a panel, and how its pixels map to reciprocal space. `specs/analytic.md`, section 2.

Arrays are over rays: unit vectors k float64 [n, 3]; positions in metres.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cubragg.crystallography.vectors import Vector
from cubragg.engine.analytic.covariances import turned_about
from cubragg.plan.panel_plan import PanelPlan

#: Steps of Newton's method; four are enough for a detector that is tilted by 40 deg.
_NEWTON_STEPS = 8
#: Rays whose cosine with the normal of a panel is smaller than this do not meet it.
GRAZING = 1e-3


class Rays(NamedTuple):
    """Diffracted rays on the plane of a panel, at the depth of a layer.

    Attributes
    ----------
    meets
        bool [n], whether the ray meets the front of the plane; other columns are arbitrary elsewhere.
    fast, slow
        Position [n] from the outer corner of the panel's first pixel [pixel].
    distance
        From the crystal [m] [n].
    steps
        float64 [n, 3, 2], steps along fast and slow from pixel to pixel [m].
    pixel_of
        float64 [n, 2, 3], change of fast and slow [pixel] per change of the ray's direction.
    """

    meets: np.ndarray
    fast: np.ndarray
    slow: np.ndarray
    distance: np.ndarray
    steps: np.ndarray
    pixel_of: np.ndarray


def rays_on(panel: PanelPlan, k: np.ndarray, depth: float, centre: np.ndarray, curved_about: Vector | None = None
            ) -> Rays:
    """Return the rays from ``centre`` [3] [m] on a panel, ``depth`` [m] behind its front.

    ``curved_about`` is the beam of a curved detector, and ``None`` for a flat one.
    """
    if curved_about is not None:
        return _curved_rays(panel, np.array(curved_about), k, depth, centre)
    normal, steps, corner = np.array(panel.normal), steps_of(panel), corner_of(panel, depth) - centre
    cosine = k @ normal
    meets = cosine > GRAZING
    distance = (corner @ normal) / np.where(meets, cosine, 1.0)
    fast, slow = ((distance[:, None] * k - corner) @ duals_of(panel).T - panel.first_pixel).T
    count = len(k)
    return _on_planes(meets & (distance > 0.0), fast, slow, distance, np.broadcast_to(steps, (count, 3, 2)),
                      np.broadcast_to(normal, (count, 3)), k)


def steps_of(panel: PanelPlan) -> np.ndarray:
    """Return the steps along fast and slow from pixel to pixel of a flat panel, float64 [3, 2] [m]."""
    return np.array([panel.fast, panel.slow]).T * panel.edges


def duals_of(panel: PanelPlan) -> np.ndarray:
    """Return fast and slow pixels per metre in the plane of a flat panel, float64 [2, 3]."""
    duals: np.ndarray = np.linalg.inv(np.column_stack([steps_of(panel), panel.normal]))[:2]
    return duals


def corner_of(panel: PanelPlan, depth: float) -> np.ndarray:
    """Return the outer corner of pixel 0 0 of a panel's geometry, ``depth`` [m] behind its front [m] [3]."""
    return np.array(panel.origin) + depth * np.array(panel.normal)


def _on_planes(meets: np.ndarray, fast: np.ndarray, slow: np.ndarray, distance: np.ndarray, steps: np.ndarray,
               normal: np.ndarray, k: np.ndarray) -> Rays:
    """Return rays on planes with ``normal`` [n, 3] and ``steps`` [n, 3, 2]."""
    duals = np.linalg.inv(np.concatenate([steps, normal[:, :, None]], axis=2))[:, :2]
    cosine = np.where(meets, np.einsum("ni,ni->n", k, normal), 1.0)
    # A change of the direction moves the ray across k and then along it back into the plane.
    into_plane = np.eye(3) - k[:, :, None] * normal[:, None, :] / cosine[:, None, None]
    return Rays(meets, fast, slow, distance, steps, distance[:, None, None] * (duals @ into_plane))


def pixels_of_angles(panel: PanelPlan) -> np.ndarray:
    """Return fast and slow pixels per radian about the slow and fast axes of a curved detector, float64 [2, 2].

    The angles are the y and z of flat positions over the radius: `plan.pixel_factors.on_cylinder`.
    """
    return panel.distance * np.linalg.inv(steps_of(panel)[1:])


def _curved_rays(panel: PanelPlan, beam: np.ndarray, k: np.ndarray, depth: float, centre: np.ndarray) -> Rays:
    """Return the rays on a curved detector, with its tangent plane at each of them.

    Its pixels are at r R(fast, b) R(slow, a) i, where r is the radius, i the beam, and a and b are proportional to y
    and z of flat pixels.
    """
    radius, fast_axis, slow_axis = panel.distance, np.array(panel.fast), np.array(panel.slow)
    along_ray = k @ centre
    distance = np.sqrt(np.square(along_ray) + radius * radius - centre @ centre) - along_ray
    place = (centre + distance[:, None] * k) / radius
    # Right for axes across the beam; Newton's method for others.
    a = np.arcsin(np.clip(place @ np.cross(slow_axis, beam), -1.0, 1.0))
    b = np.arctan2(place @ np.cross(fast_axis, beam), place @ beam)
    for _ in range(_NEWTON_STEPS):
        on_meridian = turned_about(slow_axis, a, np.broadcast_to(beam, k.shape))
        point = turned_about(fast_axis, b, on_meridian)
        by_a = turned_about(fast_axis, b, np.cross(slow_axis, on_meridian))
        by_b = np.cross(fast_axis, point)
        short = place - point
        aa, ab, bb = (np.einsum("ni,ni->n", *pair) for pair in ((by_a, by_a), (by_a, by_b), (by_b, by_b)))
        to_a, to_b = (np.einsum("ni,ni->n", axis, short) for axis in (by_a, by_b))
        determinant = np.maximum(aa * bb - ab * ab, 1e-12)
        a, b = a + (bb * to_a - ab * to_b) / determinant, b + (aa * to_b - ab * to_a) / determinant
    meets = (np.linalg.norm(short, axis=1) < 1e-9) & (determinant > GRAZING)
    to_pixels, corner = pixels_of_angles(panel), corner_of(panel, depth)
    per_pixel = np.linalg.inv(to_pixels)
    fast, slow = ((np.stack([a, b], axis=1) - corner[1:] / radius) @ to_pixels.T - panel.first_pixel).T
    steps = radius * np.stack([by_a, by_b], axis=2) @ per_pixel
    steps = np.where(meets[:, None, None], steps, np.eye(3)[:, 1:])
    normal = np.where(meets[:, None], place, (1.0, 0.0, 0.0))
    return _on_planes(meets, fast, slow, distance, steps, normal, k)


def reciprocal_steps(k: np.ndarray, rays: Rays, wavelength_A: float) -> np.ndarray:
    """Return dq / d(pixel), float64 [n, 3, 2] [1/A]: changes of the scattering vector from pixel to pixel."""
    scale = 1.0 / (wavelength_A * rays.distance)
    along = np.einsum("ni,nij->nj", k, rays.steps)
    return scale[:, None, None] * (rays.steps - k[:, :, None] * along[:, None, :])

"""Where diffracted rays meet a panel, and how its pixels map to reciprocal space. `specs/analytic.md`, section 2.

Arrays are over rays: unit vectors k float64 [n, 3]; positions in metres.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cubragg.plan.panel_plan import PanelPlan

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


def rays_on(panel: PanelPlan, k: np.ndarray, depth: float, centre: np.ndarray) -> Rays:
    """Return the rays from ``centre`` [3] [m] on a flat panel, ``depth`` [m] behind its front."""
    normal = np.array(panel.normal)
    steps = np.array([panel.fast, panel.slow]).T * panel.edges  # [3, 2]
    duals = np.linalg.inv(np.column_stack([steps, normal]))[:2]
    corner = np.array(panel.origin) + depth * normal - centre
    cosine = k @ normal
    meets = cosine > GRAZING
    cosine = np.where(meets, cosine, 1.0)
    distance = (corner @ normal) / cosine
    from_corner = distance[:, None] * k - corner
    fast, slow = (from_corner @ duals.T - panel.first_pixel).T
    # A change of the direction moves the ray across k and then along it back into the plane.
    into_plane = np.eye(3) - k[:, :, None] * normal / cosine[:, None, None]
    pixel_of = distance[:, None, None] * (duals @ into_plane)
    return Rays(meets & (distance > 0.0), fast, slow, distance, np.broadcast_to(steps, (len(k), 3, 2)), pixel_of)


def reciprocal_steps(k: np.ndarray, rays: Rays, wavelength_A: float) -> np.ndarray:
    """Return dq / d(pixel), float64 [n, 3, 2] [1/A]: changes of the scattering vector from pixel to pixel."""
    scale = 1.0 / (wavelength_A * rays.distance)
    along = np.einsum("ni,nij->nj", k, rays.steps)
    return scale[:, None, None] * (rays.steps - k[:, :, None] * along[:, None, :])

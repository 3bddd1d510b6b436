"""Where the Ewald sphere passes reflections. Lengths are metres, reciprocal ones 1/m. `specs/truth.md`"""

from __future__ import annotations

import numpy as np

from cubragg import units
from cubragg.crystallography.shapes import SHAPES
from cubragg.plan.plan import Plan

#: The profile of a reflection is wide where it is above this share of its peak.
_TAIL = 1e-6


def profile_metric(plan: Plan) -> np.ndarray:
    """float64 [3, 3]: quadratic form in fractional index that is 1 where the profile of a reflection ends."""
    shape, block = SHAPES[plan.crystal_shape], plan.block
    return shape.metric(block) / shape.width_sqr(block, _TAIL)


def offset_on_sphere(hkl: np.ndarray, axes: np.ndarray, incident: np.ndarray, wavelength: float, metric: np.ndarray
                     ) -> np.ndarray:
    """From reflections [n, 3] to the point of the sphere where their profiles are highest, in index [n, 3].

    Parameters
    ----------
    axes
        Of the cell, float64 [3, 3] [m].
    incident, wavelength
        Unit vector [3] of the beam, and wavelength [m].
    metric
        From `profile_metric`.
    """
    stars = np.linalg.inv(axes).T
    beam = hkl @ stars + incident / wavelength
    length = np.linalg.norm(beam, axis=1)
    along = beam / length[:, None] @ stars.T
    widths = along @ np.linalg.inv(metric)
    return -((length - 1.0 / wavelength) / np.einsum("ij,ij->i", widths, along))[:, None] * widths


def cell_volume(plan: Plan) -> float:
    """Volume of the cell as rendered [A^3]."""
    return abs(float(np.linalg.det(plan.cell_axes[0, 0]))) / units.ANGSTROM_M ** 3

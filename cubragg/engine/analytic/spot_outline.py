"""Sub-pixels of a spot that are summed: those in its box and inside an ellipse. `specs/analytic.md`, section 2.

The box of a narrow, inclined spot is mostly empty. The ellipse is y1^2 + y2^2 = R^2 of the standardized deviations
across the path, in a still of all three above their least value; R is half the width of the box in standard deviations,
and what second-order terms and the curvature of the sphere change at the corners, edges and middle of the box.
"""

from __future__ import annotations

import numpy as np

from cubragg.engine.analytic import spot_constants
from cubragg.engine.analytic.profile import angle_moments, corrected, deviations, distance_ratio

#: Second-order terms of a spot are evaluated where they change a standardized deviation by more than this.
NEGLIGIBLE = 1e-3
#: Least ratio of the axes of an ellipse, squared; flatter ones, near the spindle, are replaced by the box.
_FLATTEST = 1e-8
#: Numbers of a spot from which its deviations are computed.
_USED = ("towards", "square", "rows", "wavelength", "radial", "sag", "bend", "divergence", "ends", "path")
#: Square of half a row that holds every box [pixel^2].
_WIDE = 1e12


def fill_outline(records: np.ndarray, lower: np.ndarray, upper: np.ndarray, tail: float) -> None:
    """Fill in the ellipse of each spot, and which second-order terms matter.

    ``lower`` and ``upper`` [n, 2] are the bounds of spots [pixel], also where they extend beyond the region: no bit
    depends on that. ``tail`` is their half-width in standard deviations.
    """
    places = np.array([(fast, slow) for fast in (0.0, 0.5, 1.0) for slow in (0.0, 0.5, 1.0)])[:, None]
    f, s = np.moveaxis(lower + (upper - lower) * places, 2, 0)  # [9, n]
    columns = {name: np.asfortranarray(records[name]) for name in _USED}  # each number of all spots is contiguous
    y = deviations(columns, f, s, distance_ratio(columns, f, s))
    changed, weight = corrected(columns, y, angle_moments(columns, y[2]))
    changes = [np.abs(new - old).max(axis=0) for new, old in zip(changed, y, strict=True)]
    most = np.maximum.reduce([*changes, np.abs(weight - 1.0).max(axis=0)])
    bent = np.where(most > NEGLIGIBLE, spot_constants.BENT, spot_constants.STRAIGHT)
    records["bent"] = np.where(changes[2] > spot_constants.STRONG, spot_constants.STRONGLY_BENT, bent)
    _fill_ellipse(records, f, s, changed, tail)


def _fill_ellipse(records: np.ndarray, f: np.ndarray, s: np.ndarray, y: list[np.ndarray], tail: float) -> None:
    """Fill in the ellipse, from the standardized deviations ``y`` of D at the positions ``f``, ``s`` [9, n]."""
    rows = records["rows"]
    still = records["path"] == spot_constants.NO_PATH
    slopes = rows[:, :, :2] - rows[:, :, 2:3] * records["towards"][:, None, :]
    changes = np.zeros(len(records))
    for number, value in enumerate(y):
        linear = slopes[:, number, 0] * f + slopes[:, number, 1] * s - rows[:, number, 3]
        change = np.square(value - linear).max(axis=0)
        changes += change if number < 2 else np.where(still, change, 0.0)
    slopes[~still, 2] = 0.0
    (a, b), (_, c) = np.einsum("nri,nrj->ijn", slopes, slopes)
    to_f, to_s = np.einsum("nri,nr->in", slopes, rows[:, :, 3])
    determinant = a * c - b * b
    flat = determinant < _FLATTEST * np.square(a + c)
    determinant = np.where(flat, 1.0, determinant)
    square = np.square(tail + np.sqrt(changes)) / a
    values = ((c * to_f - b * to_s) / determinant, (a * to_s - b * to_f) / determinant, -b / a, square,
              determinant / (a * a))
    for number, (value, of_box) in enumerate(zip(values, (0.0, 0.0, 0.0, _WIDE, 0.0), strict=True)):
        records["outline"][:, number] = np.where(flat, of_box, value)
    longest = 2.0 * np.sqrt(records["outline"][:, 3]) * records["subpixels"] + 2.0
    records["widest"] = np.minimum(longest, records["fast_last"] - records["fast_first"] + 1)


def summed_in_row(spot: np.ndarray, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the last sub-pixel [n] of the box that spots sum in rows of sub-pixels.

    The twin of ``summed_in_row`` of `kernels/spot_rows.cuh`, with its bits; the last is before the first in a row
    without any.
    """
    n, offset, outline = spot["subpixels"], spot["offset"], spot["outline"]
    s = (row + 0.5) * (1.0 / n) - offset[:, 1] - outline[:, 1]
    middle = outline[:, 0] + outline[:, 2] * s + offset[:, 0]
    square = outline[:, 3] - outline[:, 4] * s * s
    half = np.sqrt(np.maximum(square, 0.0))
    first = np.ceil((middle - half) * n - 0.5)
    last = np.floor((middle + half) * n - 0.5)
    first = np.maximum(first, spot["fast_first"])
    last = np.minimum(last, np.minimum(spot["fast_last"], first + spot["widest"] - 1))
    inside = (square > 0.0) & (last >= first)
    return (np.where(inside, first, spot["fast_first"]).astype(np.int64),
            np.where(inside, last, spot["fast_first"] - 1.0).astype(np.int64))

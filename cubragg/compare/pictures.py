"""Pictures of images and of their differences."""

from __future__ import annotations

import numpy as np

from cubragg.view.colours import Limits, levels, paint, shrunk

#: Longest edge of a picture [pixel]; larger images are reduced by the maximum of blocks, which keeps peaks.
LONGEST_EDGE = 1024
_RED, _BLUE = (178.0, 24.0, 43.0), (33.0, 102.0, 172.0)


def gray(photons: np.ndarray, black: float) -> np.ndarray:
    """Colours uint8 [slow, fast, 3] on a square-root scale from 0, white, to ``black``, black."""
    return paint(levels(shrunk(photons, LONGEST_EDGE)[0], Limits(0.0, black), "sqrt"), "inverted")


def signed(difference: np.ndarray) -> tuple[np.ndarray, float]:
    """Colours uint8 [slow, fast, 3] of a difference, and the magnitude of full colour.

    Positive is red, negative blue, 0 white, on a square-root scale of the magnitude. NaN is black.
    """
    reduced = shrunk(difference, LONGEST_EDGE, _further_from_zero)[0]
    finite = reduced[np.isfinite(reduced)]
    reach = float(np.abs(finite).max()) if finite.size else 0.0
    strength = np.sqrt(np.clip(np.abs(np.nan_to_num(reduced, nan=0.0)), 0.0, reach) / (reach or 1.0))[..., None]
    full = np.where(reduced[..., None] > 0.0, np.array(_RED), np.array(_BLUE))
    colours = np.rint(255.0 + (full - 255.0) * strength)
    colours[np.isnan(reduced)] = 0.0
    return colours.astype(np.uint8), reach


def _further_from_zero(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.where((np.abs(x) >= np.abs(y)) | np.isnan(y), x, y)

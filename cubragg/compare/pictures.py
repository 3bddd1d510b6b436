"""Pictures of images and of their differences, as PNG bytes."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np

from cubragg.io.png import BLACK_PERCENTILE

#: Longest edge of a picture [pixel]; larger images are reduced by the maximum of blocks, which keeps peaks.
LONGEST_EDGE = 1024
_RED, _BLUE = (178.0, 24.0, 43.0), (33.0, 102.0, 172.0)


def black_level(photons: np.ndarray) -> float:
    """The value that `gray` shows black by default: the 99.5th percentile of the positive pixels; 1 without any."""
    positive = photons[np.isfinite(photons) & (photons > 0.0)]
    return float(np.percentile(positive, BLACK_PERCENTILE, method="lower")) if positive.size else 1.0


def gray(photons: np.ndarray, black: float) -> np.ndarray:
    """Gray levels uint8 [slow, fast]: 0 is white, ``black`` black, in between the square root decides.

    Negative pixels and NaN are white.
    """
    values = np.nan_to_num(_reduced(photons, np.fmax), nan=0.0, posinf=np.inf, neginf=0.0)
    return np.rint(255.0 * (1.0 - np.sqrt(np.clip(values, 0.0, black) / black))).astype(np.uint8)


def signed(difference: np.ndarray) -> tuple[np.ndarray, float]:
    """Colours uint8 [slow, fast, 3] of a difference, and the value of full colour.

    Positive is red, negative blue, 0 white; the square root of the magnitude decides. NaN is black.
    """
    reduced = _reduced(difference, _further_from_zero)
    finite = reduced[np.isfinite(reduced)]
    reach = float(np.abs(finite).max()) if finite.size else 0.0
    strength = np.sqrt(np.clip(np.abs(np.nan_to_num(reduced, nan=0.0)), 0.0, reach) / (reach or 1.0))[..., None]
    full = np.where(reduced[..., None] > 0.0, np.array(_RED), np.array(_BLUE))
    colours = np.rint(255.0 + (full - 255.0) * strength)
    colours[np.isnan(reduced)] = 0.0
    return colours.astype(np.uint8), reach


def png(image: np.ndarray) -> bytes:
    """A uint8 image [slow, fast] or [slow, fast, 3] as the bytes of a PNG file."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def _further_from_zero(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.where((np.abs(x) >= np.abs(y)) | np.isnan(y), x, y)


def _reduced(image: np.ndarray, choose: Callable[[np.ndarray, np.ndarray], np.ndarray]
             ) -> np.ndarray:
    """``image`` with its blocks of n x n pixels replaced by the one that ``choose`` prefers, so that it fits."""
    block = -(-max(image.shape) // LONGEST_EDGE)
    if block == 1:
        return np.asarray(image, dtype=np.float64)
    slow, fast = (-(-size // block) for size in image.shape)
    padded = np.full((slow * block, fast * block), np.nan)
    padded[:image.shape[0], :image.shape[1]] = image
    result = padded[::block, ::block]
    for down in range(block):
        for across in range(block):
            result = choose(result, padded[down::block, across::block])
    return result

"""Short digests of images that do not change with the machine on which an image is computed; specs/stability.md."""

from __future__ import annotations

import hashlib
import math

import numpy as np

from cubragg.errors import FormatError

#: Hexadecimal digits of a fingerprint.
DIGITS = 16
#: Steps between 0 and the power of two above the largest pixel, as a power of two.
_STEP_BITS = 12
#: Factor on photons before they are rounded. Numbers that people choose, such as a background of 0.5, would otherwise
#: be halfway between two steps, where the last bit of a sum decides.
_FACTOR = 0.6180339887498949
#: Numbers of pixels that are NaN, and infinite; other pixels are within +-2^12.
_NAN, _INFINITE = 1 << 20, 1 << 21
#: Largest count that a fingerprint can contain.
_MOST = 2.0**62


def fingerprint_of_photons(photons: np.ndarray) -> str:
    """Digest of expected photons [slow, fast], rounded to steps of 1/8192 to 1/4096 of about the largest pixel.

    Every operation is exact or is one IEEE multiplication, so that the digest is a function of the pixels alone.
    """
    scaled = photons.astype(np.float64) * _FACTOR
    finite = np.isfinite(scaled)
    largest = float(np.abs(scaled).max(where=finite, initial=0.0))
    exponent = math.frexp(largest)[1]
    steps = np.rint(np.ldexp(np.where(finite, scaled, 0.0), _STEP_BITS - exponent)).astype("<i4")
    steps[np.isnan(scaled)] = _NAN
    steps[np.isinf(scaled)] = _INFINITE
    return _digest(f"photons {exponent}", steps)


def fingerprint_of_counts(counts: np.ndarray) -> str:
    """Digest of every count [slow, fast], exactly.

    Raises
    ------
    FormatError
        For a count that is NaN, infinite or above 2^62.
    """
    if counts.dtype.kind == "f":
        counts = np.rint(counts)
        if not (np.abs(counts) < _MOST).all():
            raise FormatError("counts have no fingerprint: a pixel is NaN, infinite or above 2^62; "
                              'fingerprint("photons") accepts any image')
    return _digest("counts", counts.astype("<i8"))


def _digest(kind: str, numbers: np.ndarray) -> str:
    """The first digits of the SHA-256 of a line of text and of integers in C order, lowest byte first."""
    slow, fast = numbers.shape
    return hashlib.sha256(f"{kind} {slow} {fast}\n".encode() + numbers.tobytes()).hexdigest()[:DIGITS]

"""Find spots in an image, to mark them in a picture."""

from __future__ import annotations

import numpy as np

from cubragg.view.notes import Spots

#: Surroundings of a pixel: the square of this half edge without the square of that one [pixel].
_OUTER, _INNER = 8, 2
#: A spot is more than this many standard deviations above its surroundings; of counts, more than this many besides,
#: because Poisson's distribution of a small mean has a longer tail.
_SIGMAS, _COUNTS = 6.0, 4.0
#: Larger values, whose squares are infinite, are no spots.
_LARGEST = 1e150
#: Smallest number of valid pixels in the surroundings, and the distance within which the brightest spot is drawn alone.
_FEWEST, _APART = 40, 3


def found_spots(image: np.ndarray, beam: np.ndarray | None, most: int) -> Spots:
    """Return the brightest spots of an image [slow, fast], NaN in masked pixels, without indices.

    A spot is a pixel that none of the 7 x 7 pixels around it exceeds, more than six standard deviations above the mean
    of its surroundings, and outside the direct beam, bool [slow, fast]. Its position is the centroid of what these
    pixels have above that mean.
    """
    image = np.asarray(image, dtype=np.float64)
    known = np.abs(image) < _LARGEST  # not NaN either
    if beam is not None:
        known &= ~beam
    values = np.where(known, image, 0.0)
    count, total, square = (_box(array, _OUTER) - _box(array, _INNER) for array in (
        known.astype(np.float64), values, values * values))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / count
        variance = np.maximum(square / count - mean * mean, 0.0)
        least = 0.0
        if np.array_equal(values, np.rint(values)):
            variance, least = np.maximum(variance, mean), _COUNTS
        above = values - mean
        strong = known & (count >= _FEWEST) & (above > _SIGMAS * np.sqrt(variance) + least)
    slow, fast = np.nonzero(strong)
    heights = above[slow, fast]
    padded = np.pad(np.where(known & (count >= _FEWEST), above, 0.0), _APART)
    offsets = [(down, right) for down in range(2 * _APART + 1) for right in range(2 * _APART + 1)]
    around = np.stack([padded[slow + down, fast + right] for down, right in offsets])
    before = len(offsets) // 2  # of pixels that are equal, the first is the spot
    earlier, later = (part.max(axis=0, initial=0.0) for part in (around[:before], around[before:]))
    highest = (heights > earlier) & (heights >= later)
    ranked = np.flatnonzero(highest)
    ranked = ranked[np.argsort(-heights[ranked], kind="stable")][:most]
    weights = np.where(around[:, ranked] > 0.1 * heights[ranked], around[:, ranked], 0.0)
    down, right = (np.array(offsets) - _APART).T @ (weights / weights.sum(axis=0))
    return Spots(fast[ranked] + right + 0.5, slow[ranked] + down + 0.5, None)


def _box(array: np.ndarray, half: int) -> np.ndarray:
    """Return the sum over the square of 2 half + 1 pixels around each pixel, as far as it is inside."""
    sums = np.pad(array, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    (first_row, last_row), (first, last) = (
        (np.maximum(np.arange(size) - half, 0), np.minimum(np.arange(size) + half + 1, size)) for size in array.shape)
    rows = sums[last_row] - sums[first_row]
    return rows[:, last] - rows[:, first]

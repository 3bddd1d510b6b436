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
#: Rows worked on at a time.
_STRIP = 256


def found_spots(image: np.ndarray, beam: np.ndarray | None, most: int) -> Spots:
    """Return the brightest spots of an image [slow, fast], NaN in masked pixels, without indices.

    A spot is a pixel that none of the 7 x 7 pixels around it exceeds, more than six standard deviations above the mean
    of its surroundings, and outside the direct beam, bool [slow, fast]. Its position is the centroid of what these
    pixels have above that mean.
    """
    image = np.asarray(image)
    strips = [slice(first, min(first + _STRIP, len(image))) for first in range(0, len(image), _STRIP)]
    whole = all(_is_whole(image[strip]) for strip in strips)
    fast, slow, heights = np.concatenate([_spots_of(image, beam, strip, whole) for strip in strips], axis=1)
    ranked = np.argsort(-heights, kind="stable")[:most]
    return Spots(fast[ranked], slow[ranked], None)


def _is_whole(image: np.ndarray) -> bool:
    """Return whether all finite pixels are whole numbers, as counts are."""
    known = image[np.isfinite(image)]
    return bool((known == np.rint(known)).all())


def _spots_of(image: np.ndarray, beam: np.ndarray | None, strip: slice, whole: bool) -> np.ndarray:
    """Return positions, fast and slow [pixel], and heights of the spots in a strip of rows, float64 [3, n]."""
    first = max(strip.start - _OUTER - _APART, 0)
    rows = slice(first, strip.stop + _OUTER + _APART)
    part = np.asarray(image[rows], dtype=np.float64)
    known = np.abs(part) < _LARGEST  # not NaN either
    if beam is not None:
        known &= ~beam[rows]
    values = np.where(known, part, 0.0)
    count, total, square = (_box(array, _OUTER) - _box(array, _INNER) for array in (
        known.astype(np.float64), values, values * values))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / count
        variance = np.maximum(square / count - mean * mean, 0.0)
        if whole:
            variance = np.maximum(variance, mean)
        above = values - mean
        strong = known & (count >= _FEWEST) & (above > _SIGMAS * np.sqrt(variance) + (_COUNTS if whole else 0.0))
    strong[:strip.start - first] = strong[strip.stop - first:] = False
    slow, fast = np.nonzero(strong)
    heights = above[slow, fast]
    padded = np.pad(np.where(known & (count >= _FEWEST), above, 0.0), _APART)
    offsets = [(down, right) for down in range(2 * _APART + 1) for right in range(2 * _APART + 1)]
    around = np.stack([padded[slow + down, fast + right] for down, right in offsets])
    before = len(offsets) // 2  # of pixels that are equal, the first is the spot
    earlier, later = (part.max(axis=0, initial=0.0) for part in (around[:before], around[before:]))
    highest = np.flatnonzero((heights > earlier) & (heights >= later))
    weights = np.where(around[:, highest] > 0.1 * heights[highest], around[:, highest], 0.0)
    down, right = (np.array(offsets) - _APART).T @ (weights / weights.sum(axis=0))
    return np.stack([fast[highest] + right + 0.5, slow[highest] + first + down + 0.5, heights[highest]])


def _box(array: np.ndarray, half: int) -> np.ndarray:
    """Return the sum over the square of 2 half + 1 pixels around each pixel, as far as it is inside."""
    sums = np.pad(array, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    (first_row, last_row), (first, last) = (
        (np.maximum(np.arange(size) - half, 0), np.minimum(np.arange(size) + half + 1, size)) for size in array.shape)
    rows = sums[last_row] - sums[first_row]
    return rows[:, last] - rows[:, first]

"""Edge pixels of chips: they are wider, and an image has virtual pixels in their place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

Window = tuple[slice, slice]
#: Counts below this stay integers: sums of a few of them do not overflow.
_SMALL = 2**28
#: A function of counts and indices of pixels that returns a binomial deviate (p = 1/2) of each.
Heads = Callable[[np.ndarray, np.ndarray], np.ndarray]


def divide_wide_pixels(image: np.ndarray, chips: tuple[tuple[int, int], tuple[int, int]], panels: Sequence[Window],
                       live: np.ndarray | None, heads: Heads) -> np.ndarray:
    """Return an image in which the counts of wide pixels are divided among the virtual pixels that they cover.

    With two virtual pixels between chips, the edge pixels are two pixels wide; with one, one and a half.

    Parameters
    ----------
    image
        Counts or signals [slow, fast], as if all pixels had the same size. Small counts of int32 are changed in place.
    chips
        (fast, slow) pixels of a chip, and (fast, slow) virtual pixels between chips.
    panels, live
        Windows of the panels, and pixels with a value (``None``: all): a module is a rectangle of live pixels.
    heads
        Draws how many of a pixel's counts belong to the first of two physical pixels that it is part of.
    """
    counted = image.dtype.kind == "i" and int(image.max(initial=0)) < _SMALL
    result = image if counted else np.array(image, dtype=np.float64)
    whole = counted or bool((result == np.floor(result)).all())
    modules, flat = list(_modules(panels, live)), result.reshape(-1)
    for axis, (size, gap) in enumerate(zip(*chips, strict=True)):  # fast first
        # All edges along an axis at once: random numbers of many pixels take little longer than those of a few.
        lines = [_line(window, image.shape[1], axis, last) for window in modules
                 for last in range(size - 1, _length(window, axis) - gap - 1, size + gap)]
        if lines:
            _divide(flat, np.concatenate(lines), image.shape[1] if axis else 1, gap, heads if whole else None)
    return result


def _length(window: Window, axis: int) -> int:
    """Return the pixels of a window along the fast (0) or slow (1) axis."""
    along = window[1 - axis]
    return int(along.stop - along.start)


def _line(window: Window, width: int, axis: int, place: int) -> np.ndarray:
    """Return the indices of the pixels of a window that are at a place along an axis."""
    rows, columns = window
    if axis == 0:
        return np.arange(rows.start, rows.stop) * width + columns.start + place
    return (rows.start + place) * width + np.arange(columns.start, columns.stop)


def _modules(panels: Sequence[Window], live: np.ndarray | None) -> Iterator[Window]:
    for rows, columns in panels:
        part = None if live is None else live[rows, columns]
        runs = [_runs(None if part is None else np.any(part, axis=1), rows),
                _runs(None if part is None else np.any(part, axis=0), columns)]
        yield from ((one, other) for one in runs[0] for other in runs[1])


def _runs(live: Any, whole: slice) -> list[slice]:
    """Return the runs of True, as parts of a slice."""
    if live is None:
        return [whole]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], live, [False]]).astype(np.int8)))
    return [slice(whole.start + int(first), whole.start + int(last))
            for first, last in zip(edges[::2], edges[1::2], strict=True)]


def _divide(image: np.ndarray, last: np.ndarray, step: int, gap: int, heads: Heads | None) -> None:
    """Divide the counts of edge pixels among their virtual pixels.

    ``last`` are the indices of the last pixels of chips in the image [slow * fast], ``step`` leads to the next pixel.
    """
    if gap == 2:
        for one, other in ((last, last + step), (last + 2 * step, last + 3 * step)):
            total = image[one].astype(np.float64) + image[other]
            half = total / 2.0
            # An odd count goes to one of the two at random.
            first = half if heads is None else np.floor(half) + heads(total % 2.0, one)
            image[one], image[other] = first, total - first
    elif gap == 1:
        # Each of the two pixels is one and a half virtual pixels wide.
        middle = image[last + step].astype(np.float64)
        share = middle / 2.0 if heads is None else heads(middle, last + step)
        left, right = image[last] + share, image[last + 2 * step] + middle - share
        outer = [2.0 * total / 3.0 if heads is None else np.rint(2.0 * total / 3.0) for total in (left, right)]
        image[last], image[last + 2 * step] = outer
        image[last + step] = left + right - outer[0] - outer[1]

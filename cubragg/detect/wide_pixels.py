"""Edge pixels of chips: they are wider, and an image has virtual pixels in their place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

Window = tuple[slice, slice]
#: A function of counts and indices of pixels that returns a binomial deviate (p = 1/2) of each.
Heads = Callable[[np.ndarray, np.ndarray], np.ndarray]


def divide_wide_pixels(image: np.ndarray, chips: tuple[tuple[int, int], tuple[int, int]], panels: Sequence[Window],
                       live: np.ndarray | None, heads: Heads) -> np.ndarray:
    """Return an image in which the counts of wide pixels are divided among the virtual pixels that they cover.

    With two virtual pixels between chips, the edge pixels are two pixels wide; with one, one and a half.

    Parameters
    ----------
    image
        Counts or signals [slow, fast], as if all pixels had the same size.
    chips
        (fast, slow) pixels of a chip, and (fast, slow) virtual pixels between chips.
    panels, live
        Windows of the panels, and pixels with a value (``None``: all): a module is a rectangle of live pixels.
    heads
        Draws how many of a pixel's counts belong to the first of two physical pixels that it is part of.
    """
    result = np.array(image, dtype=np.float64)
    index = np.arange(image.size, dtype=np.int64).reshape(image.shape)
    whole = image.dtype.kind == "i" or bool((image == np.floor(image)).all())
    for window in _modules(panels, live):
        for axis, (size, gap) in enumerate(zip(*chips, strict=True)):  # fast first
            view, pixels = (np.moveaxis(array[window], 1 - axis, 0) for array in (result, index))
            for last in range(size - 1, len(view) - gap - 1, size + gap):
                _divide(view, pixels, last, gap, heads if whole else None)
    return result


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


def _divide(view: np.ndarray, index: np.ndarray, last: int, gap: int, heads: Heads | None) -> None:
    """Divide the counts of two edge pixels among their virtual pixels; ``last`` is the last one of the first chip."""
    if gap == 2:
        for one, other in ((last, last + 1), (last + 2, last + 3)):
            total = view[one] + view[other]
            half = total / 2.0
            # An odd count goes to one of the two at random.
            view[one] = half if heads is None else np.floor(half) + heads(total % 2.0, index[one])
            view[other] = total - view[one]
    elif gap == 1:
        # Each of the two pixels is one and a half virtual pixels wide.
        middle = view[last + 1]
        share = middle / 2.0 if heads is None else heads(middle, index[last + 1])
        left, right = view[last] + share, view[last + 2] + middle - share
        outer = [2.0 * total / 3.0 if heads is None else np.rint(2.0 * total / 3.0) for total in (left, right)]
        view[last], view[last + 2] = outer
        view[last + 1] = left + right - outer[0] - outer[1]

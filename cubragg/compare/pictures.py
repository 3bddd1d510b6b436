"""Previews of two images and of their difference, for the report."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cubragg.view.colours import Limits, Style, diverging, levels, paint, signed_levels, without_masked
from cubragg.view.drawn_view import DrawnView
from cubragg.view.side_by_side import ImagePair

#: Longest edge of a preview [pixel]; larger images are reduced by the maximum of blocks, which keeps peaks.
LONGEST_EDGE = 1024


class Previews(NamedTuple):
    """Previews, and what their colours mean.

    Attributes
    ----------
    a, b, difference
        Colours uint8 [down, right, 3].
    view
        How stored pixels are placed on them.
    black, reach
        Values that are black in ``a`` and ``b``, and of full colour in ``difference``.
    """

    a: np.ndarray
    b: np.ndarray
    difference: np.ndarray
    view: DrawnView
    black: float
    reach: float


def previews(pair: ImagePair, black: float | None = None) -> Previews:
    """Return the previews of a pair on square-root scales from 0; ``black`` is the end of that of the images."""
    black = pair.scale(Style(), black).high
    reach = pair.reach(Limits(0.0, black))
    views = [DrawnView(pair.notes, without_masked(image, pair.mask), LONGEST_EDGE) for image in (pair.a, pair.b)]
    a, b = (paint(levels(view.pixels, Limits(0.0, black), "sqrt"), "inverted") for view in views)
    return Previews(a, b, diverging(signed_levels(views[0].signed(pair.difference()), reach, "sqrt")), views[0], black,
                    reach)

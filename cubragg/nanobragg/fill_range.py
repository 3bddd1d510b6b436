"""Completes the sampling of a range from some of count, range and step, by the rules of nanoBragg.

The C program contains these rules five times with small differences, which
are arguments here. Source: nanoBragg.c, "default sampling logic".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Largest number of points of a range, so that lists of them stay small; a step can ask for any number.
MAX_STEPS = 1_000_000


@dataclass(frozen=True)
class Sweep:
    """A completed sampling: ``count`` points at distances ``step`` over the range ``width``."""

    count: int
    width: float
    step: float


_OFF = Sweep(1, 0.0, 0.0)


def _points(width: float, spacing: float) -> int:
    """Number of steps over a range; a number above `MAX_STEPS` for any larger one, also an infinite quotient."""
    return math.ceil(min(width / spacing, MAX_STEPS + 1.0))


def fill_phi(count: int | None, width: float | None, step: float | None, default_width: float) -> Sweep:
    """Sampling of the spindle angle; unset values are ``None``.

    ``count`` steps cover the rotation range from its start to its end, so the
    step is width / count.
    """
    spacing = step if step is not None and step > 0.0 else 0.0
    if count is None:
        if width is None:
            return Sweep(2, spacing, spacing) if spacing else _OFF
        return Sweep(_points(width, spacing), width, spacing) if spacing else Sweep(2, width, width / 2.0)
    count = max(count, 1)
    if width is None:
        return Sweep(2, spacing, spacing) if spacing else Sweep(count, default_width, default_width / count)
    return Sweep(count, width, width / count if step is None else step)


def fill_range(count: int | None, width: float | None, step: float | None, default_width: float,
               *, halve_single_width: bool = False) -> Sweep:
    """Sampling of divergence, dispersion and detector thickness by ``count`` points including both ends.

    ``halve_single_width``: a range without count and step is divided into two layers
    instead of sampled at its two ends (detector thickness).
    """
    points = count if count is not None and count > 0 else 0
    spacing = step if step is not None and step > 0.0 else 0.0
    if width is None:
        if spacing:
            sweep = Sweep(2, spacing, spacing)
        elif points:
            sweep = Sweep(points, default_width, default_width / points)
        else:
            return _OFF
    elif not points:
        if spacing:
            sweep = Sweep(_points(width, spacing), width, spacing)
        else:
            sweep = Sweep(2, width, width / 2 if halve_single_width else width)
    elif spacing:
        sweep = Sweep(points, width, spacing)
    else:
        points = max(points, 2)
        sweep = Sweep(points, width, width / (points - 1))
    return sweep if sweep.width > 0.0 and sweep.step > 0.0 and sweep.count > 0 else _OFF

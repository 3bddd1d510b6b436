"""Completes the sampling of a range from some of count, range and step, by the rules of nanoBragg.

The C program contains these rules five times with small differences, which
are arguments here. Source: nanoBragg.c, "default sampling logic".
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Sweep:
    """A completed sampling: ``count`` points at distances ``step`` over the range ``span``."""

    count: int
    span: float
    step: float


_OFF = Sweep(1, 0.0, 0.0)


def fill_phi(count: int | None, span: float | None, step: float | None, default_span: float) -> Sweep:
    """Sampling of the spindle angle; unset values are ``None``.

    ``count`` steps cover the rotation range from its start to its end, so the
    step is span / count.
    """
    spacing = step if step is not None and step > 0.0 else 0.0
    if count is None:
        if span is None:
            return Sweep(2, spacing, spacing) if spacing else _OFF
        return Sweep(math.ceil(span / spacing), span, spacing) if spacing else Sweep(2, span, span / 2.0)
    count = max(count, 1)
    if span is None:
        return Sweep(2, spacing, spacing) if spacing else Sweep(count, default_span, default_span / count)
    return Sweep(count, span, span / count if step is None else step)


def fill_range(count: int | None, span: float | None, step: float | None, default_span: float,
               *, halve_lone_span: bool = False) -> Sweep:
    """Sampling of divergence, dispersion and detector thickness by ``count`` points including both ends.

    ``halve_lone_span``: a range without count and step is divided into two layers
    instead of sampled at its two ends (detector thickness).
    """
    points = count if count is not None and count > 0 else 0
    spacing = step if step is not None and step > 0.0 else 0.0
    if span is None:
        if spacing:
            sweep = Sweep(2, spacing, spacing)
        elif points:
            sweep = Sweep(points, default_span, default_span / points)
        else:
            return _OFF
    elif not points:
        if spacing:
            sweep = Sweep(math.ceil(span / spacing), span, spacing)
        else:
            sweep = Sweep(2, span, span / 2 if halve_lone_span else span)
    elif spacing:
        sweep = Sweep(points, span, spacing)
    else:
        points = max(points, 2)
        sweep = Sweep(points, span, span / (points - 1))
    return sweep if sweep.span > 0.0 and sweep.step > 0.0 and sweep.count > 0 else _OFF

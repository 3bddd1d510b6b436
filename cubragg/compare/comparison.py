"""The result of comparing two images: the images, their origin and their agreement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cubragg.compare.metrics import Metrics, compare_images
from cubragg.experiment.panel import live_pixels
from cubragg.experiment.sampling import ROI
from cubragg.view.notes import Notes
from cubragg.view.side_by_side import ImagePair


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two images.

    Attributes
    ----------
    name
        Its name in the report: a path, or a program.
    pixels
        float64 [slow, fast].
    form
        Its file format, or ``program``.
    command
        The command line that rendered it; empty for a file.
    seconds
        Wall time of that command [s]; ``None`` for a file.
    """

    name: str
    pixels: np.ndarray
    form: str
    command: tuple[str, ...] = ()
    seconds: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields except the pixels, for JSON."""
        return {"name": self.name, "form": self.form, "shape": list(self.pixels.shape),
                "command": list(self.command), "seconds": self.seconds}


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two images compared.

    Attributes
    ----------
    a, b
        The images; b is the reference.
    metrics
        Their agreement.
    threshold
        Smallest correlation with which the comparison passes.
    arguments
        The command line of the comparison; its hash is part of the report folder's name.
    roi
        (fast_min, fast_max, slow_min, slow_max) compared, or ``None`` for all.
    notes
        Warnings that are shown in the report.
    mask
        bool [slow, fast], False where pixels are left out; ``None``: nowhere.
    picture
        Where panels and beam are in pictures, and the unit of the pixels.
    """

    a: Side
    b: Side
    metrics: Metrics
    threshold: float
    arguments: tuple[str, ...]
    roi: ROI | None = None
    notes: tuple[str, ...] = ()
    mask: np.ndarray | None = None
    picture: Notes = field(default_factory=Notes)

    @property
    def pair(self) -> ImagePair:
        """Both images, for pictures."""
        masks = [mask for mask in (self.mask, live_pixels(self.picture.panels) if self.picture.panels else None)
                 if mask is not None]
        return ImagePair(self.a.pixels, self.b.pixels, (self.a.name, self.b.name),
                         np.logical_and.reduce(masks) if masks else None, self.picture)

    @property
    def passed(self) -> bool:
        """Whether the correlation reaches the threshold and no pixel is NaN or infinite in one image only."""
        return self.metrics.correlation >= self.threshold and self.metrics.not_finite_apart == 0

    @property
    def verdict(self) -> str:
        """The result as one sentence."""
        apart = self.metrics.not_finite_apart
        if apart:
            return f"{apart} pixel{'s are' if apart > 1 else ' is'} NaN or infinite in one image only."
        if math.isnan(self.metrics.correlation):
            return "The correlation is not defined: an image is constant, and the images differ."
        relation = "reaches" if self.passed else "is below"
        return f"The correlation {self.metrics.correlation:.10f} {relation} {self.threshold:.10g}."


def compare_sides(a: Side, b: Side, *, threshold: float, arguments: Sequence[str], roi: ROI | None = None,
                  mask: np.ndarray | None = None, notes: Sequence[str] = (), picture: Notes | None = None
                  ) -> Comparison:
    """Compare two images where ``mask``, bool [slow, fast], is True; see `Comparison`.

    Raises
    ------
    ConfigError
        For a region that is not inside the images.
    ShapesDiffer
        If the shapes of the images differ.
    """
    return Comparison(a, b, compare_images(a.pixels, b.pixels, roi=roi, mask=mask), threshold, tuple(arguments), roi,
                      tuple(notes), mask, picture or Notes())

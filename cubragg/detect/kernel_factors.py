"""Factors on expected photons that kernels apply pixel by pixel: what steps before the Poisson deviates are to them."""

from __future__ import annotations

from typing import NamedTuple

from cubragg.detect.poisson import RandomStream


class PixelFactor(NamedTuple):
    """A factor max(least, 1 + sigma G) of each pixel; G are the Gaussian deviates of a draw of a stream."""

    stream: RandomStream
    draw: int
    sigma: float
    least: float


class Factors(NamedTuple):
    """Factors on all photons, on those of each panel of the detector (none: 1), and on those of each pixel.

    A pixel's photons are multiplied by them in this order.
    """

    per_shot: float = 1.0
    per_panel: tuple[float, ...] = ()
    per_pixel: tuple[PixelFactor, ...] = ()

    def then(self, after: Factors) -> Factors:
        """Return these factors and others."""
        return Factors(self.per_shot * after.per_shot, self.per_panel or after.per_panel,
                       self.per_pixel + after.per_pixel)

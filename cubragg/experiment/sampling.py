"""Sampling of the image: sub-pixels, region of interest, mask and resolution cut."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cubragg import checks, units
from cubragg.crystallography.vectors import Vector, norm, scale
from cubragg.errors import ConfigError
from cubragg.experiment.crystal import Lattice
from cubragg.experiment.detector_frame import DetectorFrame
from cubragg.experiment.panel import same_arrays
from cubragg.experiment.settings_repr import settings_repr

ROI = tuple[int, int, int, int]
MAX_OVERSAMPLE = 1000
#: Range of `Sampling.tail_sigmas`: at 4.5 boxes leave out 1e-5 of a spot, at 12 the profile is 1e-31 of its maximum.
_LEAST_TAIL, _MOST_TAIL = 4.5, 12.0
#: Sub-pixels in a fringe, lambda distance / size, that are recommended. Sums of spots of a parallelepiped are exact
#: with 1 along its edges, and right to 0.2 % with 1.5 in every orientation.
PER_FRINGE = {"nanobragg": 3.0, "physical": 1.5}


@dataclass(frozen=True, eq=False)
class Sampling:
    """Sampling of the image.

    Attributes
    ----------
    oversample
        Sub-pixels along each edge of a pixel; ``None``: computed from the size of the coherent block and the pixel.
    oversample_thick, oversample_polar, oversample_omega
        Multiply the running sum by capture fraction, polarization, solid angle after
        each term (nanobragg semantics); no effect in physical semantics.
    roi
        Region of interest: fast_min, fast_max, slow_min, slow_max [pixel], both ends included; ``None``: the whole
        image.
    mask
        bool [slow, fast]; pixels that are False are not rendered and stay 0.
    dmin_A
        Resolution limit [A]: terms of a sub-pixel and source with a smaller d are left out; 0: no limit.
    interpolate
        Interpolate structure factors (tricubic); ``None``: only if the block has at most 2 cells along an axis.
    water_um
        Edge of a cube of water in the beam [um]; adds a flat background.
    tail_sigmas
        Distance from its middle at which a spot of the method analytic ends, in standard deviations.
    """

    oversample: int | None = None
    oversample_thick: bool = False
    oversample_polar: bool = False
    oversample_omega: bool = False
    roi: ROI | None = None
    mask: np.ndarray | None = None
    dmin_A: float = 0.0
    interpolate: bool | None = None
    water_um: float = 0.0
    tail_sigmas: float = 5.5

    __repr__ = settings_repr

    def __post_init__(self) -> None:
        checks.plain_fields(self, ("mask",))
        checks.integer("sampling.oversample", "oversampling", self.oversample, optional=True,
                       at_least=0, at_most=MAX_OVERSAMPLE)
        checks.number("sampling.dmin_A", "dmin", self.dmin_A, "A", at_least=0.0)
        checks.number("sampling.water_um", "the water size", self.water_um, "um", at_least=0.0)
        checks.number("sampling.tail_sigmas", "the end of a spot", self.tail_sigmas, "standard deviations",
                      at_least=_LEAST_TAIL, below=_MOST_TAIL)
        for name in ("oversample_thick", "oversample_polar", "oversample_omega"):
            checks.switch(f"sampling.{name}", getattr(self, name))
        checks.switch("sampling.interpolate", self.interpolate, optional=True)
        if self.roi is not None:
            if not isinstance(self.roi, tuple) or len(self.roi) != 4:
                got = f"{len(self.roi)} numbers" if isinstance(self.roi, tuple) else f"{self.roi!r:.60}"
                raise ConfigError("sampling.roi", f"got {got}; a region of interest needs 4 numbers: "
                                  "fast_min fast_max slow_min slow_max")
            for edge in self.roi:
                checks.integer("sampling.roi", "an edge of the region of interest", edge)
        if self.mask is not None:
            try:
                mask = np.array(self.mask, dtype=bool, order="C")
            except ValueError:
                raise ConfigError("sampling.mask", "got rows of different lengths; the mask must be [slow, fast]"
                                  ) from None
            if mask.ndim != 2:
                raise ConfigError("sampling.mask", f"got {self.mask!r:.60}; the mask must be an array [slow, fast]")
            mask.setflags(write=False)
            object.__setattr__(self, "mask", mask)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sampling):
            return NotImplemented
        mine, theirs = ({name: value for name, value in vars(part).items() if name != "mask"} for part in (self, other))
        return mine == theirs and same_arrays(self.mask, other.mask)

    def region(self, shape: tuple[int, int]) -> ROI:
        """Return the region of interest on a detector of ``shape`` (slow, fast); last pixels included.

        As in the C program, an edge below 0 counts as not given, and a last edge may be one pixel too large.
        """
        slow, fast = shape
        fast_min, fast_max, slow_min, slow_max = (-1, -1, -1, -1) if self.roi is None else self.roi
        region = (max(fast_min, 0), fast if fast_max < 0 else fast_max,
                  max(slow_min, 0), slow if slow_max < 0 else slow_max)
        if region[0] > region[1] or region[2] > region[3]:
            raise ConfigError("sampling.roi", f"got {self._roi_text()}; each minimum must be <= its maximum")
        if region[0] >= fast or region[2] >= slow or region[1] > fast or region[3] > slow:
            raise ConfigError("sampling.roi", f"got {self._roi_text()}; the region of interest must lie on the "
                              f"detector, 0 to {fast - 1} fast and 0 to {slow - 1} slow")
        return (region[0], min(region[1], fast - 1), region[2], min(region[3], slow - 1))

    def _roi_text(self) -> str:
        return " ".join(str(edge) for edge in self.roi or ())

    def checked_mask(self, shape: tuple[int, int]) -> np.ndarray | None:
        """Return the mask; raise `ConfigError` if its shape is not that of the detector."""
        if self.mask is not None and self.mask.shape != shape:
            raise ConfigError("sampling.mask", f"got a mask of {self.mask.shape[1]} x {self.mask.shape[0]} pixels; "
                              f"the detector has {shape[1]} x {shape[0]}")
        return self.mask

    def subpixels(self, recommended: int) -> int:
        """Return the sub-pixels along each edge: `oversample` if given, else ``recommended``.

        Raises
        ------
        ConfigError
            If none are given and more than `MAX_OVERSAMPLE` are recommended.
        """
        if not self.oversample and recommended > MAX_OVERSAMPLE:
            raise ConfigError("sampling.oversample", "got no number of sub-pixels, and the fringes of this crystal "
                              f"need more than {MAX_OVERSAMPLE} along each edge of a pixel; give -oversample, or fewer "
                              "cells (-N)")
        return self.oversample or recommended

    @staticmethod
    def recommended_oversample(lattice: Lattice, cells: Vector, frame: DetectorFrame, wavelength_m: float,
                               per_fringe: float) -> int:
        """Return the sub-pixels that resolve the finest fringe: ceil(per_fringe size / (lambda distance / pixel))."""
        longest = max(norm(scale(axis, units.ANGSTROM_M)) * count
                      for axis, count in zip((lattice.a, lattice.b, lattice.c), cells, strict=True))
        reciprocal_pixel = wavelength_m * frame.distance / max(frame.pixel_size, frame.slow_pixel_size)
        # Limited to 1e9, because the quotient may be too large for an int, or infinite.
        needed = per_fringe * longest / reciprocal_pixel if reciprocal_pixel > 0.0 else math.inf
        return max(math.ceil(min(needed, 1e9)), 1)

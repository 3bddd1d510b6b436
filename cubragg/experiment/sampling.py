"""How finely and where the image is sampled: sub-pixels, region, mask, resolution cut."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from cubragg import checks, units
from cubragg.crystallography.vectors import Vector, norm, scale
from cubragg.errors import ConfigError
from cubragg.experiment.conventions import DetectorFrame
from cubragg.experiment.crystal import Lattice
from cubragg.experiment.panel import same_arrays

ROI = tuple[int, int, int, int]
MAX_OVERSAMPLE = 1000


@dataclass(frozen=True, eq=False)
class Sampling:
    """Sampling of the image.

    Attributes
    ----------
    oversample
        Sub-pixels along each edge of a pixel; ``None``: chosen from crystal size and pixel.
    oversample_thick, oversample_polar, oversample_omega
        Multiply the running sum by capture fraction, polarization, solid angle after
        each term (nanobragg semantics); they change nothing in physical semantics.
    roi
        fast_min, fast_max, slow_min, slow_max [pixel], both ends included; ``None``: everything.
    mask
        bool [slow, fast]; False pixels are skipped and stay 0.
    dmin_A
        Sources whose resolution at a sub-pixel is finer than this are skipped there [A]; 0: none.
    interpolate
        Tricubic interpolation of structure factors; ``None``: where the crystal has an axis of at most 2 cells.
    water_um
        Edge of a cube of water in the beam [um]; adds a flat background.
    """

    oversample: int | None = None
    oversample_thick: bool = False
    oversample_polar: bool = False
    oversample_omega: bool = False
    roi: ROI | None = None
    mask: np.ndarray | None = field(default=None, repr=False)
    dmin_A: float = 0.0
    interpolate: bool | None = None
    water_um: float = 0.0

    def __post_init__(self) -> None:
        checks.integer("sampling.oversample", "oversampling", self.oversample, optional=True,
                       at_least=0, at_most=MAX_OVERSAMPLE)
        checks.number("sampling.dmin_A", "dmin", self.dmin_A, "A", at_least=0.0)
        checks.number("sampling.water_um", "the water size", self.water_um, "um", at_least=0.0)
        if self.roi is not None:
            for edge in self.roi:
                checks.integer("sampling.roi", "an edge of the region", edge)
            if len(self.roi) != 4:
                raise ConfigError("sampling.roi", f"got {len(self.roi)} numbers; a region needs 4")
        if self.mask is not None:
            mask = np.array(self.mask, dtype=bool, order="C")
            mask.setflags(write=False)
            object.__setattr__(self, "mask", mask)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sampling):
            return NotImplemented
        mine, theirs = ({name: value for name, value in vars(part).items() if name != "mask"} for part in (self, other))
        return mine == theirs and same_arrays(self.mask, other.mask)

    def region(self, shape: tuple[int, int]) -> ROI:
        """The region inside a detector of ``shape`` (slow, fast); last pixels included.

        An edge below 0 is unset, as in the C program, where the last edge may also stand one too far.
        """
        slow, fast = shape
        fast_min, fast_max, slow_min, slow_max = (-1, -1, -1, -1) if self.roi is None else self.roi
        region = (max(fast_min, 0), fast if fast_max < 0 else fast_max,
                  max(slow_min, 0), slow if slow_max < 0 else slow_max)
        if region[0] > region[1] or region[2] > region[3]:
            raise ConfigError("sampling.roi", f"got {self._roi_text()}; each minimum must be <= its maximum")
        if region[0] >= fast or region[2] >= slow or region[1] > fast or region[3] > slow:
            raise ConfigError("sampling.roi", f"got {self._roi_text()}; the region must lie on the detector, "
                              f"0 to {fast - 1} fast and 0 to {slow - 1} slow")
        return (region[0], min(region[1], fast - 1), region[2], min(region[3], slow - 1))

    def _roi_text(self) -> str:
        return " ".join(str(edge) for edge in self.roi or ())

    def checked_mask(self, shape: tuple[int, int]) -> np.ndarray | None:
        """The mask, once it is known to fit the detector."""
        if self.mask is not None and self.mask.shape != shape:
            raise ConfigError("sampling.mask", f"got a mask of {self.mask.shape[1]} x {self.mask.shape[0]} pixels; "
                              f"the detector has {shape[1]} x {shape[0]}")
        return self.mask

    def subpixels(self, recommended: int) -> int:
        """Sub-pixels along each edge: as given, else as `recommended_oversample` says.

        Raises
        ------
        ConfigError
            If nothing is given and more are recommended than can be rendered in a lifetime.
        """
        if not self.oversample and recommended > MAX_OVERSAMPLE:
            raise ConfigError("sampling.oversample", "none is given, and the fringes of this crystal ask for more than "
                              f"{MAX_OVERSAMPLE} sub-pixels along each edge; give a number, or a smaller crystal")
        return self.oversample or recommended

    @staticmethod
    def recommended_oversample(lattice: Lattice, cells: Vector, frame: DetectorFrame,
                               wavelength_m: float) -> int:
        """Sub-pixels that resolve the finest fringe of the crystal: ceil(3 size / (lambda distance / pixel))."""
        longest = max(norm(scale(axis, units.ANGSTROM_M)) * count
                      for axis, count in zip((lattice.a, lattice.b, lattice.c), cells, strict=True))
        reciprocal_pixel = wavelength_m * frame.distance / max(frame.pixel_size, frame.slow_pixel_size)
        # Beyond what anyone would render the number itself is of no interest, and may not even be finite.
        wanted = 3.0 * longest / reciprocal_pixel if reciprocal_pixel > 0.0 else math.inf
        return max(math.ceil(min(wanted, 1e9)), 1)

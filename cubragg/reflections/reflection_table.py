"""The reflection table of an image: position, photons and partiality of each reflection."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import TYPE_CHECKING

import numpy as np

from cubragg.experiment.panel import Panel
from cubragg.plan.plan import Plan

if TYPE_CHECKING:
    import pandas as pd


class Flags(IntFlag):
    """Flags of a reflection; values are sums of these."""

    OVERLAP = 1  #: more than 5 % of the photons in its pixels, weighted with its own, belong to other reflections
    CUT = 2  #: more than 1 % of its photons are in pixels next to ones that are not rendered, or on the panel's edge
    DIRECT_BEAM = 4  #: 0 0 0
    ENTERING = 8  #: it enters the Ewald sphere with increasing phi (rotation images)


@dataclass(frozen=True, eq=False)
class Orientation:
    """The crystal's orientation in the laboratory.

    Attributes
    ----------
    A, A_mid
        float64 [3, 3], a*, b*, c* in columns [1/A], at phi = 0 and in the middle of the rotation range.
    U, B
        A = U B at phi = 0; B is A of a crystal with a along x and b in the xy plane.
    cell
        a, b, c [A], alpha, beta, gamma [deg].
    misset_deg
        Given rotations about x, y, z [deg], or ``None``.
    """

    A: np.ndarray
    A_mid: np.ndarray
    U: np.ndarray
    B: np.ndarray
    cell: tuple[float, ...]
    misset_deg: tuple[float, ...] | None


@dataclass(frozen=True, eq=False)
class ReflectionTable:
    """The reflections of an image, brightest first.

    Attributes
    ----------
    hkl
        int64 [n, 3].
    panel
        int64 [n], index in ``panels``.
    fast_px, slow_px, fast_mm, slow_mm
        float64 [n], centroid of the expected photons on the panel; the middle of its first pixel is 0.5, 0.5.
    pixel_fast, pixel_slow
        float64 [n], centroid on the panel [pixel] with all photons of a pixel at its middle, as a program that reads
        the image finds it. It differs only for spots narrower than a pixel.
    phi_deg
        float64 [n], mean spindle angle of the expected photons.
    photons, F, partiality, d_A
        float64 [n], expected photons, structure factor [electrons], fraction of the reflection in the image, spacing.
    flags
        int64 [n], see `Flags`.
    beam
        float64 [n, 3], unit vector from crystal to centroid.
    panels, orientation, plan
        The detector, crystal orientation and plan that the columns refer to.
    min_photons
        Reflections with fewer photons are left out.
    fast_sigma_px, slow_sigma_px, phi_sigma_deg
        float64 [n], standard deviations of the expected photons on the panel [pixel] and in the spindle angle [deg];
        ``None`` with the method sampled.
    """

    hkl: np.ndarray
    panel: np.ndarray
    fast_px: np.ndarray
    slow_px: np.ndarray
    fast_mm: np.ndarray
    slow_mm: np.ndarray
    pixel_fast: np.ndarray
    pixel_slow: np.ndarray
    phi_deg: np.ndarray
    photons: np.ndarray
    F: np.ndarray
    partiality: np.ndarray
    d_A: np.ndarray
    flags: np.ndarray
    beam: np.ndarray
    panels: tuple[Panel, ...]
    orientation: Orientation
    plan: Plan
    min_photons: float
    fast_sigma_px: np.ndarray | None = None
    slow_sigma_px: np.ndarray | None = None
    phi_sigma_deg: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.photons)

    @property
    def image_px(self) -> tuple[np.ndarray, np.ndarray]:
        """Centroids in the image, fast and slow [pixel]."""
        offsets = np.array([panel.offset for panel in self.panels], dtype=np.float64)[self.panel]
        return self.fast_px + offsets[:, 0], self.slow_px + offsets[:, 1]

    def __repr__(self) -> str:
        return (f"<cubragg.ReflectionTable {len(self)} reflections, {self.photons.sum():.4g} photons, "
                f"at least {self.min_photons:g} each>")

    def as_dict(self) -> dict[str, np.ndarray]:
        """Return the columns by name, [n] each: h, k, l, panel, positions [pixel], [mm], phi [deg], photons,
        F [electrons], partiality, d [A], and the flags as bool; with the method analytic also standard deviations.
        `specs/truth.md` defines each."""
        image_fast, image_slow = self.image_px
        h, k, l = self.hkl.T  # noqa: E741
        widths = {"fast_sigma": self.fast_sigma_px, "slow_sigma": self.slow_sigma_px, "phi_sigma": self.phi_sigma_deg}
        return {
            "h": h, "k": k, "l": l, "panel": self.panel, "fast": self.fast_px, "slow": self.slow_px,
            "pixel_fast": self.pixel_fast, "pixel_slow": self.pixel_slow,
            "image_fast": image_fast, "image_slow": image_slow, "x": self.fast_mm, "y": self.slow_mm,
            "phi": self.phi_deg, "photons": self.photons, "F": self.F, "partiality": self.partiality, "d": self.d_A,
            **{flag.name.lower(): (self.flags & flag) != 0 for flag in Flags if flag.name},
            **{name: width for name, width in widths.items() if width is not None}}

    def to_pandas(self) -> pd.DataFrame:
        """Return the columns of `as_dict` as a data frame, a row for each reflection.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        import pandas as pd

        return pd.DataFrame(self.as_dict())

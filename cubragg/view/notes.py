"""Text and marks of a figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cubragg.experiment.panel import Panel
from cubragg.view.assembly import Assembly

#: The direct beam is what is nearer to the beam centre than this part of the detector's longer edge.
_BEAM_PART = 40.0


class Spots(NamedTuple):
    """Spots: positions [pixel], float [n] (the centre of pixel i is i + 0.5), and hkl, int [n, 3], if it is known."""

    fast_px: np.ndarray
    slow_px: np.ndarray
    hkl: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Notes:
    """Text and marks of a figure.

    Attributes
    ----------
    title, facts
        The two lines above the image.
    unit
        Unit of the values.
    resolution_A
        d of each pixel [A], float [slow, fast], for rings; NaN between panels. ``None``: no rings.
    beam_px
        Beam centre along fast and slow [pixel]; ``None``: not known.
    spots
        Spots that are circled; ``None``: none.
    zoom
        Whether the brightest spot is shown enlarged.
    assembly
        The panels as they lie in space; ``None``: the image is drawn as it is stored.
    panels
        Placed panels, if they are known.
    pixel_mm
        Smallest edge of a pixel [mm]; 0: not known.
    """

    title: str = ""
    facts: str = ""
    unit: str = "photons/pixel"
    resolution_A: np.ndarray | None = None
    beam_px: tuple[float, float] | None = None
    spots: Spots | None = None
    zoom: bool = False
    assembly: Assembly | None = None
    panels: tuple[Panel, ...] = ()
    pixel_mm: float = 0.0

    @property
    def marked(self) -> bool:
        """Whether the picture is a figure, with more than the pixels."""
        return self.resolution_A is not None or self.spots is not None or self.zoom

    def near_beam(self, shape: tuple[int, ...]) -> np.ndarray | None:
        """Return the pixels of the direct beam, bool [slow, fast]; ``None`` if the beam centre is not known."""
        if self.assembly is not None:
            return self.assembly.near_beam(max(self.assembly.size_mm) / _BEAM_PART)
        if self.beam_px is None:
            return None
        rows, columns = np.ogrid[:shape[0], :shape[1]]
        return np.hypot(columns + 0.5 - self.beam_px[0], rows + 0.5 - self.beam_px[1]) <= max(shape) / _BEAM_PART

"""What image files hold besides pixels."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from cubragg.experiment.conventions import DetectorFrame
from cubragg.experiment.panel import Panel
from cubragg.io.images.image_panels import facing_frame


@dataclass(frozen=True)
class Scene:
    """The experiment of one image, or of the first one of a series.

    Attributes
    ----------
    panels, frame
        The placed panels; and the detector as placed, with the directions of beam, spindle and polarization.
    live
        bool [slow, fast]; False pixels are gaps or masked.
    wavelength_A
        Wavelength [A].
    start_deg, range_deg
        Spindle at the start of the first image, and how far it turns in each [deg]; a range of 0 makes stills.
    exposure_s
        Exposure of an image [s].
    timestamp
        When the first image was made.
    flux, beamsize_m
        Photons/s and edge of the beam [m]; ``None``: not known.
    kahn_factor
        Polarization along the beam's own polarization axis, -1 to 1; ``None``: not polarized.
    counts_per_photon
        What photons were multiplied by.
    trusted
        Lowest and highest count to trust; ``None``: all that the type of the pixels can hold.
    """

    panels: tuple[Panel, ...]
    frame: DetectorFrame
    live: np.ndarray
    wavelength_A: float
    start_deg: float
    range_deg: float
    exposure_s: float
    timestamp: datetime
    flux: float | None = None
    beamsize_m: float | None = None
    kahn_factor: float | None = None
    counts_per_photon: float = 1.0
    trusted: tuple[float, float] | None = None
    curved: bool = False

    def facing(self) -> DetectorFrame:
        """The detector as one flat picture that faces the beam.

        Raises
        ------
        FormatError
            If it is none, saying why.
        """
        return facing_frame(self.panels, self.frame.laboratory, rotating=self.range_deg > 0.0)

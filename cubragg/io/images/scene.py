"""The description of an image that its file contains besides pixels."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from cubragg.errors import FormatError
from cubragg.experiment.detector_frame import DetectorFrame
from cubragg.experiment.goniometer_axes import GoniometerAxis
from cubragg.experiment.panel import Panel
from cubragg.experiment.spectrum_channels import Channel
from cubragg.io.images.image_panels import facing_frame


@dataclass(frozen=True)
class Scene:
    """The experiment of an image, or of the first image of a series, as file headers need it.

    Attributes
    ----------
    panels, frame
        Placed panels, and the geometry of the detector with the directions of beam, spindle and polarization.
    live
        bool [slow, fast]; False pixels are gaps or masked.
    wavelength_A
        Wavelength [A].
    start_deg, range_deg
        Spindle angle at the start of the first image, and rotation range of each image [deg]; 0 for stills.
    exposure_s
        Exposure of an image [s].
    timestamp
        Time of the first image.
    flux, beamsize_m
        Photons/s and edge of the beam [m]; ``None``: not known.
    kahn_factor
        Polarization along the polarization axis of the beam, -1 to 1; ``None``: not polarized.
    counts_per_photon
        Factor from photons to counts.
    trusted
        Lowest and highest trusted count; ``None``: the range of the type of pixels.
    curved
        Whether the detector is curved.
    axes, scan_axis
        Axes of a goniometer that has several, from the crystal outwards, and the name of the one that turns.
    channels
        The spectrum, in physical semantics.
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
    axes: tuple[GoniometerAxis, ...] = ()
    scan_axis: str | None = None
    channels: tuple[Channel, ...] = ()

    def facing(self) -> DetectorFrame:
        """Return the geometry of the detector as one flat image that faces the beam.

        Raises
        ------
        FormatError
            If the panels do not form such an image; the message has the reason.
        """
        if self.curved:
            raise FormatError("got a curved detector")
        return facing_frame(self.panels, self.frame.laboratory, rotating=self.range_deg > 0.0)

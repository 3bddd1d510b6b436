"""An image that was read from a file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cubragg import units
from cubragg.errors import ConfigError
from cubragg.experiment.experiment_parts import ExperimentParts
from cubragg.run.image import Image

if TYPE_CHECKING:
    from cubragg.io.images.scene import Scene
    from cubragg.reflections.reflection_table import ReflectionTable


@dataclass(frozen=True, eq=False, repr=False)
class FileImage(Image):
    """An image that `cubragg.read` has read from a file.

    Attributes
    ----------
    photons
        Pixels less ``pedestal``, float32 [slow, fast]; 0 in pixels that the file marks as not measured.
    experiment
        What the header of the file describes.
    path, form
        The file, and the name of its format.
    pixels
        Pixels of the type in the file [slow, fast].
    mask
        Measured pixels, bool [slow, fast]; ``None``: all.
    read_warnings
        Warnings about the file.
    pedestal
        What was added to each pixel, by the header of an SMV file (IMAGE_PEDESTAL). nanoBragg's headers, which do not
        have this key, leave it 0.
    """

    photons: np.ndarray
    experiment: ExperimentParts
    path: str
    form: str
    pixels: np.ndarray
    mask: np.ndarray | None = None
    read_warnings: tuple[str, ...] = ()
    pedestal: float = 0.0

    def reflections(self, min_photons: float = 1.0) -> ReflectionTable:
        """Raise `ConfigError`: the file has no structure factors."""
        raise ConfigError("reflections", f"got the image of {self.path}, which has no structure factors; "
                          "predict(image.experiment.complete(structure_factors, crystal)) lists its reflections")

    def scene(self) -> Scene | None:
        """Metadata of the image for file headers and pictures; ``None`` if the header has no geometry."""
        beam, detector, goniometer = self.experiment.beam, self.experiment.detector, self.experiment.goniometer
        if beam is None or detector is None:
            return None
        from cubragg.experiment.conventions import Directions
        from cubragg.io.files.timestamp import timestamp
        from cubragg.io.images.image_panels import trusted_of
        from cubragg.io.images.scene import Scene

        spindle = goniometer.axis if goniometer is not None else None
        placed = detector.placed(Directions(beam.direction, beam.polarization_axis, spindle))
        width = goniometer.sweep().width if goniometer is not None and goniometer.osc_deg is not None else 0.0
        return Scene(
            placed.panels, placed.frame, np.ones(self.photons.shape, dtype=bool) if self.mask is None else self.mask,
            beam.wavelength_A, goniometer.phi_deg if goniometer else 0.0, units.deg_from_rad(width), beam.exposure_s,
            timestamp(), kahn_factor=beam.kahn_factor if beam.polarized else None,
            trusted=trusted_of(placed.panels))

    def drawn_counts(self, seed: int) -> np.ndarray:
        """Pixels of a file with integers less the pedestal, or else counts with Poisson noise around them."""
        from cubragg.detect.noise import noise_counts

        if self.pixels.dtype.kind in "iu":
            pixels = self.pixels - np.int32(round(self.pedestal)) if self.pedestal else self.pixels
            return pixels if self.mask is None else np.where(self.mask, pixels, 0)
        slow, fast = self.photons.shape
        return noise_counts(self.photons, (0, fast - 1, 0, slow - 1), seed)

    @property
    def live(self) -> np.ndarray | None:
        """Measured pixels, bool [slow, fast]; ``None``: all."""
        return self.mask

    @property
    def title(self) -> str:
        """First line of a plot."""
        return self.path

    def _facts(self) -> str:
        geometry = "with" if self.experiment.detector is not None else "without"
        return f"{self.form} {self.path}, {self.pixels.dtype}, {geometry} a geometry"

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about the file and its header."""
        return (*self.read_warnings, *self.experiment.warnings)

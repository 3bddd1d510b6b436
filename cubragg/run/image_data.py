"""What files and pictures take from an image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from cubragg.detect.stored_pixels import PixelType
    from cubragg.io.images.scene import Scene


class ImageData(ABC):
    """Pixels of an image, and what is known of them.

    Attributes
    ----------
    photons
        As those of `Image`.
    """

    photons: np.ndarray

    @abstractmethod
    def scene(self) -> Scene | None:
        """Metadata of the image for file headers and pictures; ``None`` if the geometry is not known."""

    @abstractmethod
    def drawn_counts(self, seed: int) -> np.ndarray:
        """Counts [slow, fast] of any real type, not limited to a type of integers."""

    @property
    def on_host(self) -> np.ndarray:
        """The photons as a NumPy array."""
        return self.photons if isinstance(self.photons, np.ndarray) else self.photons.get()

    def stored_type(self, kind: PixelType) -> PixelType:
        """Return the type of pixels of a format as it stores the counts of this image."""
        return kind

    @property
    @abstractmethod
    def live(self) -> np.ndarray | None:
        """Pixels with a value, bool [slow, fast]; ``None``: all."""

    @property
    @abstractmethod
    def title(self) -> str:
        """First line of a plot."""

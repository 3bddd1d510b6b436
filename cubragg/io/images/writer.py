"""Interface and list of the image writers, by the suffix of the file name.

A format is a class in a module of this folder with the members of `Writer`, and an entry in `WRITERS`, from which
``Image.save`` of Python and ``--save`` of the command line select it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np

from cubragg.detect.stored_pixels import PixelType
from cubragg.errors import FormatError

if TYPE_CHECKING:
    from cubragg.io.images.scene import Scene

#: Quantity that is written: photon counts, or expected photons.
What = Literal["counts", "photons"]


class Writer(Protocol):
    """Writer of images of a scene to files of one format.

    Created as ``Writer(scene, **options)`` with options of the format, such as the header convention.

    Attributes
    ----------
    title
        The format in messages: "a CBF image".
    holds_series
        Whether one file contains all images of a series; otherwise there is a file for each image.
    perpendicular
        Whether oblique panels are written with the nearest perpendicular axes, of which the user is warned.
    offset
        Number that is added to each pixel before it is written.
    live
        bool [slow, fast]; pixels where it is False are written as ``pixel_type(what).absent``.
    """

    title: ClassVar[str]
    holds_series: ClassVar[bool]
    perpendicular: ClassVar[bool]
    offset: float

    @property
    def live(self) -> np.ndarray: ...

    def __init__(self, scene: Scene, **options: Any) -> None: ...

    def check(self) -> None:
        """Raise `FormatError` with the reason if the format cannot describe the scene."""

    def pixel_type(self, what: What) -> PixelType:
        """Return the type of pixels for counts or expected photons; raise `FormatError` if the format has none."""

    def open(self, path: Path | str, images: int, type_name: str) -> None:
        """Start a file for a number of images with a type of pixels."""

    def append(self, pixels: np.ndarray) -> None:
        """Append an image [slow, fast], as returned by `stored_pixels`."""

    def close(self, keep: bool = True) -> bool:
        """Finish the file with the images so far, or remove it; return whether there is a file."""


class OneImageWriter(ABC):
    """Base of writers with one image per file: ``_write`` writes a complete file or none."""

    holds_series: ClassVar[bool] = False
    perpendicular: ClassVar[bool] = False
    offset = 0.0

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._path: Path | str = ""

    @property
    def live(self) -> np.ndarray:
        """Pixels of the scene."""
        return self.scene.live

    def check(self) -> None:  # noqa: B027 - most formats hold pixels only, and refuse nothing
        """Accept every scene: a format with pixels only does not describe it."""

    def open(self, path: Path | str, images: int, type_name: str) -> None:
        """Set the path of the file."""
        if images != 1:
            raise ValueError(f"got {images} images; a file of this format has one")
        self._path = path

    def append(self, pixels: np.ndarray) -> None:
        """Write the file with this image."""
        self._write(self._path, pixels)

    def close(self, keep: bool = True) -> bool:
        """Return ``keep``: `append` has written the file."""
        return keep

    @abstractmethod
    def _write(self, path: Path | str, pixels: np.ndarray) -> None:
        """Write a file, whole or not at all."""


#: Suffix -> module of this folder and class.
WRITERS: Mapping[str, str] = MappingProxyType({
    ".cbf": "cbf:CbfWriter",
    ".img": "smv:SmvWriter",
    ".nxs": "nxmx:NxmxImageWriter",
    ".h5": "nxmx:NxmxImageWriter",
    ".tif": "tiff:TiffWriter",
    ".tiff": "tiff:TiffWriter",
    ".npy": "npy:NpyWriter",
    ".bin": "raw:FloatWriter",
})


def writer_class(path: Path | str) -> type[Writer]:
    """Return the writer for a file, by the suffix of its name.

    Raises
    ------
    FormatError
        If the suffix is not in `WRITERS`.
    """
    ending = Path(path).suffix.lower()
    if ending not in WRITERS:
        raise FormatError(f"{path}: got a name without the suffix of an image format; accepted are "
                          f"{', '.join(WRITERS)}")
    return writer_of(ending)


def writer_of(ending: str) -> type[Writer]:
    """Return the writer of a suffix, a key of `WRITERS`."""
    module, name = WRITERS[ending].split(":")
    found: type[Writer] = getattr(import_module(f"cubragg.io.images.{module}"), name)
    return found

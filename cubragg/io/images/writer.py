"""The formats that images are written in, by the ending of a file's name.

A format is a class in a module of this folder with the members of `Writer`, and a line in `WRITERS`. Python's
``Image.save`` and the command line's ``--save`` find it there.
"""

from __future__ import annotations

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

#: What pixels are: photon counts, or expected photons.
What = Literal["counts", "photons"]


class Writer(Protocol):
    """Writes images of a scene to files of one format.

    Made as ``Writer(scene, **options)``; options are those of the format, such as a flavor of header.

    Attributes
    ----------
    title
        The format in messages: "a CBF image".
    holds_series
        Whether one file holds all images of a series; else each image gets a file.
    offset
        What is added to each pixel before it is written.
    live
        bool [slow, fast]; pixels where it is False are written as ``pixel_type(what).absent``.
    """

    title: ClassVar[str]
    holds_series: ClassVar[bool]
    offset: float

    @property
    def live(self) -> np.ndarray: ...

    def __init__(self, scene: Scene, **options: Any) -> None: ...

    def check(self) -> None:
        """Raise `FormatError` if the format cannot describe the scene, naming what it cannot describe."""

    def pixel_type(self, what: What) -> PixelType:
        """How the format stores counts or expected photons; `FormatError` if it does not store them."""

    def open(self, path: Path | str, images: int, type_name: str) -> None:
        """Start a file for so many images with pixels of a type."""

    def append(self, pixels: np.ndarray) -> None:
        """Add an image [slow, fast], as `stored_pixels` makes it."""

    def close(self, keep: bool = True) -> bool:
        """Finish the file with the images that it has, or remove it; return whether there is a file."""


class OneImageWriter:
    """A writer whose files hold one image each: ``_write`` writes a file whole or not at all."""

    holds_series: ClassVar[bool] = False
    offset = 0.0

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._path: Path | str = ""

    @property
    def live(self) -> np.ndarray:
        """The scene's."""
        return self.scene.live

    def check(self) -> None:
        """Formats that hold nothing but pixels describe every scene."""

    def open(self, path: Path | str, images: int, type_name: str) -> None:
        """Remember the file's name."""
        if images != 1:
            raise ValueError(f"a file of this format holds 1 image, not {images}")
        self._path = path

    def append(self, pixels: np.ndarray) -> None:
        """Write the file."""
        self._write(self._path, pixels)

    def close(self, keep: bool = True) -> bool:
        """The file is complete."""
        return keep

    def _write(self, path: Path | str, pixels: np.ndarray) -> None:
        raise NotImplementedError


#: Ending -> module of this folder and class.
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
    """The writer for a file, by the ending of its name.

    Raises
    ------
    FormatError
        For an ending of no format.
    """
    ending = Path(path).suffix.lower()
    if ending not in WRITERS:
        raise FormatError(f"{path}: got a name without the ending of an image format; {', '.join(WRITERS)} are "
                          "accepted")
    return writer_of(ending)


def writer_of(ending: str) -> type[Writer]:
    """The writer of an ending, a key of `WRITERS`."""
    module, name = WRITERS[ending].split(":")
    found: type[Writer] = getattr(import_module(f"cubragg.io.images.{module}"), name)
    return found

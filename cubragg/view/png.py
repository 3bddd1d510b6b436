"""Write PNG pictures of images: a pixel for each pixel, or panels as they lie in space."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from cubragg.errors import ConfigError
from cubragg.io.files.atomic import atomic_path
from cubragg.view.assembly import Assembly
from cubragg.view.colours import Style, levels, limits, paint, shrunk, without_beam, without_masked

#: Images with a longer edge [pixel] are shrunk; a Pilatus 6M fits.
LONGEST_EDGE = 3000


#: Endings of pictures that matplotlib draws with lines and text instead of pixels.
_VECTOR = (".svg", ".pdf")


def is_vector(path: Path | str) -> bool:
    """Return whether a picture of this name is SVG or PDF."""
    return Path(path).suffix.lower() in _VECTOR


def check_name(path: Path | str, flag: str = "--png") -> None:
    """Refuse a name with the ending of another format; names without an ending, such as devices, are PNG files.

    Raises
    ------
    ConfigError
        Naming ``flag``.
    """
    if Path(path).suffix.lower() not in ("", ".png", *_VECTOR):
        raise ConfigError(flag, f"got {str(path)!r}; pictures are PNG, SVG or PDF files, a name that ends in .png, "
                          ".svg or .pdf is accepted")


def picture(image: np.ndarray, style: Style | None = None, mask: np.ndarray | None = None,
            longest_edge: int = LONGEST_EDGE, *, assembly: Assembly | None = None,
            beam: np.ndarray | None = None) -> np.ndarray:
    """Return colours uint8 [slow, fast, 3] of an image [slow, fast], assembled in space with ``assembly``.

    The pixels where ``beam`` is True do not influence the scale. Pixels where ``mask`` is False, and NaN, have a colour
    that no value has. inf has the colour of the upper end of the scale, negative pixels that of the lower end.
    """
    style = style or Style()
    values = without_masked(image, mask)
    ends = limits(without_beam(values, beam), style)
    small = shrunk(values, longest_edge)[0] if assembly is None else assembly.shown(values, longest_edge)
    return paint(levels(small, ends, style.scale), style.colours)


def png_bytes(colours: np.ndarray) -> bytes:
    """Return colours uint8 [slow, fast, 3] as a PNG file, first pixel top left; greys as a greyscale file."""
    from PIL import Image

    red = colours[..., 0]
    is_grey = all(np.array_equal(red, colours[..., channel]) for channel in (1, 2))
    stream = io.BytesIO()
    Image.fromarray(red if is_grey else colours).save(stream, format="PNG")
    return stream.getvalue()


def write_png(path: Path | str, image: np.ndarray, style: Style | None = None, mask: np.ndarray | None = None, *,
              assembly: Assembly | None = None, beam: np.ndarray | None = None) -> None:
    """Write the `picture` of an image [slow, fast].

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(png_bytes(picture(image, style, mask, assembly=assembly, beam=beam)))

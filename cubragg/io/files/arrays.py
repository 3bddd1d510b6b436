"""Checks type and shape of an image before it is written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cubragg.errors import FormatError

if TYPE_CHECKING:
    from numpy.typing import DTypeLike


def checked_image(path: Path | str, image: np.ndarray, dtype: DTypeLike, form: str) -> np.ndarray:
    """``image`` [slow, fast] in C order, of the pixel type ``dtype`` that the format ``form`` stores.

    Raises
    ------
    FormatError
        If the image has another type, is not two-dimensional or is empty. Writers do not
        convert types silently, since a cast can wrap or cut values.
    """
    image = np.asarray(image)
    if image.dtype != dtype or image.ndim != 2 or image.size == 0:
        raise FormatError(f"{path}: got a {image.dtype} array of shape {image.shape}; "
                          f"{form} holds {np.dtype(dtype)} pixels [slow, fast]")
    return np.ascontiguousarray(image)

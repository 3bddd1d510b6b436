"""PNG previews."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cubragg.io.atomic import atomic_path

#: Percentile of the positive pixels that is shown black.
BLACK_PERCENTILE = 99.5


def preview(photons: np.ndarray) -> np.ndarray:
    """Gray levels uint8 [slow, fast]: zero is white, the 99.5th percentile of the positive pixels black.

    In between the square root decides. Bragg peaks span decades, so a linear scale
    shows only the strongest; a root keeps weak spots apart from background, and
    counting noise then has the same contrast everywhere. The percentile is there
    for the few brightest pixels, which would bleach all others. Negative pixels
    and NaN are white, inf is black, an image without positive pixels is white.
    """
    values = np.nan_to_num(np.asarray(photons, dtype=np.float64), nan=0.0, posinf=np.inf, neginf=0.0)
    positive = values[(values > 0.0) & np.isfinite(values)]
    black = np.percentile(positive, BLACK_PERCENTILE, method="lower") if positive.size else 1.0
    return np.rint(255.0 * (1.0 - np.sqrt(np.clip(values, 0.0, black) / black))).astype(np.uint8)


def write_png(path: Path | str, photons: np.ndarray) -> None:
    """Write a `preview` of photons [slow, fast] as a gray PNG, first pixel top left.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    from PIL import Image

    with atomic_path(path) as temporary:
        Image.fromarray(preview(photons)).save(temporary, format="PNG")

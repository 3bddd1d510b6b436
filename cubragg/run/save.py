"""Writes an image in the format of a file's suffix."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cubragg.detect.noise import noise_counts
from cubragg.detect.stored_pixels import stored_pixels
from cubragg.errors import FormatError
from cubragg.experiment.experiment import Experiment
from cubragg.io.images.writer import What, writer_class
from cubragg.plan.plan import Plan
from cubragg.run.image_scene import scene_of


def save_image(photons: np.ndarray, experiment: Experiment, plan: Plan, path: Path | str, seed: int, what: What
               ) -> None:
    """Write an image to a file; see `Image.save`."""
    if what not in ("counts", "photons"):
        raise FormatError(f"what: got {what!r}; counts and photons are accepted")
    if Path(path).suffix.lower() == ".png":
        from cubragg.view.png import write_png

        write_png(path, photons, mask=plan.mask)
        return
    writer = writer_class(path)(scene_of(experiment, plan))
    try:
        kind = writer.pixel_type(what)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from None
    try:
        writer.check()
    except FormatError as error:
        raise FormatError(f"{path}: {error}, which {writer.title} cannot describe; .tif and .npy store pixels without "
                          "a geometry") from None
    values = photons if what == "photons" else noise_counts(photons, plan.roi, seed)
    pixels = stored_pixels(values, kind, writer.live, offset=writer.offset, where=str(path))
    writer.open(path, 1, kind.name)
    try:
        writer.append(pixels)
    except BaseException:
        writer.close(keep=False)
        raise
    writer.close()

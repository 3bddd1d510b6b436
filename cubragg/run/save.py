"""Writes an image, and its geometry, in the format of a file's suffix."""

from __future__ import annotations

import warnings
from pathlib import Path

from cubragg import checks
from cubragg.detect.stored_pixels import stored_pixels
from cubragg.errors import CubraggWarning, FormatError
from cubragg.experiment.experiment import Experiment
from cubragg.io.geometry import described_images
from cubragg.io.geometry.experiment_models import models_of
from cubragg.io.images.writer import What, writer_class
from cubragg.io.perpendicular import obliqueness
from cubragg.run.image_data import ImageData


def save_image(image: ImageData, path: Path | str, seed: int, what: What) -> None:
    """Write an image to a file; see `Image.save`."""
    checks.choice("what", "the content of the file", what, ("counts", "photons"))
    if Path(path).suffix.lower() == ".png":
        from cubragg.run.plot import notes_of
        from cubragg.view.colours import Style
        from cubragg.view.figure import write_picture

        write_picture(path, image.on_host, Style(), notes_of(image), image.live)
        return
    scene = image.scene()
    if scene is None:
        raise FormatError(f"{path}: the geometry of {image.title} is not known; only .png shows such an image")
    writer = writer_class(path)(scene)
    try:
        kind = writer.pixel_type(what)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from None
    try:
        writer.check()
    except FormatError as error:
        raise FormatError(f"{path}: {error}, which {writer.title} cannot describe; .tif and .npy store pixels without "
                          "a geometry") from None
    changed = obliqueness(scene.panels) if writer.perpendicular else None
    if changed:
        warnings.warn(f"{path}: {changed}", CubraggWarning, stacklevel=3)  # of the caller of Image.save
    values = image.on_host if what == "photons" else image.drawn_counts(seed)
    if what == "counts":
        kind = image.stored_type(kind)
    pixels = stored_pixels(values, kind, writer.live, offset=writer.offset, where=str(path))
    writer.open(path, 1, kind.name)
    try:
        writer.append(pixels)
    except BaseException:
        writer.close(keep=False)
        raise
    writer.close()


def save_geometry(experiment: Experiment, path: Path | str, image: Path | str | None) -> None:
    """Write the geometry of an image for other programs; see `SimulatedImage.save_geometry`."""
    kind = described_images.kind_of(path)
    images = described_images.DescribedImages()
    if image is not None:
        suffix = Path(image).suffix.lower()
        detector = described_images.XDS_DETECTORS.get(suffix)
        if detector is None:
            raise FormatError(f"image: got {str(image)!r}; .nxs, .h5, .cbf and .img are accepted")
        images = described_images.DescribedImages(str(image), detector, described_images.highest_of(suffix),
                                                  writer_class(image).holds_series)
    described_images.write_text(path, described_images.text_of(kind, str(path), models_of(experiment), images))

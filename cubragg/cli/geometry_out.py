"""Describe the image of a run for other programs: ``--expt``, ``--geom``, ``--cell-file``, ``--xds-inp``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cubragg.cli import formats
from cubragg.io.geometry.described_images import (
    KINDS,
    XDS_DETECTORS,
    DescribedImages,
    highest_of,
    text_of,
    write_text,
)
from cubragg.io.geometry.experiment_models import models_of

if TYPE_CHECKING:
    from cubragg.cli.build import Job, Output, Settings

#: Kinds of images that other programs read, the best supported first.
_READ = ("nxmx", "cbf", "save", "noise", "int")


def texts(job: Job, targets: Mapping[str, Output], images: int | None = None) -> dict[str, str]:
    """Return the contents of the files of these kinds among ``targets``, the files of the first image.

    ``images`` is the number of images of a series that was ended; ``None``: all.

    Raises
    ------
    ConfigError
        For a detector that none of these files can describe.
    FormatError
        For a detector that the format of a file cannot describe.
    """
    wanted = [kind for kind in KINDS if kind in targets]
    if not wanted:
        return {}
    with job.replay.naming():
        models = models_of(job.experiment)
    if models.scan is not None:
        models = replace(models, scan=replace(models.scan, images=images or job.settings.images))
    images_ = _described(job.settings, targets)
    return {kind: text_of(kind, targets[kind].provenance, models, images_) for kind in wanted}


def _described(settings: Settings, targets: Mapping[str, Output]) -> DescribedImages:
    for kind in (kind for kind in _READ if kind in targets):
        path = targets[kind].path
        ending = formats.ENDINGS.get(kind, ".img") or Path(path).suffix.lower()
        if ending in XDS_DETECTORS:
            whole = formats.holds_series(kind, targets[kind])
            return DescribedImages(path, XDS_DETECTORS[ending], _highest(ending, settings), whole)
    return DescribedImages()


def _highest(ending: str, settings: Settings) -> int:
    """Return the largest count that a file of this ending holds."""
    from cubragg.io.images.nxmx import TYPES

    highest = highest_of(ending)
    return highest if ending in (".img", ".cbf") else int(min(TYPES[settings.nxmx_type].highest, highest))


def write(target: Output, text: str) -> None:
    """Write a file of these kinds.

    Raises
    ------
    CubraggError
        If it cannot be written.
    """
    with formats.naming_file(target):
        write_text(target.path, text)


def warnings(job: Job, targets: Mapping[str, Output]) -> Iterator[str]:
    """Yield warnings about what the files cannot describe."""
    count = len(job.experiment.placed().panels)
    if "expt" in targets and count > 1 and "nxmx" not in targets:
        yield (f"{targets['expt'].provenance}: DIALS predicts with its {count} panels, but reads SMV and miniCBF "
               "images as a single panel; --nxmx keeps the panels")

"""Describe the image of a run for other programs: ``--expt``, ``--geom``, ``--cell-file``, ``--xds-inp``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cubragg.cli import formats
from cubragg.detect.quantize import MAX_COUNT
from cubragg.io.geometry.experiment_models import ExperimentModels, cell_of, models_of

if TYPE_CHECKING:
    from cubragg.cli.build import Job, Output, Settings

KINDS = ("expt", "geom", "cell", "xds")
#: Kinds of images that other programs read, the best supported first.
_READ = ("nxmx", "cbf", "save", "noise", "int")
#: Ending of an image file -> the detector whose files XDS reads like it.
_XDS_DETECTORS = {".nxs": "EIGER", ".h5": "EIGER", ".cbf": "PILATUS", ".img": "ADSC"}
_MAX_SMV = 2**16 - 1


class _Images(NamedTuple):
    """The images that the files describe: the file of the first one (``None``: not written), the detector for XDS,
    the largest count of a pixel, and whether one file holds all images."""

    path: str | None = None
    detector: str = "PILATUS"
    highest: int = MAX_COUNT
    whole: bool = False


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
    return {kind: _text(kind, targets[kind].provenance, models, images_) for kind in wanted}


def _described(settings: Settings, targets: Mapping[str, Output]) -> _Images:
    for kind in (kind for kind in _READ if kind in targets):
        path = targets[kind].path
        ending = formats.ENDINGS.get(kind, ".img") or Path(path).suffix.lower()
        if ending in _XDS_DETECTORS:
            whole = formats.holds_series(kind, targets[kind])
            return _Images(path, _XDS_DETECTORS[ending], _highest(ending, settings), whole)
    return _Images()


def _highest(ending: str, settings: Settings) -> int:
    """Return the largest count that a file of this ending holds."""
    from cubragg.io.images.nxmx import TYPES

    if ending == ".img":
        return _MAX_SMV
    return MAX_COUNT if ending == ".cbf" else int(min(TYPES[settings.nxmx_type].highest, MAX_COUNT))


def write(target: Output, text: str) -> None:
    """Write a file of these kinds; names in it that are no UTF-8 keep their bytes.

    Raises
    ------
    CubraggError
        If it cannot be written.
    """
    from cubragg.io.files.atomic import write_bytes

    with formats.naming_file(target):
        write_bytes(target.path, text.encode("utf-8", "surrogateescape"))


def warnings(job: Job, targets: Mapping[str, Output]) -> Iterator[str]:
    """Yield warnings about what the files cannot describe."""
    count = len(job.experiment.placed().panels)
    if "expt" in targets and count > 1 and "nxmx" not in targets:
        yield (f"{targets['expt'].provenance}: DIALS predicts with its {count} panels, but reads SMV and miniCBF "
               "images as a single panel; --nxmx keeps the panels")


def _text(kind: str, provenance: str, models: ExperimentModels, images: _Images) -> str:
    from cubragg.io.geometry import crystfel_out, expt_out, xds_inp
    from cubragg.io.images.image_panels import trusted_of

    if kind == "expt":
        return expt_out.expt_text(provenance, models, image=images.path, trusted=(-1.0, float(images.highest)))
    if kind == "geom":
        return crystfel_out.geom_text(provenance, models, data=crystfel_out.NXMX_DATA if images.whole else None)
    if kind == "cell":
        assert models.crystal is not None
        return crystfel_out.cell_text(cell_of(models.crystal))
    trusted = trusted_of(models.panels)
    overload = images.highest if trusted is None else int(min(trusted[1], images.highest))
    return xds_inp.xds_inp_text(provenance, models,
                                xds_inp.Data(images.path, images.detector, 0, overload, images.whole))

"""Texts that describe images for other programs: ``.expt``, ``.geom``, ``.cell`` and ``XDS.INP``."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from cubragg.detect.quantize import MAX_COUNT
from cubragg.errors import FormatError
from cubragg.io.geometry.experiment_models import ExperimentModels, cell_of
from cubragg.io.images.image_panels import trusted_of

#: Suffix of a text -> its kind.
_KIND_OF = {".expt": "expt", ".geom": "geom", ".cell": "cell", ".inp": "xds"}
KINDS = tuple(_KIND_OF.values())
#: Suffix of an image file -> the detector whose files XDS reads like it.
XDS_DETECTORS = {".nxs": "EIGER", ".h5": "EIGER", ".cbf": "PILATUS", ".img": "ADSC"}
_MAX_SMV = 2**16 - 1


class DescribedImages(NamedTuple):
    """The images that a text describes.

    Attributes
    ----------
    path
        File of the first one; ``None``: not written.
    detector
        The detector whose files XDS reads like these.
    highest
        The largest count of a pixel.
    whole
        Whether one file holds all images.
    """

    path: str | None = None
    detector: str = "PILATUS"
    highest: int = MAX_COUNT
    whole: bool = False


def kind_of(path: Path | str) -> str:
    """Return the kind of a text, one of `KINDS`, by the name of its file.

    Raises
    ------
    FormatError
        For another name.
    """
    kind = _KIND_OF.get(Path(path).suffix.lower())
    if kind is None:
        raise FormatError(f"got {str(path)!r}; a geometry is written as .expt, .geom, .cell or XDS.INP")
    return kind


def highest_of(suffix: str) -> int:
    """Return the largest count in files of a suffix: SMV has 16 bits a pixel, the others 32."""
    return _MAX_SMV if suffix == ".img" else MAX_COUNT


def text_of(kind: str, where: str, models: ExperimentModels, images: DescribedImages) -> str:
    """Return the text of a kind; ``where`` begins messages.

    Raises
    ------
    FormatError
        If the format cannot describe the models.
    """
    from cubragg.io.geometry import crystfel_out, expt_out, xds_inp

    if kind == "expt":
        return expt_out.expt_text(where, models, image=images.path, trusted=(-1.0, float(images.highest)))
    if kind == "geom":
        return crystfel_out.geom_text(where, models, data=crystfel_out.NXMX_DATA if images.whole else None)
    if kind == "cell":
        assert models.crystal is not None
        return crystfel_out.cell_text(cell_of(models.crystal))
    trusted = trusted_of(models.panels)
    overload = images.highest if trusted is None else int(min(trusted[1], images.highest))
    return xds_inp.xds_inp_text(where, models,
                                xds_inp.Data(images.path, images.detector, 0, overload, images.whole))


def write_text(path: Path | str, text: str) -> None:
    """Write a text; names in it that are no UTF-8 keep their bytes.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    from cubragg.io.files.atomic import write_bytes

    write_bytes(path, text.encode("utf-8", "surrogateescape"))

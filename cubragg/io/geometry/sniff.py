"""Readers of files that describe an experiment, selected by the content of the file."""

from __future__ import annotations

import re
from pathlib import Path

from cubragg.errors import ConfigError, FormatError
from cubragg.io.files.compression import start_of
from cubragg.io.geometry.experiment_models import ExperimentModels, checked_models

ACCEPTED = "a DIALS .expt, an SMV or miniCBF image, an NXmx file, a CrystFEL .geom or .cell is accepted"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_START_BYTES = 4096
_IMAGES = ("smv", "cbf", "nxmx")
_GEOM_LINE = re.compile(rb"^[\w%-]+(?:/\w+)?\s*=", re.MULTILINE)


def read_models(path: Path | str, number: int | None = None, crystal: int | None = None) -> ExperimentModels:
    """Return the experiment models of a file.

    ``number`` selects an experiment of an ``.expt``, counted from 0, or ``crystal`` a crystal, counted from 1.

    Raises
    ------
    FormatError
        If the format is not accepted, or the file does not conform to it.
    OSError
        If it cannot be read.
    """
    kind = geometry_kind(path)
    if not kind:
        raise FormatError(f"{path}: got a file of an unknown format; {ACCEPTED}")
    if number is not None and kind != "expt":
        raise FormatError(f"{path}: got the experiment number {number}; only an .expt has several experiments")
    if crystal is not None and kind != "expt":
        raise FormatError(f"{path}: got the crystal number {crystal}; only an .expt has several crystals")
    try:
        return checked_models(_read(path, kind, number, crystal))
    except ConfigError as error:
        raise FormatError(f"{path}: {error.what}" if error.where.startswith("detector") else f"{path}: {error}"
                          ) from None


def read_header(path: Path | str) -> ExperimentModels:
    """Return the experiment models of the header of an image.

    Raises
    ------
    FormatError
        If the format of the image has no detector geometry.
    OSError
        If it cannot be read.
    """
    if geometry_kind(path) not in _IMAGES:
        raise FormatError(f"{path}: its format has no detector geometry")
    return read_models(path)


def _read(path: Path | str, kind: str, number: int | None, crystal: int | None) -> ExperimentModels:
    from cubragg.io.geometry import crystfel, expt, image_headers

    if kind == "nxmx":
        from cubragg.io.geometry.nexus import read_nxmx

        return read_nxmx(path)
    if kind == "expt":
        return expt.read_expt(path, number, crystal)
    return {"smv": image_headers.read_smv_models, "cbf": image_headers.read_cbf_models, "cell": crystfel.read_cell,
            "geom": crystfel.read_geom}[kind](path)


def geometry_kind(path: Path | str) -> str:
    """Return the format of a file; empty if it is not known."""
    start = start_of(path, _START_BYTES)
    if not start:
        raise FormatError(f"{path}: the file is empty; {ACCEPTED}")
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(_HDF5):
        return "nxmx"
    if start.startswith(b"###CBF"):
        return "cbf"
    if text.startswith(b"{"):
        return "smv" if b"HEADER_BYTES" in text[:64] else "expt"
    if text.startswith(b"CrystFEL unit cell file"):
        return "cell"
    ending = Path(path).suffix.lower()
    if ending in (".geom", ".cell", ".expt"):
        return ending[1:]
    if b"\0" not in start and _GEOM_LINE.search(start) and (b"corner_x" in start or b"min_fs" in start):
        return "geom"
    return ""

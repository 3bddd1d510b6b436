"""Reader of images of any supported format, for comparison and display."""

from __future__ import annotations

import logging
import math
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from cubragg.errors import FormatError
from cubragg.io.files.compression import start_of
from cubragg.io.files.hdf5_source import hdf5_file, most_pixels, read_frame, read_values
from cubragg.io.files.text import quoted
from cubragg.io.images.cbf import read_cbf
from cubragg.io.images.raw import read_float
from cubragg.io.images.smv import read_smv
from cubragg.io.images.tiff import check_directories

#: Names of formats whose class in fabio has another name.
_FORMS = {"Tif": "TIFF", "Numpy": "NumPy", "Pnm": "PNM", "Edf": "EDF"}
#: First bytes of the formats that are read without fabio's format detection.
_SMV, _CBF = b"{\nHEADER_BYTES=", b"###CBF"
_HDF5 = b"\x89HDF\r\n\x1a\n"
#: Names of dimensions in an EDF header; fabio counts up to the largest.
_EDF_AXIS, _HEAD_BYTES = re.compile(rb"Dim_\d{2}", re.IGNORECASE), 2**16
#: Suffixes of files without a header: little-endian floats.
FLOAT_ENDINGS = (".bin", ".raw", ".float")


class ReadImage(NamedTuple):
    """An image: ``pixels`` float64 [slow, fast]; ``mask`` bool [slow, fast], False for pixels marked as not measured.

    ``mask`` is ``None`` if the format has no such marks; ``form`` is the name of the format; ``stored`` is the type of
    pixels in the file; ``header`` is the header of SMV and CBF, and the Count_cutoff of NXmx; ``frames`` is the number
    of images in the file.
    """

    pixels: np.ndarray
    mask: np.ndarray | None
    form: str
    stored: np.dtype
    header: Mapping[str, str] = MappingProxyType({})
    frames: int = 1


def read_image(path: Path | str, shape: tuple[int, int] | None = None, number: int = 1) -> ReadImage:
    """Return the image in a float image, SMV, CBF, NXmx, or any other file that fabio reads.

    SMV, CBF and HDF5 are recognized by their first bytes, float images by the suffixes `FLOAT_ENDINGS`. Negative
    pixels of a CBF are masked.

    Parameters
    ----------
    path
        The file.
    shape
        (slow, fast) size of a float image, which is not in the file; ``None``: it is square.
    number
        Number of the image in a file with several, counted from 1.

    Raises
    ------
    FormatError
        If the file is not an image, or is damaged.
    OSError
        If it cannot be opened.
    """
    start = start_of(path, len(_SMV))
    if start.startswith(_SMV):
        smv = read_smv(path)
        _check_size(path, smv.pixels.shape)
        image = ReadImage(_as_float64(smv.pixels), None, "SMV", smv.pixels.dtype, smv.header)
    elif start.startswith(_CBF):
        counts, header = read_cbf(path)
        _check_size(path, counts.shape)
        image = ReadImage(_as_float64(counts), counts >= 0, "CBF", counts.dtype, header)
    elif Path(path).suffix.lower() in FLOAT_ENDINGS:
        photons = read_float(path, shape or _square(path))
        image = ReadImage(_as_float64(photons), None, "float image", photons.dtype)
    else:
        whole = _nxmx(path, number) if start.startswith(_HDF5) else None
        return _with_fabio(path, number) if whole is None else whole
    _check_number(path, number, 1)
    return image


def _check_size(path: Path | str, shape: tuple[int, ...]) -> None:
    """Refuse more pixels than `most_pixels`, before they become float64: a few bytes may decompress to many."""
    if math.prod(shape) > most_pixels(path):
        raise FormatError(f"{path}: got an image of {' x '.join(map(str, shape[::-1]))} pixels in a file of "
                          f"{Path(path).stat().st_size} bytes; at most {most_pixels(path)} are read")


def _check_number(path: Path | str, number: int, frames: int) -> None:
    if not 1 <= number <= frames:
        raise FormatError(f"{path}: got image number {number}; the file has {frames}, counted from 1")


def _square(path: Path | str) -> tuple[int, int]:
    size = Path(path).stat().st_size
    edge = math.isqrt(size // 4)
    if edge == 0 or 4 * edge * edge != size:
        raise FormatError(f"{path}: got {size} bytes, which is not a square float image (4 bytes per "
                          "pixel); the shape of others must be given")
    return edge, edge


def _nxmx(path: Path | str, number: int) -> ReadImage | None:
    """Return an image of an HDF5 file with all images in /entry/data/data; ``None`` for other files.

    Not with fabio, which counts images twice if they are linked under a second name.
    """
    import h5py

    with hdf5_file(path) as file:
        _check_links(path, file)
        data, detector = file.get("entry/data/data"), file.get("entry/instrument/detector", {})
        if not isinstance(data, h5py.Dataset) or data.ndim != 3 or data.size == 0:
            _check_shapes(path, file)
            return None
        _check_number(path, number, len(data))
        pixels = read_frame(path, data, number - 1)
        if pixels.dtype.kind not in "iuf":
            raise FormatError(f"{path}: {data.name}: got pixels of the type {pixels.dtype}; numbers are accepted")
        mask = pixels != np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else pixels >= 0
        name = next((name for name in ("pixel_mask", "detectorSpecific/pixel_mask") if name in detector), None)
        if name is not None and detector[name].shape == pixels.shape:
            mask &= read_frame(path, detector[name]) == 0
        header = {}
        if "saturation_value" in detector:
            header["Count_cutoff"] = f"{np.ravel(read_values(path, detector['saturation_value']))[0]:.0f}"
        return ReadImage(_as_float64(pixels), mask, "NXmx", pixels.dtype, header, len(data))


def _check_shapes(path: Path | str, file: Any) -> None:
    """Refuse a file in which fabio might find an image of more pixels than `most_pixels`."""
    import h5py

    def check(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset) and node.shape is not None and math.prod(node.shape[-2:]) > most_pixels(path):
            read_frame(path, node)

    file.visititems(check)


def _as_float64(pixels: np.ndarray) -> np.ndarray:
    """The pixels as float64; a signalling NaN is a NaN."""
    with np.errstate(invalid="ignore"):
        return pixels.astype(np.float64)


def _check_links(path: Path | str, file: Any) -> None:
    """Raise `FormatError` if the linked files with the images are missing, which HDF5 reads as zeros or no images."""
    import h5py

    group = file.get("entry/data")
    links = [] if group is None else [group.get(name, getlink=True) for name in group]
    sources = {link.filename for link in links if isinstance(link, h5py.ExternalLink)}
    data = file.get("entry/data/data")
    if isinstance(data, h5py.Dataset) and data.is_virtual:
        sources |= {source.file_name for source in data.virtual_sources()} - {"."}
    absent = sorted(name for name in sources if not Path(name).exists() and not (Path(path).parent / name).exists())
    if absent and absent == sorted(sources):
        raise FormatError(f"{path}: its images are in {absent[0]}" + " and others" * (len(absent) > 1)
                          + ", which must be in the same folder")


def _with_fabio(path: Path | str, number: int) -> ReadImage:
    import fabio

    # Silence what fabio logs about formats that it tries: a failure is reported by one error.
    logger = logging.getLogger("fabio")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    if ".cbf" in Path(path).name.lower():  # fabio would search its mark without end
        raise FormatError(f"{path}: starts with {quoted(start_of(path, len(_CBF)))}; a CBF image starts with "
                          f"{quoted(_CBF)}")
    check_directories(path)
    if _EDF_AXIS.search(start_of(path, _HEAD_BYTES)):
        raise FormatError(f"{path}: got an EDF header with more than 9 dimensions; an image has two")
    try:
        with warnings.catch_warnings(action="ignore"), fabio.open(str(path)) as image:
            _check_size(path, tuple(int(edge) for edge in image.shape))
            frames = max(1, int(image.nframes))
            _check_number(path, number, frames)
            data = np.asarray(image.data if frames == 1 else image.get_frame(number - 1).data)
            form = str(image.classname).removesuffix("Image")
            form = _FORMS.get(form, form)
    except FormatError:
        raise
    except Exception as error:  # fabio raises any exception for files that it does not recognize
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FormatError(f"{path}: not an image that fabio can read ({reason}); a float image (.bin), SMV, CBF, "
                          "NXmx or another format of fabio is accepted") from None
    finally:
        logger.setLevel(before)
    if data.ndim != 2 or data.size == 0:
        raise FormatError(f"{path}: got an array of shape {data.shape}; an image is [slow, fast] and not empty")
    # Eiger detectors mark pixels without a value with the largest number of the type.
    mask = data != np.iinfo(data.dtype).max if form == "Eiger" and data.dtype.kind == "u" else None
    return ReadImage(_as_float64(data), mask, form, data.dtype, frames=frames)

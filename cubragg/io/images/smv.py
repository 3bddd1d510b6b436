"""Reader and writer of SMV (ADSC) images: a text header of ``KEY=value;`` lines, then 16-bit pixels.

Sources: nanoBragg.c (GetFrame, ValueOf and the code that writes headers), the d*TREK image
format 1.1, and the keys that the readers of `specs/file-formats.md` need.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cubragg import units
from cubragg.detect.stored_pixels import PixelType
from cubragg.errors import FormatError
from cubragg.experiment.detector_frame import DetectorFrame
from cubragg.io.files.arrays import checked_image
from cubragg.io.files.atomic import write_bytes
from cubragg.io.files.compression import start_of, unpacked
from cubragg.io.files.text import quoted
from cubragg.io.images.scene import Scene
from cubragg.io.images.writer import OneImageWriter, What

_START = b"{\nHEADER_BYTES="
#: Longest accepted header: a larger HEADER_BYTES is a sign of damage.
MAX_HEADER_BYTES = 2**20
#: The only accepted type of pixels, by the names of d*TREK and of ADSC. A file may omit both keys.
_PIXEL_TYPES = {"Data_type": "unsigned short int", "TYPE": "unsigned_short"}
_BYTE_ORDERS = {"little_endian": "<u2", "big_endian": ">u2"}

_BLOCK = 512
#: First and last line of a header, between which are the keys.
_FRAME = b"{\nHEADER_BYTES=%5d;\n}\f"
_MAX_WRITTEN_BYTES = 99_999 // _BLOCK * _BLOCK
_WHOLE = re.compile(r"[0-9]{1,9}")
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_VALUE = re.compile(r"[ -:<>-~]*")  # printable ASCII without ; and =

#: Text that C's atof converts to a number.
_LEADING_NUMBER = re.compile(r"\s*([+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|inf|nan))", re.ASCII | re.IGNORECASE)


class SmvFile(NamedTuple):
    """An SMV image: ``header`` in file order, its ``text`` for `header_value`, ``pixels`` uint16 [slow, fast]."""

    header: dict[str, str]
    text: str
    pixels: np.ndarray


def header_value(text: str, key: str) -> float | None:
    """Return the number that nanoBragg.c reads for ``key`` in the header ``text``; ``None`` if there is no such key.

    The key also matches inside a longer one (DISTANCE in CLOSE_DISTANCE) and its last
    occurrence is used. The text after the next ``=`` is read as far as it is a number;
    the value is 0 if it is not.
    """
    found = text.rfind(key)
    if found < 0:
        return None
    _, _, rest = text[found + len(key):].partition("=")
    match = _LEADING_NUMBER.match(rest)
    value = float(match.group(1)) if match else 0.0
    # In the C program NaN marks a missing key.
    return None if math.isnan(value) else value


def pedestal_of(header: Mapping[str, str]) -> float:
    """Return the number that was added to each pixel by the header, IMAGE_PEDESTAL of ADSC detectors; 0 without it."""
    value = header_value(f"IMAGE_PEDESTAL={header.get('IMAGE_PEDESTAL', '')}", "IMAGE_PEDESTAL")
    return value if value is not None and abs(value) <= 65535.0 else 0.0


def smv_header(geometry: DetectorFrame, *, wavelength_A: float, phi_deg: float, osc_deg: float,
               twotheta_deg: float) -> dict[str, str]:
    """Return the header of nanoBragg.c: its keys in its order, values to 6 digits, lengths in mm.

    BEAM_CENTER_X and _Y are the beam centre in the sense of the convention, as given or by
    default; the other centres are those after rotation of the detector, in the sense of each
    program. ``osc_deg`` is the rotation range as filled in for rendering.
    """
    pixel = geometry.pixel_size
    half_pixel = 0.5 * pixel
    numbers: dict[str, float | tuple[float, ...]] = {
        "PIXEL_SIZE": 1000.0 * pixel,
        "DISTANCE": 1000.0 * geometry.distance,
        "WAVELENGTH": wavelength_A,
        "BEAM_CENTER_X": 1000.0 * geometry.xbeam,
        "BEAM_CENTER_Y": 1000.0 * geometry.ybeam,
        "ADXV_CENTER_X": 1000.0 * geometry.fbeam,
        "ADXV_CENTER_Y": 1000.0 * (geometry.detsize_slow - geometry.sbeam),
        "MOSFLM_CENTER_X": 1000.0 * (geometry.sbeam - half_pixel),
        "MOSFLM_CENTER_Y": 1000.0 * (geometry.fbeam - half_pixel),
        "DENZO_X_BEAM": 1000.0 * geometry.sbeam,
        "DENZO_Y_BEAM": 1000.0 * geometry.fbeam,
        "DIALS_ORIGIN": geometry.dials_origin_mm,
        "XDS_ORGX": geometry.orgx,
        "XDS_ORGY": geometry.orgy,
        "CLOSE_DISTANCE": 1000.0 * geometry.close_distance,
        "PHI": phi_deg,
        "OSC_START": phi_deg,
        "OSC_RANGE": osc_deg,
        "TWOTHETA": twotheta_deg,
    }
    return {
        "HEADER_BYTES": str(_BLOCK),
        **_layout(geometry.slow_pixels, geometry.fast_pixels),
        **{key: _as_in_c(value) for key, value in numbers.items()},
        "DETECTOR_SN": "000",
        "BEAMLINE": "fake",
    }


def adsc_header(geometry: DetectorFrame, *, wavelength_A: float, phi_deg: float, osc_deg: float, exposure_s: float,
                pedestal: float, counts_per_photon: float) -> dict[str, str]:
    """Return the header of an ADSC detector, from which readers of such images get the geometry.

    ``geometry`` is a result of `Scene.facing`. BEAM_CENTER_X and _Y are the distances of the beam from the outer corner
    of the first pixel along slow and fast [mm], as dxtbx, and -img with -denzo, interpret them. Numbers have 12 digits.
    ``pedestal`` is the number that was added to each pixel.

    Raises
    ------
    FormatError
        If pixels are not square.
    """
    pixel = geometry.pixel_size
    if pixel != geometry.slow_pixel_size:
        raise FormatError(f"got pixels of {1000.0 * pixel:g} x {1000.0 * geometry.slow_pixel_size:g} mm")
    numbers = {
        "PIXEL_SIZE": 1000.0 * pixel,
        "DISTANCE": 1000.0 * geometry.distance,
        "WAVELENGTH": wavelength_A,
        "BEAM_CENTER_X": 1000.0 * geometry.sbeam,
        "BEAM_CENTER_Y": 1000.0 * geometry.fbeam,
        "XDS_ORGX": geometry.orgx,
        "XDS_ORGY": geometry.orgy,
        "PHI": phi_deg,
        "OSC_START": phi_deg,
        "OSC_RANGE": osc_deg,
        "TIME": exposure_s,
        "TWOTHETA": 0.0,
        "GAIN": counts_per_photon,
        "IMAGE_PEDESTAL": pedestal,
        "ADC_OFFSET": pedestal,
    }
    return {
        "HEADER_BYTES": str(_BLOCK),
        **_layout(geometry.slow_pixels, geometry.fast_pixels),
        **{key: f"{value:.12g}" for key, value in numbers.items()},
        # Not the serial number of a real detector, for which readers have special cases.
        "DETECTOR_SN": "000",
        "BEAMLINE": "cubragg",
    }


def _as_in_c(value: float | tuple[float, ...]) -> str:
    """Return numbers in the form of printf's ``%g``, separated by commas."""
    values = value if isinstance(value, tuple) else (value,)
    return ",".join(f"{number:g}" for number in values)


def _layout(slow: int, fast: int) -> dict[str, str]:
    return {"DIM": "2", "BYTE_ORDER": "little_endian", "TYPE": _PIXEL_TYPES["TYPE"], "SIZE1": str(fast),
            "SIZE2": str(slow)}


def write_smv(path: Path | str, counts: np.ndarray, header: Mapping[str, str]) -> None:
    """Write uint16 [slow, fast] counts with ``header``.

    HEADER_BYTES and the keys that describe the pixels are set to match the counts:
    both names of the type (TYPE, Data_type), little endian, and a header size in
    multiples of 512 bytes. Where only Data_type does not fit into 512 bytes it is left out,
    as scripts skip 512 bytes, and readers assume 16 bits. The order of other keys is kept.

    Raises
    ------
    FormatError
        If the array is not uint16 [slow, fast], or a key or value cannot be written so that readers understand it.
    OSError
        If the file cannot be written.
    """
    counts = checked_image(path, counts, np.uint16, "an SMV image")
    write_bytes(path, _header_bytes(path, counts, header), counts.astype("<u2", copy=False).data)


class SmvWriter(OneImageWriter):
    """Writer of counts, with a pedestal, of a flat detector that faces the beam, with the header of an ADSC detector.

    Counts above 65535 are written as 65535: such a detector saturates.

    Parameters
    ----------
    scene
        The experiment that the header describes.
    pedestal
        Number that is added to each count.
    """

    title = "an SMV image"

    def __init__(self, scene: Scene, pedestal: float = 40.0) -> None:
        super().__init__(scene)
        self.offset = pedestal

    def check(self) -> None:
        """Raise `FormatError` if the panels are not one flat detector with square pixels that faces the beam."""
        self._header()

    def pixel_type(self, what: What) -> PixelType:
        """Return uint16; raise `FormatError` for expected photons."""
        if what == "photons":
            raise FormatError("got expected photons; an SMV image stores counts only (what='counts')")
        return PixelType("uint16", 2**16 - 1, 0, saturates=True)

    def _header(self) -> dict[str, str]:
        return scene_header(self.scene, "adsc", self.scene.counts_per_photon, self.offset)

    def _write(self, path: Path | str, pixels: np.ndarray) -> None:
        write_smv(path, pixels, self._header())


def scene_header(scene: Scene, flavor: str, counts_per_photon: float, pedestal: float) -> dict[str, str]:
    """Return the header of a flavor (``nanobragg``, ``adsc``) for pixels of photons * counts_per_photon + pedestal.

    Raises
    ------
    FormatError
        If an ADSC header cannot describe the scene.
    """
    if flavor == "adsc":
        return adsc_header(scene.facing(), wavelength_A=scene.wavelength_A, phi_deg=scene.start_deg,
                           osc_deg=scene.range_deg, exposure_s=scene.exposure_s, pedestal=pedestal,
                           counts_per_photon=counts_per_photon)
    slow, fast = scene.live.shape
    return smv_header(scene.frame._replace(fast_pixels=fast, slow_pixels=slow), wavelength_A=scene.wavelength_A,
                      phi_deg=units.deg_from_rad(units.rad_from_deg(scene.start_deg)), osc_deg=scene.range_deg,
                      twotheta_deg=units.deg_from_rad(scene.frame.twotheta))


def _header_bytes(path: Path | str, counts: np.ndarray, header: Mapping[str, str]) -> bytes:
    full = {**header, **_layout(*counts.shape), **_PIXEL_TYPES}
    full.pop("HEADER_BYTES", None)
    for key, value in full.items():
        if not _KEY.fullmatch(key):
            raise FormatError(f"{path}: got the header key {key!r}; keys are letters, digits and _")
        if not _VALUE.fullmatch(value) or value != value.strip():
            raise FormatError(f"{path}: got {key}={value!r}; a header value is printable ASCII without =, ; "
                              "and surrounding blanks")
    lines = {key: f"{key}={value};\n" for key, value in full.items()}
    needed = len(_FRAME % 0) + sum(len(line) for line in lines.values())
    if _BLOCK < needed <= _BLOCK + len(lines["Data_type"]):
        needed -= len(lines.pop("Data_type"))
    size = math.ceil(needed / _BLOCK) * _BLOCK
    if size > _MAX_WRITTEN_BYTES:
        raise FormatError(f"{path}: got a header of {needed} bytes; an SMV header has at most {_MAX_WRITTEN_BYTES}")
    start, end = (_FRAME % size).split(b"}")
    return (start + "".join(lines.values()).encode("ascii") + b"}" + end).ljust(size)


class SmvHeader(NamedTuple):
    """The header of an SMV image in file order, its ``text`` and size in bytes, and the image's (slow, fast) size."""

    header: dict[str, str]
    text: str
    size: int
    shape: tuple[int, int]


def read_smv_header(path: Path | str) -> SmvHeader:
    """Return the header of an SMV image, whatever its pixels.

    Raises
    ------
    FormatError
        If the file does not start with such a header, or is shorter than it.
    OSError
        If it cannot be read.
    """
    _check_start(path, start_of(path, len(_START)))
    return _header_of(path, unpacked(path))


def _header_of(path: Path | str, data: bytes) -> SmvHeader:
    size = _header_size(path, data)
    # In C the text of the header ends at a zero byte.
    text = data[:size].partition(b"\0")[0].decode("latin-1")
    header = _parsed(text)
    fast, slow = (_size(path, header, key) for key in ("SIZE1", "SIZE2"))
    return SmvHeader(header, text, size, (slow, fast))


def read_smv(path: Path | str) -> SmvFile:
    """Return a 16-bit unsigned SMV image of either byte order.

    Raises
    ------
    FormatError
        If the file is not such an image, or is truncated.
    OSError
        If it cannot be read.
    """
    _check_start(path, start_of(path, len(_START)))
    data = unpacked(path)
    header, text, size, (slow, fast) = _header_of(path, data)
    dtype = _pixel_type(path, header)
    if len(data) - size < 2 * slow * fast:
        raise FormatError(f"{path}: got {len(data) - size} bytes of pixels; SIZE1={fast} and SIZE2={slow} "
                          f"need {2 * slow * fast}")
    pixels = np.frombuffer(data, dtype, count=slow * fast, offset=size).reshape(slow, fast)
    return SmvFile(header, text, pixels.astype(np.uint16))


def _check_start(path: Path | str, start: bytes) -> None:
    if start != _START:
        raise FormatError(f"{path}: starts with {quoted(start)}; an SMV image starts with {quoted(_START)}")


def _header_size(path: Path | str, data: bytes) -> int:
    word = re.split("[;\n]", data[len(_START):len(_START) + 64].decode("latin-1"))[0].strip()
    size = int(word) if _WHOLE.fullmatch(word) else 0
    if not 0 < size <= MAX_HEADER_BYTES:
        raise FormatError(f"{path}: got HEADER_BYTES={word}; a header has 1 to {MAX_HEADER_BYTES} bytes")
    if len(data) < size:
        raise FormatError(f"{path}: got {len(data)} bytes; its header alone has {size}, the file is truncated")
    return size


def _parsed(text: str) -> dict[str, str]:
    """Return the KEY=value lines up to the closing brace; the last value of a repeated key."""
    header = {}
    for line in text.split("\n"):
        if line.startswith("}"):
            break
        key, equals, value = line.partition("=")
        if equals:
            header[key.strip()] = value.strip().rstrip(";").rstrip()
    return header


def _size(path: Path | str, header: dict[str, str], key: str) -> int:
    word = header.get(key)
    if word is None:
        raise FormatError(f"{path}: no {key} in the header; SIZE1 and SIZE2 are needed")
    if not _WHOLE.fullmatch(word) or int(word) == 0:
        raise FormatError(f"{path}: got {key}={word}; a size is a whole number of pixels > 0")
    return int(word)


def _pixel_type(path: Path | str, header: dict[str, str]) -> str:
    for key, accepted in _PIXEL_TYPES.items():
        if key in header:
            if header[key] != accepted:
                raise FormatError(f"{path}: got {key}={header[key]}; only {accepted} is accepted")
            break
    order = header.get("BYTE_ORDER", "little_endian")
    if order not in _BYTE_ORDERS:
        raise FormatError(f"{path}: got BYTE_ORDER={order}; little_endian or big_endian is accepted")
    return _BYTE_ORDERS[order]

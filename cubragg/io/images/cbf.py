"""Reader and writer of CBF images with the short header of Pilatus detectors (miniCBF).

The header convention is GENERIC_MINI, which dxtbx accepts for detectors of any size, or PILATUS_1.2 for
images that consist of whole modules. `specs/file-formats.md` lists the header lines with the readers that
need them.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

import numpy as np

from cubragg import units
from cubragg.detect.quantize import MAX_COUNT
from cubragg.detect.stored_pixels import PixelType
from cubragg.errors import ConfigError, FormatError
from cubragg.experiment.detector_frame import DetectorFrame
from cubragg.io.files.arrays import checked_image
from cubragg.io.files.atomic import atomic_path
from cubragg.io.images import pilatus
from cubragg.io.images.cbf_parts import CONVENTION_KEY, CbfParts, split_cbf
from cubragg.io.images.image_panels import sensor_in_common
from cubragg.io.images.scene import Scene
from cubragg.io.images.writer import OneImageWriter, What

#: Header conventions by the names of ``--cbf-convention``, and the detector name in each header.
CONVENTIONS = {"generic": "GENERIC_MINI", "pilatus": "PILATUS_1.2"}
_DETECTORS = {"generic": "cubragg, simulated", "pilatus": "PILATUS, simulated by cubragg"}
_CONTENTS_KEY = "_array_data.header_contents"
_ELEMENT = "signed 32-bit integer"
_COMPRESSION, _PLAIN = "x-CBF_BYTE_OFFSET", "x-CBF_NONE"
_LINE = re.compile(r"[ -~]*")
#: Names of sensor materials in miniCBF headers, where they differ from the formula.
_SENSORS = {"Si": "Silicon"}


@dataclass(frozen=True)
class MiniCbfHeader:
    """The short header, lengths in metres.

    Attributes
    ----------
    timestamp
        Time of the image, without a time zone, which readers do not support.
    pixel_size_m, distance_m, wavelength_A
        Edge of a pixel along fast [m], distance along the beam [m], wavelength [A].
    beam_fast_px, beam_slow_px
        Beam centre, from the outer corner of the first pixel [pixel].
    exposure_time_s, exposure_period_s
        Exposure, and time from the start of one image to that of the next [s].
    start_angle_deg, angle_increment_deg, twotheta_deg
        Spindle angle at the start, rotation range, two-theta angle of the detector [deg].
    count_cutoff, n_excluded_pixels
        Highest trusted count, number of masked pixels.
    threshold_eV, tau_s
        Photon counting threshold [eV], dead time [s].
    sensor_thickness_m, sensor
        Thickness [m] and material of the rendered sensor layers; ``None``: no line. The line makes dxtbx correct
        for parallax, so that only an image rendered with sensor layers may have it.
    flux, polarization
        Photons/s; fraction of the beam with the E vector along the polarization axis, (1 + Kahn factor)/2. ``None``:
        not known, no line.
    detector
        Name of the detector. PILATUS or EIGER in the name makes readers expect modules.
    slow_pixel_size_m
        Edge of a pixel along slow [m]; ``None``: as along fast.
    convention
        ``generic`` or ``pilatus``; with the latter readers expect whole modules.
    """

    timestamp: datetime
    pixel_size_m: float
    distance_m: float
    wavelength_A: float
    beam_fast_px: float
    beam_slow_px: float
    exposure_time_s: float
    exposure_period_s: float
    start_angle_deg: float
    angle_increment_deg: float
    threshold_eV: float
    twotheta_deg: float = 0.0
    count_cutoff: int = MAX_COUNT
    n_excluded_pixels: int = 0
    tau_s: float = 0.0
    sensor_thickness_m: float | None = None
    sensor: str = "Silicon"
    flux: float | None = None
    polarization: float | None = None
    detector: str = _DETECTORS["generic"]
    slow_pixel_size_m: float | None = None
    convention: str = "generic"

    def lines(self) -> list[str]:
        """Return the lines of the header, each ``# Key value unit``, in the order of Pilatus files."""
        slow_size_m = self.pixel_size_m if self.slow_pixel_size_m is None else self.slow_pixel_size_m
        lines = [
            f"Detector: {self.detector}",
            self.timestamp.replace(tzinfo=None).isoformat(timespec="milliseconds"),
            f"Pixel_size {_digits(self.pixel_size_m)} m x {_digits(slow_size_m)} m",
            _optional_line(f"{self.sensor} sensor, thickness", self.sensor_thickness_m, " m"),
            f"Exposure_time {_digits(self.exposure_time_s)} s",
            f"Exposure_period {_digits(self.exposure_period_s)} s",
            f"Tau = {_digits(self.tau_s)} s",
            f"Count_cutoff {self.count_cutoff} counts",
            f"Threshold_setting: {_digits(self.threshold_eV)} eV",
            f"N_excluded_pixels = {self.n_excluded_pixels}",
            f"Wavelength {_digits(self.wavelength_A)} A",
            f"Detector_distance {_digits(self.distance_m)} m",
            f"Beam_xy ({_digits(self.beam_fast_px)}, {_digits(self.beam_slow_px)}) pixels",
            _optional_line("Flux", self.flux),
            f"Start_angle {_digits(self.start_angle_deg)} deg.",
            f"Angle_increment {_digits(self.angle_increment_deg)} deg.",
            f"Detector_2theta {_digits(self.twotheta_deg)} deg.",
            _optional_line("Polarization", self.polarization),
        ]
        return [f"# {line}" for line in lines if line]


def _digits(value: float) -> str:
    return f"{value:.12g}"


def _optional_line(key: str, value: float | None, unit: str = "") -> str:
    return "" if value is None else f"{key} {_digits(value)}{unit}"


def minicbf_header(geometry: DetectorFrame, *, wavelength_A: float, start_angle_deg: float,
                   angle_increment_deg: float, exposure_s: float, timestamp: datetime, count_cutoff: int = MAX_COUNT,
                   n_excluded_pixels: int = 0, sensor_thickness_m: float | None = None, flux: float | None = None,
                   polarization: float | None = None, sensor: str = "Silicon", convention: str = "generic"
                   ) -> MiniCbfHeader:
    """Return the header of an image on ``geometry``, a result of `Scene.facing`.

    ``sensor_thickness_m`` is given only if sensor layers were rendered (see `MiniCbfHeader`). The threshold is half
    the photon energy, as usual for counting detectors. The header cannot describe a tilt of the detector.
    """
    return MiniCbfHeader(
        timestamp=timestamp,
        pixel_size_m=geometry.pixel_size,
        distance_m=geometry.distance,
        wavelength_A=wavelength_A,
        beam_fast_px=geometry.fbeam / geometry.pixel_size,
        beam_slow_px=geometry.sbeam / geometry.slow_pixel_size,
        exposure_time_s=exposure_s,
        exposure_period_s=exposure_s,
        start_angle_deg=start_angle_deg,
        angle_increment_deg=angle_increment_deg,
        threshold_eV=units.HC_EV_ANGSTROM / wavelength_A / 2.0,
        twotheta_deg=units.deg_from_rad(geometry.twotheta),
        count_cutoff=count_cutoff,
        n_excluded_pixels=n_excluded_pixels,
        sensor_thickness_m=sensor_thickness_m,
        sensor=sensor,
        flux=flux,
        polarization=polarization,
        detector=_DETECTORS[convention],
        slow_pixel_size_m=geometry.slow_pixel_size,
        convention=convention,
    )


def write_cbf(path: Path | str, counts: np.ndarray, header: MiniCbfHeader) -> None:
    """Write int32 [slow, fast] counts with fabio, byte-offset compressed; masked pixels are -1 or -2.

    Raises
    ------
    FormatError
        If the array is not int32 [slow, fast], or the header has text that is not printable ASCII.
    OSError
        If the file cannot be written.
    """
    from fabio.cbfimage import CbfImage

    counts = checked_image(path, counts, np.int32, "a CBF image")
    lines = header.lines()
    for line in lines:
        if not _LINE.fullmatch(line):
            raise FormatError(f"{path}: got the header line {line!r}; only printable ASCII is accepted")
    image = CbfImage(data=counts)
    image.header[CONVENTION_KEY] = CONVENTIONS[header.convention]
    image.header[_CONTENTS_KEY] = "\r\n".join(lines)
    with atomic_path(path) as temporary:
        image.write(temporary)


class CbfWriter(OneImageWriter):
    """Writer of counts of a flat detector that faces the beam, as miniCBF.

    Parameters
    ----------
    scene
        The experiment that the header describes.
    convention
        ``generic``, ``pilatus``, or ``auto``: pilatus for images of whole modules with pixels of 0.172 mm.
    """

    title = "a CBF image"

    def __init__(self, scene: Scene, convention: str = "auto") -> None:
        super().__init__(scene)
        self._requested = convention

    @cached_property
    def _convention(self) -> str:
        geometry, shape = self.scene.facing(), self.scene.live.shape
        if self._requested == "pilatus" and pilatus.gaps(shape) is None:
            slow, fast = pilatus.MODULE
            raise ConfigError("convention", f"got pilatus for {shape[1]} x {shape[0]} pixels; this convention needs "
                              f"whole modules of {fast} x {slow} pixels with gaps of {pilatus.GAP[1]} and "
                              f"{pilatus.GAP[0]} between them")
        if self._requested == "auto":
            sizes = geometry.pixel_size, geometry.slow_pixel_size
            return "pilatus" if pilatus.looks_like_pilatus(shape, sizes) else "generic"
        return self._requested

    @property
    def live(self) -> np.ndarray:
        """Pixels of the scene, without those in the gaps of a Pilatus detector."""
        gaps = pilatus.gaps(self.scene.live.shape) if self._convention == "pilatus" else None
        return self.scene.live if gaps is None else self.scene.live & ~gaps

    def check(self) -> None:
        """Raise `FormatError` if the panels do not form one flat detector that faces the beam."""
        self._header()

    def pixel_type(self, what: What) -> PixelType:
        """Return int32; raise `FormatError` for expected photons."""
        if what == "photons":
            raise FormatError("got expected photons; a CBF image stores counts only (what='counts')")
        return PixelType("int32", MAX_COUNT, -1)

    def _header(self) -> MiniCbfHeader:
        scene = self.scene
        material, thickness = sensor_in_common(scene.panels)
        return minicbf_header(
            scene.facing(), wavelength_A=scene.wavelength_A, start_angle_deg=scene.start_deg,
            angle_increment_deg=scene.range_deg, exposure_s=scene.exposure_s, timestamp=scene.timestamp,
            count_cutoff=MAX_COUNT if scene.trusted is None else min(MAX_COUNT, int(scene.trusted[1])),
            n_excluded_pixels=int(np.count_nonzero(~self.live)),
            sensor_thickness_m=thickness if thickness > 0.0 else None, sensor=_SENSORS.get(material, material),
            flux=scene.flux, polarization=None if scene.kahn_factor is None else (1.0 + scene.kahn_factor) / 2.0,
            convention=self._convention)

    def _write(self, path: Path | str, pixels: np.ndarray) -> None:
        write_cbf(path, pixels, self._header())


def read_cbf(path: Path | str) -> tuple[np.ndarray, dict[str, str]]:
    """Return int32 [slow, fast] counts, and the lines of the short header as a dictionary (`CbfParts`).

    Raises
    ------
    FormatError
        If it is not a byte-offset compressed or plain CBF of signed 32-bit integers, or is cut short or damaged.
    OSError
        If it cannot be read.
    """
    parts = split_cbf(path)
    return counts_of(path, parts), parts.lines


def counts_of(path: Path | str, parts: CbfParts) -> np.ndarray:
    """Return the counts int32 [slow, fast] of a CBF file.

    Raises
    ------
    FormatError
        If they are not signed 32-bit integers, coded as accepted, or are damaged.
    """
    from fabio.compression import decByteOffset

    slow, fast = parts.shape(path)
    coding, element = parts.binary["conversions"], parts.binary.get("X-Binary-Element-Type", "").strip('"')
    if coding not in (_COMPRESSION, _PLAIN):
        raise FormatError(f"{path}: got conversions={coding or None}; only {_COMPRESSION} and {_PLAIN} are accepted")
    if element != _ELEMENT:
        raise FormatError(f"{path}: got X-Binary-Element-Type={element or None}; only {_ELEMENT} is accepted")
    word = parts.binary.get("X-Binary-Size", "")
    size = int(word) if word.isascii() and word.isdigit() and len(word) <= 12 else -1
    packed = parts.pixels[:max(size, 0)]
    # Before decoding, because the decoder reads past the end of truncated data.
    if len(packed) != size:
        raise FormatError(f"{path}: got {len(packed)} bytes of pixels; its header gives {word or 'no size'}, the file "
                          "may be truncated")
    digest = parts.binary.get("Content-MD5")
    if digest and digest != base64.b64encode(hashlib.md5(packed, usedforsecurity=False).digest()).decode("ascii"):
        raise FormatError(f"{path}: got pixels that do not match Content-MD5; the file is damaged")
    if coding == _PLAIN:
        counts = np.frombuffer(packed, "<i4") if size == 4 * slow * fast else np.empty(0, "<i4")
    else:
        # A coded pixel takes at least one byte.
        counts = decByteOffset(bytes(packed), size=slow * fast, dtype="int32") if size >= slow * fast else np.empty(0)
    if len(counts) != slow * fast:
        raise FormatError(f"{path}: got {len(counts)} pixels; its header gives {fast} x {slow}")
    return np.asarray(counts, dtype=np.int32).reshape(slow, fast)

"""Experiment models from SMV headers of d*TREK (Rigaku Saturn, A200, HyPix and others), as dxtbx reads them.

Source: J. W. Pflugrath, d*TREK, keywords of the image header: vectors of source, detector and crystal goniometer in
a laboratory with the source along +z.
"""

from __future__ import annotations

from pathlib import Path

from cubragg.crystallography.vectors import Vector, combine, norm, rotate_axis, scale, unit
from cubragg.errors import FormatError
from cubragg.experiment.panel import Panel
from cubragg.io.files.text import number
from cubragg.io.geometry.experiment_models import BeamModel, ExperimentModels, ScanModel
from cubragg.io.geometry.plausible import plausible
from cubragg.io.images.smv import SmvHeader
from cubragg.units import rad_from_deg

#: Detectors whose DETECTOR_VECTORS are turned by 90 deg about the beam, by serial number; from dxtbx 3.12.
_TURNED = {"07400090", "07510101", "09040159", "11480296"}
_BEAM: Vector = (0.0, 0.0, 1.0)


class _Header:
    """The numbers of a header, with the name of the file for messages."""

    def __init__(self, path: Path | str, header: dict[str, str]) -> None:
        self.path, self.values = path, header
        self.prefix = (header["DETECTOR_NAMES"].split() or [""])[0]

    def numbers(self, key: str, count: int) -> list[float]:
        if key not in self.values:
            raise FormatError(f"{self.path}: no {key} in the header; the geometry of d*TREK needs it")
        words = self.values[key].split()
        if len(words) < count:
            raise FormatError(f"{self.path}: got {key}={self.values[key]}; it needs {count} numbers")
        return [number(f"{self.path}: {key}", "it", word) for word in words[:count]]

    def vectors(self, key: str, count: int) -> list[Vector]:
        listed = self.numbers(key, 3 * count)
        return [(listed[3 * i], listed[3 * i + 1], listed[3 * i + 2]) for i in range(count)]


def dtrek_models(path: Path | str, smv: SmvHeader) -> ExperimentModels:
    """Return the experiment models of a d*TREK header.

    Raises
    ------
    FormatError
        If a key that the geometry needs is missing or wrong.
    """
    header, warnings = _Header(path, smv.header), list[str]()
    source, = header.vectors("SOURCE_VECTORS", 1)
    spindle, = header.vectors("ROTATION_VECTOR", 1)
    if not norm(source) > 0.0 or not norm(spindle) > 0.0:
        raise FormatError(f"{path}: got SOURCE_VECTORS or ROTATION_VECTOR of length 0; directions are needed")
    rotation = header.numbers("ROTATION", 4)
    start, width = rotation[0], rotation[2]
    sense = 1.0 if width >= 0.0 else -1.0
    fraction = normal = None
    if "SOURCE_POLARZ" in smv.header:
        fraction, *across = header.numbers("SOURCE_POLARZ", 4)
        normal = unit((across[0], across[1], across[2])) if any(across) else None
    beam = BeamModel(scale(unit(source), -1.0), _wavelength(header, warnings), fraction if normal else None, normal)
    return ExperimentModels(beam, (_panel(header, smv.shape, warnings),), scale(unit(spindle), sense),
                            ScanModel(sense * start, abs(width), rotation[3] if rotation[3] > 0.0 else None),
                            warnings=tuple(warnings))


def _wavelength(header: _Header, warnings: list[str]) -> float:
    """Return the wavelength [A]; SOURCE_WAVELENGTH is the number of wavelengths and these."""
    key = next((key for key in ("SCAN_WAVELENGTH", "WAVELENGTH", "SOURCE_WAVELENGTH") if key in header.values), None)
    if key is None:
        raise FormatError(f"{header.path}: no SOURCE_WAVELENGTH in the header; it needs one")
    value = header.numbers(key, max(len(header.values[key].split()), 1))[-1]
    if not value > 0.0:
        raise FormatError(f"{header.path}: got {key}={header.values[key]}; a wavelength must be > 0 A")
    return plausible(f"{header.path}: {key}", "wavelength", value, "A", warnings)


def _panel(header: _Header, shape: tuple[int, int], warnings: list[str]) -> Panel:
    prefix = header.prefix
    x, y = header.vectors(f"{prefix}DETECTOR_VECTORS", 2)
    if header.values.get(f"{prefix}SERIAL_NUMBER") in _TURNED:
        x, y = (rotate_axis(axis, _BEAM, rad_from_deg(-90.0)) for axis in (x, y))
        distortion = [1.0, 0.0, 0.0, 1.0]
    elif f"{prefix}SPATIAL_DISTORTION_VECTORS" in header.values and "CMOS-1" not in header.values.get(
            f"{prefix}DETECTOR_DESCRIPTION", "") and "NOIR1_CREATED" not in header.values:
        distortion = header.numbers(f"{prefix}SPATIAL_DISTORTION_VECTORS", 4)
    else:
        distortion = [1.0, 0.0, 0.0, 1.0]
    fast = combine((distortion[0], x), (distortion[1], y))
    slow = combine((distortion[2], x), (distortion[3], y))
    centre_f, centre_s, pixel_f, pixel_s = header.numbers(f"{prefix}SPATIAL_DISTORTION_INFO", 4)
    if "NOIR1_CREATED" in header.values:
        centre_f, centre_s = header.numbers(f"{prefix}SPATIAL_BEAM_POSITION", 2)
    pixel_f, pixel_s = (plausible(f"{header.path}: {prefix}SPATIAL_DISTORTION_INFO", "pixel", edge, "mm", warnings)
                        for edge in (pixel_f, pixel_s))
    origin = combine((-centre_f * pixel_f, fast), (-centre_s * pixel_s, slow))
    units = header.values.get(f"{prefix}GONIO_UNITS", "").split()
    axes = header.vectors(f"{prefix}GONIO_VECTORS", len(units))
    values = header.numbers(f"{prefix}GONIO_VALUES", len(units))
    # The last one is nearest to the detector.
    for axis, value, unit_ in reversed(list(zip(axes, values, units, strict=True))):
        if unit_ == "deg":
            fast, slow, origin = (rotate_axis(one, unit(axis), rad_from_deg(value)) if value else one
                                  for one in (fast, slow, origin))
        elif unit_ == "mm":
            origin = combine((1.0, origin), (value, axis))
        else:
            raise FormatError(f"{header.path}: got the unit {unit_} in {prefix}GONIO_UNITS; deg and mm are accepted")
    return Panel(shape[1], shape[0], origin, scale(fast, pixel_f), scale(slow, pixel_s))

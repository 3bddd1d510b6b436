"""Experiment models from headers of SMV and miniCBF images, as in dxtbx: untilted, fast +x, slow -y, spindle +x.

Headers of nanoBragg also determine the tilt of the detector. ``-img`` does not use these functions: it reads an SMV
header by the rules of nanoBragg.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from cubragg.crystallography.vectors import Vector, combine, cross, dot, norm, scale, unit
from cubragg.errors import FormatError
from cubragg.experiment.panel import Panel
from cubragg.experiment.sensor import attenuation_um, known_material
from cubragg.io.files.text import number
from cubragg.io.geometry.experiment_models import BeamModel, ExperimentModels, ScanModel
from cubragg.io.images.cbf import read_cbf
from cubragg.io.images.smv import read_smv

_BEAM: Vector = (0.0, 0.0, -1.0)
_SPINDLE: Vector = (1.0, 0.0, 0.0)
_FAST: Vector = (1.0, 0.0, 0.0)
_SLOW: Vector = (0.0, -1.0, 0.0)
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
#: Detector of beamline I23 at Diamond, whose modules are arranged on a cylinder.
_BARREL = "PILATUS 12M"
_SENSORS = ("Silicon", "CdTe", "GaAs")
#: Keys of nanoBragg that together determine the position and tilt of the detector.
_SIMULATED = ("CLOSE_DISTANCE", "XDS_ORGX", "XDS_ORGY", "DENZO_X_BEAM", "DENZO_Y_BEAM", "DIALS_ORIGIN")
#: Tolerances for numbers of six digits: of a direction that is perpendicular, and of a position over its distance.
_STRAIGHT, _SAME_POSITION = 2e-5, 2e-5


def read_smv_models(path: Path | str) -> ExperimentModels:
    """Return the experiment models of an SMV image.

    A header of nanoBragg (BEAMLINE=fake) determines position and tilt of the detector. In headers of real detectors
    BEAM_CENTER_X is the beam centre along slow and BEAM_CENTER_Y along fast, from the outer corner.

    Raises
    ------
    FormatError
        If the file is not an SMV image, or a key that the geometry needs is missing or wrong.
    OSError
        If it cannot be read.
    """
    image = read_smv(path)
    header = image.header

    def value(key: str, default: float | None = None) -> float:
        if key not in header and default is not None:
            return default
        if key not in header:
            raise FormatError(f"{path}: no {key} in the header; the position of the detector needs it")
        return number(f"{path}: {key}", "it", header[key])

    wavelength, pixel, distance = (_positive(path, key, value(key)) for key in ("WAVELENGTH", "PIXEL_SIZE", "DISTANCE"))
    warnings = []
    simulated = header.get("BEAMLINE") == "fake"
    if simulated and all(key in header for key in _SIMULATED):
        origin, fast, slow, ambiguous = _tilted(path, header, value)
        if ambiguous:
            warnings.append(f"{path}: the header of a tilted detector does not specify its rotation about the beam; "
                           "the fast axis is assumed to be as close to the spindle as possible")
    else:
        across, along = (("DENZO_Y_BEAM", "DENZO_X_BEAM") if simulated and "DENZO_X_BEAM" in header
                         else ("BEAM_CENTER_Y", "BEAM_CENTER_X"))
        origin, fast, slow = (-value(across), value(along), -distance), _FAST, _SLOW
        edges = [pixel * count for count in reversed(image.pixels.shape)]
        if not all(0.0 <= centre <= edge for centre, edge in zip((-origin[0], origin[1]), edges, strict=True)):
            warnings.append(f"{path}: the beam centre, {-origin[0]:g} mm along fast and {origin[1]:g} mm along slow, "
                           f"is outside the detector of {edges[0]:g} x {edges[1]:g} mm; if it is in pixels, give "
                           "-Xbeam and -Ybeam in mm")
        if value("TWOTHETA", 0.0) != 0.0:
            warnings.append(f"{path}: the header has a two-theta angle of {value('TWOTHETA'):g} deg but no axis; the "
                           "detector is assumed to be untilted")
    slow_pixels, fast_pixels = image.pixels.shape
    panel = Panel(fast_pixels, slow_pixels, origin, scale(fast, pixel), scale(slow, pixel))
    start = value("OSC_START", value("PHI", 0.0))
    exposure = value("TIME", 0.0)
    return ExperimentModels(BeamModel(_BEAM, wavelength), (panel,), _SPINDLE,
                  ScanModel(start, max(value("OSC_RANGE", 0.0), 0.0), exposure if exposure > 0.0 else None),
                  warnings=tuple(warnings))


def _tilted(path: Path | str, header: Mapping[str, str], value: Callable[[str], float]
            ) -> tuple[Vector, Vector, Vector, bool]:
    """Return origin [mm], fast and slow axis from a header of nanoBragg; and whether its rotation about the beam is
    ambiguous.

    The beam centre of DENZO minus the nearest point, divided by DISTANCE, is the direction of the beam along the axes
    of the detector, for any tilt. DIALS_ORIGIN is the corner of the first pixel, provided that the beam is along x in
    the laboratory of the image's convention.
    """
    pixel, distance, close = value("PIXEL_SIZE"), value("DISTANCE"), value("CLOSE_DISTANCE")
    foot = (pixel * (value("XDS_ORGX") - 0.5), pixel * (value("XDS_ORGY") - 0.5))
    fast_part, slow_part = ((value(key) - start) / distance
                            for key, start in zip(("DENZO_Y_BEAM", "DENZO_X_BEAM"), foot, strict=True))
    if math.hypot(fast_part, slow_part) < _STRAIGHT:
        return (-foot[0], foot[1], -close), _FAST, _SLOW, False
    normal_part = math.sqrt(max(0.0, 1.0 - fast_part**2 - slow_part**2))
    if normal_part == 0.0:
        raise FormatError(f"{path}: got DENZO_X_BEAM and DENZO_Y_BEAM farther from the nearest point than DISTANCE, "
                          f"{distance:g} mm; no detector has such a beam centre")
    beam, corner = (fast_part, slow_part, normal_part), (-foot[0], -foot[1], close)
    origin = _numbers(path, header, "DIALS_ORIGIN", 3)
    is_corner = (abs(-origin[2] - dot(corner, beam)) + abs(math.hypot(*origin) - norm(corner))
                 < _SAME_POSITION * norm(corner))
    # A vector along the axes of the detector, and its component across the beam in the laboratory: the corner, or else
    # the fast axis, which is assumed to be near +x.
    on_detector, in_lab = (corner, (origin[0], origin[1], 0.0)) if is_corner else ((1.0, 0.0, 0.0), _FAST)
    u = unit(combine((1.0, on_detector), (-dot(on_detector, beam), beam)))
    x = unit(in_lab)
    v, y = cross(beam, u), cross(_BEAM, x)

    def in_laboratory(part: Vector) -> Vector:
        return combine((dot(part, u), x), (dot(part, v), y), (dot(part, beam), _BEAM))

    return (in_laboratory(corner), in_laboratory((1.0, 0.0, 0.0)), in_laboratory((0.0, 1.0, 0.0)), not is_corner)


def read_cbf_models(path: Path | str) -> ExperimentModels:
    """Return the experiment models of a miniCBF image (such as PILATUS_1.2, GENERIC_MINI). Pixels below 0 are masked.

    Raises
    ------
    FormatError
        If the file is not a miniCBF image, or a line that the geometry needs is missing or wrong.
    OSError
        If it cannot be read.
    """
    counts, header = read_cbf(path)
    if _BARREL in header.get("Detector", ""):
        raise FormatError(f"{path}: got an image of a {_BARREL}, whose header does not describe the cylinder of "
                          "modules; give the .expt that dials.import writes")
    fast_m, slow_m = _numbers(path, header, "Pixel_size", 2)
    beam_fast, beam_slow = _numbers(path, header, "Beam_xy", 2)
    distance_m, = _numbers(path, header, "Detector_distance", 1)
    _positive(path, "Detector_distance", distance_m)
    wavelength, missing_wavelength = None, f"{path}: no Wavelength in the header"
    if "Wavelength" in header:
        wavelength, missing_wavelength = _positive(path, "Wavelength", *_numbers(path, header, "Wavelength", 1)), ""
    fast_mm, slow_mm = (1000.0 * _positive(path, "Pixel_size", edge) for edge in (fast_m, slow_m))
    material, thickness = _sensor(header)
    depth = attenuation_um(material, wavelength) if thickness and wavelength else None
    slow, fast = counts.shape
    cutoff = _optional(header, "Count_cutoff")
    live = counts >= 0
    panel = Panel(fast, slow, (-beam_fast * fast_mm, beam_slow * slow_mm, -1000.0 * distance_m),
                  scale(_FAST, fast_mm), scale(_SLOW, slow_mm), thickness_um=thickness if depth else None,
                  attenuation_um=depth, material=material,
                  mask=None if live.all() else live, trusted=(0.0, cutoff) if cutoff else None)
    fraction = _optional(header, "Polarization")
    warnings = []
    if _optional(header, "Detector_2theta"):
        warnings.append(f"{path}: the header has a two-theta angle but no axis; the detector is assumed to be "
                       "untilted")
    start, width = (_optional(header, key) or 0.0 for key in ("Start_angle", "Angle_increment"))
    spindle, start = (_SPINDLE, start) if width >= 0.0 else ((-1.0, 0.0, 0.0), -start)
    beam = BeamModel(_BEAM, wavelength, fraction, None if fraction is None else (0.0, 1.0, 0.0))
    scan = ScanModel(start, abs(width), _optional(header, "Exposure_time") or None)
    return ExperimentModels(beam, (panel,), spindle, scan, warnings=tuple(warnings),
                            missing_wavelength=missing_wavelength)


def _positive(path: Path | str, key: str, value: float) -> float:
    if not value > 0.0:
        raise FormatError(f"{path}: got {key} {value:g}; it must be > 0")
    return value


def _numbers(path: Path | str, header: Mapping[str, str], key: str, count: int) -> list[float]:
    if key not in header:
        raise FormatError(f"{path}: no {key} in the header; the position of the detector needs it")
    found = _NUMBER.findall(header[key])
    if len(found) < count:
        raise FormatError(f"{path}: got {key} {header[key]}; it needs {count} number{'s' * (count > 1)}")
    return [number(f"{path}: {key}", "it", text) for text in found[:count]]


def _optional(header: Mapping[str, str], key: str) -> float | None:
    found = _NUMBER.search(header.get(key, ""))
    return float(found.group()) if found else None


def _sensor(header: Mapping[str, str]) -> tuple[str, float | None]:
    """Return material and thickness [um] of a line such as ``# Silicon sensor, thickness 0.000320 m``."""
    for name in _SENSORS:
        if header.get(name, "").startswith("sensor"):
            thickness = _optional({name: header[name].partition("thickness")[2]}, name)
            return known_material(name), 1e6 * thickness if thickness else None
    return "", None

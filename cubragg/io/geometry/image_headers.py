"""Models from the headers of SMV and miniCBF images, as dxtbx reads them: untilted, fast +x, slow -y, spindle +x.

Headers of nanoBragg say more: how the detector leans. That is not how ``-img`` reads an SMV header, which keeps
nanoBragg's rules for it.
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
from cubragg.io.geometry.experiment_models import BeamModel, Models, ScanModel
from cubragg.io.images.cbf import read_cbf
from cubragg.io.images.smv import read_smv

_BEAM: Vector = (0.0, 0.0, -1.0)
_SPINDLE: Vector = (1.0, 0.0, 0.0)
_FAST: Vector = (1.0, 0.0, 0.0)
_SLOW: Vector = (0.0, -1.0, 0.0)
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
#: A detector of Diamond's beamline I23, whose modules stand on a cylinder.
_BARREL = "PILATUS 12M"
_SENSORS = ("Silicon", "CdTe", "GaAs")
#: The keys of nanoBragg that together fix the detector however it leans.
_SIMULATED = ("CLOSE_DISTANCE", "XDS_ORGX", "XDS_ORGY", "DENZO_X_BEAM", "DENZO_Y_BEAM", "DIALS_ORIGIN")
#: What six digits make of a detector that faces the beam, and of a place relative to its distance.
_STRAIGHT, _SAME_PLACE = 2e-5, 2e-5


def read_smv_models(path: Path | str) -> Models:
    """Models of an SMV image.

    The header of nanoBragg (BEAMLINE=fake) fixes the detector however it leans; in those of detectors BEAM_CENTER_X
    is the true beam centre along slow and BEAM_CENTER_Y along fast, from the outer corner.

    Raises
    ------
    FormatError
        If it is not an SMV image, or a key that places the detector is missing or wrong.
    OSError
        If it cannot be read.
    """
    image = read_smv(path)
    header = image.header

    def value(key: str, default: float | None = None) -> float:
        if key not in header and default is not None:
            return default
        if key not in header:
            raise FormatError(f"{path}: no {key} in the header; it is needed to place the detector")
        return number(f"{path}: {key}", "it", header[key])

    wavelength, pixel, distance = (_positive(path, key, value(key)) for key in ("WAVELENGTH", "PIXEL_SIZE", "DISTANCE"))
    remarks = []
    simulated = header.get("BEAMLINE") == "fake"
    if simulated and all(key in header for key in _SIMULATED):
        origin, fast, slow, unsure = _leaning(path, header, value)
        if unsure:
            remarks.append(f"{path} is of a tilted detector and does not say how it is turned about the beam: its "
                           "fast axis is taken as near to the spindle as it can be")
    else:
        across, along = (("DENZO_Y_BEAM", "DENZO_X_BEAM") if simulated and "DENZO_X_BEAM" in header
                         else ("BEAM_CENTER_Y", "BEAM_CENTER_X"))
        origin, fast, slow = (-value(across), value(along), -distance), _FAST, _SLOW
        edges = [pixel * count for count in reversed(image.pixels.shape)]
        if not all(0.0 <= centre <= edge for centre, edge in zip((-origin[0], origin[1]), edges, strict=True)):
            remarks.append(f"{path}: the beam centre, {-origin[0]:g} mm along fast and {origin[1]:g} mm along slow, "
                           f"lies off the detector of {edges[0]:g} x {edges[1]:g} mm; if it is in pixels, give -Xbeam "
                           "and -Ybeam in mm")
        if value("TWOTHETA", 0.0) != 0.0:
            remarks.append(f"{path} has the detector on a two-theta arm of {value('TWOTHETA'):g} deg and does not say "
                           "about which axis: it is taken as untilted")
    slow_pixels, fast_pixels = image.pixels.shape
    panel = Panel(fast_pixels, slow_pixels, origin, scale(fast, pixel), scale(slow, pixel))
    start = value("OSC_START", value("PHI", 0.0))
    exposure = value("TIME", 0.0)
    return Models(BeamModel(_BEAM, wavelength), (panel,), _SPINDLE,
                  ScanModel(start, max(value("OSC_RANGE", 0.0), 0.0), exposure if exposure > 0.0 else None),
                  remarks=tuple(remarks))


def _leaning(path: Path | str, header: Mapping[str, str], value: Callable[[str], float]
             ) -> tuple[Vector, Vector, Vector, bool]:
    """Origin [mm], fast and slow axis from a header of nanoBragg; and whether the turn about the beam is a guess.

    DISTANCE leaves a two-theta out and DENZO's beam centre is laid off with that distance along the true beam: their
    quotient is the direction of the beam on the axes of the detector, whatever its lean. The corner of the first
    pixel is the origin of DIALS, if the beam is along x in the laboratory of the image's convention.
    """
    pixel, distance, close = value("PIXEL_SIZE"), value("DISTANCE"), value("CLOSE_DISTANCE")
    foot = (pixel * (value("XDS_ORGX") - 0.5), pixel * (value("XDS_ORGY") - 0.5))
    fast_part, slow_part = ((value(key) - start) / distance
                            for key, start in zip(("DENZO_Y_BEAM", "DENZO_X_BEAM"), foot, strict=True))
    if math.hypot(fast_part, slow_part) < _STRAIGHT:
        return (-foot[0], foot[1], -close), _FAST, _SLOW, False
    normal_part = math.sqrt(max(0.0, 1.0 - fast_part**2 - slow_part**2))
    if normal_part == 0.0:
        raise FormatError(f"{path}: got DENZO_X_BEAM and DENZO_Y_BEAM that no beam can have at the distance of "
                          f"{distance:g} mm")
    beam, corner = (fast_part, slow_part, normal_part), (-foot[0], -foot[1], close)
    told = _numbers(path, header, "DIALS_ORIGIN", 3)
    sure = abs(-told[2] - dot(corner, beam)) + abs(math.hypot(*told) - norm(corner)) < _SAME_PLACE * norm(corner)
    # Across the beam, a direction known on the detector and in the laboratory; where the corner tells none, fast is +x.
    known, lies = (corner, (told[0], told[1], 0.0)) if sure else ((1.0, 0.0, 0.0), _FAST)
    u = unit(combine((1.0, known), (-dot(known, beam), beam)))
    x = unit(lies)
    v, y = cross(beam, u), cross(_BEAM, x)

    def in_laboratory(part: Vector) -> Vector:
        return combine((dot(part, u), x), (dot(part, v), y), (dot(part, beam), _BEAM))

    return (in_laboratory(corner), in_laboratory((1.0, 0.0, 0.0)), in_laboratory((0.0, 1.0, 0.0)), not sure)


def read_cbf_models(path: Path | str) -> Models:
    """Models of a miniCBF image (PILATUS_1.2, GENERIC_MINI and their like). Pixels below 0 are masked.

    Raises
    ------
    FormatError
        If it is not a miniCBF image, or a line that places the detector is missing or wrong.
    OSError
        If it cannot be read.
    """
    counts, header = read_cbf(path)
    if _BARREL in header.get("Detector", ""):
        raise FormatError(f"{path}: got an image of a {_BARREL}, a barrel that its header does not describe; the .expt "
                          "of dials.import is accepted")
    fast_m, slow_m = _numbers(path, header, "Pixel_size", 2)
    beam_fast, beam_slow = _numbers(path, header, "Beam_xy", 2)
    distance_m, = _numbers(path, header, "Detector_distance", 1)
    _positive(path, "Detector_distance", distance_m)
    wavelength, unsaid = None, f"{path}: no Wavelength in the header"
    if "Wavelength" in header:
        wavelength, unsaid = _positive(path, "Wavelength", *_numbers(path, header, "Wavelength", 1)), ""
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
    share = _optional(header, "Polarization")
    remarks = []
    if _optional(header, "Detector_2theta"):
        remarks.append(f"{path} has the detector on a two-theta arm and does not say about which axis: "
                       "it is taken as untilted")
    start, width = (_optional(header, key) or 0.0 for key in ("Start_angle", "Angle_increment"))
    spindle, start = (_SPINDLE, start) if width >= 0.0 else ((-1.0, 0.0, 0.0), -start)
    return Models(BeamModel(_BEAM, wavelength, share, None if share is None else (0.0, 1.0, 0.0)), (panel,), spindle,
                  ScanModel(start, abs(width), _optional(header, "Exposure_time") or None), remarks=tuple(remarks),
                  unsaid=unsaid)


def _positive(path: Path | str, key: str, value: float) -> float:
    if not value > 0.0:
        raise FormatError(f"{path}: got {key} {value:g}; it must be > 0")
    return value


def _numbers(path: Path | str, header: Mapping[str, str], key: str, count: int) -> list[float]:
    if key not in header:
        raise FormatError(f"{path}: no {key} in the header; it is needed to place the detector")
    found = _NUMBER.findall(header[key])
    if len(found) < count:
        raise FormatError(f"{path}: got {key} {header[key]}; it needs {count} number{'s' * (count > 1)}")
    return [float(text) for text in found[:count]]


def _optional(header: Mapping[str, str], key: str) -> float | None:
    found = _NUMBER.search(header.get(key, ""))
    return float(found.group()) if found else None


def _sensor(header: Mapping[str, str]) -> tuple[str, float | None]:
    """Material and thickness [um] of ``# Silicon sensor, thickness 0.000320 m``."""
    for name in _SENSORS:
        if header.get(name, "").startswith("sensor"):
            thickness = _optional({name: header[name].partition("thickness")[2]}, name)
            return known_material(name), 1e6 * thickness if thickness else None
    return "", None

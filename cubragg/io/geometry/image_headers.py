"""Experiment models from headers of SMV and miniCBF images, as dxtbx reads them: fast +x, slow -y, spindle +x.

Headers of nanoBragg also determine the tilt of the detector, and `known_detectors` has what headers of single detectors
leave out. ``-img`` does not use these functions: it reads an SMV header by the rules of nanoBragg.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cubragg.crystallography.vectors import Vector, combine, cross, dot, norm, rotate_axis, scale, unit
from cubragg.errors import FormatError
from cubragg.experiment.panel import Panel
from cubragg.experiment.sensor import attenuation_um, known_material
from cubragg.io.files.text import number
from cubragg.io.geometry.experiment_models import BeamModel, ExperimentModels, ScanModel
from cubragg.io.geometry.known_detectors import PLUS_X, minicbf_spindle, smv_facts
from cubragg.io.geometry.plausible import plausible
from cubragg.io.images.cbf import counts_of
from cubragg.io.images.cbf_parts import CbfParts, split_cbf
from cubragg.io.images.smv import SmvHeader, read_smv_header
from cubragg.units import rad_from_deg

_BEAM: Vector = (0.0, 0.0, -1.0)
_FAST: Vector = (1.0, 0.0, 0.0)
_SLOW: Vector = (0.0, -1.0, 0.0)
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
#: A number and the unit behind it.
_WITH_UNIT = re.compile(rf"({_NUMBER.pattern})\s*([A-Za-z]*)")
_METRES = {"m": 1.0, "mm": 1e-3, "um": 1e-6, "micron": 1e-6}
_SOURCES = {"A": 1.0, "a": 1.0, "nm": 10.0, "Angstrom": 1.0, "angstrom": 1.0}
#: Detector of beamline I23 at Diamond, whose modules are arranged on a cylinder.
_BARREL = "PILATUS 12M"
#: An electron detector whose chips have pixels of two sizes.
_TIMEPIX = "TIMEPIX_SU"
_SENSORS = ("Silicon", "CdTe", "GaAs")
#: Values of BEAMLINE in images of nanoBragg and cubragg, whose units are certain.
_OWN = ("fake", "cubragg")
#: Keys of nanoBragg that together determine the position and tilt of the detector.
_SIMULATED = ("CLOSE_DISTANCE", "XDS_ORGX", "XDS_ORGY", "DENZO_X_BEAM", "DENZO_Y_BEAM", "DIALS_ORIGIN")
#: Keys of goniometer and detector angles that a header of ADSC may have.
_SMV_ANGLES = ("KAPPA", "CHI", "PHI", "OMEGA", "TWOTHETA")
#: Tolerances for numbers of six digits: of a direction that is perpendicular, and of a position over its distance.
_STRAIGHT, _SAME_POSITION = 2e-5, 2e-5
_AS_DXTBX = "as dxtbx reads such a header; -spindle_axis and -twotheta replace them"


def read_smv_models(path: Path | str) -> ExperimentModels:
    """Return the experiment models of an SMV image.

    A header of nanoBragg (BEAMLINE=fake) determines position and tilt of the detector. In headers of real detectors
    BEAM_CENTER_X is the beam centre along slow and BEAM_CENTER_Y along fast, from the outer corner. Headers of d*TREK
    describe detector and goniometer by vectors.

    Raises
    ------
    FormatError
        If the file has no SMV header, or a key that the geometry needs is missing or wrong.
    OSError
        If it cannot be read.
    """
    smv = read_smv_header(path)
    header = smv.header
    if "DETECTOR_NAMES" in header and "BEAM_CENTER_X" not in header:
        from cubragg.io.geometry.dtrek import dtrek_models

        return dtrek_models(path, smv)
    if header.get("BEAMLINE", "").upper() == _TIMEPIX:
        raise FormatError(f"{path}: got BEAMLINE={header['BEAMLINE']}, whose pixels have two sizes; give the .expt "
                          "that dials.import writes")

    def value(key: str, default: float | None = None) -> float:
        if key not in header and default is not None:
            return default
        if key not in header:
            raise FormatError(f"{path}: no {key} in the header; the position of the detector needs it")
        return number(f"{path}: {key}", "it", header[key])

    warnings: list[str] = []
    simulated = header.get("BEAMLINE") == "fake"
    wavelength, pixel, distance = (_positive(path, key, value(key)) for key in ("WAVELENGTH", "PIXEL_SIZE", "DISTANCE"))
    if header.get("BEAMLINE") not in _OWN:
        wavelength = plausible(f"{path}: WAVELENGTH", "wavelength", wavelength, "A", warnings)
        pixel = plausible(f"{path}: PIXEL_SIZE", "pixel", pixel, "mm", warnings)
        distance = plausible(f"{path}: DISTANCE", "distance", distance, "mm", warnings)
    facts = smv_facts({} if simulated else header)
    if simulated and all(key in header for key in _SIMULATED):
        origin, fast, slow, ambiguous = _tilted(path, header, value)
        if ambiguous:
            warnings.append(f"{path}: the header of a tilted detector does not specify its rotation about the beam; "
                           "the fast axis is assumed to be as close to the spindle as possible")
    else:
        keys = ("DENZO_X_BEAM", "DENZO_Y_BEAM") if simulated and "DENZO_X_BEAM" in header else facts.centre_keys
        edges = [pixel * count for count in reversed(smv.shape)]
        if facts.centre_px:
            down, across = (pixel * one for one in _numbers(path, header, facts.centre_px, 2))
            centre = across, edges[1] - down
        else:
            centre = value(keys[1]), value(keys[0])
        if not all(0.0 <= place <= edge for place, edge in zip(centre, edges, strict=True)):
            warnings.append(f"{path}: the beam centre, {centre[0]:g} mm along fast and {centre[1]:g} mm along slow, "
                           f"is outside the detector of {edges[0]:g} x {edges[1]:g} mm; if it is in pixels, give "
                           "-Xbeam and -Ybeam in mm")
        origin, fast, slow = _facing(centre, distance, value("TWOTHETA", 0.0) if facts.twotheta else 0.0)
    slow_pixels, fast_pixels = smv.shape
    panel = Panel(fast_pixels, slow_pixels, origin, scale(fast, pixel), scale(slow, pixel))
    spindle, scan = _smv_scan(path, value, facts.reverses, warnings)
    if not (simulated and all(key in header for key in _SIMULATED)):
        warnings += _unused_angles(path, smv, scan, spindle, skipped="TWOTHETA" if facts.twotheta else "")
    return ExperimentModels(BeamModel(_BEAM, wavelength), (panel,), spindle, scan, warnings=tuple(warnings))


def _facing(centre: tuple[float, float], distance: float, twotheta_deg: float) -> tuple[Vector, Vector, Vector]:
    """Return origin [mm], fast and slow axis of a detector that faces the crystal at a two-theta angle.

    ``centre`` is the beam centre along fast and slow of the detector at that angle [mm].
    """
    angle = rad_from_deg(twotheta_deg)
    origin = (-centre[0] - distance * math.tan(angle), centre[1], -distance)
    origin, fast, slow = (rotate_axis(one, PLUS_X, angle) if angle else one for one in (origin, _FAST, _SLOW))
    return origin, fast, slow


def _smv_scan(path: Path | str, value: Callable[..., float], reverses: bool, warnings: list[str]
              ) -> tuple[Vector, ScanModel]:
    """Return spindle and scan; like dxtbx a negative range becomes a positive one about the opposite axis."""
    start, width, exposure = value("OSC_START", value("PHI", 0.0)), value("OSC_RANGE", 0.0), value("TIME", 0.0)
    if width < 0.0:
        reverses = True
        warnings.append(f"{path}: OSC_RANGE {width:g} is read as a rotation of {-width:g} deg from OSC_START {start:g} "
                        "about the reversed spindle, as by dxtbx")
    spindle = scale(PLUS_X, -1.0) if reverses else PLUS_X
    return spindle, ScanModel(start, abs(width), exposure if exposure > 0.0 else None)


def _unused_angles(path: Path | str, smv: SmvHeader, scan: ScanModel, spindle: Vector, skipped: str) -> list[str]:
    """Return the warning about goniometer and detector angles of an SMV header that have no axis there."""
    lines = []
    for key in _SMV_ANGLES:
        found = _NUMBER.fullmatch(smv.header.get(key, "").strip())
        angle = float(found[0]) if found and key != skipped else 0.0
        if angle != 0.0 and not (key in ("PHI", "OMEGA") and math.isclose(angle, scan.phi_deg, abs_tol=1e-4)):
            lines.append(f"{key} {angle:g}")
    return [_unused(path, lines, spindle)] if lines else []


def _unused(path: Path | str, lines: list[str], spindle: Vector) -> str:
    return (f"{path}: {', '.join(lines)} of the header {'are' if len(lines) > 1 else 'is'} not used: the spindle is "
            f"{' '.join(f'{x:g}' for x in spindle)} and the detector untilted, {_AS_DXTBX}")


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
    """Return the experiment models of a CBF image: miniCBF (such as PILATUS_1.2, GENERIC_MINI) or full imgCIF.

    Pixels below 0 are masked, where the pixels can be decoded; the geometry does not depend on them.

    Raises
    ------
    FormatError
        If the file is not a CBF image, or a line that the geometry needs is missing or wrong.
    OSError
        If it cannot be read.
    """
    from cubragg.io.geometry.imgcif import imgcif_models, is_imgcif

    parts = split_cbf(path)
    warnings: list[str] = []
    if is_imgcif(parts.text):
        models = imgcif_models(path, parts)
        thickness = _cbf_sensor(parts.lines, models.beam.wavelength_A if models.beam else None)
        panels = tuple(replace(panel, **thickness) for panel in models.panels)
        models = replace(models, panels=panels)
    else:
        models = _minicbf_models(path, parts)
    if len(models.panels) == 1:
        panel = models.panels[0]
        try:
            live = counts_of(path, parts) >= 0
        except FormatError as error:
            warnings.append(f"{error}; no pixels are masked")
        else:
            if live.shape == (panel.slow_pixels, panel.fast_pixels) and not live.all():
                models = replace(models, panels=(replace(panel, mask=live),))
    return replace(models, warnings=(*models.warnings, *warnings))


def _minicbf_models(path: Path | str, parts: CbfParts) -> ExperimentModels:
    header = parts.lines
    if _BARREL in header.get("Detector", ""):
        raise FormatError(f"{path}: got an image of a {_BARREL}, whose header does not describe the cylinder of "
                          "modules; give the .expt that dials.import writes")
    warnings: list[str] = []
    sizes = [_length_mm(path, header, "Pixel_size", "pixel", warnings, position) for position in (0, 1)]
    beam_fast, beam_slow = _numbers(path, header, "Beam_xy", 2)
    distance = _length_mm(path, header, "Detector_distance", "distance", warnings)
    wavelength, missing = None, f"{path}: no Wavelength in the header"
    if "Wavelength" in header:
        value, unit_ = _with_unit(path, header, "Wavelength")
        wavelength = plausible(f"{path}: Wavelength", "wavelength",
                               _positive(path, "Wavelength", value) * _SOURCES.get(unit_, 1.0), "A", warnings)
        missing = ""
    slow, fast = parts.shape(path)
    cutoff = _optional(header, "Count_cutoff")
    panel = Panel(fast, slow, (-beam_fast * sizes[0], beam_slow * sizes[1], -distance),
                  scale(_FAST, sizes[0]), scale(_SLOW, sizes[1]), trusted=(0.0, cutoff) if cutoff else None,
                  **_cbf_sensor(header, wavelength))
    fraction = _optional(header, "Polarization")
    found = minicbf_spindle(header)
    if found.unused:
        warnings.append(_unused(path, list(found.unused), found.spindle))
    start, width = (_optional(header, key) or 0.0 for key in ("Start_angle", "Angle_increment"))
    sense = 1.0 if width >= 0.0 else -1.0
    beam = BeamModel(_BEAM, wavelength, fraction, None if fraction is None else (0.0, 1.0, 0.0))
    return ExperimentModels(beam, (panel,), scale(found.spindle, sense),
                            ScanModel(sense * start, abs(width), _optional(header, "Exposure_time") or None),
                            warnings=tuple(warnings), missing_wavelength=missing)


def _length_mm(path: Path | str, header: Mapping[str, str], key: str, kind: str, warnings: list[str],
               position: int = 0) -> float:
    value, unit_ = _with_unit(path, header, key, position)
    metres = _METRES.get(unit_)
    if metres is None:
        warnings.append(f"{path}: {key} {header[key]} has no unit; m is assumed")
    return plausible(f"{path}: {key}", kind, 1000.0 * _positive(path, key, value) * (metres or 1.0), "mm", warnings)


def _with_unit(path: Path | str, header: Mapping[str, str], key: str, position: int = 0) -> tuple[float, str]:
    """Return number ``position`` of a line and the unit behind it, empty if there is none."""
    value = _numbers(path, header, key, position + 1)[position]
    return value, _WITH_UNIT.findall(header[key])[position][1]


def _cbf_sensor(header: Mapping[str, str], wavelength_A: float | None) -> dict[str, Any]:
    """Return the sensor of a miniCBF header, as settings of a panel."""
    material, thickness = _sensor(header)
    depth = attenuation_um(material, wavelength_A) if thickness and wavelength_A else None
    return {"thickness_um": thickness if depth else None, "attenuation_um": depth, "material": material}


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

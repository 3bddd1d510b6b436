"""Facts about single detectors that their image headers leave out, by serial number: spindle, beam centre, two-theta.

The facts are those of the format classes of dxtbx 3.12. Vectors are in the frame of DIALS.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

from cubragg.crystallography.vectors import Vector, rotate_axis
from cubragg.units import rad_from_deg

PLUS_X: Vector = (1.0, 0.0, 0.0)
_MINUS_X: Vector = (-1.0, 0.0, 0.0)
_PLUS_Y: Vector = (0.0, 1.0, 0.0)


class _Known(NamedTuple):
    """Text of the ``Detector`` line, the spindle, and the first year for which that is so."""

    text: str
    spindle: Vector
    since: int = 0


_MINI_CBF = (
    _Known("S/N 60-0115-F", _PLUS_Y),  # PETRA III, P14
    _Known("S/N E-32-0107", _PLUS_Y),  # PETRA III, P14
    _Known("S/N E-32-0105", _PLUS_Y),  # MAX IV, BioMAX
    _Known("S/N 60-0114", _PLUS_Y, 2017),  # Diamond, VMXi
    _Known("S/N 60-0119", _PLUS_Y, 2015),  # Diamond, I24
    _Known("S/N 60-0125", _MINUS_X),  # SPring-8, BL41XU
    _Known("S/N 60-0127", _MINUS_X),  # CHESS, F1
    _Known("S/N 60-0132", _MINUS_X),  # APS, 19-ID
    _Known("S/N XX-XXX", _MINUS_X),
)
#: Detectors on goniometers whose chi arm turns the phi axis, and the axes of chi and omega.
_CHI_ARMS = {"S/N 60-0106, Soleil": ((0.0, 0.0, -1.0), PLUS_X), "S/N 160-0001": ((0.0, 0.0, -1.0), PLUS_X)}
#: Values of ``Oscillation_axis`` that mean the axis of the detector's goniometer.
_USUAL_AXES = {"", "OMEGA", "X", "X.CW", "X,CW", "X, CW", "+X"}
_ANGLES = ("Kappa", "Chi", "Phi", "Omega", "Detector_2theta")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
#: ADSC detectors whose spindle turns the other way.
_REVERSED_SMV = {457, 458, 914, 915, 928}


class SpindleFound(NamedTuple):
    """The spindle, and the header lines of angles and axes that do not follow from it."""

    spindle: Vector
    unused: tuple[str, ...]


def minicbf_spindle(header: Mapping[str, str]) -> SpindleFound:
    """Return the spindle of a miniCBF image from the lines of its header."""
    detector, axis = header.get("Detector", ""), header.get("Oscillation_axis", "").strip().upper()
    arm = next((axes for text, axes in _CHI_ARMS.items() if text in detector), None)
    if arm is not None and "Chi" in header and "Alpha" not in header:
        if axis != "PHI":
            return SpindleFound(PLUS_X, _unused(header, set() if axis in _USUAL_AXES else {"Oscillation_axis"}))
        spindle = PLUS_X
        for name, arm_axis in zip(("Chi", "Omega"), arm, strict=True):
            spindle = rotate_axis(spindle, arm_axis, rad_from_deg(_angle(header, name)))
        return SpindleFound(spindle, ())
    year = int(found[0]) if (found := re.search(r"\b(19|20)\d\d\b", header.get("timestamp", ""))) else 0
    known = next((one for one in _MINI_CBF if one.text in detector and (not one.since or year >= one.since)), None)
    understood = axis in _USUAL_AXES
    spindle = known.spindle if known else PLUS_X
    if known is not None and known.text == "S/N 60-0119":
        understood = axis in _USUAL_AXES or axis.endswith(("SLOW", "FAST"))
        spindle = _MINUS_X if axis.endswith("FAST") else spindle
    return SpindleFound(spindle, _unused(header, set() if understood else {"Oscillation_axis"}))


def _angle(header: Mapping[str, str], name: str) -> float:
    found = _NUMBER.search(header.get(name, ""))
    angle = float(found[0]) if found else 0.0
    return angle if math.isfinite(angle) else 0.0  # digits enough for infinity


def _unused(header: Mapping[str, str], names: set[str]) -> tuple[str, ...]:
    """Return the lines of angles that are not 0 and are not the angle of the scan, and those of ``names``."""
    start = _angle(header, "Start_angle")
    fixed = {name for name in _ANGLES if _angle(header, name) != 0.0
             and (name not in ("Phi", "Omega") or not math.isclose(_angle(header, name), start, abs_tol=1e-4))}
    return tuple(f"{name} {header[name]}" for name in ("Oscillation_axis", *_ANGLES) if name in names | fixed)


class SmvFacts(NamedTuple):
    """Facts about an ADSC detector.

    Attributes
    ----------
    reverses
        The spindle turns the other way.
    centre_keys
        Keys of the beam centre along slow and along fast [mm].
    centre_px
        Key of a beam centre in pixels, counted from the corner that is opposite along slow; ``None``: not used.
    twotheta
        Header values include a two-theta angle about +x.
    """

    reverses: bool = False
    centre_keys: tuple[str, str] = ("BEAM_CENTER_X", "BEAM_CENTER_Y")
    centre_px: str | None = None
    twotheta: bool = False


def smv_facts(header: Mapping[str, str]) -> SmvFacts:
    """Return the facts about the detector of an SMV image with DATE and DETECTOR_SN; others have none."""
    serial = header.get("DETECTOR_SN", "")
    if "DATE" not in header or not (serial.isascii() and serial.isdigit()):
        return SmvFacts()
    number = int(serial[:9])

    def first(*pairs: tuple[str, str]) -> tuple[str, str]:
        return next((pair for pair in pairs if pair[0] in header), pairs[-1])

    if number in (907, 926) or (number == 442 and _before_move(header["DATE"])):
        keys = first(("DENZO_X_BEAM", "DENZO_Y_BEAM"), SmvFacts().centre_keys)
        return SmvFacts(centre_keys=keys, twotheta=number != 442)
    if number in (445, 905):
        return SmvFacts(centre_keys=first(("DENZO_XBEAM", "DENZO_YBEAM"),
                                          ("DENZO_BEAM_CENTER_X", "DENZO_BEAM_CENTER_Y"), SmvFacts().centre_keys))
    position = next((key for key in header if key.endswith("_SPATIAL_BEAM_POSITION")), None)
    return SmvFacts(number in _REVERSED_SMV, centre_px=position if number in (458, 914) else None)


def _before_move(date: str) -> bool:
    """Return whether a date is before 14 May 2006, when detector 442 moved to another beamline of the ALS."""
    found = re.search(r"\b([A-Z][a-z]{2})\s+(\d{1,2})\s.*\b(\d{4})\b", date)
    months = ("Jan", "Feb", "Mar", "Apr", "May")
    if found is None:
        return False
    month = months.index(found[1]) if found[1] in months else len(months)
    return (int(found[3]), month, int(found[2])) < (2006, months.index("May"), 14)

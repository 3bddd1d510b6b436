"""nanoBragg's conventions: one flat detector in the laboratory from distance, beam centre, pivot and tilts.

The order of operations is that of nanoBragg.c; the numbers of the steps are those of `specs/geometry.md`.
"""

from __future__ import annotations

import math
import sys
from typing import Any, NamedTuple

from cubragg import units
from cubragg.crystallography.vectors import (
    Vector,
    combine,
    cross,
    dot,
    norm,
    rotate_axis,
    rotate_xyz,
    scale,
    unit,
)
from cubragg.errors import ConfigError
from cubragg.experiment.detector_frame import DetectorFrame, Laboratory
from cubragg.experiment.panel import MadeBy, Panel

#: A plane closer to the crystal than this [m] contains it.
ROUNDING_M = 1e-12
#: A unit vector with a smaller component across the beam is treated as parallel to it.
_ALONG_BEAM = 1e-6


class Axes(NamedTuple):
    """Laboratory directions of a convention at zero rotation."""

    beam: Vector
    fast: Vector
    slow: Vector
    normal: Vector
    twotheta: Vector
    polar: Vector
    spindle: Vector


_X: Vector = (1.0, 0.0, 0.0)
_Y: Vector = (0.0, 1.0, 0.0)
_Z: Vector = (0.0, 0.0, 1.0)
_MINUS_X: Vector = (-1.0, 0.0, 0.0)
_MINUS_Y: Vector = (0.0, -1.0, 0.0)
_MINUS_Z: Vector = (0.0, 0.0, -1.0)

CONVENTIONS = {
    "mosflm": Axes(_X, _Z, _MINUS_Y, _X, _MINUS_Z, _Z, _Z),
    "denzo": Axes(_X, _Z, _MINUS_Y, _X, _MINUS_Z, _Z, _Z),
    "adxv": Axes(_Z, _X, _MINUS_Y, _Z, _MINUS_X, _X, _X),
    "xds": Axes(_Z, _X, _Y, _Z, _X, _X, _X),
    "dials": Axes(_Z, _X, _Y, _Z, _Y, _Y, _Y),
    "custom": Axes(_X, _Z, _MINUS_Y, _X, _Y, _Z, _Z),
}
PIVOTS = ("beam", "sample")
#: `DetectorFrame.convention` of placed panels.
PLACED = "placed panels"
#: Defaults [mm].
DISTANCE_MM, PIXEL_MM, SIZE_MM = 100.0, 0.1, 102.4
_CONVENTION_PIVOT = {"mosflm": "beam", "denzo": "beam", "adxv": "beam", "xds": "sample", "dials": "sample",
                     "custom": "beam"}


class Directions(NamedTuple):
    """Directions of the beam, the E vector and the spindle that an experiment specifies; ``None``: not specified."""

    beam: Vector | None = None
    polar: Vector | None = None
    spindle: Vector | None = None


def laboratory_of(convention: str, given: Directions) -> Laboratory:
    """Return the laboratory of placed panels: directions of the convention, replaced by those that are given.

    If the direction of the beam is given and the E vector is not, the E vector is the component across the beam of the
    spindle or, if that is along the beam, of x or y.
    """
    axes = CONVENTIONS[convention]
    beam = axes.beam if given.beam is None else unit(given.beam)
    spindle = axes.spindle if given.spindle is None else unit(given.spindle)
    if given.polar is not None:
        return Laboratory(beam, unit(given.polar), spindle)
    if given.beam is None:
        return Laboratory(beam, axes.polar, spindle)
    across = (combine((1.0, x), (-dot(x, beam), beam)) for x in (spindle, _X, _Y))
    return Laboratory(beam, unit(next(x for x in across if norm(x) > _ALONG_BEAM)), spindle)


class FlatDetector(NamedTuple):
    """The settings of `Detector` by which a convention places a flat detector, with its pixel [m], size [m] and shape
    (slow, fast)."""

    convention: str
    pivot: str | None
    distance_mm: float | None
    close_distance_mm: float | None
    xbeam_mm: float | None
    ybeam_mm: float | None
    xclose_mm: float | None
    yclose_mm: float | None
    orgx: float | None
    orgy: float | None
    rotx_deg: float
    roty_deg: float
    rotz_deg: float
    twotheta_deg: float
    fast_axis: Vector | None
    slow_axis: Vector | None
    normal_axis: Vector | None
    twotheta_axis: Vector | None
    pix0_m: Vector | None
    pixel_m: float
    size_m: tuple[float, float]
    shape: tuple[int, int]


def convention_axes(detector: FlatDetector, given: Directions) -> Axes:
    """Return the unit axes of the detector's convention; for CUSTOM, the given ones."""
    axes = CONVENTIONS[detector.convention]
    custom = detector.convention == "custom"
    if custom:
        custom_axes = Axes(given.beam, detector.fast_axis, detector.slow_axis,  # type: ignore[arg-type]
                           detector.normal_axis, detector.twotheta_axis,  # type: ignore[arg-type]
                           given.polar, given.spindle)  # type: ignore[arg-type]
        axes = Axes(*(start if x is None else x for x, start in zip(custom_axes, axes, strict=True)))
    axes = Axes(*(x if name == "twotheta" else unit(x) for name, x in zip(Axes._fields, axes, strict=True)))
    given_normal = detector.normal_axis if custom and detector.normal_axis else _X
    if norm(given_normal) != 1.0:
        axes = axes._replace(normal=unit(cross(axes.fast, axes.slow)))
    return axes


def pivot_in_force(convention: str, pivot: str | None, semantics: str) -> str:
    """Return the pivot that is used: in nanobragg semantics a given one has an effect with CUSTOM only."""
    if pivot is not None and (convention == "custom" or semantics == "physical"):
        return pivot
    return _CONVENTION_PIVOT[convention]


class _Centres(NamedTuple):
    """Beam centre and nearest point before rotations [m]: the convention's own, and along fast and slow."""

    xbeam: float
    ybeam: float
    xclose: float
    yclose: float
    fbeam: float
    sbeam: float
    fclose: float
    sclose: float


def _centres(detector: FlatDetector, pixel: float) -> _Centres:
    detsize_f, detsize_s = detector.size_m
    fclose = detsize_f / 2.0 if detector.orgx is None else (detector.orgx - 0.5) * pixel
    sclose = detsize_s / 2.0 if detector.orgy is None else (detector.orgy - 0.5) * pixel
    xclose = fclose if detector.xclose_mm is None else units.m_from_mm(detector.xclose_mm)
    yclose = sclose if detector.yclose_mm is None else units.m_from_mm(detector.yclose_mm)
    defaults = {
        "mosflm": ((detsize_s + pixel) / 2.0, (detsize_f + pixel) / 2.0),
        "denzo": ((detsize_s + pixel) / 2.0, (detsize_f + pixel) / 2.0),
        "adxv": ((detsize_f + pixel) / 2.0, (detsize_s - pixel) / 2.0),
    }.get(detector.convention, (xclose, yclose))
    xbeam = defaults[0] if detector.xbeam_mm is None else units.m_from_mm(detector.xbeam_mm)
    ybeam = defaults[1] if detector.ybeam_mm is None else units.m_from_mm(detector.ybeam_mm)
    match detector.convention:
        case "mosflm":
            fbeam, sbeam = ybeam + 0.5 * pixel, xbeam + 0.5 * pixel
        case "denzo":
            fbeam, sbeam = ybeam, xbeam
        case "adxv":
            fbeam, sbeam = xbeam, detsize_s - ybeam
        case "custom":
            fbeam, sbeam = fclose, sclose = xbeam, ybeam
        case _:
            fbeam, sbeam = xbeam, ybeam
    return _Centres(xbeam, ybeam, xclose, yclose, fbeam, sbeam, fclose, sclose)


def convention_frame(detector: FlatDetector, given: Directions, semantics: str) -> DetectorFrame:
    """Return the geometry of one flat detector placed by its convention.

    Raises
    ------
    ConfigError
        If the detector plane is at or behind the sample.
    """
    pixel = detector.pixel_m
    detsize_f, detsize_s = detector.size_m
    slow_pixels, fast_pixels = detector.shape
    axes = convention_axes(detector, given)
    rotations = tuple(units.rad_from_deg(angle) for angle in (detector.rotx_deg, detector.roty_deg, detector.rotz_deg))
    twotheta = units.rad_from_deg(detector.twotheta_deg)

    # nanoBragg.c does not normalize the two-theta axis.
    twotheta_axis = unit(axes.twotheta) if semantics == "physical" else axes.twotheta

    def rotated(x: Vector) -> Vector:
        return rotate_axis(rotate_xyz(x, rotations), twotheta_axis, twotheta)  # type: ignore[arg-type]

    unrotated = _centres(detector, pixel)

    # 1. distance along the beam and along the normal
    tilted = rotate_xyz(axes.normal, rotations)  # type: ignore[arg-type]
    ratio = dot(axes.beam, tilted) or sys.float_info.min
    distance = units.m_from_mm(DISTANCE_MM if detector.distance_mm is None else detector.distance_mm)
    close = abs(ratio * distance)
    if detector.close_distance_mm is not None:
        close = units.m_from_mm(detector.close_distance_mm)
    distance = close / ratio

    # 2. to 4. with pivot sample the origin is rotated too, with pivot beam it is computed from the beam spot
    fast, slow, normal = rotated(axes.fast), rotated(axes.slow), rotated(axes.normal)
    pivot = pivot_in_force(detector.convention, detector.pivot, semantics)
    if semantics == "physical" and detector.pix0_m is not None:
        pix0 = detector.pix0_m
    elif pivot == "sample":
        pix0 = rotated(combine((-unrotated.fclose, axes.fast), (-unrotated.sclose, axes.slow), (close, axes.normal)))
    else:
        pix0 = combine((-unrotated.fbeam, fast), (-unrotated.sbeam, slow), (distance, axes.beam))

    # 5. nearest point and beam centre after rotation
    fclose, sclose, close = -dot(pix0, fast), -dot(pix0, slow), dot(pix0, normal)
    to_beam = combine((close / ratio, axes.beam), (-1.0, pix0))
    fbeam, sbeam, distance = dot(fast, to_beam), dot(slow, to_beam), close / ratio
    if not close > ROUNDING_M or (pivot == "beam" and distance < 0.0):
        raise ConfigError("detector.distance_mm", f"got a detector plane {1000.0 * distance:g} mm along the beam "
                          f"and {1000.0 * close:g} mm along its normal after rotation; "
                          "the detector must lie downstream of the sample")
    return DetectorFrame(
        detector.convention, pivot, fast_pixels, slow_pixels, pixel, pixel, pix0, fast, slow, normal, axes.beam,
        axes.polar, unit(cross(axes.beam, axes.polar)), axes.spindle, twotheta_axis, twotheta, distance, close,
        unrotated.xbeam, unrotated.ybeam, unrotated.xclose, unrotated.yclose, fbeam, sbeam, fclose, sclose,
        detsize_f, detsize_s)


def cut_out(frame: DetectorFrame, first_pixel: tuple[int, int], fast_pixels: int, slow_pixels: int,
            **settings: Any) -> Panel:
    """Return the panel that begins at pixel (fast, slow) of a convention's frame; ``settings`` are those of `Panel`."""
    edges_mm = 1000.0 * frame.pixel_size, 1000.0 * frame.slow_pixel_size
    fast_mm, slow_mm = scale(frame.fast, edges_mm[0]), scale(frame.slow, edges_mm[1])
    origin = combine((1000.0, frame.pix0), (first_pixel[0], fast_mm), (first_pixel[1], slow_mm))
    panel = Panel(fast_pixels, slow_pixels, origin, fast_mm, slow_mm, **settings)
    object.__setattr__(panel, "made_by", MadeBy(frame, first_pixel))
    return panel


def panel_frame(panel: Panel, laboratory: Laboratory, shape: tuple[int, int] | None = None) -> DetectorFrame:
    """Return the geometry of a placed panel as that of one flat detector, for printing and for simple file headers.

    With ``shape`` (slow, fast) it is that of the whole image: the plane of the panel, extended to all pixels.
    """
    slow_pixels, fast_pixels = shape or (panel.slow_pixels, panel.fast_pixels)
    before = panel.offset if shape else (0, 0)
    pixel, slow_pixel = (units.m_from_mm(edge) for edge in panel.pixel_mm)
    pix0 = scale(panel.place_mm(-before[0], -before[1]), 1e-3)
    beam, polar, spindle = laboratory
    fast, slow, normal = panel.fast, panel.slow, panel.normal
    close, along = dot(pix0, normal), dot(beam, normal)
    spot = panel.spot(beam)
    nearest = panel.spot(normal)
    assert nearest is not None  # a plane is never parallel to its normal
    fclose, sclose = (nearest.fast_px + before[0]) * pixel, (nearest.slow_px + before[1]) * slow_pixel
    fbeam, sbeam = ((math.nan, math.nan) if spot is None else
                    ((spot.fast_px + before[0]) * pixel, (spot.slow_px + before[1]) * slow_pixel))
    in_front = spot is not None and spot.distance_mm > 0.0
    return DetectorFrame(
        PLACED, "beam" if in_front else "sample", fast_pixels, slow_pixels, pixel, slow_pixel, pix0, fast, slow, normal,
        beam, polar, unit(cross(beam, polar)), spindle, CONVENTIONS["custom"].twotheta, 0.0,
        close / along if along != 0.0 else math.inf, close, fbeam, sbeam, fclose, sclose, fbeam, sbeam, fclose, sclose,
        pixel * fast_pixels, slow_pixel * slow_pixels)


def frame_of(panel: Panel, laboratory: Laboratory) -> DetectorFrame:
    """Return the frame in which a panel's pixels are numbered: that of its convention if it has one, else its own."""
    return panel_frame(panel, laboratory) if panel.made_by is None else panel.made_by.frame

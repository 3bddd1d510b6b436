"""The detector: conventions, beam centres, pivots, tilts; from a user's numbers to pix0 and axes.

The steps are those of nanoBragg.c and are numbered as in `specs/geometry.md`.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import NamedTuple

from cubragg import checks, units
from cubragg.crystallography.frames import dials_rotation
from cubragg.crystallography.vectors import (
    Matrix,
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
from cubragg.experiment.panel import Panel, check_overlaps, image_shape, placed
from cubragg.experiment.sensor import Layers, Sensor, View, nanobragg_layers, physical_layers

#: More pixels than this cannot be addressed by the file formats (32-bit counts of bytes).
MAX_PIXELS = 2**29
_ROUNDING_M = 1e-12
#: More oblique rays count as having this cosine with the normal.
_GRAZING = 0.1


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
_CONVENTION_PIVOT = {"mosflm": "beam", "denzo": "beam", "adxv": "beam", "xds": "sample", "dials": "sample",
                     "custom": "beam"}


class DetectorGeometry(NamedTuple):
    """A detector, or one panel of it, ready for rendering [m, rad], after all rotations.

    ``pix0`` is the outer corner of the first pixel seen from the crystal;
    ``fast``, ``slow``, ``normal`` are unit vectors; ``fbeam``, ``sbeam`` and
    ``fclose``, ``sclose`` are the places of the direct beam and of the nearest
    point, from that corner along fast and slow. ``xbeam``, ``ybeam`` stay as
    given or defaulted, in the convention's own sense. ``pixel_size`` is the edge
    along fast.
    """

    convention: str
    pivot: str
    fast_pixels: int
    slow_pixels: int
    pixel_size: float
    slow_pixel_size: float
    pix0: Vector
    fast: Vector
    slow: Vector
    normal: Vector
    beam: Vector
    polar: Vector
    vert: Vector
    spindle: Vector
    twotheta_axis: Vector
    twotheta: float
    distance: float
    close_distance: float
    xbeam: float
    ybeam: float
    xclose: float
    yclose: float
    fbeam: float
    sbeam: float
    fclose: float
    sclose: float
    detsize_fast: float
    detsize_slow: float

    @property
    def orgx(self) -> float:
        """XDS ORGX [pixel]."""
        return self.fclose / self.pixel_size + 0.5

    @property
    def orgy(self) -> float:
        """XDS ORGY [pixel]."""
        return self.sclose / self.slow_pixel_size + 0.5

    @property
    def dials_origin_mm(self) -> Vector:
        """Origin in the frame of DIALS [mm]."""
        return (1000.0 * dot(self.pix0, _Z), 1000.0 * dot(self.pix0, _Y), 1000.0 * dot(self.pix0, _MINUS_X))

    def dials_rotation(self) -> Matrix:
        """The proper rotation from this laboratory into the frame of DIALS; see `frames.dials_rotation`."""
        return dials_rotation(self.beam, self.spindle, self.polar, self.fast, self.slow)

    @property
    def beam_in_detector(self) -> Vector:
        """Direction of the beam along fast, slow and normal (XDS INCIDENT_BEAM_DIRECTION)."""
        return (dot(self.beam, self.fast), dot(self.beam, self.slow), dot(self.beam, self.normal))


@dataclass(frozen=True)
class Detector:
    """Where the pixels are.

    Attributes
    ----------
    convention
        ``mosflm``, ``denzo``, ``adxv``, ``xds``, ``dials`` or ``custom``.
    pixel_size_mm, fast_pixels, slow_pixels, fast_size_mm, slow_size_mm
        Pixel edge [mm] and size in pixels or, where that is ``None``, in mm.
    distance_mm, close_distance_mm
        Along the beam; or to the nearest point of the detector plane, which rules where both are given.
    xbeam_mm, ybeam_mm, xclose_mm, yclose_mm, orgx, orgy
        Beam centre [mm] in the convention's sense, or nearest point [mm], or XDS origin [pixel].
    pivot
        ``beam`` or ``sample``: the point held fixed by rotations. In nanobragg semantics only CUSTOM listens.
    rotx_deg, roty_deg, rotz_deg, twotheta_deg
        Rotation about x, then y, then z, then about the two-theta axis [deg].
    fast_axis, slow_axis, normal_axis, beam_axis, polar_axis, twotheta_axis
        Directions for CUSTOM; those left out start as in MOSFLM (two-theta axis: +y).
    pix0_m
        Corner of the first pixel [m]; listened to in physical semantics only.
    curved, point_pixel
        Cylindrically curved detector; no obliquity in the solid angle.
    thickness_um, attenuation_um, thick_steps
        Sensor thickness and attenuation depth [um] (``inf``: transparent) and number of layers (``None``: two in
        nanobragg semantics, as many as spots need in physical semantics).
    panels
        The panels it consists of; empty: it is one itself. Then sizes in pixels and mm above place the beam centre
        only, and the image is as large as the panels need.
    """

    convention: str = "mosflm"
    pixel_size_mm: float = 0.1
    fast_pixels: int | None = None
    slow_pixels: int | None = None
    fast_size_mm: float = 102.4
    slow_size_mm: float = 102.4
    distance_mm: float = 100.0
    close_distance_mm: float | None = None
    xbeam_mm: float | None = None
    ybeam_mm: float | None = None
    xclose_mm: float | None = None
    yclose_mm: float | None = None
    orgx: float | None = None
    orgy: float | None = None
    pivot: str | None = None
    rotx_deg: float = 0.0
    roty_deg: float = 0.0
    rotz_deg: float = 0.0
    twotheta_deg: float = 0.0
    fast_axis: Vector | None = None
    slow_axis: Vector | None = None
    normal_axis: Vector | None = None
    beam_axis: Vector | None = None
    polar_axis: Vector | None = None
    twotheta_axis: Vector | None = None
    pix0_m: Vector | None = None
    curved: bool = False
    point_pixel: bool = False
    thickness_um: float = 0.0
    attenuation_um: float | None = None
    thick_steps: int | None = None
    panels: tuple[Panel, ...] = ()

    def __post_init__(self) -> None:
        checks.choice("detector.convention", "the convention", self.convention, tuple(CONVENTIONS))
        checks.number("detector.pixel_size_mm", "the pixel size", self.pixel_size_mm, "mm", above=0.0)
        for axis in ("fast", "slow"):
            checks.integer(f"detector.{axis}_pixels", "the detector size in pixels",
                           getattr(self, f"{axis}_pixels"), optional=True, at_least=1)
            checks.number(f"detector.{axis}_size_mm", "the detector size",
                          getattr(self, f"{axis}_size_mm"), "mm", above=0.0)
        checks.number("detector.distance_mm", "the distance", self.distance_mm, "mm", above=0.0)
        checks.number("detector.close_distance_mm", "the close distance", self.close_distance_mm, "mm",
                      optional=True, above=0.0)
        for name in ("xbeam_mm", "ybeam_mm", "xclose_mm", "yclose_mm"):
            checks.number(f"detector.{name}", "the beam centre", getattr(self, name), "mm", optional=True)
        for name in ("orgx", "orgy"):
            checks.number(f"detector.{name}", "the XDS origin", getattr(self, name), "pixels", optional=True)
        if self.pivot is not None:
            checks.choice("detector.pivot", "the pivot", self.pivot, PIVOTS)
        for name in ("rotx_deg", "roty_deg", "rotz_deg", "twotheta_deg"):
            checks.number(f"detector.{name}", "a detector rotation", getattr(self, name), "deg")
        for name in ("fast_axis", "slow_axis", "normal_axis", "beam_axis", "polar_axis", "twotheta_axis"):
            checks.vector(f"detector.{name}", "an axis", getattr(self, name), optional=True, nonzero=True)
        checks.vector("detector.pix0_m", "pix0", self.pix0_m, "m", optional=True)
        checks.number("detector.thickness_um", "the sensor thickness", self.thickness_um, "um", at_least=0.0)
        if self.attenuation_um is not None and not math.isinf(self.attenuation_um):
            checks.number("detector.attenuation_um", "the attenuation depth", self.attenuation_um, "um", at_least=0.0)
        checks.integer("detector.thick_steps", "the number of sensor layers", self.thick_steps,
                       optional=True, at_least=0)
        if self.panels and self.curved:
            raise ConfigError("detector.curved", "got a curved detector with panels; panels are flat")
        check_overlaps(self.panels)
        self._check_size()

    def _check_size(self) -> None:
        for axis, count in zip(("fast", "slow"), self._own_shape()[::-1], strict=True):
            if count < 1:
                size = getattr(self, f"{axis}_size_mm")
                raise ConfigError(f"detector.{axis}_size_mm", f"got {size:g} mm with pixels of "
                                  f"{self.pixel_size_mm:g} mm; the detector must hold a pixel")
        slow, fast = self.shape()
        if slow * fast > MAX_PIXELS:
            raise ConfigError("detector.fast_pixels", f"got {fast} x {slow} pixels; "
                              f"at most {MAX_PIXELS} pixels fit into the file formats")

    def _sizes_m(self) -> tuple[float, float]:
        """Fast and slow size [m]."""
        pixel = units.m_from_mm(self.pixel_size_mm)
        fast = units.m_from_mm(self.fast_size_mm) if self.fast_pixels is None else pixel * self.fast_pixels
        slow = units.m_from_mm(self.slow_size_mm) if self.slow_pixels is None else pixel * self.slow_pixels
        return fast, slow

    def shape(self) -> tuple[int, int]:
        """(slow, fast) size of the image in pixels."""
        return image_shape(self.panels) if self.panels else self._own_shape()

    def _own_shape(self) -> tuple[int, int]:
        """(slow, fast) size in pixels without regard to panels."""
        pixel = units.m_from_mm(self.pixel_size_mm)
        fast, slow = self._sizes_m()
        return math.ceil(slow / pixel - 0.5), math.ceil(fast / pixel - 0.5)

    def axes(self, spindle: Vector | None) -> Axes:
        """Unit axes of the convention or, for CUSTOM, as given."""
        axes = CONVENTIONS[self.convention]
        if self.convention == "custom":
            given = Axes(self.beam_axis, self.fast_axis, self.slow_axis, self.normal_axis,  # type: ignore[arg-type]
                         self.twotheta_axis, self.polar_axis, spindle)  # type: ignore[arg-type]
            axes = Axes(*(start if mine is None else mine for mine, start in zip(given, axes, strict=True)))
        axes = Axes(*(x if name == "twotheta" else unit(x) for name, x in zip(Axes._fields, axes, strict=True)))
        given_normal = self.normal_axis if self.convention == "custom" and self.normal_axis else _X
        if norm(given_normal) != 1.0:
            axes = axes._replace(normal=unit(cross(axes.fast, axes.slow)))
        return axes

    def pivot_in_force(self, semantics: str) -> str:
        """The pivot of the convention, or the one asked for where it is listened to."""
        if self.pivot is not None and (self.convention == "custom" or semantics == "physical"):
            return self.pivot
        return _CONVENTION_PIVOT[self.convention]

    def _beam_centre(self, fclose: float, sclose: float, xclose: float, yclose: float
                     ) -> tuple[float, float, float, float, float, float]:
        """xbeam, ybeam, fbeam, sbeam, fclose, sclose [m] before rotations."""
        pixel = units.m_from_mm(self.pixel_size_mm)
        detsize_f, detsize_s = self._sizes_m()
        defaults = {
            "mosflm": ((detsize_s + pixel) / 2.0, (detsize_f + pixel) / 2.0),
            "denzo": ((detsize_s + pixel) / 2.0, (detsize_f + pixel) / 2.0),
            "adxv": ((detsize_f + pixel) / 2.0, (detsize_s - pixel) / 2.0),
        }.get(self.convention, (xclose, yclose))
        xbeam = defaults[0] if self.xbeam_mm is None else units.m_from_mm(self.xbeam_mm)
        ybeam = defaults[1] if self.ybeam_mm is None else units.m_from_mm(self.ybeam_mm)
        match self.convention:
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
        return xbeam, ybeam, fbeam, sbeam, fclose, sclose

    def geometry(self, spindle: Vector | None, semantics: str) -> DetectorGeometry:
        """Place the detector.

        Raises
        ------
        ConfigError
            If the detector plane comes to lie at or behind the sample.
        """
        pixel = units.m_from_mm(self.pixel_size_mm)
        detsize_f, detsize_s = self._sizes_m()
        slow_pixels, fast_pixels = self._own_shape()
        axes = self.axes(spindle)
        rotations = tuple(units.rad_from_deg(angle) for angle in (self.rotx_deg, self.roty_deg, self.rotz_deg))
        twotheta = units.rad_from_deg(self.twotheta_deg)

        # nanoBragg.c uses a two-theta axis as given, also where it is not a unit vector.
        twotheta_axis = unit(axes.twotheta) if semantics == "physical" else axes.twotheta

        def turn(x: Vector) -> Vector:
            return rotate_axis(rotate_xyz(x, rotations), twotheta_axis, twotheta)  # type: ignore[arg-type]

        fclose = detsize_f / 2.0 if self.orgx is None else (self.orgx - 0.5) * pixel
        sclose = detsize_s / 2.0 if self.orgy is None else (self.orgy - 0.5) * pixel
        xclose = fclose if self.xclose_mm is None else units.m_from_mm(self.xclose_mm)
        yclose = sclose if self.yclose_mm is None else units.m_from_mm(self.yclose_mm)
        xbeam, ybeam, fbeam, sbeam, fclose, sclose = self._beam_centre(fclose, sclose, xclose, yclose)

        # 1. distance along the beam and along the normal
        tilted = rotate_xyz(axes.normal, rotations)  # type: ignore[arg-type]
        ratio = dot(axes.beam, tilted) or sys.float_info.min
        distance = units.m_from_mm(self.distance_mm)
        close = abs(ratio * distance) if self.close_distance_mm is None else units.m_from_mm(self.close_distance_mm)
        distance = close / ratio

        # 2. to 4. the pivot decides whether the origin turns along or is laid from the beam spot
        fast, slow, normal = turn(axes.fast), turn(axes.slow), turn(axes.normal)
        pivot = self.pivot_in_force(semantics)
        if semantics == "physical" and self.pix0_m is not None:
            pix0 = self.pix0_m
        elif pivot == "sample":
            pix0 = turn(combine((-fclose, axes.fast), (-sclose, axes.slow), (close, axes.normal)))
        else:
            pix0 = combine((-fbeam, fast), (-sbeam, slow), (distance, axes.beam))

        # 5. where nearest point and beam ended up
        fclose, sclose, close = -dot(pix0, fast), -dot(pix0, slow), dot(pix0, normal)
        to_beam = combine((close / ratio, axes.beam), (-1.0, pix0))
        fbeam, sbeam, distance = dot(fast, to_beam), dot(slow, to_beam), close / ratio
        if not close > _ROUNDING_M or (pivot == "beam" and distance < 0.0):
            raise ConfigError("detector.distance_mm", f"got a detector plane {1000.0 * distance:g} mm along the beam "
                              f"and {1000.0 * close:g} mm along its normal after rotation; "
                              "the detector must not lie at or behind the sample")
        return DetectorGeometry(
            self.convention, pivot, fast_pixels, slow_pixels, pixel, pixel, pix0, fast, slow, normal, axes.beam,
            axes.polar, unit(cross(axes.beam, axes.polar)), axes.spindle, twotheta_axis, twotheta, distance, close,
            xbeam, ybeam, xclose, yclose, fbeam, sbeam, fclose, sclose, detsize_f, detsize_s)

    def panel_geometries(self, detector: DetectorGeometry) -> tuple[DetectorGeometry, ...]:
        """Each panel in the laboratory, of a detector placed by `geometry`; its own geometry where it has no panels.

        Raises
        ------
        ConfigError
            For a panel that the sample sees edge-on.
        """
        if not self.panels:
            return (detector,)
        across = cross(detector.fast, detector.slow)
        normal = unit(across) if dot(across, detector.normal) > 0.0 else scale(unit(across), -1.0)
        axes = detector.fast, detector.slow, normal
        return tuple(_panel_geometry(number, panel, detector, axes) for number, panel in enumerate(self.panels))

    def panel_sensors(self) -> tuple[Sensor, ...]:
        """Sensor of each panel, in the order of `panel_geometries`."""
        return tuple(_sensor(
            self.thickness_um if panel.thickness_um is None else panel.thickness_um,
            self.attenuation_um if panel.attenuation_um is None else panel.attenuation_um)
            for panel in self.panels) or (self.sensor(),)

    def sensor(self) -> Sensor:
        """The sensor of the detector itself."""
        return _sensor(self.thickness_um, self.attenuation_um)

    def layers(self, sensor: Sensor, geometry: DetectorGeometry, semantics: str) -> Layers:
        """Layers of a sensor that stands at ``geometry``."""
        if semantics != "physical":
            return nanobragg_layers(sensor, self.thick_steps)
        # A curved detector faces the sample everywhere.
        cosine = 1.0 if self.curved else _least_cosine(geometry)
        return physical_layers(sensor, self.thick_steps,
                               View(cosine, min(geometry.pixel_size, geometry.slow_pixel_size)))


def _sensor(thickness_um: float, attenuation_um: float | None) -> Sensor:
    thickness = units.m_from_um(thickness_um)
    if attenuation_um is None:
        return Sensor(thickness, 1.0 / thickness, True) if thickness > 0.0 else Sensor(thickness, -1.0)
    transparent = attenuation_um == 0.0 or math.isinf(attenuation_um)
    return Sensor(thickness, 0.0 if transparent else 1.0 / units.m_from_um(attenuation_um))


def _least_cosine(geometry: DetectorGeometry) -> float:
    """Cosine with the normal of the ray to the corner that is seen most obliquely."""
    corners = [combine((1.0, geometry.pix0), (fast, geometry.fast), (slow, geometry.slow))
               for fast in (0.0, geometry.detsize_fast) for slow in (0.0, geometry.detsize_slow)]
    return max(min(dot(unit(corner), geometry.normal) for corner in corners), _GRAZING)


def _panel_geometry(number: int, panel: Panel, detector: DetectorGeometry, axes: tuple[Vector, Vector, Vector]
                    ) -> DetectorGeometry:
    pix0, fast, slow = placed(panel, detector.pix0, axes)
    normal = unit(cross(fast, slow))
    if dot(pix0, normal) < 0.0:
        normal = scale(normal, -1.0)
    close = dot(pix0, normal)
    if not close > _ROUNDING_M:
        raise ConfigError(f"detector.panels[{number}]", f"got a panel whose plane passes {1000.0 * close:g} mm from "
                          "the sample; the sample must not lie in it")
    along = dot(detector.beam, normal)
    distance = close / along if along != 0.0 else math.inf
    fclose, sclose = -dot(pix0, fast), -dot(pix0, slow)
    to_beam = combine((distance, detector.beam), (-1.0, pix0)) if math.isfinite(distance) else (math.nan,) * 3
    fast_size, slow_size = units.m_from_mm(panel.pixel_fast_mm), units.m_from_mm(panel.pixel_slow_mm)
    return detector._replace(
        fast_pixels=panel.fast_pixels, slow_pixels=panel.slow_pixels, pixel_size=fast_size, slow_pixel_size=slow_size,
        pix0=pix0, fast=fast, slow=slow, normal=normal, distance=distance, close_distance=close,
        fclose=fclose, sclose=sclose, fbeam=dot(to_beam, fast), sbeam=dot(to_beam, slow),
        detsize_fast=fast_size * panel.fast_pixels, detsize_slow=slow_size * panel.slow_pixels)

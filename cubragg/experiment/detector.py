"""The detector: placed panels, a detector of the catalog, or one flat panel placed by a convention of nanoBragg."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

from cubragg import checks, units
from cubragg.bounds import ANGLE_DEG, LENGTH_MM, PIXEL_EDGE_MM
from cubragg.crystallography.vectors import Vector
from cubragg.errors import ConfigError
from cubragg.experiment.catalog import CatalogDetector, find
from cubragg.experiment.conventions import (
    CONVENTIONS,
    PIVOTS,
    PIXEL_MM,
    SIZE_MM,
    Directions,
    FlatDetector,
    convention_frame,
    cut_out,
    laboratory_of,
    panel_frame,
)
from cubragg.experiment.detector_frame import DetectorFrame, Laboratory
from cubragg.experiment.motion import Motion, moved
from cubragg.experiment.panel import MAX_PIXELS, Panel, check_panels, image_shape, panel_in_beam
from cubragg.experiment.settings_repr import settings_repr
from cubragg.nanobragg.fill_range import MAX_STEPS

#: Relative tolerance for sizes given together with a detector of the catalog: SMV headers have 6 digits.
_SAME_SIZE = 1e-4
#: Settings that place one flat panel by a convention; they are refused together with `Detector.panels`.
CONVENTION_ONLY = (
    "pixel_size_mm", "fast_pixels", "slow_pixels", "fast_size_mm", "slow_size_mm", "xbeam_mm", "ybeam_mm", "xclose_mm",
    "yclose_mm", "orgx", "orgy", "rotx_deg", "roty_deg", "rotz_deg", "twotheta_deg", "fast_axis", "slow_axis",
    "normal_axis", "twotheta_axis", "pix0_m", "model")


class Placed(NamedTuple):
    """A detector in the laboratory: its panels, each with a sensor, and the geometry as nanoBragg prints it. For panels
    that no convention placed, it is the geometry of the panel in the beam."""

    panels: tuple[Panel, ...]
    frame: DetectorFrame


@dataclass(frozen=True)
class Detector:
    """The detector and its geometry.

    One of three: a flat panel placed by a convention; with ``model``, a detector of the catalog, whose modules are
    parts of such a panel; with ``panels``, placed panels. Settings of a convention are refused together with
    ``panels``.

    Attributes
    ----------
    convention
        ``mosflm``, ``denzo``, ``adxv``, ``xds``, ``dials`` or ``custom``. With ``panels`` it only defines
        the directions of beam, polarization and spindle that are not given.
    pixel_size_mm, fast_pixels, slow_pixels, fast_size_mm, slow_size_mm
        Pixel edge [mm] (``None``: 0.1), and size in pixels or, if that is ``None``, in mm (``None``: 102.4).
    distance_mm, close_distance_mm
        Distance along the beam [mm] (``None``: 100), or to the nearest point of the detector plane [mm]; the second is
        used if both are given. With ``panels``, all panels are shifted so that the panel in the beam is at this
        distance; ``None``: no shift.
    xbeam_mm, ybeam_mm, xclose_mm, yclose_mm, orgx, orgy
        Beam centre [mm] in the convention's sense, or nearest point [mm], or XDS origin [pixel].
    pivot
        ``beam`` or ``sample``: the point held fixed by rotations. In nanobragg semantics it has an effect with
        CUSTOM only.
    rotx_deg, roty_deg, rotz_deg, twotheta_deg
        Rotation about x, then y, then z, then about the two-theta axis [deg].
    fast_axis, slow_axis, normal_axis, twotheta_axis
        Directions for CUSTOM; those not given are as in MOSFLM (two-theta axis: +y).
    pix0_m
        Corner of the first pixel [m]; it has an effect in physical semantics only.
    curved, point_pixel
        Cylindrical detector; solid angle without obliquity.
    thickness_um, attenuation_um, thick_steps
        Sensor thickness and attenuation depth [um] (``inf``: transparent) and number of layers (``None``: two in
        nanobragg semantics, as many as the shape of spots requires in physical semantics).
    panels
        Placed panels; their offsets and sizes determine the size of the image.
    model
        Name of a detector of the catalog.
    beam_centre_mm
        Shifts the whole detector so that the beam hits the panel in the beam at this distance from its corner along
        fast and slow [mm]; ``None``: no shift.
    shift_mm
        Shifts the whole detector along fast and slow of the panel in the beam, and away from the crystal along the
        beam [mm].
    rotation_deg
        Rotates the shifted detector about the x, y and z axes of the laboratory [deg], through the beam spot or
        (``pivot``) the crystal.
    """

    convention: str = "mosflm"
    pixel_size_mm: float | None = None
    fast_pixels: int | None = None
    slow_pixels: int | None = None
    fast_size_mm: float | None = None
    slow_size_mm: float | None = None
    distance_mm: float | None = None
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
    twotheta_axis: Vector | None = None
    pix0_m: Vector | None = None
    curved: bool = False
    point_pixel: bool = False
    thickness_um: float = 0.0
    attenuation_um: float | None = None
    thick_steps: int | None = None
    panels: tuple[Panel, ...] = ()
    model: str | None = None
    beam_centre_mm: tuple[float, float] | None = None
    shift_mm: Vector = (0.0, 0.0, 0.0)
    rotation_deg: Vector = (0.0, 0.0, 0.0)

    __repr__ = settings_repr

    def __post_init__(self) -> None:
        checks.plain_fields(self)
        checks.instances("detector.panels", self.panels, Panel)
        checks.switch("detector.curved", self.curved)
        checks.switch("detector.point_pixel", self.point_pixel)
        self._check_convention()
        checks.number("detector.thickness_um", "the sensor thickness", self.thickness_um, "um", at_least=0.0)
        if self.attenuation_um != math.inf:
            checks.number("detector.attenuation_um", "the attenuation depth", self.attenuation_um, "um", optional=True,
                          at_least=0.0)
        checks.integer("detector.thick_steps", "the number of sensor layers", self.thick_steps,
                       optional=True, at_least=0, at_most=MAX_STEPS)
        checks.vector("detector.beam_centre_mm", "the beam centre", self.beam_centre_mm, "mm", length=2, optional=True,
                      within=LENGTH_MM)
        checks.vector("detector.shift_mm", "a shift", self.shift_mm, "mm", within=LENGTH_MM)
        checks.vector("detector.rotation_deg", "a rotation", self.rotation_deg, "deg", within=ANGLE_DEG)
        if (self.panels or self.model is not None) and self.curved:
            raise ConfigError("detector.curved", "got a curved detector with panels, which are flat; omit one of them")
        if self.panels:
            self._check_panels()
        if self.model is not None:
            model = find("detector.model", self.model)
            object.__setattr__(self, "model", model.name)
            self._check_model(model)
        self._check_size()

    def _check_convention(self) -> None:
        checks.choice("detector.convention", "the convention", self.convention, tuple(CONVENTIONS))
        checks.number("detector.pixel_size_mm", "the pixel size", self.pixel_size_mm, "mm", optional=True, above=0.0,
                      within=PIXEL_EDGE_MM)
        for axis in ("fast", "slow"):
            checks.integer(f"detector.{axis}_pixels", "the detector size in pixels",
                           getattr(self, f"{axis}_pixels"), optional=True, at_least=1)
            checks.number(f"detector.{axis}_size_mm", "the detector size",
                          getattr(self, f"{axis}_size_mm"), "mm", optional=True, above=0.0, within=LENGTH_MM)
        checks.number("detector.distance_mm", "the distance", self.distance_mm, "mm", optional=True, above=0.0,
                      within=LENGTH_MM)
        checks.number("detector.close_distance_mm", "the close distance", self.close_distance_mm, "mm",
                      optional=True, above=0.0, within=LENGTH_MM)
        for name in ("xbeam_mm", "ybeam_mm", "xclose_mm", "yclose_mm"):
            checks.number(f"detector.{name}", "the beam centre", getattr(self, name), "mm", optional=True,
                          within=LENGTH_MM)
        for name in ("orgx", "orgy"):
            checks.number(f"detector.{name}", "the XDS origin", getattr(self, name), "pixels", optional=True,
                          within=LENGTH_MM)
        if self.pivot is not None:
            checks.choice("detector.pivot", "the pivot", self.pivot, PIVOTS)
        for name in ("rotx_deg", "roty_deg", "rotz_deg", "twotheta_deg"):
            checks.number(f"detector.{name}", "a detector rotation", getattr(self, name), "deg", within=ANGLE_DEG)
        for name in ("fast_axis", "slow_axis", "normal_axis", "twotheta_axis"):
            checks.vector(f"detector.{name}", "an axis", getattr(self, name), optional=True, nonzero=True)
        checks.vector("detector.pix0_m", "pix0", self.pix0_m, "m", optional=True, within=LENGTH_MM)

    def _check_panels(self) -> None:
        defaults = {part.name: part.default for part in fields(self)}
        for name in CONVENTION_ONLY:
            value = getattr(self, name)
            if value != defaults[name]:
                raise ConfigError(f"detector.{name}", f"got {value} with detector.panels, whose positions are given by "
                                  "their vectors; shift_mm, rotation_deg, distance_mm and beam_centre_mm move them")
        # Without the convention's frame: these panels are given by their vectors.
        object.__setattr__(self, "panels", tuple(
            panel if panel.made_by is None else replace(panel) for panel in self.panels))
        check_panels(self.panels)

    def _check_model(self, model: CatalogDetector) -> None:
        slow_pixels, fast_pixels = model.shape
        pixel = model.module.pixel_mm
        fixed = {"pixel_size_mm": pixel, "fast_pixels": fast_pixels, "slow_pixels": slow_pixels,
                 "fast_size_mm": fast_pixels * pixel, "slow_size_mm": slow_pixels * pixel}
        for name, value in fixed.items():
            given = getattr(self, name)
            if given is not None and not math.isclose(given, value, rel_tol=_SAME_SIZE):
                unit = " mm" if name.endswith("_mm") else ""
                raise ConfigError(f"detector.{name}", f"got {given:g}{unit}; the detector {model.name} has "
                                  f"{value:g}{unit}, omit one of the two")

    def _check_size(self) -> None:
        slow, fast = self.shape()
        for axis, count in (("fast", fast), ("slow", slow)):
            if count < 1:
                size = getattr(self, f"{axis}_size_mm") or SIZE_MM
                raise ConfigError(f"detector.{axis}_size_mm", f"got {size:g} mm with pixels of "
                                  f"{self.pixel_mm():g} mm; the detector must have at least one pixel")
        if slow * fast > MAX_PIXELS:
            raise ConfigError("detector.fast_pixels", f"got {fast} x {slow} pixels; "
                              f"the file formats hold at most {MAX_PIXELS}")

    @classmethod
    def named(cls, name: str, distance_mm: float | None = None, **overrides: Any) -> Detector:
        """Return a detector of the catalog; ``overrides`` are other settings.

        Case, blanks and punctuation of the name do not matter.

        Raises
        ------
        ConfigError
            If there is no detector of that name; the message has the nearest names.
        """
        return cls(model=name, distance_mm=distance_mm, **overrides)

    def _catalog(self) -> CatalogDetector | None:
        return None if self.model is None else find("detector.model", self.model)

    def pixel_mm(self) -> float:
        """Return the edge of a pixel of the convention's frame [mm]."""
        model = self._catalog()
        if model is not None:
            return model.module.pixel_mm
        return PIXEL_MM if self.pixel_size_mm is None else self.pixel_size_mm

    def _counts(self) -> tuple[int | None, int | None]:
        """Return the fast and slow number of pixels of the convention's frame; ``None`` if not given."""
        model = self._catalog()
        return (self.fast_pixels, self.slow_pixels) if model is None else model.shape[::-1]

    def sizes_m(self) -> tuple[float, float]:
        """Return the fast and slow size of the convention's frame [m]."""
        pixel = units.m_from_mm(self.pixel_mm())
        fast, slow = (units.m_from_mm(SIZE_MM if size is None else size) if count is None else pixel * count
                      for count, size in zip(self._counts(), (self.fast_size_mm, self.slow_size_mm), strict=True))
        return fast, slow

    def shape(self) -> tuple[int, int]:
        """Return the (slow, fast) size of the image in pixels."""
        if self.panels:
            return image_shape(self.panels)
        pixel = units.m_from_mm(self.pixel_mm())
        fast, slow = self.sizes_m()
        return math.ceil(slow / pixel - 0.5), math.ceil(fast / pixel - 0.5)

    def placed(self, given: Directions | None = None, semantics: str = "physical") -> Placed:
        """Return the placed panels and the geometry as nanoBragg prints it.

        Parameters
        ----------
        given
            Directions of beam, E vector and spindle of the experiment (`Experiment.placed` passes them).
        semantics
            ``nanobragg`` reproduces the C program's deviations from its conventions.

        Raises
        ------
        ConfigError
            If the detector is at or behind the sample, or the plane of a panel contains the sample.
        """
        given = Directions() if given is None else given
        if self.panels:
            laboratory, panels = laboratory_of(self.convention, given), self.panels
        else:
            frame = convention_frame(self._flat(), given, semantics)
            laboratory, panels = frame.laboratory, self._cut_out(frame)
        motion = self._motion()
        if motion.moves:
            panels = moved(panels, motion, laboratory.beam)
            check_panels(panels)
        if self.panels or motion.moves:
            frame = self._image_frame(panels, laboratory)
        return Placed(tuple(map(self._with_sensor, panels)), frame)

    def _flat(self) -> FlatDetector:
        """Return what places the convention's frame."""
        settings: dict[str, Any] = {name: getattr(self, name) for name in FlatDetector._fields if hasattr(self, name)}
        settings["shape"] = self.shape()
        return FlatDetector(**settings, pixel_m=units.m_from_mm(self.pixel_mm()), size_m=self.sizes_m())

    def _motion(self) -> Motion:
        """Return the motion of the panels; the distance of a convention's detector is not one, but places it."""
        distances = (self.distance_mm, self.close_distance_mm) if self.panels else (None, None)
        return Motion(*distances, self.beam_centre_mm, self.shift_mm, self.rotation_deg,
                      "sample" if self.pivot == "sample" else "beam")

    def _cut_out(self, frame: DetectorFrame) -> tuple[Panel, ...]:
        """Return the panels of a convention's frame."""
        model = self._catalog()
        if model is None:
            return (cut_out(frame, (0, 0), frame.fast_pixels, frame.slow_pixels),)
        return tuple(cut_out(frame, module.offset, **module._asdict()) for module in model.modules())

    def _image_frame(self, panels: tuple[Panel, ...], laboratory: Laboratory) -> DetectorFrame:
        """Return the frame of the whole image in the plane of the panel in the beam."""
        return panel_frame(panel_in_beam(panels, laboratory.beam), laboratory, image_shape(panels))

    def _with_sensor(self, panel: Panel) -> Panel:
        """Return the panel, with the sensor of the detector if it has none."""
        filled = replace(
            panel, thickness_um=self.thickness_um if panel.thickness_um is None else panel.thickness_um,
            attenuation_um=self.attenuation_um if panel.attenuation_um is None else panel.attenuation_um)
        object.__setattr__(filled, "made_by", panel.made_by)
        return filled

    def geometry(self, spindle: Vector | None = None, semantics: str = "physical") -> DetectorFrame:
        """Return the geometry as nanoBragg prints it, for the beam and E vector of the convention; see `placed`."""
        return self.placed(Directions(spindle=spindle), semantics).frame

"""Checks whether panels form one flat image, and properties that panels have in common.

The geometry of SMV and miniCBF is only a distance, a beam centre and a pixel size: readers assume that
the image faces the beam with its fast axis along the spindle.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from cubragg import units
from cubragg.crystallography.vectors import Vector, combine, cross, dot, norm
from cubragg.errors import FormatError
from cubragg.experiment.conventions import panel_frame
from cubragg.experiment.detector_frame import DetectorFrame, Laboratory
from cubragg.experiment.panel import Panel, image_shape

#: Tolerance for directions to be equal: far less than a pixel over any detector.
_SAME_DIRECTION = 1e-6
#: Largest distance of a panel from the common grid of pixels [pixel].
_OFF_GRID = 1e-2
#: Relative tolerance for sizes of pixels to be equal, for rounding.
_SAME_SIZE = 1e-12


def facing_frame(panels: Sequence[Panel], laboratory: Laboratory, *, rotating: bool) -> DetectorFrame:
    """Return the geometry of the flat image that panels form.

    Panels must be on one grid of pixels and face the beam; fast axis, slow axis and beam must be right-handed; if the
    crystal is ``rotating``, the spindle must be along the fast axis.

    Raises
    ------
    FormatError
        If they do not form such an image; the message has the reason.
    """
    first = panels[0]
    if abs(dot(first.fast, first.slow)) > _SAME_DIRECTION:
        raise FormatError("got a panel whose axes are not perpendicular")
    for panel in panels[1:]:
        _check_on_grid(panel, first)
    fast, slow, beam = first.fast, first.slow, laboratory.beam
    if abs(dot(fast, beam)) > _SAME_DIRECTION or abs(dot(slow, beam)) > _SAME_DIRECTION:
        raise FormatError("got a detector that does not face the beam")
    if _apart(cross(fast, slow), beam):
        raise FormatError("got an image whose fast axis, slow axis and beam are left-handed")
    if rotating and _apart(laboratory.spindle, fast):
        raise FormatError("got a spindle that is not along the fast axis")
    made_by = first.made_by
    if made_by is not None and made_by.first_pixel == first.offset:
        return made_by.frame
    return panel_frame(first, laboratory, image_shape(panels))


def _apart(x: Vector, y: Vector) -> bool:
    return norm(combine((1.0, x), (-1.0, y))) > _SAME_DIRECTION


def _check_on_grid(panel: Panel, first: Panel) -> None:
    if any(not math.isclose(*edges, rel_tol=_SAME_SIZE) for edges in zip(panel.pixel_mm, first.pixel_mm, strict=True)):
        raise FormatError(f"got panels {first.name!r} and {panel.name!r} with pixels of different sizes")
    if _apart(panel.fast, first.fast) or _apart(panel.slow, first.slow):
        raise FormatError(f"got panels {first.name!r} and {panel.name!r} rotated relative to one another")
    expected = first.place_mm(panel.offset[0] - first.offset[0], panel.offset[1] - first.offset[1])
    off_mm = math.dist(panel.origin_mm, expected)
    if off_mm > _OFF_GRID * min(first.pixel_mm):
        raise FormatError(f"got panel {panel.name!r} {1e3 * off_mm:.3g} um from the pixel grid of panel "
                          f"{first.name!r}")


def sensor_in_common(panels: Sequence[Panel]) -> tuple[str, float]:
    """Return material and thickness [m] of the sensor layers that all panels have; thickness 0: no layers.

    Raises
    ------
    FormatError
        If the sensors of panels differ.
    """
    sensors = {(panel.material or "Si", units.m_from_um(panel.thickness_um or 0.0)) for panel in panels}
    if len(sensors) > 1:
        raise FormatError(f"got {len(sensors)} different sensors: "
                          + ", ".join(f"{material} of {1e6 * thickness:g} um" for material, thickness in
                                      sorted(sensors)))
    return sensors.pop()


def trusted_of(panels: Sequence[Panel]) -> tuple[float, float] | None:
    """Return the range of counts that is trusted on all panels; ``None`` if no panel has one."""
    ranges = [panel.trusted for panel in panels if panel.trusted is not None]
    return (max(low for low, _ in ranges), min(high for _, high in ranges)) if ranges else None

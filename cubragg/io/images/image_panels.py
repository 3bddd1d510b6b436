"""Whether one flat picture can stand for the panels of an image, and what they have in common.

SMV and miniCBF have a distance, a beam centre and a pixel size, and nothing else: their readers
take the picture for one that faces the beam, its fast axis along the spindle.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from cubragg import units
from cubragg.crystallography.vectors import Vector, combine, cross, dot, norm
from cubragg.errors import FormatError
from cubragg.experiment.conventions import DetectorFrame, Laboratory, panel_frame
from cubragg.experiment.panel import Panel, image_shape

#: Directions closer than this are one direction: far below a pixel over any detector.
_SAME_DIRECTION = 1e-6
#: A panel this share of a pixel off the common grid is off the grid.
_OFF_GRID = 1e-2
#: Pixels of sizes that differ by no more than rounding are of one size.
_SAME_SIZE = 1e-12


def facing_frame(panels: Sequence[Panel], laboratory: Laboratory, *, rotating: bool) -> DetectorFrame:
    """The one flat picture that panels make.

    It faces the beam; seen from the sample, fast and slow axis are those of a right-handed picture; and if the
    crystal is ``rotating``, it turns about the fast axis. Panels lie on one grid of pixels.

    Raises
    ------
    FormatError
        If they make none, saying why.
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
        raise FormatError("got a left-handed picture (the fast axis, the slow axis and the beam)")
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
        raise FormatError(f"got panels {first.name!r} and {panel.name!r} with pixels of different size")
    if _apart(panel.fast, first.fast) or _apart(panel.slow, first.slow):
        raise FormatError(f"got panels {first.name!r} and {panel.name!r} turned against one another")
    expected = first.place_mm(panel.offset[0] - first.offset[0], panel.offset[1] - first.offset[1])
    off_mm = math.dist(panel.origin_mm, expected)
    if off_mm > _OFF_GRID * min(first.pixel_mm):
        raise FormatError(f"got panel {panel.name!r} {1e3 * off_mm:.3g} um off the grid of pixels of {first.name!r}")


def sensor_in_common(panels: Sequence[Panel]) -> tuple[str, float]:
    """Material and thickness [m] of the sensor layers that were rendered; thickness 0: none were.

    Raises
    ------
    FormatError
        If panels differ in them.
    """
    sensors = {(panel.material or "Si", units.m_from_um(panel.thickness_um or 0.0)) for panel in panels}
    if len(sensors) > 1:
        raise FormatError(f"got {len(sensors)} different sensors: "
                          + ", ".join(f"{material} of {1e6 * thickness:g} um" for material, thickness in
                                      sorted(sensors)))
    return sensors.pop()


def trusted_of(panels: Sequence[Panel]) -> tuple[float, float] | None:
    """The range of counts that all panels trust; ``None`` where none says."""
    ranges = [panel.trusted for panel in panels if panel.trusted is not None]
    return (max(low for low, _ in ranges), min(high for _, high in ranges)) if ranges else None

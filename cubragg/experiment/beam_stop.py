"""The beam stop: what hides the middle of the detector."""

from __future__ import annotations

from dataclasses import dataclass

from cubragg import checks
from cubragg.experiment.one_or_several import checked
from cubragg.experiment.settings_repr import settings_repr


@dataclass(frozen=True)
class BeamStop:
    """A plate across the beam behind the crystal, and the arm that holds it; it lets nothing through.

    Directions across the beam are along the polarization axis and across it.

    Attributes
    ----------
    size_mm
        Diameter of a disc, or two edges of a rectangle [mm].
    distance_mm
        From the crystal along the beam [mm].
    offset_mm
        Of its centre from the beam [mm].
    arm_mm
        Width of the arm [mm]; 0: none.
    arm_deg
        Direction in which the arm leaves the centre, from the polarization axis to the direction across it [deg].
    """

    size_mm: float | tuple[float, float] = 2.0
    distance_mm: float = 30.0
    offset_mm: tuple[float, float] = (0.0, 0.0)
    arm_mm: float = 0.0
    arm_deg: float = 90.0

    __repr__ = settings_repr

    def __post_init__(self) -> None:
        checks.plain_fields(self)
        checked("beamstop.size_mm", "the size of the beam stop", self.size_mm, "mm", length=2, above=0.0)
        checks.number("beamstop.distance_mm", "the distance of the beam stop", self.distance_mm, "mm", above=0.0)
        checks.vector("beamstop.offset_mm", "the offset of the beam stop", self.offset_mm, "mm", length=2)
        checks.number("beamstop.arm_mm", "the width of the arm", self.arm_mm, "mm", at_least=0.0)
        checks.number("beamstop.arm_deg", "the direction of the arm", self.arm_deg, "deg")

"""Camera length and shift of a detector that moves from shot to shot, as CrystFEL reads them from image files."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cubragg import units
from cubragg.crystallography.frames import to_frame
from cubragg.crystallography.vectors import Vector
from cubragg.dataset.data_set import DataSet
from cubragg.dataset.shot import Shot
from cubragg.io.geometry.crystfel_out import camera_length_m, to_crystfel
from cubragg.io.geometry.experiment_models import models_of
from cubragg.plan.plan import Plan

#: Data sets of the group `digests.POSITIONS` of image files, of which each has a number for each image.
NAMES = ("clen", "shift_x", "shift_y")
#: Parameters of the detector that move it without turning it.
_SHIFTS = ("detector.distance_mm", "detector.close_distance_mm", "detector.beam_centre_mm", "detector.shift_mm")


def turning_parameters(data: DataSet) -> list[str]:
    """The parameters that vary and change more of the detector than its position."""
    return [parameter.name for parameter in data.parameters if parameter.name.startswith("detector.")
            and parameter.name.partition("[")[0] not in _SHIFTS]


class DetectorPositions:
    """Positions of the detector in shots, relative to the one without varying parameters.

    Parameters
    ----------
    shot
        Number of a shot of the wedge.
    """

    def __init__(self, data: DataSet, shot: int) -> None:
        panels = models_of(data.experiment_at(shot)).panels
        self._origin, self._clen_m = to_crystfel(panels[0].origin_mm), camera_length_m(panels)

    def of(self, shot: Shot) -> dict[str, float]:
        """``clen``, ``shift_x`` and ``shift_y`` of a shot [m]."""
        x, y, z = (units.m_from_mm(here - base)
                   for here, base in zip(_origin(shot.plan), self._origin, strict=True))
        return dict(zip(NAMES, (self._clen_m + z, x, y), strict=True))


def positions_of(data: DataSet, shot: int) -> DetectorPositions | None:
    """The positions of the detector in the wedge of a shot; ``None`` if it does not move, or not only moves."""
    if not data.detector_moves or turning_parameters(data) or data.experiment.detector.curved:
        return None
    return DetectorPositions(data, shot)


def shifts_mm(data: DataSet, positions: Mapping[str, np.ndarray]) -> np.ndarray:
    """Shifts of the detector [n, 3] in the frame of DIALS [mm], of positions [n] in stills."""
    clen_m = camera_length_m(models_of(data.experiment_at(0)).panels)
    x, y, z = positions["shift_x"], positions["shift_y"], positions["clen"] - clen_m
    return 1000.0 * np.stack(to_crystfel((x, y, z)), axis=1)  # type: ignore[arg-type]


def _origin(plan: Plan) -> Vector:
    """Origin of the first panel in the laboratory of CrystFEL [mm]."""
    return to_crystfel(to_frame(plan.geometry.dials_rotation(), plan.detector_panels[0].origin_mm))

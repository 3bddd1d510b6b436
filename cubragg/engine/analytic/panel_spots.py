"""The spots on a panel: records of `kernels/spot.cuh` and what reflection tables need besides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cubragg.plan.panel_plan import PanelPlan


@dataclass(frozen=True, eq=False)
class PanelSpots:
    """Spots on one panel, in the order in which a pixel sums them.

    Attributes
    ----------
    panel
        The panel.
    records
        Constants [n], of `spot_constants.record`.
    hkl, F
        Indices int64 [n, 3] and structure factors [n].
    phi
        Spindle angle to which the constants refer [n] [rad].
    pace
        Factor by which moments of the angle relative to ``phi`` are multiplied in the profile [n] [1/rad].
    entering
        bool [n], whether the node moves into the sphere; False in a still.
    channel
        Number of the channel of the beam [n].
    """

    panel: PanelPlan
    records: np.ndarray
    hkl: np.ndarray
    F: np.ndarray
    phi: np.ndarray
    pace: np.ndarray
    entering: np.ndarray
    channel: np.ndarray

    def __len__(self) -> int:
        return len(self.records)

    def where(self, chosen: np.ndarray) -> PanelSpots:
        """Return some of the spots."""
        return PanelSpots(self.panel, *(value[chosen] for name, value in vars(self).items() if name != "panel"))

    @property
    def samples(self) -> np.ndarray:
        """Samples of each spot [n] that kernels compute: rows of sub-pixels of its box, times the longest of them."""
        box = self.records
        return (box["slow_last"] - box["slow_first"] + 1).astype(np.int64) * box["widest"]

    @property
    def pixels(self) -> np.ndarray:
        """Pixels of the box of each spot [n]."""
        box = self.records
        return ((box["fast_max"] - box["fast_min"] + 1).astype(np.int64) * (box["slow_max"] - box["slow_min"] + 1))

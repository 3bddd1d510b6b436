"""The spots of a whole image: channels, panels and layers. `specs/analytic.md`, section 2."""

from __future__ import annotations

import math
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from cubragg import units
from cubragg.engine.analytic.model_of_plan import model_of
from cubragg.engine.analytic.passages import passages_of
from cubragg.engine.analytic.rotation_segments import nodes_in_range, segments_of
from cubragg.engine.analytic.spot_model import Channel, SpotModel
from cubragg.engine.analytic.spots import Nodes, nodes_of, spots_on
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.pixel_factors import on_cylinder
from cubragg.plan.plan import Plan

#: Spots are left out beyond the largest scattering vector of the panels by this factor.
_MARGIN = 1.02
#: Points along each edge of a panel at which scattering vectors are computed.
_POINTS = 9


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


#: Spots by plan, for as long as the plan exists: an image and its reflection table have the same.
_FOUND: WeakKeyDictionary[Plan, list[PanelSpots]] = WeakKeyDictionary()


class SpotList:
    """The spots of a plan, computed when they are first used.

    Attributes
    ----------
    plan, model
        The plan, and its distributions.

    Raises
    ------
    ConfigError
        As `model_of`.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan, self.model = plan, model_of(plan)

    @property
    def panels(self) -> list[PanelSpots]:
        """The spots on each panel of the plan."""
        if self.plan not in _FOUND:
            nodes = [nodes_of_channel(self.plan, self.model, channel) for channel in self.model.channels]
            _FOUND[self.plan] = [_on_panel(self.plan, panel, self.model, nodes) for panel in self.plan.panels]
        return _FOUND[self.plan]


def nodes_of_channel(plan: Plan, model: SpotModel, channel: Channel) -> Nodes:
    """Return the nodes with a structure factor that a channel lights during the image."""
    longest = longest_vector(plan, channel)
    if plan.dmin > 0.0:
        longest = min(longest, units.ANGSTROM_M / plan.dmin)
    search = nodes_in_range if plan.series is None else passages_of(plan.series).nodes
    return nodes_of(model, channel, *segments_of(model, channel, longest, plan.factors.at, search))


def longest_vector(plan: Plan, channel: Channel) -> float:
    """Return an upper bound of the scattering vectors on the panels [1/A].

    Scattering vectors are computed at points of each panel, and the bound is larger by a margin.
    """
    least = 1.0
    for panel in plan.panels:
        fast_min, fast_max, slow_min, slow_max = panel.roi
        fast = (np.linspace(fast_min, fast_max + 1, _POINTS) + panel.first_pixel[0]) * panel.edges[0]
        slow = (np.linspace(slow_min, slow_max + 1, _POINTS) + panel.first_pixel[1]) * panel.edges[1]
        corners = (np.array(panel.origin) + fast[:, None, None] * np.array(panel.fast)
                   + slow[None, :, None] * np.array(panel.slow))
        if plan.curved:
            corners = on_cylinder(panel, plan.geometry.beam, corners.reshape(-1, 3).T).T
        cosines = corners @ channel.incident / np.linalg.norm(corners, axis=-1)
        least = min(least, float(cosines.min()))
    return _MARGIN * math.sqrt(max(2.0 - 2.0 * least, 0.0)) / channel.wavelength_A


def _on_panel(plan: Plan, panel: PanelPlan, model: SpotModel, nodes: list[Nodes]) -> PanelSpots:
    """Return the spots of all channels and layers on one panel."""
    found = []
    for number, channel_nodes in enumerate(nodes):
        for layer in range(panel.layers.count):
            records, node, pace = spots_on(plan, panel, layer, model, channel_nodes)
            part = channel_nodes.where(node)
            entering = np.einsum("ni,ni->n", part.velocity, part.k) < 0.0
            found.append((records, part.segments.hkl, part.F, part.segments.phi, pace, entering,
                          np.full(len(node), number)))
    return PanelSpots(panel, *(np.concatenate(columns) for columns in zip(*found, strict=True)))

"""Reflections that pass near the Ewald sphere during a rotation series, found once for several of its images.

Spindle angles are divided into stretches of a whole number of degrees. For each reflection of a stretch the angles are
kept between which it is near the sphere; an image takes the reflections whose angles meet its range. They are more than
it needs, never less: `rotation_segments` selects from them as from the reflections of an image alone, in the same order
and with the same arithmetic, so that the image has the same bits. `specs/analytic.md`, section 2
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from cubragg.engine.analytic.rotation_segments import (
    GRID_RAD,
    nodes_in_range,
    reach_of,
    swing_of,
    vectors_of,
)
from cubragg.engine.analytic.spot_model import Channel, SpotModel
from cubragg.plan.image_series import ImageSeries

#: Images of a stretch, about, its longest range [deg], and the fewest images in that for which there are stretches.
_IMAGES, _LONGEST_DEG, _FEWEST_IMAGES = 8, 10, 4
#: Most nodes of a stretch, by their estimate: 20 bytes each are kept, and ten times as many are used in between.
_MOST_NODES = 1_000_000
#: Most nodes that are kept for a series, of the stretches used last; and most crystals and channels that are known.
_MOST_KEPT, _MOST_KEYS = 3_000_000, 64
#: Angle by which passages are extended, far above rounding errors [rad].
_SLACK = 1e-5

_Key = tuple[object, ...]


class Stretch(NamedTuple):
    """Reflections near the sphere in a range of spindle angles.

    Attributes
    ----------
    start
        Start of the range [rad].
    hkl
        int32 [n, 3], in the order of `rotation_segments.nodes_near_sphere`.
    enters, leaves
        Angles between which a reflection is within `REACH_SIGMAS` of the sphere, from the start, float32 [n] [rad].
    """

    start: float
    hkl: np.ndarray
    enters: np.ndarray
    leaves: np.ndarray

    def within(self, cell: tuple[float, float]) -> np.ndarray:
        """Return the indices int64 [m, 3] of reflections that may be near the sphere in a part of the range."""
        low, high = (np.float32(end - self.start) for end in cell)
        return self.hkl[(self.enters <= high) & (self.leaves >= low)].astype(np.int64)


class Passages:
    """The stretches of the images of a series.

    A crystal or beam that is seen once, as where each image has another one, gets none.

    Attributes
    ----------
    stretches
        Those that are kept, the one used last at the end, by what they depend on, range [deg] and number.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: OrderedDict[_Key, float] = OrderedDict()
        self.stretches: OrderedDict[tuple[_Key, int, int], Stretch] = OrderedDict()

    @property
    def crystals(self) -> int:
        """Number of crystals and channels that are known."""
        return len(self._seen)

    def nodes(self, model: SpotModel, channel: Channel, longest: float, cell: tuple[float, float]) -> np.ndarray:
        """Return the reflections of `nodes_in_range`, but for some that are not near the sphere, in their order."""
        degrees = stretch_degrees(model, channel, longest)
        if degrees == 0 or not self._again(key := _key_of(model, channel, longest), model.start):
            return nodes_in_range(model, channel, longest, cell)
        number = math.floor(0.5 * (cell[0] + cell[1]) / (degrees * GRID_RAD))
        with self._lock:
            found = self.stretches.get((key, degrees, number))
            if found is None:
                found = stretch_of(model, channel, longest, degrees, number)
                self.stretches[key, degrees, number] = found
                while len(self.stretches) > 1 and sum(len(one.hkl) for one in self.stretches.values()) > _MOST_KEPT:
                    self.stretches.popitem(last=False)
            self.stretches.move_to_end((key, degrees, number))
        return found.within(cell)

    def _again(self, key: _Key, start: float) -> bool:
        """Return whether an image with another start had the same distributions; remember those of this one."""
        with self._lock:
            first = self._seen.setdefault(key, start)
            self._seen.move_to_end(key)
            if len(self._seen) > _MOST_KEYS:
                self._seen.popitem(last=False)
        return first != start


#: Passages by series, for as long as the series exists.
_FOUND: WeakKeyDictionary[ImageSeries, Passages] = WeakKeyDictionary()


def passages_of(series: ImageSeries) -> Passages:
    """Return the passages of a series, empty at first."""
    return _FOUND.setdefault(series, Passages())


def stretch_degrees(model: SpotModel, channel: Channel, longest: float) -> int:
    """Return the range of a stretch [deg], a whole number; 0 where stretches do not help: stills, very wide images, and
    cells so large that a degree has too many reflections."""
    images = _LONGEST_DEG * GRID_RAD / model.width if model.width > 0.0 else 0.0
    if images < _FEWEST_IMAGES or not longest > 0.0:
        return 0
    degrees = min(math.ceil(_IMAGES * model.width / GRID_RAD), _LONGEST_DEG)
    # The cap of the sphere within the longest vector has the area pi longest^2.
    per_reach = 2.0 * math.pi * longest * longest / abs(float(np.linalg.det(model.stars)))
    fitting = (_MOST_NODES / per_reach - reach_of(model, channel, longest)) / (0.5 * longest * GRID_RAD)
    return degrees if degrees <= fitting else max(math.floor(fitting), 0)


def stretch_of(model: SpotModel, channel: Channel, longest: float, degrees: int, number: int) -> Stretch:
    """Return the stretch from ``number`` times ``degrees`` on."""
    low, high = number * degrees * GRID_RAD, (number + 1) * degrees * GRID_RAD
    hkl = nodes_in_range(model, channel, longest, (low, high))
    enters, leaves = passage_of(model, channel, vectors_of(hkl, model.stars), low - _SLACK, high + _SLACK)
    near = enters <= leaves
    return Stretch(low, hkl[near].astype(np.int32), *((angle[near] - low).astype(np.float32)
                                                      for angle in (enters - _SLACK, leaves + _SLACK)))


def passage_of(model: SpotModel, channel: Channel, g: np.ndarray, low: float, high: float
               ) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and last angle [n] in a range at which nodes, at ``g`` [n, 3] at phi = 0, are near the sphere.

    Near is within `REACH_SIGMAS` times an upper bound of the standard deviation. The first is inf, and the last -inf,
    where there is none.
    """
    swing = swing_of(model, channel, g)
    reach = reach_of(model, channel, np.sqrt(swing.square))
    inverse = swing.inverse
    # |k0 + g|^2 at both limits; its cosine with the furthest angle falls from 1 to -1 in half a turn.
    with np.errstate(divide="ignore", invalid="ignore"):
        nearer, further = ((0.5 * (limit * limit - inverse * inverse - swing.square) - swing.level) / swing.radius
                           for limit in (np.maximum(inverse - reach, 0.0), inverse + reach))
    begin, end = np.arccos(np.clip(further, -1.0, 1.0)), np.arccos(np.clip(nearer, -1.0, 1.0))
    never = (further < -1.0) | (nearer > 1.0)
    enters, leaves = np.full(len(g), np.inf), np.full(len(g), -np.inf)
    for first in (swing.furthest + begin, swing.furthest - end):
        # The arc from first over end - begin, which may also have begun a turn before.
        start = low + np.mod(first - low, 2.0 * math.pi)
        stop = start + (end - begin)
        enters = np.where(start <= high, np.minimum(enters, start), enters)
        leaves = np.where(start <= high, np.maximum(leaves, np.minimum(stop, high)), leaves)
        around = stop - 2.0 * math.pi >= low
        enters = np.where(around, low, enters)
        leaves = np.where(around, np.maximum(leaves, np.minimum(stop - 2.0 * math.pi, high)), leaves)
    unknown = np.isnan(nearer) | np.isnan(further)  # on the spindle, and on a limit
    enters, leaves = np.where(unknown, low, enters), np.where(unknown, high, leaves)
    return np.where(never, np.inf, enters), np.where(never, -np.inf, leaves)


def _key_of(model: SpotModel, channel: Channel, longest: float) -> _Key:
    """Return what reflections near the sphere depend on."""
    arrays = model.stars, model.block, model.mosaicity, model.spindle, channel.incident, channel.covariance
    return (*(array.tobytes() for array in arrays), model.strain, model.width, channel.wavelength_A, longest)

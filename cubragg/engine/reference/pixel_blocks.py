"""Blocks of pixels, and the state of the order-dependent rules in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cubragg.plan.panel_plan import PanelPlan


@dataclass
class BlockState:
    """State of the order-dependent rules for a block of pixels; rendering an order-dependent pixel updates it."""

    interpolate: bool
    first_pass: bool = False
    stop_when_outside: bool = False


class Pixels:
    """Consecutive pixels of the region of interest of a panel, without masked ones.

    Attributes
    ----------
    index, flat
        int64 [n]: roi index, and index in the flattened panel.
    fast, slow
        float64 [n]: pixel numbers, whole, in the dtype of the geometry.
    """

    def __init__(self, panel: PanelPlan, start: int, stop: int) -> None:
        fast_min, _, slow_min, _ = panel.roi
        self.index = np.arange(start, stop)
        # A quotient of counts below 2^52 never rounds up to the next whole number.
        self.slow = self.index / panel.width
        np.floor(self.slow, out=self.slow)
        self.fast = self.slow * panel.width
        np.subtract(self.index, self.fast, out=self.fast)
        self.fast += fast_min
        self.slow += slow_min
        flat = self.slow * panel.shape[1]
        flat += self.fast
        self.flat = flat.astype(np.intp)
        if panel.mask is not None:
            keep = panel.mask.reshape(-1)[self.flat]
            self.index, self.flat = self.index[keep], self.flat[keep]
            self.slow, self.fast = self.slow[keep], self.fast[keep]

    @property
    def places(self) -> slice | np.ndarray:
        """``flat``, as a slice where it has no gaps."""
        first, last = int(self.flat[0]), int(self.flat[-1])
        return slice(first, last + 1) if last - first + 1 == len(self.flat) else self.flat

    def __len__(self) -> int:
        return len(self.index)

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
        rows = np.floor(self.index / panel.width)
        self.slow = rows + slow_min
        self.fast = self.index - rows * panel.width + fast_min
        self.flat = (self.slow * panel.shape[1] + self.fast).astype(np.intp)
        if panel.mask is not None:
            keep = panel.mask.reshape(-1)[self.flat]
            self.index, self.flat = self.index[keep], self.flat[keep]
            self.slow, self.fast = self.slow[keep], self.fast[keep]

    def __len__(self) -> int:
        return len(self.index)

"""Divides the panels of a plan into row bands, whole rows of tiles, and shares them among devices."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from cubragg.device.stream_buffers import RowBand
from cubragg.engine import kernel_params
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.plan import Plan

#: Row bands of a panel for each of several devices. They are many because those near the beam take longer.
_BANDS_PER_DEVICE = 8


class Share(NamedTuple):
    """What one of several devices renders of an image: each ``devices``-th row band, from band ``number`` on."""

    number: int = 0
    devices: int = 1


#: The share of a device that renders an image on its own.
WHOLE = Share()


def row_bands(plan: Plan, tile: tuple[int, int], most_rows: Callable[[PanelPlan], int], share: Share
              ) -> list[list[RowBand]]:
    """Return the row bands of each panel, of all devices.

    Parameters
    ----------
    tile
        Tile size (fast, slow) [pixel]; every band begins with a tile of the whole panel.
    most_rows
        Largest number of rows of tiles in a band of a panel.
    share
        The share of the device, among others of the same image.
    """
    found = []
    for number, panel in enumerate(plan.panels):
        tile_rows = kernel_params.grid_of(panel, tile)[1]
        even = tile_rows if share.devices == 1 else -(-tile_rows // (_BANDS_PER_DEVICE * share.devices))
        found.append(_cut(number, panel, tile[1], min(most_rows(panel), even)))
    return found


def _cut(number: int, panel: PanelPlan, height: int, rows: int) -> list[RowBand]:
    """Return the row bands of a panel, of ``rows`` rows of tiles of ``height`` pixels each."""
    tile_rows = kernel_params.grid_of(panel, (1, height))[1]
    slow_min, slow_max = panel.roi[2:]
    bands = []
    for first in range(0, tile_rows, rows):
        end = min(first + rows, tile_rows)
        bands.append(RowBand(number, first, end, slow_min + first * height, min(slow_min + end * height, slow_max + 1)))
    return bands


def bands_of(share: Share, bands: list[list[RowBand]]) -> dict[int, list[RowBand]]:
    """Return the row bands of a share, by the number of the panel; panels of which it has none are left out."""
    flat = [band for of_panel in bands for band in of_panel][share.number::share.devices]
    found: dict[int, list[RowBand]] = {}
    for band in flat:
        found.setdefault(band.panel, []).append(band)
    return found

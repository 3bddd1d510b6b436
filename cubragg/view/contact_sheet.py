"""Put pictures of several images side by side on one sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

#: Longer edge of a picture on the sheet [pixel].
TILE_EDGE = 320
_COLUMNS, _GAP = 4, 4


def contact_sheet(tiles: Sequence[np.ndarray]) -> np.ndarray:
    """Return pictures, uint8 [slow, fast, 3] of any size, in rows of four on white: colours uint8 [slow, fast, 3]."""
    height, width = (max(tile.shape[axis] for tile in tiles) + _GAP for axis in range(2))
    columns = min(_COLUMNS, len(tiles))
    sheet = np.full((math.ceil(len(tiles) / columns) * height, columns * width, 3), 255, dtype=np.uint8)
    for place, tile in enumerate(tiles):
        row, column = divmod(place, columns)
        sheet[row * height:row * height + tile.shape[0], column * width:column * width + tile.shape[1]] = tile
    return sheet

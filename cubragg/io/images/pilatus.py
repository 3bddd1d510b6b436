"""Layout of modules and gaps in images of Pilatus detectors.

Sizes are those that readers of PILATUS headers require (dxtbx, FormatPilatusHelpers).
"""

from __future__ import annotations

import numpy as np

from cubragg import units
from cubragg.experiment.catalog import PILATUS, PILATUS_GAPS

#: Pixels of a module and of the gap behind it: slow, fast.
MODULE = (PILATUS.slow_pixels, PILATUS.fast_pixels)
GAP = PILATUS_GAPS[::-1]
_SAME_PIXEL_M = 1e-9


def gaps(shape: tuple[int, int]) -> np.ndarray | None:
    """Return bool [slow, fast], True for pixels of gaps; ``None`` if ``shape`` does not consist of whole modules."""
    along = []
    for size, module, gap in zip(shape, MODULE, GAP, strict=True):
        if (size + gap) % (module + gap) != 0:
            return None
        along.append(np.arange(size) % (module + gap) >= module)
    return along[0][:, None] | along[1][None, :]


def looks_like_pilatus(shape: tuple[int, int], pixel_sizes_m: tuple[float, float]) -> bool:
    """Return whether an image has the sizes of a Pilatus detector: whole modules, pixels of 0.172 mm."""
    pixel = units.m_from_mm(PILATUS.pixel_mm)
    return gaps(shape) is not None and all(abs(size - pixel) < _SAME_PIXEL_M for size in pixel_sizes_m)

"""Pixels of reflections of the method sampled, from the sums by pixel and reflection. `specs/data-sets.md`"""

from __future__ import annotations

import numpy as np

from cubragg.engine.part_sum import first_part
from cubragg.reflections.negligible_terms import counting_pixels, negligible_fraction
from cubragg.reflections.predict import panel_sums, require_reflection_sums, summing_engine
from cubragg.reflections.reflection_pixels import ReflectionPixels, combined, in_image, joined, rows_by_code
from cubragg.reflections.reflection_table import Flags, ReflectionTable

#: Photons of a reflection in a pixel that are not kept, over the least that its brightest pixel can have.
_NEGLIGIBLE = 1e-6


def sampled_pixels(table: ReflectionTable, width: int, min_photons: float, fraction: float, threads: int | None,
                   backend: str, photons: np.ndarray | None) -> ReflectionPixels:
    """Return the pixels of the reflections of an image, by their rows in its table.

    Parameters
    ----------
    width, fraction, threads, backend
        As for `reflection_pixels.reflection_pixels`.
    min_photons
        Reflections with fewer photons have no pixels.
    photons
        As for `predict.reflection_table`.

    Raises
    ------
    ConfigError
        As `predict.require_reflection_sums`.
    """
    plan = table.plan
    require_reflection_sums(plan)
    engine = summing_engine(first_part(plan), backend, negligible_fraction(plan, min_photons))
    found = []
    for number, panel in enumerate(plan.panels):
        rows = np.flatnonzero((table.panel == panel.number) & (table.photons >= min_photons))
        if len(rows):
            engine.keep_pixels(_NEGLIGIBLE * fraction * min_photons / panel.pixel_count)
            panel_sums(engine, plan, number, counting_pixels(plan, panel, photons, min_photons), threads, None)
            code, pixel, values = engine.kept_pixels()
            wanted = engine.codes.pack(table.hkl[rows].T.copy(), (table.flags[rows] & Flags.ENTERING) != 0)
            row = rows_by_code(rows, wanted, code)
            listed = row >= 0
            found.append(in_image(panel, width, combined(row[listed], pixel[listed], values[listed],
                                                         panel.shape[0] * panel.shape[1], fraction)))
    return joined(found)

"""Pixels of reflections of the method sampled, from the sums by pixel and reflection. `specs/data-sets.md`"""

from __future__ import annotations

import numpy as np

from cubragg.reflections.host_sums import HostSums
from cubragg.reflections.negligible_terms import counting_pixels, negligible_in_pixel
from cubragg.reflections.panel_sums import ImageSums, PixelPhotons, ReflectionCodes
from cubragg.reflections.predict import panel_sums, require_reflection_sums, summing_engine
from cubragg.reflections.reflection_pixels import ReflectionPixels, combined, in_image, joined, rows_by_code
from cubragg.reflections.reflection_sums import NumpySums
from cubragg.reflections.reflection_table import Flags, ReflectionTable


def sampled_pixels(table: ReflectionTable, width: int, min_photons: float, fraction: float, threads: int | None,
                   backend: str, photons: np.ndarray | None, sums: ImageSums | None = None) -> ReflectionPixels:
    """Return the pixels of the reflections of an image, by their rows in its table.

    Parameters
    ----------
    width, fraction, threads, backend
        As for `reflection_pixels.reflection_pixels`.
    min_photons
        Reflections with fewer photons have no pixels.
    photons, sums
        As for `predict.reflection_table`.

    Raises
    ------
    ConfigError
        As `predict.require_reflection_sums`.
    """
    plan = table.plan
    require_reflection_sums(plan)
    engine: HostSums | NumpySums | None = None

    def kept(number: int, least: float) -> tuple[ReflectionCodes, PixelPhotons]:
        """Return photons of at least ``least`` in the pixels of a panel: of the image's own pass, or of another."""
        nonlocal engine
        panel = plan.panels[number]
        known = None if sums is None or sums.min_photons > min_photons else sums.panels[panel.number]
        if known is not None and known.least <= least:
            return known.codes, known.kept
        engine = engine or summing_engine(plan, backend, min_photons)
        engine.keep_pixels(least)
        panel_sums(engine, plan, number, counting_pixels(plan, panel, photons, min_photons), threads, None)
        return engine.codes, engine.kept_pixels()

    found = []
    for number, panel in enumerate(plan.panels):
        rows = np.flatnonzero((table.panel == panel.number) & (table.photons >= min_photons))
        if len(rows):
            codes, (code, pixel, values) = kept(number, negligible_in_pixel(panel, min_photons, fraction))
            wanted = codes.pack(table.hkl[rows].T.copy(), (table.flags[rows] & Flags.ENTERING) != 0)
            row = rows_by_code(rows, wanted, code)
            listed = row >= 0
            found.append(in_image(panel, width, combined(row[listed], pixel[listed], values[listed],
                                                         panel.shape[0] * panel.shape[1], fraction)))
    return joined(found)

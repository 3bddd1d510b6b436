"""Columns of the reflection table of an image of the method analytic, from the sums of its spots. `specs/truth.md`"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cubragg import units
from cubragg.device.host_build import available_cores
from cubragg.engine.analytic.panel_spots import PanelSpots
from cubragg.engine.analytic.spot_list import SpotList
from cubragg.engine.analytic.spot_model import SpotModel
from cubragg.engine.select import select_backend
from cubragg.plan.plan import Plan
from cubragg.plan.shadow import panel_shadow
from cubragg.reflections.analytic_partiality import partiality
from cubragg.reflections.panel_sums import SUMS
from cubragg.reflections.reflection_sums import edge_pixels
from cubragg.reflections.spot_sums import spot_sums
from cubragg.reflections.table_columns import panel_columns


def analytic_columns(plan: Plan, photons: np.ndarray | None, min_photons: float, threads: int | None, backend: str
                     ) -> list[dict[str, np.ndarray]]:
    """Return the columns of the reflections on each panel.

    Parameters
    ----------
    photons
        The image without background, float32 [slow, fast]; it is rendered if it is ``None``.
    min_photons, threads, backend
        As for `reflection_table`.
    """
    spots = SpotList(plan, backend)
    if photons is None or plan.water > 0.0:
        spots_alone = replace(plan, water=0.0)
        photons = select_backend(spots_alone, "numpy" if backend == "numpy" else "auto").engine.render(threads)
    return [_panel_columns(plan, spots.model, part, photons[part.panel.window], min_photons, threads, backend)
            for part in spots.on_panels(threads or available_cores())]


def _panel_columns(plan: Plan, model: SpotModel, spots: PanelSpots, photons: np.ndarray, min_photons: float,
                   threads: int | None, backend: str) -> dict[str, np.ndarray]:
    """Return the columns of the reflections on one panel; its spots in layers, channels and segments are added."""
    panel = spots.panel
    edge = edge_pixels(panel).reshape(panel.shape)
    sums = spot_sums(plan, spots, photons, edge, threads, backend)
    if plan.beam_stop is not None:
        sums = sums * _unshadowed(panel_shadow(plan, panel, plan.beam_stop), spots, sums)[:, None]
    key = np.column_stack([spots.hkl, spots.entering])
    keys, group = np.unique(key, axis=0, return_inverse=True)
    group = group.reshape(-1)
    total = np.bincount(group, sums[:, 0], len(keys))
    bright = (total >= min_photons) & (total > 0.0)
    number = np.cumsum(bright) - 1
    chosen = bright[group]
    spots, sums, group = spots.where(chosen), sums[chosen], number[group[chosen]]
    hkl, entering = keys[bright, :3], keys[bright, 3].astype(bool)
    values, widths = _grouped(spots, sums, group, len(hkl))
    columns = panel_columns(plan, panel, hkl, entering, values)
    del columns["phi_rad"]
    return {**columns, **widths, "partiality": _partiality(model, spots, sums[:, 0], group, len(hkl))}


def _unshadowed(shadow: np.ndarray, spots: PanelSpots, sums: np.ndarray) -> np.ndarray:
    """Return the fraction of the photons of each spot that pass the beam stop: that of its middle [n]."""
    photons = np.where(sums[:, 0] > 0.0, sums[:, 0], 1.0)
    places = []
    for corner, first, size in (("slow_min", sums[:, 2], shadow.shape[0]), ("fast_min", sums[:, 1], shadow.shape[1])):
        places.append(np.clip(spots.records[corner] + first / photons, 0, size - 1).astype(np.intp))
    return shadow[places[0], places[1]]


def _grouped(spots: PanelSpots, sums: np.ndarray, group: np.ndarray, count: int
             ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the sums of reflections [count, SUMS], and standard deviations of their photons, from those of spots."""
    def added(values: np.ndarray) -> np.ndarray:
        return np.bincount(group, values, count)

    box, photons = spots.records, sums[:, 0]
    corners = np.stack([box["fast_min"], box["slow_min"], spots.phi], axis=1)
    scale = np.stack([np.ones(len(box)), np.ones(len(box)), 1.0 / spots.pace], axis=1)
    first = sums[:, [1, 2, 5]] * scale
    second = sums[:, [3, 4, 6]] * np.square(scale)
    values = np.zeros((count, SUMS))
    values[:, 0] = added(photons)
    for axis in range(3):
        values[:, 1 + axis] = added(first[:, axis] + corners[:, axis] * photons)
    for column, axis in ((4, 0), (5, 1)):
        values[:, column] = added(sums[:, 3 + column] + corners[:, axis] * photons)
    values[:, 6], values[:, 7] = added(sums[:, 9]), added(sums[:, 10])
    means = values[:, 1:4] / values[:, :1]
    # A sample is the mean over its sub-pixel, which widens the spot.
    blur = np.stack([1.0 / (12.0 * np.square(box["subpixels"].astype(np.float64)))] * 2 + [np.zeros(len(box))], axis=1)
    shift = means[group] - corners
    about_mean = second - 2.0 * shift * first + (np.square(shift) - blur) * photons[:, None]
    variance = np.stack([added(about_mean[:, axis]) for axis in range(3)], axis=1) / values[:, :1]
    sigma = np.sqrt(np.maximum(variance, 0.0))
    return values, {"fast_sigma_px": sigma[:, 0], "slow_sigma_px": sigma[:, 1],
                    "phi_sigma_deg": sigma[:, 2] * units.DEG_PER_RAD}


def _partiality(model: SpotModel, spots: PanelSpots, photons: np.ndarray, group: np.ndarray, count: int) -> np.ndarray:
    """Return the partiality of reflections [count]: the mean over channels, weighted with their photons."""
    total, weights = np.zeros(count), np.zeros(count)
    for number, channel in enumerate(model.channels):
        own = np.flatnonzero(spots.channel == number)
        # The brightest spot of each reflection gives an angle of its passage.
        order = own[np.lexsort((photons[own], group[own]))]
        last = np.append(group[order][1:] != group[order][:-1], True) if len(order) else np.zeros(0, dtype=bool)
        brightest = order[last]
        of_channel = np.bincount(group[own], photons[own], count)[group[brightest]]
        total[group[brightest]] += of_channel * partiality(model, channel, spots.hkl[brightest], spots.phi[brightest],
                                                           spots.entering[brightest])
        weights[group[brightest]] += of_channel
    return total / weights

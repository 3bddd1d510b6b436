"""NumPy engine of the method analytic: sums the spots of an image over their boxes. `specs/analytic.md`"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from cubragg.engine.analytic.panel_spots import PanelSpots
from cubragg.engine.analytic.profile import pixel_factor, profile
from cubragg.engine.analytic.spot_list import SpotList
from cubragg.engine.analytic.spot_outline import summed_in_row
from cubragg.engine.analytic.water_map import add_water
from cubragg.engine.culling import Culling
from cubragg.engine.panel_loop import Progress, render_panels
from cubragg.engine.reference.workers import Workers
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.plan import Plan

#: Samples of a block: their records fit into the second-level cache.
BLOCK_SAMPLES = 8000


class AnalyticEngine:
    """Renders a plan in closed form in NumPy; implements `select.Engine`.

    Parameters
    ----------
    plan
        From `make_plan`.

    Raises
    ------
    ConfigError
        As `SpotList`.
    """

    def __init__(self, plan: Plan) -> None:
        self.interpolation_stopped_at: tuple[int, int] | None = None
        self.culling = Culling(why="spots in closed form, each in its box")
        self.set_plan(plan)

    def set_plan(self, plan: Plan) -> None:
        """Replace the plan."""
        self._plan, self._spots = plan, SpotList(plan, "numpy")

    @property
    def spots(self) -> list[PanelSpots]:
        """The spots on each panel."""
        return self._spots.panels

    def render(self, threads: int | None = None, progress: Progress | None = None) -> np.ndarray:
        """Render the image, float32 [slow, fast], in photons."""
        by_number = {spots.panel.number: spots for spots in self.spots}
        with Workers(threads or os.cpu_count() or 1) as workers:

            def render(panel: PanelPlan, report: Progress | None) -> tuple[np.ndarray, tuple[int, int] | None]:
                image = self._panel(workers, by_number[panel.number]).astype(np.float32)
                add_water(self._plan, panel, image)
                if report is not None:
                    report(panel.pixel_count, panel.pixel_count)
                return image, None

            return render_panels(self._plan, render, progress)[0]

    def _panel(self, workers: Workers, spots: PanelSpots) -> np.ndarray:
        """Return the photons of a panel, float64 [slow, fast]."""
        image = np.zeros(spots.panel.shape)
        flat = image.reshape(-1)
        for pixels, photons in workers.in_order(lambda block: block_photons(self._plan, spots, block),
                                                blocks_of(spots)):
            np.add.at(flat, pixels, photons)
        if spots.panel.mask is not None:
            image[~spots.panel.mask] = 0.0
        return image


def blocks_of(spots: PanelSpots) -> Iterator[slice]:
    """Yield runs of spots with about `BLOCK_SAMPLES` samples."""
    total = np.cumsum(spots.samples)
    start = 0
    while start < len(spots):
        before = int(total[start - 1]) if start else 0
        stop = max(int(np.searchsorted(total, before + BLOCK_SAMPLES)), start + 1)
        yield slice(start, stop)
        start = stop


def block_photons(plan: Plan, spots: PanelSpots, block: slice) -> tuple[np.ndarray, np.ndarray]:
    """Return flat pixels of the panel [m] and photons [m] of some spots, spot by spot and row by row."""
    number, fast, slow = box_pixels(spots, block)
    return slow * spots.panel.shape[1] + fast, pixel_sums(plan, spots.records[number], fast, slow)[0]


def box_pixels(spots: PanelSpots, block: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return spot number [m] and fast and slow pixel [m] of each pixel in the boxes of some spots, row by row."""
    box, count = spots.records[block], spots.pixels[block]
    number, place = _counted(count)
    row, column = np.divmod(place, (box["fast_max"] - box["fast_min"] + 1)[number])
    return number + block.start, column + box["fast_min"][number], row + box["slow_min"][number]


def pixel_sums(plan: Plan, box: np.ndarray, fast: np.ndarray, slow: np.ndarray, moments: bool = False) -> np.ndarray:
    """Return the photons of spots in pixels [1, m]; with ``moments`` also their products, [7, m].

    ``box`` is the record of the spot of each pixel [m]; the profile is averaged over sub-pixels, and the factors are
    those of the middle of the pixel. Sub-pixels outside the spot's outline count as 0. The products are with the
    position in the pixel, fast and slow, their squares, and the mean and mean square of the angle times the pace and
    its square.
    """
    f, s = fast - box["fast_min"] - box["offset"][:, 0], slow - box["slow_min"] - box["offset"][:, 1]
    n = box["subpixels"].astype(np.int64)
    sample, column, row = _summed_subpixels(box, (fast - box["fast_min"]) * n, (slow - box["slow_min"]) * n, n)
    sub_fast, sub_slow = (column + 0.5) / n[sample], (row + 0.5) / n[sample]
    values, angle = profile(box[sample], f[sample] + sub_fast, s[sample] + sub_slow)
    scale = box["amplitude"] * pixel_factor(plan, box, f + 0.5, s + 0.5) / (n * n)
    products = [values]
    if moments:
        products += [values * weight for weight in (sub_fast, sub_slow, np.square(sub_fast), np.square(sub_slow),
                                                    angle.mean, np.square(angle.mean) + angle.variance)]
    return np.array([scale * np.bincount(sample, product, len(box)) for product in products])


def _summed_subpixels(box: np.ndarray, fast: np.ndarray, slow: np.ndarray, n: np.ndarray
                      ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return pixel, column and row in it of the sub-pixels of spots [k] in pixels [m] with corners fast, slow [m]."""
    top = np.maximum(box["slow_first"] - slow, 0)
    down = np.minimum(box["slow_last"] - slow, n - 1) - top + 1
    pixel, place = _counted(down)
    row = top[pixel] + place
    first, last = summed_in_row(box[pixel], slow[pixel] + row)
    first = np.maximum(first - fast[pixel], 0)
    of_row, place = _counted(np.maximum(np.minimum(last - fast[pixel], n[pixel] - 1) - first + 1, 0))
    return pixel[of_row], first[of_row] + place, row[of_row]


def _counted(count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of each item, repeated ``count`` [n] times, and the place of each in its repetitions."""
    number = np.repeat(np.arange(len(count)), count)
    return number, np.arange(len(number)) - np.repeat(np.cumsum(count) - count, count)

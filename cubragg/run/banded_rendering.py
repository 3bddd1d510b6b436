"""Counts of images whose photons are not held: counted in bands of rows that stay in the cache, or by a GPU's kernels.

`specs/noise.md`
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from cubragg.detect.banded_counts import BandedCounts
from cubragg.detect.epilogue import CountsInKernels
from cubragg.engine.panel_loop import whole_image
from cubragg.engine.select import BandedEngine, CountingEngine, Engine
from cubragg.experiment.experiment import Experiment
from cubragg.plan.plan import Plan
from cubragg.run.around_the_crystal import Surroundings
from cubragg.run.detection import exposure_of

#: Pixels of a band: 2 MB each of photons, background and counts.
_BAND_PIXELS = 2**19
#: Yields the first row of each band of an image and its photons, which the caller may change.
Bands = Callable[[Plan], Iterator[tuple[int, np.ndarray]] | None]


def counts_as_rendered(experiment: Experiment, plan: Plan, engine: Engine, *, seed: int, shot: int = 0,
                       threads: int | None = None, coarse: bool = False) -> np.ndarray | None:
    """Return the counts of an image as the engine renders it; ``None`` where its photons are needed as an image.

    Parameters
    ----------
    engine
        The engine, which has been made for the plan.
    seed, shot, threads, coarse
        As for `counts_in_bands`, whose counts these are.

    Returns
    -------
    int32 [slow, fast], or float64 of larger numbers.
    """
    if not isinstance(engine, CountingEngine):
        return counts_in_bands(experiment, plan, Render(engine, threads), seed=seed, shot=shot, threads=threads,
                               coarse=coarse)
    response = experiment.detector_response()
    if experiment.semantics != "physical" or plan.parts or not CountsInKernels.suits(response):
        return None
    drawn = CountsInKernels(response, exposure_of(experiment, plan, seed, shot, threads=threads),
                            Surroundings(experiment, plan, coarse=coarse).maps)
    counts = engine.render_counts(drawn.epilogue)
    return None if counts is None else drawn.finished(counts)


class Render:
    """Bands of an engine, as it renders them; none if it renders whole images only.

    Parameters
    ----------
    engine, threads
        The engine, which has been made for the plan, and CPU threads to use; all cores if ``None``.
    """

    def __init__(self, engine: Engine, threads: int | None) -> None:
        self._engine, self._threads = engine, threads

    def __call__(self, plan: Plan) -> Iterator[tuple[int, np.ndarray]] | None:
        if not isinstance(self._engine, BandedEngine) or plan.parts or not whole_image(plan) or (
                plan.method == "analytic" and plan.water > 0.0):
            return None
        return self._engine.bands(self._threads, _BAND_PIXELS)


def bands_of(images: Sequence[np.ndarray]) -> Bands:
    """Return the bands of the sum of images [slow, fast], float32, which stay as they are."""
    def bands(plan: Plan) -> Iterator[tuple[int, np.ndarray]]:
        rows = max(1, _BAND_PIXELS // plan.shape[1])
        band = np.empty((rows, plan.shape[1]), dtype=np.float32)
        for first in range(0, plan.shape[0], rows):
            part = band[:min(rows, plan.shape[0] - first)]
            np.copyto(part, images[0][first:first + rows])
            for other in images[1:]:
                part += other[first:first + rows]
            yield first, part

    return bands


def counts_in_bands(experiment: Experiment, plan: Plan, bands: Bands, *, seed: int, shot: int = 0,
                    threads: int | None = None, coarse: bool = False) -> np.ndarray | None:
    """Return the counts of an image whose photons come in bands; ``None`` where they are needed as an image.

    Parameters
    ----------
    bands
        The photons of the crystals.
    seed, shot, threads
        As for `counts_of`, whose counts these are.
    coarse
        As for `background_map`.

    Returns
    -------
    int32 [slow, fast], or float64 of larger numbers.
    """
    response = experiment.detector_response()
    if experiment.semantics != "physical" or not BandedCounts.suits(response):
        return None
    found = bands(plan)
    if found is None:
        return None
    surroundings = Surroundings(experiment, plan, coarse=coarse)
    counts = BandedCounts(response, exposure_of(experiment, plan, seed, shot, threads=threads), plan.shape)
    for first_row, photons in found:
        surroundings.add(photons, first_row)
        counts.add(first_row, photons)
    return counts.counts()

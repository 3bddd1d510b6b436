"""Counts that the detector of an experiment writes for an image."""

from __future__ import annotations

import numpy as np

from cubragg.detect.counting import CountingBackend
from cubragg.detect.exposure import Exposure, PanelArea
from cubragg.detect.noise import noise_counts
from cubragg.detect.response_chain import detected_counts
from cubragg.detect.stored_pixels import PixelType
from cubragg.experiment.experiment import Experiment
from cubragg.plan.plan import Plan


def counts_of(photons: np.ndarray, experiment: Experiment, plan: Plan, *, seed: int, shot: int = 0,
              rng: str = "philox", backend: CountingBackend = "auto", threads: int | None = None) -> np.ndarray:
    """Return counts [slow, fast]: Poisson deviates, in physical semantics after the detector's response.

    Parameters
    ----------
    photons
        Expected photons [slow, fast].
    seed, shot
        Seed, and number of the image in its series.
    rng
        ``philox``, or ``reference`` for the C program's noise, which leaves out the response.
    backend, threads
        See `draw_counts`.

    Returns
    -------
    int32, or float64 of larger numbers and of the ``reference`` generator.
    """
    response = experiment.detector_response()
    if rng == "reference" or experiment.semantics == "nanobragg":
        return noise_counts(photons, plan.roi, seed, rng, shot=shot, backend=backend, threads=threads)
    return detected_counts(photons, response, exposure_of(experiment, plan, seed, shot, backend, threads))


def exposure_of(experiment: Experiment, plan: Plan, seed: int, shot: int, backend: CountingBackend = "auto",
                threads: int | None = None) -> Exposure:
    """Return what the steps of the response need to know of an image; arguments as for `counts_of`."""
    panels = [PanelArea(panel.window, (1e3 * panel.pixel_mm[0], 1e3 * panel.pixel_mm[1]))
              for panel in plan.detector_panels]
    return Exposure(panels, _recorded(plan), experiment.beam.exposure_s, seed, shot, backend, threads)


def stored_type(kind: PixelType, experiment: Experiment) -> PixelType:
    """Return a type of pixels that, in physical semantics, stores larger counts as overloads in place of an error."""
    return kind._replace(saturates=True) if experiment.semantics == "physical" else kind


def _recorded(plan: Plan) -> np.ndarray | None:
    """Return the pixels of the region of interest that are on a panel and not masked; ``None``: all."""
    fast_min, fast_max, slow_min, slow_max = plan.roi
    slow, fast = plan.shape
    if plan.mask is None and plan.roi == (0, fast - 1, 0, slow - 1):
        return None
    live = np.zeros(plan.shape, dtype=bool)
    region = (slice(slow_min, slow_max + 1), slice(fast_min, fast_max + 1))
    live[region] = True if plan.mask is None else plan.mask[region]
    return live

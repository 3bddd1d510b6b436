"""Photons that do not come from the crystal: background, direct beam, and the shadow of the beam stop."""

from __future__ import annotations

from typing import Any

import numpy as np

from cubragg.background.background_map import BackgroundRows, background_map
from cubragg.detect.epilogue import PhotonMaps
from cubragg.experiment.experiment import Experiment
from cubragg.plan.plan import Plan
from cubragg.plan.shadow import direct_beam, shadow_map


class Surroundings:
    """Adds background and direct beam to photons of the crystal, in host memory, and puts the beam stop before them.

    Parameters
    ----------
    experiment, plan
        The experiment and its plan.
    coarse
        As for `background_map`.
    """

    def __init__(self, experiment: Experiment, plan: Plan, *, coarse: bool = False) -> None:
        background, beam = experiment.background, experiment.beam
        self._background = None if background.empty else BackgroundRows(plan, background, beam.photons(), coarse=coarse)
        self._direct = direct_beam(plan, beam) if beam.direct_fraction > 0.0 else None
        self._passed = None if plan.beam_stop is None else shadow_map(plan, plan.beam_stop)

    @property
    def maps(self) -> PhotonMaps:
        """What is added, for kernels that do it."""
        background, scale = (None, 1.0) if self._background is None else self._background.scaled
        return PhotonMaps(background, scale, self._direct, self._passed)

    def add(self, photons: np.ndarray, first_row: int = 0) -> None:
        """Change the photons of an image or a band of its rows, float32 [rows, fast], from ``first_row`` on."""
        rows = slice(first_row, first_row + len(photons))
        if self._background is not None:
            self._background.add(photons, first_row)
        if self._direct is not None:
            photons += self._direct[rows]
        if self._passed is not None:
            photons *= self._passed[rows]


def add_surroundings_on_gpu(experiment: Experiment, plan: Plan, photons: Any, *, coarse: bool = False) -> None:
    """Change photons of the crystal, a CuPy array [slow, fast], as `Surroundings`."""
    from cubragg.device.cuda_device import import_cupy

    on_gpu = import_cupy().asarray
    if not experiment.background.empty:
        photons += on_gpu(background_map(plan, experiment.background, experiment.beam.photons(), coarse=coarse))
    if experiment.beam.direct_fraction > 0.0:
        photons += on_gpu(direct_beam(plan, experiment.beam))
    if plan.beam_stop is not None:
        photons *= on_gpu(shadow_map(plan, plan.beam_stop))

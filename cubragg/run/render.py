"""simulate(experiment): renders the image of an experiment."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from cubragg.engine.panel_loop import Progress
from cubragg.engine.part_sum import render_plan
from cubragg.engine.select import (
    Backend,
    Devices,
    Method,
    Precision,
    Selection,
    check_method,
    check_threads,
    resolve_devices,
    select_split,
)
from cubragg.experiment.experiment import Experiment
from cubragg.plan.make_plan import make_plan
from cubragg.plan.plan import Plan
from cubragg.run.simulated_image import SimulatedImage
from cubragg.run.visibility import is_absolute, visibility_warnings


def simulate(experiment: Experiment, *, backend: Backend = "auto", precision: Precision = "auto", device: int = 0,
             threads: int | None = None, method: Method = "sampled", cull: float | None = 0.0,
             progress: Progress | None = None, plan: Plan | None = None, devices: Devices | None = None
             ) -> SimulatedImage:
    """Simulate an experiment.

    Parameters
    ----------
    experiment
        The experiment.
    backend, precision, device, cull
        Backend, precision, GPU and tolerance of culling; see `select_backend`.
    threads
        CPU threads to use; all cores if ``None``. The image does not depend on it.
    method
        ``sampled``, or ``analytic``: spots in closed form, in physical semantics only; see `specs/analytic.md`.
    progress
        Called with (pixels done, pixels in all) now and then.
    plan
        The plan of the experiment from `make_plan`; ``None``: it is made here.
    devices
        Numbers of several GPUs, or ``all``, each of which renders rows of the image; in place of ``device``. GPUs of
        one model render the same bits as one of them. By the method sampled only.

    Raises
    ------
    ConfigError
        If parts of the experiment, each of them valid, cannot be combined.
    BackendUnavailable, KernelBuildError
        If the requested backend cannot run here.
    """
    check_method(method)
    check_threads(threads)
    plan = make_plan(experiment, method) if plan is None else plan
    backend, gpus = resolve_devices(backend, device, devices)
    selected = select_split(plan, backend, precision, gpus, cull)
    start = time.perf_counter()
    photons = render_plan(selected.engine, plan, threads, progress, prepared=True)
    return image_of(experiment, plan, selected, photons, time.perf_counter() - start)


def image_of(experiment: Experiment, plan: Plan, selected: Selection, photons: np.ndarray, seconds: float,
             shot: int = 0) -> SimulatedImage:
    """The image number ``shot`` of photons that the selected engine has rendered, with its warnings."""
    # The first image of a series is enough: others would repeat the warning with other figures.
    brightest = int(photons.argmax()) if shot == 0 and is_absolute(experiment) else None
    peak = 0.0 if brightest is None else float(photons.reshape(-1)[brightest])
    photons = with_background(experiment, plan, photons)
    engine = selected.engine
    warnings = list(plan.warnings)
    if brightest is not None:
        total = float(photons.reshape(-1)[brightest])
        warnings += visibility_warnings(min(peak, total), max(total - peak, 0.0))
    if selected.fallback:
        warnings.append(f"{selected.fallback}; the backend {selected.backend} is used instead")
    if selected.double_because:
        warnings.append(f"{selected.double_because}; double precision is used instead")
    if engine.interpolation_stopped_at is not None:
        fast, slow = engine.interpolation_stopped_at
        others = "" if len(plan.detector_panels) == 1 else ", and on each panel from its first such pixel on"
        warnings.append(f"interpolation of structure factors is off from pixel {fast} {slow} (fast slow) on{others}, "
                       "as in nanoBragg, because it needs reflections that are not listed; -nointerpolate or "
                       "--semantics physical treats all pixels alike")
    return SimulatedImage(photons, experiment, plan, selected.backend, selected.precision, seconds, engine.culling,
                          tuple(warnings), shot)


def with_background(experiment: Experiment, plan: Plan, photons: np.ndarray, *, coarse: bool = False) -> np.ndarray:
    """Photons, in host memory or on a GPU, with background and direct beam, behind the beam stop; changed in place.
    ``coarse`` as for `background_map`."""
    if not experiment.background.empty:
        from cubragg.background.background_map import add_background, background_map

        scattered = plan, experiment.background, experiment.beam.photons()
        if isinstance(photons, np.ndarray):
            add_background(photons, *scattered, coarse=coarse)
        else:
            photons += _beside(photons, background_map(*scattered, coarse=coarse))
    if experiment.beam.direct_fraction > 0.0:
        from cubragg.plan.shadow import direct_beam

        photons += _beside(photons, direct_beam(plan, experiment.beam))
    if plan.beam_stop is not None:
        from cubragg.plan.shadow import shadow_map

        photons *= _beside(photons, shadow_map(plan, plan.beam_stop))
    return photons


def _beside(photons: np.ndarray, image: np.ndarray) -> Any:
    """An image in host memory, or where the photons are: on a GPU."""
    if isinstance(photons, np.ndarray):
        return image
    from cubragg.device.cuda_device import import_cupy

    return import_cupy().asarray(image)

"""simulate(experiment): renders the image of an experiment."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from cubragg.reflections.image_sums import SumRequest
    from cubragg.reflections.panel_sums import ImageSums


def simulate(experiment: Experiment, *, backend: Backend = "auto", precision: Precision = "auto", device: int = 0,
             threads: int | None = None, method: Method = "sampled", cull: float | None = 0.0,
             progress: Progress | None = None, plan: Plan | None = None, devices: Devices | None = None,
             reflections: bool | SumRequest = False) -> SimulatedImage:
    """Simulate an experiment.

    Parameters
    ----------
    experiment
        The experiment.
    backend
        ``cuda``, ``cpu`` (kernels compiled by this machine's C++ compiler), ``numpy``, or ``auto``: the first of these
        that can run.
    precision
        ``double``, ``mixed``, ``single``, or ``auto``: double on the CPU, on a GPU by its speed in double precision.
    device
        Number of the GPU.
    threads
        CPU threads to use; all cores if ``None``. The image does not depend on it.
    method
        ``sampled`` adds up samples of orientations, beam and pixels, which may be 1e5 in a pixel for a crystal with
        mosaicity and blocks of micrometres. ``analytic`` evaluates spots in closed form, without fringes, in physical
        semantics only: a hundred times faster and more for such crystals; see `specs/analytic.md`.
    cull
        Terms that are at most this fraction of the highest possible peak may be left out; 0: only terms that are 0;
        ``None``: none.
    progress
        Called with (pixels done, pixels in all) now and then.
    plan
        The plan of the experiment from `make_plan`; ``None``: it is made here.
    devices
        Numbers of several GPUs, or ``all``, each of which renders rows of the image; in place of ``device``. GPUs of
        one model render the same bits as one of them. By the method sampled only.
    reflections
        Sum photons by reflection in the same pass, for `Image.reflections` and `predict`, which with the method sampled
        take another one otherwise. The image has the same bits. Backend cuda, precisions other than double and a
        tolerance of culling do not. A `SumRequest` has the least photons of a reflection and those of its labels.

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
    request = requested_sums(reflections)
    selected = select_split(plan, backend, precision, gpus, cull, None if request is None else request.engine)
    start = time.perf_counter()
    photons = render_plan(selected.engine, plan, threads, progress, prepared=True)
    return image_of(experiment, plan, selected, photons, time.perf_counter() - start,
                    sums=None if request is None else request.taken(selected.engine))


def requested_sums(reflections: bool | SumRequest) -> SumRequest | None:
    """Return what is summed by reflection as an image is rendered; ``None``: nothing."""
    if not isinstance(reflections, bool):
        return reflections
    if not reflections:
        return None
    from cubragg.reflections.image_sums import SumRequest

    return SumRequest()


def simulate_counts(experiment: Experiment, seed: int = 0, *, backend: Backend = "auto", precision: Precision = "auto",
                    device: int = 0, threads: int | None = None, method: Method = "sampled", cull: float | None = 0.0,
                    plan: Plan | None = None, devices: Devices | None = None) -> np.ndarray:
    """Simulate the counts of an experiment: those of ``simulate(experiment, ...).counts(seed)``, in less memory.

    In physical semantics and without point spread, photons are never held as an image: on the backend ``cpu``, for a
    detector of one panel, they are rendered and counted in bands of rows; on the backend ``cuda`` kernels draw the
    count of a pixel as they render it. Otherwise, and where a crystal is sampled in parts, they are.

    Parameters
    ----------
    experiment, seed
        The experiment, and the seed of the counting noise.
    backend, precision, device, threads, method, cull, plan, devices
        As for `simulate`.

    Returns
    -------
    int32 [slow, fast].

    Raises
    ------
    ConfigError, BackendUnavailable, KernelBuildError
        As for `simulate`.
    FormatError
        For more than 2^31 - 1 counts in a pixel.
    """
    from cubragg.detect.quantize import quantize
    from cubragg.run.banded_rendering import counts_as_rendered

    check_method(method)
    check_threads(threads)
    plan = make_plan(experiment, method) if plan is None else plan
    backend, gpus = resolve_devices(backend, device, devices)
    selected = select_split(plan, backend, precision, gpus, cull)
    drawn = counts_as_rendered(experiment, plan, selected.engine, seed=seed, threads=threads)
    if drawn is None:
        photons = render_plan(selected.engine, plan, threads, None, prepared=True)
        return image_of(experiment, plan, selected, photons, 0.0).counts(seed)
    return drawn if drawn.dtype == np.int32 else quantize(drawn, np.int32)


def image_of(experiment: Experiment, plan: Plan, selected: Selection, photons: np.ndarray, seconds: float,
             shot: int = 0, sums: ImageSums | None = None) -> SimulatedImage:
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
                          tuple(warnings), shot, sums)


def with_background(experiment: Experiment, plan: Plan, photons: np.ndarray, *, coarse: bool = False) -> np.ndarray:
    """Photons, in host memory or on a GPU, with background and direct beam, behind the beam stop; changed in place.
    ``coarse`` as for `background_map`."""
    if experiment.background.empty and not experiment.beam.direct_fraction and plan.beam_stop is None:
        return photons
    from cubragg.run.around_the_crystal import Surroundings, add_surroundings_on_gpu

    if isinstance(photons, np.ndarray):
        Surroundings(experiment, plan, coarse=coarse).add(photons)
    else:
        add_surroundings_on_gpu(experiment, plan, photons, coarse=coarse)
    return photons

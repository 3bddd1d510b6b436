"""predict(experiment): the table of an image's reflections."""

from __future__ import annotations

from cubragg.engine.panel_loop import Progress
from cubragg.engine.select import Backend, Method, Precision, check_method, check_threads
from cubragg.errors import ConfigError
from cubragg.experiment.experiment import Experiment
from cubragg.plan.make_plan import make_plan
from cubragg.reflections.predict import MIN_PHOTONS, reflection_table
from cubragg.reflections.reflection_table import ReflectionTable
from cubragg.run.simulated_image import SimulatedImage


def predict(source: Experiment | SimulatedImage, *, min_photons: float = MIN_PHOTONS, backend: Backend = "auto",
            precision: Precision = "auto", device: int = 0, threads: int | None = None, method: Method = "sampled",
            cull: float | None = 0.0, progress: Progress | None = None) -> ReflectionTable:
    """Predict the reflections of an image, with the expected photons of each summed over all samples of its pixels.

    Parameters
    ----------
    source
        An experiment, or a rendered image; with ``reflections=True`` its photons were summed as it was rendered.
    min_photons
        Reflections with fewer expected photons on their panel are left out.
    backend
        ``numpy``, or any other name for kernels compiled by this machine's C++ compiler (NumPy if there is none).
    precision
        ``auto`` or ``double``; sums are computed in double precision.
    device, cull
        Accepted as by `simulate`, without effect: sums are computed on the CPU and include all terms, but for those
        that together have less than 1e-15 of ``min_photons``.
    threads
        CPU threads to use; all cores if ``None``.
    method
        ``sampled``, or ``analytic``: spots in closed form, in physical semantics only; see `specs/analytic.md`.
    progress
        Called with (pixels done, pixels in all) now and then.

    Returns
    -------
    The table, brightest reflection first.

    Raises
    ------
    ConfigError
        For an unknown precision or method, an experiment that cannot be rendered, and the running products of
        nanobragg semantics, with which photons cannot be attributed to single reflections.
    """
    check_method(method)
    check_threads(threads)
    if precision not in ("auto", "double"):
        raise ConfigError("precision", f"got {precision!r}; reflections are summed in double precision, "
                          "auto and double are accepted")
    plan = source.plan if isinstance(source, SimulatedImage) else make_plan(source, method)
    photons, sums = (source.bragg_photons, source.sums) if isinstance(source, SimulatedImage) else (None, None)
    return reflection_table(plan, min_photons=min_photons, threads=threads, backend=backend, progress=progress,
                            photons=photons, sums=sums)

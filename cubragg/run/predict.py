"""predict(experiment): the reflections of an image, rendered or not."""

from __future__ import annotations

from cubragg.engine.panel_loop import Progress
from cubragg.engine.select import Backend, Method, Precision, check_method
from cubragg.errors import ConfigError
from cubragg.experiment.experiment import Experiment
from cubragg.plan.plan import make_plan
from cubragg.reflections.predict import MIN_PHOTONS, reflection_table
from cubragg.reflections.reflection_table import ReflectionTable
from cubragg.run.image import Image


def predict(source: Experiment | Image, *, min_photons: float = MIN_PHOTONS, backend: Backend = "auto",
            precision: Precision = "auto", device: int = 0, threads: int | None = None, method: Method = "sampled",
            cull: float | None = 0.0, progress: Progress | None = None) -> ReflectionTable:
    """List the reflections of an image: the sums of its expected photons, sample by sample.

    Parameters
    ----------
    source
        An experiment, or an image that was rendered of one.
    min_photons
        Reflections with fewer expected photons on their panel are left out.
    backend
        ``numpy``; with any other, the kernels compiled by this machine's C++ compiler, else NumPy.
    precision
        ``auto`` or ``double``: sums are made in double precision.
    device, cull
        Taken as by `simulate`, without effect: sums are made on the CPU and leave out nothing.
    threads
        CPU threads to use; all cores if ``None``.
    method
        ``sampled``.
    progress
        Called with (pixels done, pixels in all) now and then.

    Returns
    -------
    The table, brightest reflection first.

    Raises
    ------
    ConfigError
        For a precision or method of another name, an experiment that cannot be rendered, and running products of
        nanobragg semantics, which mix the photons of reflections.
    """
    check_method(method)
    if precision not in ("auto", "double"):
        raise ConfigError("precision", f"got {precision!r}; reflections are summed in double precision, "
                          "auto and double are accepted")
    plan = source.plan if isinstance(source, Image) else make_plan(source)
    return reflection_table(plan, min_photons=min_photons, threads=threads, backend=backend, progress=progress)

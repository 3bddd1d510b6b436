"""Many images of one experiment that differ in the orientation of the crystal only: by misset, or by the spindle."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Iterable, Iterator
from typing import Any

from cubragg import units
from cubragg.crystallography.orientations import Orientations, misset_angles
from cubragg.crystallography.vectors import Vector
from cubragg.engine.panel_loop import Progress
from cubragg.engine.select import Backend, Method, Precision, Selection, check_method, select_backend
from cubragg.errors import BackendUnavailable, ConfigError
from cubragg.experiment.experiment import Experiment
from cubragg.plan.plan import Plan, make_plan, oriented_cells
from cubragg.run.image import Image
from cubragg.run.render import image_of

#: An experiment and its plan.
Planned = tuple[Experiment, Plan]


def render_many(experiment: Experiment, orientations: Orientations, *, backend: Backend = "auto",
                precision: Precision = "auto", device: int = 0, threads: int | None = None, method: Method = "sampled",
                cull: float | None = 0.0, progress: Progress | None = None, on_device: bool = False
                ) -> Iterator[Image]:
    """Render one image for each orientation of the crystal.

    What the images share is set up once: detector, sources, structure factors, compiled
    kernels, and on a GPU the device's buffers, where the copy of one image runs beside the
    computing of the next. An image is that of `simulate` with the same misset, to the bit on
    the backends numpy and cpu.

    Parameters
    ----------
    experiment
        Its misset, if it has one, is replaced.
    orientations
        Misset angles about x, then y, then z [n, 3] [deg], rotation matrices [n, 3, 3], unit quaternions x, y, z, w
        [n, 4] or SciPy's Rotation, which turn the crystal's orientation without a misset. All but the angles are
        taken apart into such angles. See `random_orientations`.
    backend, precision, device, cull
        What renders, and which terms it may leave out; see `select_backend`.
    threads
        CPU threads to use; all cores if ``None``.
    method
        ``sampled``.
    progress
        Called with (pixels done, pixels in all) of the current image.
    on_device
        Leave ``photons`` on the GPU, as CuPy arrays (with DLPack). They are complete when they are yielded, and the
        caller's to keep.

    Returns
    -------
    Iterator of images, in the order of the orientations. Each is rendered when it is asked for; a GPU is one image
    ahead.

    Raises
    ------
    ConfigError
        For orientations that are none, and as `make_plan`.
    BackendUnavailable, KernelBuildError
        If the backend asked for cannot run here, or ``on_device`` is asked of another one than cuda.
    """
    check_method(method)
    angles = misset_angles(orientations)
    if threads is not None and threads < 1:
        raise ConfigError("threads", f"got {threads}; threads must be >= 1")
    planned = _plans(experiment, angles)
    first = next(planned, None)
    if first is None:
        return iter(())
    # Here, and not with the first image: what cannot run is an error at once.
    selected = select_backend(first[1], backend, precision, device, cull)
    if on_device and selected.backend != "cuda":
        raise BackendUnavailable(f"on_device: the backend {selected.backend} renders on the host; it takes cuda")
    return _images(selected, itertools.chain([first], planned), device, cull, threads, on_device, progress)


def render_series(experiment: Experiment, images: int, *, backend: Backend = "auto", precision: Precision = "auto",
                  device: int = 0, threads: int | None = None, method: Method = "sampled", cull: float | None = 0.0,
                  progress: Progress | None = None) -> Iterator[Image]:
    """Render a rotation series: image i covers the experiment's oscillation range from phi + i * range on.

    Each is the image of an experiment of its own with that phi, to the bit on the backends numpy and cpu;
    compiled kernels, tables and buffers are set up once.

    Parameters
    ----------
    experiment
        Its phi is where the series starts.
    images
        How many.
    backend, precision, device, threads, method, cull, progress
        As for `render_many`.

    Returns
    -------
    Iterator of images, each rendered when it is asked for; a GPU is one image ahead.

    Raises
    ------
    ConfigError
        For less than one image, more than one without a range to rotate by, and as `make_plan`.
    BackendUnavailable, KernelBuildError
        If the backend asked for cannot run here.
    """
    check_method(method)
    if images < 1:
        raise ConfigError("images", f"got {images}; a series has at least 1 image")
    if threads is not None and threads < 1:
        raise ConfigError("threads", f"got {threads}; threads must be >= 1")
    range_deg = units.deg_from_rad(experiment.goniometer.sweep().span)
    if images > 1 and not range_deg > 0.0:
        raise ConfigError("images", f"got {images} images that would turn by 0 deg; a series needs -osc > 0 deg")
    rotated = (_rotated(experiment, number, range_deg) for number in range(images))
    planned = ((one, make_plan(one)) for one in rotated)
    first = next(planned)
    selected = select_backend(first[1], backend, precision, device, cull)
    return _images(selected, itertools.chain([first], planned), device, cull, threads, False, progress)


def _rotated(experiment: Experiment, number: int, range_deg: float) -> Experiment:
    """The experiment of image ``number`` of a series."""
    if number == 0:
        return experiment
    phi = experiment.goniometer.phi_deg + number * range_deg
    return dataclasses.replace(experiment, goniometer=dataclasses.replace(experiment.goniometer, phi_deg=phi))


def _plans(experiment: Experiment, angles: Iterable[Vector]) -> Iterator[Planned]:
    """The experiment and the plan of each orientation."""
    plan: Plan | None = None
    for misset in angles:
        crystal = dataclasses.replace(experiment.crystal, misset_deg=misset, misset_seed=None)
        turned = dataclasses.replace(experiment, crystal=crystal)
        plan = make_plan(turned) if plan is None else _turned(plan, turned)
        yield turned, plan


def _turned(plan: Plan, experiment: Experiment) -> Plan:
    """The plan of an experiment that differs from the plan's in its misset only."""
    crystal, sampling = experiment.crystal, experiment.sampling
    wavelength = units.m_from_angstrom(experiment.beam.wavelength_A)
    lattice = crystal.lattice(experiment.semantics)
    recommended = sampling.recommended_oversample(lattice, plan.cells, plan.coarsest, wavelength)
    # Lengths of the turned axes differ in their last bits, which may turn a rounded-up count over.
    if any(size > 0.0 for size in crystal.sample_size_mm) or recommended != plan.recommended_oversample:
        return make_plan(experiment)
    axes, first = oriented_cells(lattice, plan.mosaic, plan.phi_angles, plan.geometry.spindle, experiment.semantics)
    return dataclasses.replace(plan, lattice=lattice, cell_axes=axes, first_cell_axes=first)


def _images(selected: Selection, planned: Iterable[Planned], device: int, cull: float | None, threads: int | None,
            on_device: bool, progress: Progress | None) -> Iterator[Image]:
    """One engine for each run of plans that share everything but the orientation: as a rule, a single one."""
    alike_in = itertools.groupby(planned, key=lambda one: (one[1].cells, one[1].oversample))
    for number, (_, run) in enumerate(alike_in):
        alike = iter(run)
        if number > 0:
            first = next(alike)
            selected = select_backend(first[1], selected.backend, selected.precision, device, cull)
            alike = itertools.chain([first], alike)
        experiments, plans = itertools.tee(alike)
        start = time.perf_counter()
        for (experiment, plan), photons in zip(experiments, _photons(selected, (one[1] for one in plans), threads,
                                                                     on_device, progress), strict=True):
            yield image_of(experiment, plan, selected, photons, time.perf_counter() - start)
            start = time.perf_counter()


def _photons(selected: Selection, plans: Iterator[Plan], threads: int | None, on_device: bool,
             progress: Progress | None) -> Iterator[Any]:
    """The photons of plans that one engine can render."""
    engine: Any = selected.engine
    if selected.backend == "cuda":
        yield from engine.images(plans, on_device=on_device, progress=progress)
        return
    for plan in plans:
        engine.set_plan(plan)
        yield engine.render(threads, progress)

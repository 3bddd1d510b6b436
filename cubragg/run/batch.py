"""Renders many images of one experiment that differ only in the crystal's orientation: misset or spindle angle."""

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
from cubragg.engine.part_sum import render_plan, render_plans_on_gpu
from cubragg.engine.select import Backend, Method, Precision, Selection, check_method, check_threads, select_backend
from cubragg.errors import BackendUnavailable, ConfigError
from cubragg.experiment.experiment import Experiment
from cubragg.experiment.sampling import PER_FRINGE
from cubragg.plan.make_plan import make_plan, oriented_cells
from cubragg.plan.plan import Plan
from cubragg.plan.sampled_plan import oriented
from cubragg.plan.spreads import crystal_frame
from cubragg.run.render import image_of
from cubragg.run.simulated_image import SimulatedImage

#: An experiment and its plan.
Planned = tuple[Experiment, Plan]


def render_many(experiment: Experiment, orientations: Orientations, *, backend: Backend = "auto",
                precision: Precision = "auto", device: int = 0, threads: int | None = None, method: Method = "sampled",
                cull: float | None = 0.0, progress: Progress | None = None, on_device: bool = False
                ) -> Iterator[SimulatedImage]:
    """Render one image for each orientation of the crystal.

    Detector, sources, structure factors, compiled kernels and buffers are set up once for all
    images; on a GPU an image is copied to the host while the next one is computed. With the
    backends numpy and cpu each image has the same bits as that of `simulate` with the same misset.

    Parameters
    ----------
    experiment
        The experiment; its misset is replaced.
    orientations
        Misset angles about x, then y, then z, [n, 3] in deg, rotation matrices [n, 3, 3], unit quaternions x, y, z, w
        [n, 4] or SciPy's Rotation, relative to the crystal's orientation without a misset. All forms are converted
        to angles. See `random_orientations`.
    backend, precision, device, cull
        Backend, precision, GPU and tolerance of culling; see `select_backend`.
    threads
        CPU threads to use; all cores if ``None``.
    method
        ``sampled``, or ``analytic``: spots in closed form, in physical semantics only; see `specs/analytic.md`.
    progress
        Called with (pixels done, pixels in all) of the current image.
    on_device
        Leave ``photons`` on the GPU, as CuPy arrays (with DLPack). They are complete when they are yielded, and are
        not overwritten by later images.

    Returns
    -------
    Iterator of images, in the order of the orientations. Each image is rendered when the iterator is advanced; a GPU
    renders one image ahead.

    Raises
    ------
    ConfigError
        For invalid orientations, and as `make_plan`.
    BackendUnavailable, KernelBuildError
        If the requested backend cannot run here, or for ``on_device`` with a backend other than cuda.
    """
    check_method(method)
    angles = misset_angles(orientations)
    check_threads(threads)
    planned = _plans(experiment, angles, method)
    first = next(planned, None)
    if first is None:
        return iter(())
    # Here and not in the generator, so that a backend that cannot run raises before the first image.
    selected = select_backend(first[1], backend, precision, device, cull)
    if on_device and selected.backend != "cuda":
        raise BackendUnavailable(f"on_device: got backend {selected.backend}, whose images are in host memory; "
                                 "backend='cuda' is accepted")
    return _images(selected, itertools.chain([first], planned), device, cull, threads, on_device, progress)


def render_series(experiment: Experiment, images: int, *, backend: Backend = "auto", precision: Precision = "auto",
                  device: int = 0, threads: int | None = None, method: Method = "sampled", cull: float | None = 0.0,
                  progress: Progress | None = None) -> Iterator[SimulatedImage]:
    """Render a rotation series: image i starts at phi + i * osc and covers the experiment's image width osc.

    With the backends numpy and cpu each image has the same bits as that of `simulate` with its phi.
    Compiled kernels, F2 grid and buffers are set up once.

    Parameters
    ----------
    experiment
        The experiment of the first image.
    images
        Number of images.
    backend, precision, device, threads, method, cull, progress
        As for `render_many`.

    Returns
    -------
    Iterator of images, each rendered when the iterator is advanced; a GPU renders one image ahead.

    Raises
    ------
    ConfigError
        For less than one image, more than one with an oscillation range of 0, and as `make_plan`.
    BackendUnavailable, KernelBuildError
        If the requested backend cannot run here.
    """
    check_method(method)
    if images < 1:
        raise ConfigError("images", f"got {images}; a series has at least 1 image")
    check_threads(threads)
    range_deg = units.deg_from_rad(experiment.goniometer.sweep().width)
    if images > 1 and not range_deg > 0.0:
        raise ConfigError("images", f"got {images} images with an oscillation range of 0 deg; a series needs "
                          "-osc > 0 deg")
    rotated = (_rotated(experiment, number, range_deg) for number in range(images))
    planned = ((shot, make_plan(shot, method)) for shot in rotated)
    first = next(planned)
    selected = select_backend(first[1], backend, precision, device, cull)
    return _images(selected, itertools.chain([first], planned), device, cull, threads, False, progress)


def _rotated(experiment: Experiment, number: int, range_deg: float) -> Experiment:
    """The experiment of image ``number`` of a series."""
    if number == 0:
        return experiment
    phi = experiment.goniometer.phi_deg + number * range_deg
    return dataclasses.replace(experiment, goniometer=dataclasses.replace(experiment.goniometer, phi_deg=phi))


def _plans(experiment: Experiment, angles: Iterable[Vector], method: Method) -> Iterator[Planned]:
    """Experiment and plan of each orientation."""
    plan: Plan | None = None
    for misset in angles:
        crystal = dataclasses.replace(experiment.crystal, misset_deg=misset, misset_seed=None)
        oriented = dataclasses.replace(experiment, crystal=crystal)
        plan = make_plan(oriented, method) if plan is None else _reoriented(plan, oriented)
        yield oriented, plan


def _reoriented(plan: Plan, experiment: Experiment) -> Plan:
    """The plan of an experiment that differs only in its misset from the one of ``plan``."""
    crystal, sampling = experiment.crystal, experiment.sampling
    # The axes of mosaicity and of a crystal with a size turn with it, and so does the part that the beam lights.
    if plan.method == "analytic" or crystal.size_mm is not None or plan.parts:
        return make_plan(experiment, plan.method)
    wavelength = units.m_from_angstrom(experiment.beam.wavelength_A)
    lattice = crystal.lattice(experiment.semantics)
    recommended = sampling.recommended_oversample(lattice, plan.cells, plan.coarsest, wavelength,
                                                  PER_FRINGE[experiment.semantics])
    # The lengths of rotated axes differ in their last bits, which can change a number that is rounded up.
    if any(size > 0.0 for size in crystal.sample_size_mm) or recommended != plan.recommended_oversample:
        return make_plan(experiment, plan.method)
    if plan.rules.per_sample:
        spreads = plan.spreads._replace(frame=crystal_frame(lattice))
        return oriented(dataclasses.replace(plan, lattice=lattice, spreads=spreads))
    axes, first = oriented_cells(lattice, plan.mosaic, plan.phi_angles, plan.geometry.spindle, experiment.semantics)
    return dataclasses.replace(plan, lattice=lattice, cell_axes=axes, first_cell_axes=first)


def _images(selected: Selection, planned: Iterable[Planned], device: int, cull: float | None, threads: int | None,
            on_device: bool, progress: Progress | None) -> Iterator[SimulatedImage]:
    """Render plans with one engine for each run of plans that differ only in orientation, usually a single one."""
    shot = itertools.count()
    runs = itertools.groupby(planned, key=lambda one: (one[1].cells, one[1].oversample, one[1].cell_axes.shape,
                                                       len(one[1].parts)))
    for number, (_, run) in enumerate(runs):
        same = iter(run)
        if number > 0:
            first = next(same)
            selected = select_backend(first[1], selected.backend, selected.precision, device, cull)
            same = itertools.chain([first], same)
        experiments, plans = itertools.tee(same)
        start = time.perf_counter()
        for (experiment, plan), photons in zip(experiments, _photons(selected, (one[1] for one in plans), threads,
                                                                     on_device, progress), strict=True):
            yield image_of(experiment, plan, selected, photons, time.perf_counter() - start, next(shot))
            start = time.perf_counter()


def _photons(selected: Selection, plans: Iterator[Plan], threads: int | None, on_device: bool,
             progress: Progress | None) -> Iterator[Any]:
    """Expected photons of plans that one engine can render."""
    if selected.backend == "cuda":
        yield from render_plans_on_gpu(selected.engine, plans, on_device, progress)
        return
    for plan in plans:
        yield render_plan(selected.engine, plan, threads, progress)

"""Renders many images of one experiment that differ only in the crystal's orientation: misset or spindle angle."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from cubragg import checks, units
from cubragg.crystallography.orientations import Orientations, misset_angles
from cubragg.crystallography.vectors import Vector
from cubragg.engine.panel_loop import Progress
from cubragg.engine.part_sum import render_plan, render_plans_on_gpu
from cubragg.engine.select import (
    Backend,
    Devices,
    Method,
    Precision,
    Selection,
    check_method,
    check_threads,
    resolve_devices,
    select_backend,
)
from cubragg.errors import BackendUnavailable, ConfigError
from cubragg.experiment.experiment import Experiment, require_experiment
from cubragg.experiment.sampling import PER_FRINGE
from cubragg.plan.image_series import ImageSeries
from cubragg.plan.make_plan import make_plan, oriented_cells
from cubragg.plan.plan import Plan
from cubragg.plan.sampled_plan import oriented
from cubragg.plan.spreads import crystal_frame
from cubragg.run.render import image_of, requested_sums
from cubragg.run.simulated_image import SimulatedImage

if TYPE_CHECKING:
    from cubragg.reflections.image_sums import SumRequest


class Planned(NamedTuple):
    """An image to render: its number, experiment and plan."""

    shot: int
    experiment: Experiment
    plan: Plan


class _Options(NamedTuple):
    """Arguments of `render_many` that are the same for all images."""

    cull: float | None
    threads: int | None
    on_device: bool
    sums: SumRequest | None


def render_many(experiment: Experiment, orientations: Orientations, *, backend: Backend = "auto",
                precision: Precision = "auto", device: int = 0, threads: int | None = None, method: Method = "sampled",
                cull: float | None = 0.0, progress: Progress | None = None, on_device: bool = False,
                devices: Devices | None = None, reflections: bool | SumRequest = False) -> Iterator[SimulatedImage]:
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
    backend, precision, device, threads, method, cull
        As for `simulate`.
    progress
        Called with (pixels done, pixels in all) of the current image.
    on_device
        Leave ``photons`` on the GPU, as CuPy arrays (with DLPack). They are complete when they are yielded, and are
        not overwritten by later images.
    devices
        Numbers of several GPUs, or ``all``, in place of ``device``: each renders whole images, in a thread of its own.
        GPUs of one model render the same bits as one of them.
    reflections
        As for `simulate`.

    Returns
    -------
    Iterator of images, in the order of the orientations. Each image is rendered when the iterator is advanced; a GPU
    renders one image ahead, each of several up to four.

    Raises
    ------
    ConfigError
        For invalid orientations, and as `make_plan`.
    BackendUnavailable, KernelBuildError
        If the requested backend cannot run here, or for ``on_device`` with a backend other than cuda. An error while
        images are rendered has the number of the GPU.
    """
    require_experiment(experiment)
    check_method(method)
    angles = misset_angles(orientations)
    check_threads(threads)
    backend, gpus = resolve_devices(backend, device, devices)
    options = _Options(cull, threads, on_device, requested_sums(reflections))
    return _rendered(_plans(experiment, angles, method), backend, precision, gpus, options, progress)


def render_series(experiment: Experiment, images: int, *, backend: Backend = "auto", precision: Precision = "auto",
                  device: int = 0, threads: int | None = None, method: Method = "sampled", cull: float | None = 0.0,
                  progress: Progress | None = None, devices: Devices | None = None,
                  reflections: bool | SumRequest = False) -> Iterator[SimulatedImage]:
    """Render a rotation series: image i starts at phi + i * osc and covers the experiment's image width osc.

    With the backends numpy and cpu each image has the same bits as that of `simulate` with its phi.
    Compiled kernels, F2 grid and buffers are set up once.

    Parameters
    ----------
    experiment
        The experiment of the first image.
    images
        Number of images.
    backend, precision, device, threads, method, cull, progress, devices, reflections
        As for `render_many`.

    Returns
    -------
    Iterator of images, in order; as that of `render_many`.

    Raises
    ------
    ConfigError
        For less than one image, more than one with an oscillation range of 0, and as `make_plan`.
    BackendUnavailable, KernelBuildError
        If the requested backend cannot run here.
    """
    require_experiment(experiment)
    check_method(method)
    checks.integer("images", "the number of images of a series", images, at_least=1)
    check_threads(threads)
    range_deg = units.deg_from_rad(experiment.goniometer.sweep().width)
    if images > 1 and not range_deg > 0.0:
        raise ConfigError("images", f"got {images} images with an oscillation range of 0 deg; a series needs "
                          "-osc > 0 deg")
    backend, gpus = resolve_devices(backend, device, devices)
    rotated = (_rotated(experiment, number, range_deg) for number in range(images))
    series = ImageSeries()
    planned = (Planned(number, shot, make_plan(shot, method, series)) for number, shot in enumerate(rotated))
    options = _Options(cull, threads, False, requested_sums(reflections))
    return _rendered(planned, backend, precision, gpus, options, progress)


def _rotated(experiment: Experiment, number: int, range_deg: float) -> Experiment:
    """The experiment of image ``number`` of a series."""
    if number == 0:
        return experiment
    phi = experiment.goniometer.phi_deg + number * range_deg
    return dataclasses.replace(experiment, goniometer=dataclasses.replace(experiment.goniometer, phi_deg=phi))


def _plans(experiment: Experiment, angles: Iterable[Vector], method: Method) -> Iterator[Planned]:
    """The image of each orientation."""
    plan: Plan | None = None
    for number, misset in enumerate(angles):
        crystal = dataclasses.replace(experiment.crystal, misset_deg=misset, misset_seed=None)
        oriented = dataclasses.replace(experiment, crystal=crystal)
        plan = make_plan(oriented, method) if plan is None else _reoriented(plan, oriented)
        yield Planned(number, oriented, plan)


def _reoriented(plan: Plan, experiment: Experiment) -> Plan:
    """The plan of an experiment that differs only in its misset from the one of ``plan``."""
    crystal, sampling = experiment.crystal, experiment.sampling
    # The axes of mosaicity and of a crystal with a size turn with it, and so does the part that the beam lights.
    if experiment.structure_factors.grid is not None:  # not copied again without the direct beam
        experiment = dataclasses.replace(experiment, structure_factors=plan.factors)
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


def _rendered(planned: Iterator[Planned], backend: Backend, precision: Precision, devices: Sequence[int],
              options: _Options, progress: Progress | None) -> Iterator[SimulatedImage]:
    """Set up an engine for each device, and return the iterator of the images.

    A backend that cannot run raises here, before the first image.
    """
    first = next(planned, None)
    if first is None:
        return iter(())
    selected = _selected(first.plan, backend, precision, devices[0], options)
    if options.on_device and selected.backend != "cuda":
        raise BackendUnavailable(f"on_device: got backend {selected.backend}, whose images are in host memory; "
                                 "backend='cuda' is accepted")
    planned = itertools.chain([first], planned)
    if len(devices) == 1:
        return _images(selected, devices[0], options, planned, progress)
    from cubragg.engine.cuda.device_threads import in_order

    others = (_selected(first.plan, "cuda", selected.precision, device, options) for device in devices[1:])
    engines = [selected, *(selected._replace(engine=other.engine) for other in others)]
    return in_order(planned, [partial(_images, engine, device, options)
                              for engine, device in zip(engines, devices, strict=True)], progress)


def _selected(plan: Plan, backend: str, precision: str, device: int, options: _Options) -> Selection:
    """Select and set up the engine of a plan."""
    maker = None if options.sums is None else options.sums.engine
    return select_backend(plan, backend, precision, device, options.cull, maker)


def _images(selected: Selection, device: int, options: _Options, planned: Iterable[Planned], progress: Progress | None
            ) -> Generator[SimulatedImage, None, None]:
    """Render plans with one engine for each run of plans that differ only in orientation, usually a single one."""
    runs = itertools.groupby(planned, key=lambda one: (one.plan.cells, one.plan.oversample, one.plan.cell_axes.shape,
                                                       len(one.plan.parts)))
    for number, (_, run) in enumerate(runs):
        same = iter(run)
        if number > 0:
            first = next(same)
            selected = _selected(first.plan, selected.backend, selected.precision, device, options)
            same = itertools.chain([first], same)
        listed, plans = itertools.tee(same)
        start = time.perf_counter()
        rendered = _photons(selected, (one.plan for one in plans), options, progress)
        for one, photons in zip(listed, rendered, strict=True):
            with _current_device(selected, device):
                sums = None if options.sums is None else options.sums.taken(selected.engine)
                image = image_of(one.experiment, one.plan, selected, photons, time.perf_counter() - start, one.shot,
                                 sums)
            yield image
            start = time.perf_counter()


def _current_device(selected: Selection, device: int) -> AbstractContextManager[None]:
    """Make the device of images that stay on it the current one."""
    if selected.backend != "cuda":
        return nullcontext()
    from cubragg.device.cuda_device import current_device, import_cupy

    return current_device(import_cupy(), device)


def _photons(selected: Selection, plans: Iterator[Plan], options: _Options, progress: Progress | None) -> Iterator[Any]:
    """Expected photons of plans that one engine can render."""
    if selected.backend == "cuda":
        yield from render_plans_on_gpu(selected.engine, plans, options.on_device, progress)
        return
    for plan in plans:
        yield render_plan(selected.engine, plan, options.threads, progress)

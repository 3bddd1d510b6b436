"""Many images of one experiment that differ in the orientation of the crystal only: by misset, or by the spindle."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from cubragg import units
from cubragg.crystallography.vectors import Vector
from cubragg.engine.panel_loop import Progress
from cubragg.engine.select import Selection, select_backend
from cubragg.errors import BackendUnavailable, ConfigError
from cubragg.experiment.experiment import Experiment
from cubragg.plan.plan import Plan, make_plan, oriented_cells
from cubragg.run.image import Image
from cubragg.run.render import image_of

#: A matrix further than this from a rotation is refused.
_ROTATION_ERROR = 1e-6
#: Below this cosine of the angle about y, the angles about x and z are one rotation: z is set to 0.
_GIMBAL_LOCK = 1e-12


def render_many(experiment: Experiment, orientations: npt.ArrayLike, *, backend: str = "auto", precision: str = "auto",
                device: int = 0, cull: float | None = 0.0, threads: int | None = None,
                on_device: bool = False) -> Iterator[Any]:
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
        Misset angles about x, then y, then z [n, 3] [deg], or rotation matrices [n, 3, 3] that
        turn the crystal's untouched orientation; they are taken apart into such angles.
    backend, precision, device, cull
        What renders, and which terms it may leave out; see `select_backend`.
    threads
        CPU threads to use; all cores if ``None``.
    on_device
        Yield CuPy arrays (with DLPack) that never leave the GPU, in place of NumPy's. They are
        complete when they are yielded, and the caller's to keep.

    Returns
    -------
    Iterator of float32 [slow, fast] images in photons, in the order of the orientations. Each
    is rendered when it is asked for; a GPU is one image ahead.

    Raises
    ------
    ConfigError
        For orientations that are none, and as `make_plan`.
    BackendUnavailable, KernelBuildError
        If the backend asked for cannot run here, or ``on_device`` is asked of another one than cuda.
    """
    angles = misset_angles(orientations)
    if threads is not None and threads < 1:
        raise ConfigError("threads", f"got {threads}; threads must be >= 1")
    plans = _plans(experiment, angles)
    first = next(plans, None)
    if first is None:
        return iter(())
    # Here, and not with the first image: what cannot run is an error at once.
    selected = select_backend(first, backend, precision, device, cull)
    if on_device and selected.backend != "cuda":
        raise BackendUnavailable(f"on_device: the backend {selected.backend} renders on the host; it takes cuda")
    return _images(selected, itertools.chain([first], plans), device, cull, threads, on_device)


def render_series(experiment: Experiment, images: int, *, backend: str = "auto", precision: str = "auto",
                  device: int = 0, threads: int | None = None, progress: Progress | None = None,
                  cull: float | None = 0.0) -> Iterator[Image]:
    """Render a rotation series: image i covers the experiment's oscillation range from phi + i * range on.

    Each is the image of an experiment of its own with that phi, to the bit on the backends numpy and cpu;
    compiled kernels, tables and buffers are set up once.

    Parameters
    ----------
    experiment
        Its phi is where the series starts.
    images
        How many.
    backend, precision, device, cull
        What renders, and which terms it may leave out; see `select_backend`.
    threads
        CPU threads to use; all cores if ``None``.
    progress
        Called with (pixels done, pixels in all) of the current image.
    Returns
    -------
    Iterator of images, each rendered when it is asked for; a GPU is one image ahead.

    Raises
    ------
    ConfigError
        For less than one image, more than one without a range to turn by, and as `make_plan`.
    BackendUnavailable, KernelBuildError
        If the backend asked for cannot run here.
    """
    if images < 1:
        raise ConfigError("images", f"got {images}; a series has at least 1 image")
    if threads is not None and threads < 1:
        raise ConfigError("threads", f"got {threads}; threads must be >= 1")
    range_deg = units.deg_from_rad(experiment.goniometer.sweep().span)
    if images > 1 and not range_deg > 0.0:
        raise ConfigError("images", f"got {images} images that would turn by 0 deg; a series needs -osc > 0 deg")
    experiments = [_rotated(experiment, number, range_deg) for number in range(images)]
    plans: Iterator[Plan] = map(make_plan, experiments)
    first = next(plans)
    selected = select_backend(first, backend, precision, device, cull)
    plans, rendered = itertools.tee(itertools.chain([first], plans))
    return _series(selected, experiments, plans, _images(selected, rendered, device, cull, threads, False, progress))


def _rotated(experiment: Experiment, number: int, range_deg: float) -> Experiment:
    """The experiment of image ``number`` of a series."""
    if number == 0:
        return experiment
    phi = experiment.goniometer.phi_deg + number * range_deg
    return dataclasses.replace(experiment, goniometer=dataclasses.replace(experiment.goniometer, phi_deg=phi))


def _series(selected: Selection, experiments: Iterable[Experiment], plans: Iterator[Plan],
            images: Iterator[np.ndarray]) -> Iterator[Image]:
    start = time.perf_counter()
    for experiment, photons in zip(experiments, images, strict=True):
        yield image_of(experiment, next(plans), selected, photons, time.perf_counter() - start)
        start = time.perf_counter()


def misset_angles(orientations: npt.ArrayLike) -> list[Vector]:
    """Misset angles [deg] of angles [n, 3] or rotation matrices [n, 3, 3].

    Raises
    ------
    ConfigError
        For another shape, numbers that are not finite, and matrices that are no rotations.
    """
    array = np.asarray(orientations, dtype=np.float64)
    if array.shape == (0,):
        return []
    if array.shape[1:] not in ((3,), (3, 3)):
        raise ConfigError("orientations", f"got an array of shape {array.shape}; accepted are misset angles [n, 3] "
                          "[deg] and rotation matrices [n, 3, 3]")
    if not np.isfinite(array).all():
        raise ConfigError("orientations", "got NaN or inf; orientations must be finite")
    if array.ndim == 2:
        return [tuple(row) for row in array.tolist()]
    error = np.abs(array @ array.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2), initial=0.0)
    wrong = np.flatnonzero((error > _ROTATION_ERROR) | (np.linalg.det(array) < 0.0))
    if wrong.size:
        raise ConfigError("orientations", f"matrix {wrong[0]} is no rotation; rows must be orthogonal unit vectors, "
                          "and the determinant 1")
    return [_angles(matrix) for matrix in array]


def _angles(m: np.ndarray) -> Vector:
    """Angles about x, then y, then z [deg], of a rotation: m = Rz Ry Rx."""
    cosine = np.hypot(m[0, 0], m[1, 0])
    about_y = np.arctan2(-m[2, 0], cosine)
    if cosine > _GIMBAL_LOCK:
        about_x, about_z = np.arctan2(m[2, 1], m[2, 2]), np.arctan2(m[1, 0], m[0, 0])
    else:
        about_x, about_z = np.arctan2(-m[1, 2], m[1, 1]), 0.0
    return tuple(units.deg_from_rad(float(angle)) for angle in (about_x, about_y, about_z))  # type: ignore[return-value]


def _plans(experiment: Experiment, angles: Iterable[Vector]) -> Iterator[Plan]:
    """The plan of each orientation."""
    plan: Plan | None = None
    for misset in angles:
        crystal = dataclasses.replace(experiment.crystal, misset_deg=misset, misset_seed=None)
        turned = dataclasses.replace(experiment, crystal=crystal)
        plan = make_plan(turned) if plan is None else _turned(plan, turned)
        yield plan


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


def _images(selected: Selection, plans: Iterator[Plan], device: int, cull: float | None, threads: int | None,
            on_device: bool, progress: Progress | None = None) -> Iterator[Any]:
    """One engine for each run of plans that share everything but the orientation: as a rule, a single one."""
    for number, (_, run) in enumerate(itertools.groupby(plans, key=lambda plan: (plan.cells, plan.oversample))):
        alike = iter(run)
        if number > 0:
            first = next(alike)
            selected = select_backend(first, selected.backend, selected.precision, device, cull)
            alike = itertools.chain([first], alike)
        engine: Any = selected.engine
        if selected.backend == "cuda":
            yield from engine.images(alike, on_device=on_device, progress=progress)
        else:
            for plan in alike:
                engine.set_plan(plan)
                yield engine.render(threads, progress)

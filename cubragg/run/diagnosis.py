"""Reports installed versions, usable backends and their agreement (``cubragg doctor``)."""

from __future__ import annotations

import os
import platform
import stat
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cubragg.device import host_build
from cubragg.engine.reference.numpy_engine import NumpyEngine
from cubragg.engine.variant import PRECISIONS
from cubragg.errors import CubraggError
from cubragg.experiment import Beam, Crystal, Detector, Experiment, Goniometer, Sampling, StructureFactors
from cubragg.plan.make_plan import make_plan
from cubragg.plan.plan import Plan

#: Largest accepted difference from numpy, relative to the image's maximum, for up to 200 cells along an axis
#: (README, Precision). In double precision the kernels differ in the last bits of square root and sine.
AGREEMENT = {"double": 2e-7, "mixed": 5e-6, "single": 5e-5}
_PACKAGES = ("numpy", "fabio", "click", "cupy", "cupy-cuda12x", "cupy-cuda13x")


class _Trial(NamedTuple):
    """A backend in one precision, and a function that creates its engine."""

    backend: str
    precision: str
    device: int | None
    make: Callable[[], Any]

    @property
    def label(self) -> str:
        """Backend, device and precision."""
        return f"{self.backend}{'' if self.device is None else f' {self.device}'} {self.precision}"


class Section(NamedTuple):
    """A part of the report: a title and rows of (label, text); ``passed`` is false if a check in it failed."""

    title: str
    rows: list[tuple[str, str]]
    passed: bool = True


def diagnose() -> Iterator[Section]:
    """Sections of the report: versions, cache, backends that can run here, and their agreement.

    Sections are yielded one by one, since compiling kernels and rendering take seconds. The backends are compared
    with an image of the backend numpy.
    """
    yield Section("Versions", list(_versions()))
    yield Section("Cache of compiled kernels", list(_cache()))
    plan = make_plan(small_experiment())
    trials = [_Trial("numpy", "double", None, lambda: NumpyEngine(plan))]
    backends = []
    for name, find in (("cuda", _cuda), ("cpu", _cpu)):
        try:
            found, more = find(plan)
        except CubraggError as error:
            backends.append((name, f"not usable: {str(error).removeprefix(f'backend {name}: ')}"))
        else:
            backends += [(name, f"usable: {text}") for text in found]
            trials += more
    yield Section("Backends", [*backends, ("numpy", "usable")])
    slow, fast = plan.shape
    yield Section(f"A {fast} x {slow} image on each: largest difference from numpy / maximum, seconds",
                  *_compare(trials))


def small_experiment() -> Experiment:
    """An experiment with mosaic domains, phi steps and sub-pixels that numpy renders in a fraction of a second."""
    return Experiment(
        Crystal(cell=(70.0, 80.0, 90.0, 85.0, 95.0, 100.0), misset_deg=(10.0, 20.0, 30.0), cells=(12, 10, 8),
                mosaic_spread_deg=0.5, mosaic_domains=3), StructureFactors(100.0), Beam(wavelength_A=1.0),
        Detector(pixel_size_mm=0.5, fast_pixels=96, slow_pixels=80, distance_mm=100.0),
        Goniometer(10.0, 1.0, phi_steps=2), Sampling(oversample=2))


# Installation


def _versions() -> Iterator[tuple[str, str]]:
    from cubragg.version import version

    yield "cubragg", version()
    yield "Python", f"{platform.python_version()} ({sys.executable})"
    yield "machine", f"{platform.platform()}, {os.cpu_count()} cores"
    found = {name: text for name in _PACKAGES if (text := _version(name))}
    cupy = [name for name in found if name.startswith("cupy")]
    for name in _PACKAGES[:3]:
        yield name, found.get(name, "not installed")
    yield "cupy", ", ".join(f"{name} {found[name]}" for name in cupy) or "not installed"
    if len(cupy) > 1:
        yield "", "more than one cupy is installed; keep one of them"
    yield "C++ compiler", _compiler()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _compiler() -> str:
    try:
        compiler = host_build.find_compiler()
    except CubraggError as error:
        return str(error).removeprefix("backend cpu: ")
    return f"{' '.join(compiler.command)} {compiler.version}"


def _cache() -> Iterator[tuple[str, str]]:
    folder = host_build.cache_folder()
    yield "folder", str(folder)
    try:
        status = folder.stat()
    except OSError as error:
        yield "state", ("not created yet" if isinstance(error, FileNotFoundError) else
                        f"not readable ({error.strerror})")
        return
    libraries = [path for path in folder.glob("kernels-*/*") if path.is_file()]
    used = sum(path.stat().st_size for path in libraries)
    yield "content", f"{len({path.parent for path in libraries})} libraries, {used / 1e6:.1f} MB"
    writable = "writable" if os.access(folder, os.W_OK) else "not writable"
    yield "permissions", f"{stat.filemode(status.st_mode)}, {writable}"
    private = Path(host_build.usable_cache()) != folder
    yield "state", ("not used, because other users can write to it or you cannot; kernels are compiled in every run"
                    if private else "used")


def _cpu(plan: Plan) -> tuple[list[str], list[_Trial]]:
    from cubragg.device.host_build import available_cores
    from cubragg.engine.host.host_engine import HostEngine

    HostEngine(plan)  # compiles
    width = host_build.selected_width(host_build.find_compiler())
    return [f"{_compiler()}, {available_cores()} threads, {width}"], [
        _Trial("cpu", precision, None, lambda precision=precision: HostEngine(plan, precision))  # type: ignore[misc]
        for precision in PRECISIONS]


def _cuda(plan: Plan) -> tuple[list[str], list[_Trial]]:
    from cubragg.device.cuda_device import auto_precision, describe_devices
    from cubragg.engine.cuda.cuda_engine import CudaEngine

    devices = describe_devices()
    for device in devices:
        CudaEngine(plan, "double", device.number)  # compiles
    lines = [f"device {device.number}: {device.name}, {device.memory_bytes / 2**30:.1f} GiB, compute capability "
             f"{device.compute_capability}, double:single 1:{device.single_to_double}, auto is "
             f"{auto_precision(device.number)}" for device in devices]
    return lines, [
        _Trial("cuda", precision, device.number,
               lambda precision=precision, number=device.number: CudaEngine(plan, precision, number))  # type: ignore[misc]
        for device in devices for precision in PRECISIONS]


# Agreement


def _compare(trials: list[_Trial]) -> tuple[list[tuple[str, str]], bool]:
    """A row for each trial, numpy first, and whether all others agree with numpy."""
    expected: np.ndarray | None = None
    rows, agree = [], True
    for trial in trials:
        try:
            engine = trial.make()
            start = time.perf_counter()
            image = engine.render()
            seconds = time.perf_counter() - start
        except CubraggError as error:
            rows.append((trial.label, f"FAILS: {error}"))
            agree = False
            continue
        if expected is None:
            expected = image
        difference = float(np.abs(image.astype(np.float64) - expected).max()) / float(expected.max())
        right = difference <= AGREEMENT[trial.precision]  # False for NaN
        agree = agree and right
        verdict = "" if right else f"  WRONG: at most {AGREEMENT[trial.precision]:.0e} is accepted"
        rows.append((trial.label, f"{difference:8.1e} {seconds:9.4f}{verdict}"))
    return rows, agree

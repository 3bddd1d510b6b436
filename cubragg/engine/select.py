"""Selects the engine of a plan: backend and precision."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple, Protocol, get_args, runtime_checkable

import numpy as np

from cubragg import checks
from cubragg.detect.epilogue import Epilogue
from cubragg.engine.accuracy import double_only
from cubragg.engine.analytic.analytic_engine import AnalyticEngine
from cubragg.engine.analytic.model_of_plan import require_analytic
from cubragg.engine.culling import Culling
from cubragg.engine.panel_loop import Progress
from cubragg.engine.part_sum import first_part
from cubragg.engine.reference.numpy_engine import NumpyEngine
from cubragg.engine.variant import PRECISIONS
from cubragg.errors import BackendUnavailable, ConfigError, KernelBuildError
from cubragg.plan.plan import Method, Plan

Backend = Literal["auto", "cuda", "cpu", "numpy"]
Precision = Literal["auto", "double", "mixed", "single"]
#: Numbers of GPUs that share the work.
Devices = Sequence[int] | Literal["all"]
METHODS: tuple[Method, ...] = get_args(Method)
#: In the order in which ``auto`` tries them.
BACKENDS = ("cuda", "cpu", "numpy")
#: Largest number of CPU threads that a caller may ask for.
MAX_THREADS = 1024


class Engine(Protocol):
    """Interface of the engines of all backends."""

    culling: Culling

    @property
    def interpolation_stopped_at(self) -> tuple[int, int] | None:
        """The (fast, slow) pixel at which interpolation stopped in the image before, or ``None``."""

    def render(self, threads: int | None = None, progress: Progress | None = None) -> np.ndarray:
        """Render the image, float32 [slow, fast], in photons."""

    def set_plan(self, plan: Plan) -> None:
        """Replace the plan by one that differs only in orientation, ray and place of the crystal."""


@runtime_checkable
class BandedEngine(Protocol):
    """Interface of the engines that render an image in bands of rows."""

    def bands(self, threads: int | None, pixels: int) -> Iterator[tuple[int, np.ndarray]]:
        """Render the image of a single panel in physical semantics, in bands of about a number of pixels.

        Yields
        ------
        The first row of a band, and its expected photons, float32 [rows, fast], in memory that the next band takes.
        """


@runtime_checkable
class CountingEngine(Protocol):
    """Interface of the engines whose kernels draw the counts of pixels as they render them."""

    def render_counts(self, epilogue: Epilogue, progress: Progress | None = None) -> np.ndarray | None:
        """Render the counts of an image in physical semantics, int32 [slow, fast]; 0 in pixels that are not rendered.

        Returns
        -------
        ``None`` where that takes an image of photons: counts may exceed 2^31 - 1, memory is insufficient, or water of
        nanoBragg's is added.
        """


#: Makes the engine of a plan of the method sampled, for a backend, precision and tolerance of culling as of
#: `select_backend`; returns ``None`` for the usual one.
EngineMaker = Callable[[Plan, str, str, float | None], Engine | None]


class Selection(NamedTuple):
    """An engine, and the backend and precision in use.

    ``fallback`` holds the reasons why ``auto`` could not use faster backends; empty if it used the first one, or if
    only CuPy is not installed. ``double_because`` holds the reason why double precision is used instead of the
    requested one; empty if it is not.
    """

    engine: Engine
    backend: str
    precision: str
    fallback: str = ""
    double_because: str = ""


def check_threads(threads: int | None) -> None:
    """Check a number of CPU threads.

    Raises
    ------
    ConfigError
        If it is not a whole number from 1 to `MAX_THREADS`.
    """
    checks.integer("threads", "the number of threads", threads, optional=True, at_least=1, at_most=MAX_THREADS)


def check_method(method: str) -> None:
    """Check the name of a method against those of `Method`.

    Raises
    ------
    ConfigError
        If the method is unknown.
    """
    if method not in METHODS:
        raise ConfigError("method", f"got {method!r}; accepted are {', '.join(METHODS)}")


def require_method(plan: Plan) -> None:
    """Check that the method of a plan can render it: the method sampled renders every plan.

    Raises
    ------
    ConfigError
        As `require_analytic`.
    """
    if plan.method == "analytic":
        require_analytic(plan)


def select_backend(plan: Plan, backend: str = "auto", precision: str = "auto", device: int = 0,
                   cull: float | None = 0.0, maker: EngineMaker | None = None) -> Selection:
    """Select and set up the engine of a plan.

    Parameters
    ----------
    backend
        ``cuda``, ``cpu`` (the kernels compiled by this machine's C++ compiler), ``numpy``,
        or ``auto``: the first of these that can run.
    precision
        ``double``, ``mixed``, ``single``, or ``auto``: double on the CPU; on a GPU according to its throughput in
        double precision. A plan whose terms are out of the range of the others is rendered in double precision.
    device
        Number of the GPU.
    cull
        Terms whose upper bound is at most this fraction of the theoretical peak, the largest F^2 times (Na Nb Nc)^2,
        may be skipped; 0: only terms that are 0; ``None``: every term is evaluated.
    maker
        Makes engines in place of the usual ones of the backends ``cpu`` and ``numpy``.

    Raises
    ------
    BackendUnavailable, KernelBuildError
        If a backend other than ``auto`` cannot run on this machine.
    ConfigError
        If the backend or precision is unknown, the backend does not support the precision, or the tolerance is out of
        range.
    """
    _check(plan, backend, precision, cull)
    plan = first_part(plan)
    if backend != "auto":
        return _build_engine(plan, backend, precision, device, cull, maker)
    failures: list[str] = []
    for name in BACKENDS:
        if name == "cuda" and not _cupy_is_installed():
            continue  # the usual case, and importing CuPy costs half a second
        if name == "numpy" and precision in ("mixed", "single"):
            raise BackendUnavailable(f"precision {precision}: use double, the only one of backend numpy; "
                                     f"other backends cannot run: {'; '.join(failures)}")
        try:
            return _build_engine(plan, name, precision, device, cull, maker)._replace(fallback="; ".join(failures))
        except (BackendUnavailable, KernelBuildError) as error:
            failures.append(str(error))
    raise AssertionError("the NumPy backend can always run")


@functools.cache
def _cupy_is_installed() -> bool:
    """Whether there is CuPy; looked up once, since that takes as long as a small image."""
    return importlib.util.find_spec("cupy") is not None


def resolve_devices(backend: Backend, device: int, devices: Devices | None) -> tuple[Backend, list[int]]:
    """Return the backend and the numbers of the GPUs to render on: those of ``devices``, or ``device`` alone.

    Raises
    ------
    ConfigError
        For ``devices`` that are no different numbers, together with ``device``, or with a backend that uses no GPU.
    BackendUnavailable
        For a GPU that this machine does not have.
    """
    if devices is None:
        return backend, [device]
    if backend not in ("auto", "cuda"):
        raise ConfigError("devices", f"got GPUs with the backend {backend}, which uses none; omit one of them")
    if device != 0:
        raise ConfigError("devices", f"got GPUs beside device {device}; omit one of them")
    from cubragg.device.cuda_device import device_numbers

    return "cuda", device_numbers(devices)


def select_split(plan: Plan, backend: str, precision: str, devices: Sequence[int], cull: float | None,
                 maker: EngineMaker | None = None) -> Selection:
    """Select and set up an engine that renders each image on all of some GPUs; with one GPU, as `select_backend`.

    Raises
    ------
    ConfigError
        As `select_backend`.
    BackendUnavailable, KernelBuildError
        As `select_backend`; with several GPUs there is no other backend.
    """
    if len(devices) == 1:
        return select_backend(plan, backend, precision, devices[0], cull, maker)
    _check(plan, backend, precision, cull)
    from cubragg.engine.cuda.split_engine import SplitCudaEngine

    plan = first_part(plan)
    selected, reason = _cuda_precision(plan, precision, devices[0])
    return Selection(SplitCudaEngine(plan, selected, devices, cull), "cuda", selected, double_because=reason)


def _check(plan: Plan, backend: str, precision: str, cull: float | None) -> None:
    """Check the choices of a caller against a plan and the names that exist."""
    require_method(plan)
    check_choices(backend, precision, cull)


def check_choices(backend: str, precision: str, cull: float | None) -> None:
    """Check the choices of a caller against the names that exist.

    Raises
    ------
    ConfigError
        For an unknown backend or precision, or a tolerance out of range.
    """
    if cull is not None:
        checks.number("cull", "the tolerance", cull, at_least=0.0, below=1.0)
    if backend != "auto" and backend not in BACKENDS:
        raise ConfigError("backend", f"got {backend!r}; accepted are auto, {', '.join(BACKENDS)}")
    if precision != "auto" and precision not in PRECISIONS:
        raise ConfigError("precision", f"got {precision!r}; accepted are auto, {', '.join(PRECISIONS)}")


def _build_engine(plan: Plan, backend: str, precision: str, device: int, cull: float | None,
                  maker: EngineMaker | None) -> Selection:
    builders: dict[str, Callable[[], Selection]] = {
        "cuda": lambda: _cuda(plan, precision, device, cull), "cpu": lambda: _cpu(plan, precision, cull, maker),
        "numpy": lambda: _numpy(plan, precision, cull, maker)}
    return builders[backend]()


def _cuda(plan: Plan, precision: str, device: int, cull: float | None) -> Selection:
    from cubragg.device.cuda_device import device_count
    from cubragg.engine.cuda.analytic_cuda_engine import AnalyticCudaEngine
    from cubragg.engine.cuda.cuda_engine import CudaEngine

    device_count()  # raises with the reason if there is none
    selected, reason = _cuda_precision(plan, precision, device)
    engine = (AnalyticCudaEngine(plan, selected, device) if plan.method == "analytic"
              else CudaEngine(plan, selected, device, cull=cull))
    return Selection(engine, "cuda", selected, double_because=reason)


def _cuda_precision(plan: Plan, precision: str, device: int) -> tuple[str, str]:
    """Return the precision in which a GPU renders a plan, and the reason if it is not the given one."""
    from cubragg.device.cuda_device import auto_precision

    selected = auto_precision(device) if precision == "auto" else precision
    if plan.method == "analytic":
        # The kernels of the method have no mixed precision, which is for devices with fast double precision.
        return "double" if precision == "auto" and selected == "mixed" else selected, ""
    selected, reason = _suited(plan, selected)
    return selected, "" if precision == "auto" else reason


def _cpu(plan: Plan, precision: str, cull: float | None, maker: EngineMaker | None) -> Selection:
    from cubragg.engine.host.analytic_host_engine import AnalyticHostEngine
    from cubragg.engine.host.host_engine import HostEngine

    if plan.method == "analytic":
        selected = "double" if precision == "auto" else precision
        return Selection(AnalyticHostEngine(plan, selected), "cpu", selected)
    selected, reason = _suited(plan, "double" if precision == "auto" else precision)
    engine = maker and maker(plan, "cpu", selected, cull)
    return Selection(engine or HostEngine(plan, selected, cull), "cpu", selected, double_because=reason)


def _suited(plan: Plan, precision: str) -> tuple[str, str]:
    """Return a precision that can represent a plan's terms, and the reason if it is not the given one."""
    reason = "" if precision == "double" else double_only(plan)
    return ("double", f"precision {precision}: got {reason}") if reason else (precision, "")


def _numpy(plan: Plan, precision: str, cull: float | None, maker: EngineMaker | None) -> Selection:
    if precision not in ("auto", "double"):
        raise ConfigError("precision", f"got {precision!r}; the numpy backend renders in double precision only")
    if plan.method == "analytic":
        return Selection(AnalyticEngine(plan), "numpy", "double")
    return Selection((maker and maker(plan, "numpy", "double", cull)) or NumpyEngine(plan), "numpy", "double")

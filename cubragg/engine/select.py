"""Selects the engine of a plan: backend and precision."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

import numpy as np

from cubragg import checks
from cubragg.engine.culling import Culling
from cubragg.engine.panel_loop import Progress
from cubragg.engine.reference.numpy_engine import NumpyEngine
from cubragg.engine.variant import PRECISIONS
from cubragg.errors import BackendUnavailable, ConfigError, KernelBuildError
from cubragg.plan.plan import Plan

Backend = Literal["auto", "cuda", "cpu", "numpy"]
Precision = Literal["auto", "double", "mixed", "single"]
#: How photons are computed: ``sampled`` evaluates the lattice transform at every sample of a pixel.
Method = Literal["sampled"]
#: In the order in which ``auto`` tries them.
BACKENDS = ("cuda", "cpu", "numpy")


class Engine(Protocol):
    """What the engine of every backend can do."""

    interpolation_stopped_at: tuple[int, int] | None
    culling: Culling

    def render(self, threads: int | None = None, progress: Progress | None = None) -> np.ndarray:
        """The float32 image [slow, fast] in photons."""

    def set_plan(self, plan: Plan) -> None:
        """Go on with a plan that differs in the crystal's orientation only."""


class Selection(NamedTuple):
    """An engine ready to run.

    ``backend`` and ``precision`` are those in use; ``fallback`` says why ``auto`` passed over better
    ones (empty: it did not; CuPy not being installed is no reason to mention).
    """

    engine: Engine
    backend: str
    precision: str
    fallback: str


def check_method(method: str) -> None:
    """Refuse a method of another name than those of `Method`.

    Raises
    ------
    ConfigError
        Naming those that are accepted.
    """
    if method != "sampled":
        raise ConfigError("method", f"got {method!r}; accepted is sampled")


def select_backend(plan: Plan, backend: str = "auto", precision: str = "auto", device: int = 0,
                   cull: float | None = 0.0) -> Selection:
    """The engine of a plan.

    Parameters
    ----------
    backend
        ``cuda``, ``cpu`` (the kernels compiled by this machine's C++ compiler), ``numpy``,
        or ``auto``: the first of these that can run.
    precision
        ``double``, ``mixed``, ``single``, or ``auto``: double on the CPU, on a GPU what its
        double units are good for.
    device
        Number of the GPU.
    cull
        Terms may be left out that are known to be at most this share of the theoretical peak, the largest
        F^2 times (Na Nb Nc)^2; 0: only terms that are 0; ``None``: every term is evaluated.

    Raises
    ------
    BackendUnavailable, KernelBuildError
        If the backend asked for by name cannot run here.
    ConfigError
        If there is no backend or precision of that name, or not together, or for a tolerance out of range.
    """
    if cull is not None:
        checks.number("cull", "the tolerance", cull, at_least=0.0, below=1.0)
    if backend != "auto" and backend not in BACKENDS:
        raise ConfigError("backend", f"got {backend!r}; accepted are auto, {', '.join(BACKENDS)}")
    if precision != "auto" and precision not in PRECISIONS:
        raise ConfigError("precision", f"got {precision!r}; accepted are auto, {', '.join(PRECISIONS)}")
    if backend != "auto":
        return _build_engine(plan, backend, precision, device, cull)
    passed_over: list[str] = []
    for name in BACKENDS:
        if name == "cuda" and importlib.util.find_spec("cupy") is None:
            continue  # the usual case, and importing CuPy costs half a second
        if name == "numpy" and precision in ("mixed", "single"):
            raise BackendUnavailable(f"precision {precision} needs the kernels; {'; '.join(passed_over)}")
        try:
            return _build_engine(plan, name, precision, device, cull)._replace(fallback="; ".join(passed_over))
        except (BackendUnavailable, KernelBuildError) as error:
            passed_over.append(str(error))
    raise AssertionError("the NumPy backend can always run")


def _build_engine(plan: Plan, backend: str, precision: str, device: int, cull: float | None) -> Selection:
    makers: dict[str, Callable[[], Selection]] = {
        "cuda": lambda: _cuda(plan, precision, device, cull), "cpu": lambda: _cpu(plan, precision, cull),
        "numpy": lambda: _numpy(plan, precision)}
    return makers[backend]()


def _cuda(plan: Plan, precision: str, device: int, cull: float | None) -> Selection:
    from cubragg.device.cuda_device import auto_precision, device_count
    from cubragg.engine.cuda.cuda_engine import CudaEngine

    device_count()  # says why there is none
    chosen = auto_precision(device) if precision == "auto" else precision
    return Selection(CudaEngine(plan, chosen, device, cull=cull), "cuda", chosen, "")


def _cpu(plan: Plan, precision: str, cull: float | None) -> Selection:
    from cubragg.engine.host.host_engine import HostEngine

    chosen = "double" if precision == "auto" else precision
    return Selection(HostEngine(plan, chosen, cull), "cpu", chosen, "")


def _numpy(plan: Plan, precision: str) -> Selection:
    if precision not in ("auto", "double"):
        raise ConfigError("precision", f"got {precision!r}; the numpy backend renders in double precision only")
    return Selection(NumpyEngine(plan), "numpy", "double", "")

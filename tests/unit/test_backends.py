"""Which backend renders, and what is said about it."""

from __future__ import annotations

import pytest

from cubragg import BackendUnavailable, ConfigError, simulate
from cubragg.engine import select as backends
from cubragg.errors import KernelBuildError
from support.experiments import small_experiment
from support.messages import mentioned, refusal, states

NO_COMPILER = "backend cpu: no C++ compiler was found"
NO_DRIVER = "backend cuda: no device can be used (no driver)"


@pytest.fixture
def machine(monkeypatch):
    """A machine with some backends broken: machine(cuda=error, cpu=error); CuPy counts as installed with ``cuda``."""
    def broken(**errors):
        make = backends._build_engine

        def failing(plan, name, *rest):
            if name in errors:
                raise errors[name]
            return make(plan, name, *rest)

        monkeypatch.setattr(backends, "_build_engine", failing)
        monkeypatch.setattr(backends, "_cupy_is_installed", lambda: "cuda" in errors)
    return broken


def test_auto_goes_on_and_says_so_once(machine):
    machine(cuda=BackendUnavailable(NO_DRIVER), cpu=BackendUnavailable(NO_COMPILER))
    image = simulate(small_experiment())
    assert (image.backend, image.precision) == ("numpy", "double")
    warning, = (warning for warning in image.warnings if "backend" in warning)
    states(warning, NO_DRIVER, NO_COMPILER, "numpy")


def test_kernels_that_do_not_compile_are_passed_over(machine):
    machine(cpu=KernelBuildError("backend cpu: c++ cannot compile the kernels: lattice.cuh:3: no"))
    image = simulate(small_experiment())
    assert image.backend == "numpy"
    assert mentioned(image.warnings, "lattice.cuh:3", "", "no", "numpy")


def test_what_is_asked_for_by_name_is_not_replaced(machine):
    machine(cpu=BackendUnavailable(NO_COMPILER))
    with refusal(BackendUnavailable, NO_COMPILER):
        simulate(small_experiment(), backend="cpu")


def test_reduced_precision_is_not_rendered_in_double(machine):
    machine(cpu=BackendUnavailable(NO_COMPILER))
    with refusal(BackendUnavailable, "precision single", NO_COMPILER):
        simulate(small_experiment(), precision="single")


@pytest.mark.parametrize(("settings", "says"), [
    ({"backend": "opencl"}, ("backend", "opencl", "auto", "cuda", "cpu", "numpy")),
    ({"precision": "half"}, ("precision", "half", "auto", "double", "mixed", "single")),
    ({"backend": "numpy", "precision": "mixed"},
     ("precision", "mixed", "numpy", "double")),
])
def test_what_there_is_not(settings, says):
    with refusal(ConfigError, *says):
        simulate(small_experiment(), **settings)

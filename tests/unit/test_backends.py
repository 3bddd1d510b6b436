"""Which backend renders, and what is said about it."""

from __future__ import annotations

import re

import pytest

from cubragg import BackendUnavailable, ConfigError, simulate
from cubragg.engine import select as backends
from cubragg.errors import KernelBuildError
from support.experiments import small_experiment

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
        monkeypatch.setattr(backends.importlib.util, "find_spec", lambda name: "cuda" in errors or None)
    return broken


def test_auto_goes_on_and_says_so_once(machine):
    machine(cuda=BackendUnavailable(NO_DRIVER), cpu=BackendUnavailable(NO_COMPILER))
    image = simulate(small_experiment())
    assert (image.backend, image.precision) == ("numpy", "double")
    assert [warning for warning in image.warnings if "backend" in warning] == [
        f"{NO_DRIVER}; {NO_COMPILER}; the backend numpy is used instead"]


def test_kernels_that_do_not_compile_are_passed_over(machine):
    machine(cpu=KernelBuildError("backend cpu: c++ cannot compile the kernels: lattice.cuh:3: no"))
    image = simulate(small_experiment())
    assert image.backend == "numpy"
    assert "lattice.cuh:3: no; the backend numpy is used instead" in " ".join(image.warnings)


def test_what_is_asked_for_by_name_is_not_replaced(machine):
    machine(cpu=BackendUnavailable(NO_COMPILER))
    with pytest.raises(BackendUnavailable, match=re.escape(NO_COMPILER)):
        simulate(small_experiment(), backend="cpu")


def test_reduced_precision_is_not_rendered_in_double(machine):
    machine(cpu=BackendUnavailable(NO_COMPILER))
    message = f"precision single: use double, the only one of backend numpy; other backends cannot run: {NO_COMPILER}"
    with pytest.raises(BackendUnavailable, match=re.escape(message)):
        simulate(small_experiment(), precision="single")


@pytest.mark.parametrize(("settings", "message"), [
    ({"backend": "opencl"}, "backend: got 'opencl'; accepted are auto, cuda, cpu, numpy"),
    ({"precision": "half"}, "precision: got 'half'; accepted are auto, double, mixed, single"),
    ({"backend": "numpy", "precision": "mixed"},
     "precision: got 'mixed'; the numpy backend renders in double precision only"),
])
def test_what_there_is_not(settings, message):
    with pytest.raises(ConfigError) as caught:
        simulate(small_experiment(), **settings)
    assert str(caught.value) == message

"""The method analytic on a GPU, against a stand-in for cupy that runs the kernels on the CPU."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from cubragg import Beam, Crystal, Detector, Experiment, Goniometer, Sampling, StructureFactors, render_many, simulate
from cubragg.device import cuda_device
from cubragg.device.host_build import find_compiler
from cubragg.engine.host.analytic_host_engine import AnalyticHostEngine
from cubragg.engine.select import select_backend
from cubragg.errors import ConfigError, CubraggError
from cubragg.plan.make_plan import make_plan
from support.cupy_stand_in import Cupy
from support.experiments import Hung, hang


@pytest.fixture(autouse=True)
def running_cupy(monkeypatch):
    """A cupy whose kernels run on the CPU."""
    try:
        find_compiler()
    except CubraggError as error:
        pytest.skip(str(error))
    cuda_device.kernel_module.cache_clear()
    monkeypatch.setitem(sys.modules, "cupy", Cupy(runs=True))
    yield
    cuda_device.kernel_module.cache_clear()


def experiment(**sampling) -> Experiment:
    """A rotation image of 100 x 90 pixels."""
    return Experiment(
        Crystal(cell=(50.0, 60.0, 70.0, 90.0, 95.0, 90.0), misset_deg=(12.0, 34.0, 56.0), cells=(20, 18, 15),
                shape="gauss", mosaicity_deg=0.3), StructureFactors(100.0), Beam(wavelength_A=1.0, fluence=1e24),
        Detector(distance_mm=80.0, pixel_size_mm=0.2, fast_pixels=100, slow_pixels=90), Goniometer(0.0, 0.5),
        Sampling(**sampling), "physical")


@pytest.mark.requirement("AT-ANA-008")
@pytest.mark.parametrize("precision", ["double", pytest.param("single", marks=pytest.mark.slow)])
def test_a_gpu_renders_the_image_of_the_cpu(precision):
    mask = np.random.default_rng(0).random((90, 100)) < 0.8
    for changed in (experiment(), experiment(mask=mask, roi=(10, 80, 5, 70)), experiment(water_um=50.0), hang(
            experiment(), [Hung(50, 90, 0.2, 0.2, (0.2 * first, 0.0, 0.0), offset=(first, 0)) for first in (0, 50)])):
        expected = AnalyticHostEngine(make_plan(changed, "analytic"), precision).render(1)
        image = simulate(changed, method="analytic", backend="cuda", precision=precision)
        if changed.sampling.water_um:  # added in another precision
            np.testing.assert_allclose(image.photons, expected, rtol=1e-6)
        else:
            np.testing.assert_array_equal(image.photons, expected)
        assert (image.backend, image.precision) == ("cuda", precision)


def test_a_batch_on_a_gpu(running_cupy):
    angles = np.array([[10.0, 0.0, 5.0], [0.0, 70.0, 0.0], [3.0, 4.0, 5.0]])
    calls = []
    ours = list(render_many(experiment(), angles, method="analytic", backend="cuda", precision="double",
                            progress=lambda done, total: calls.append((done, total))))
    expected = list(render_many(experiment(), angles, method="analytic", backend="cpu"))
    assert len(ours) == 3
    for image, other in zip(ours, expected, strict=True):
        assert np.array_equal(image.photons, other.photons)
    assert calls == [(9000, 9000)] * 3


def test_automatic_precision_is_double_where_that_is_fast():
    plan = make_plan(experiment(), "analytic")
    assert select_backend(plan, "cuda").precision == "double"
    sys.modules["cupy"].ratio = 32
    assert select_backend(plan, "cuda").precision == "single"
    with pytest.raises(ConfigError, match="mixed"):
        select_backend(plan, "cuda", "mixed")

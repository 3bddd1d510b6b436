"""The kernels that draw counts and deviates, and that of the method analytic, from NVRTC's PTX."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from cubragg import Beam, Crystal, Detector, Experiment, Goniometer, Sampling, StructureFactors, simulate
from cubragg.detect import counting
from cubragg.detect.counting import draw_counts
from cubragg.detect.normal_deviates import NORMALS_PARAMS, normals
from cubragg.detect.poisson import RandomStream
from cubragg.device.kernel_source import kernel_text
from cubragg.engine.analytic import spot_kernel
from cubragg.engine.analytic.spot_constants import record
from cubragg.engine.analytic.spot_list import SpotList
from cubragg.engine.cuda.device_spots import SpotKernels
from cubragg.engine.host.analytic_host_engine import AnalyticHostEngine
from cubragg.philox import Effect, key_of
from cubragg.plan.make_plan import make_plan
from ptx.stand_in import Machine
from support.analytic_experiments import VARIANTS, experiment
from support.marks import slow_after

pytestmark = pytest.mark.requirement("AT-BAK-012")


@pytest.mark.parametrize("types", slow_after(1, [(np.float32, np.int32), (np.float64, np.float64)]))
@pytest.mark.parametrize("band", slow_after(1, [((3, 57, 1, 9), 5), ((0, 60, 0, 10), 0), ((0, 60, 0, 10), 3)]))
def test_counts(nvrtc, types, band):
    (mean, count), (region, first_row) = types, band
    means = (10.0**np.random.default_rng(8).uniform(-3.0, 6.0, (11, 61))).astype(mean)
    means.flat[:3] = (np.nan, 0.0, -1.0)
    counts, block = np.zeros(means.shape, dtype=count), counting._CUDA_BLOCK
    machine = Machine(nvrtc, kernel_text("", "counts.cu"), counting._defines(means, counts, block), "draw_counts")
    drawn = counting._Draw(region, RandomStream(5, 2), first_row, count)
    params, columns, rows = counting._launch_of(means.shape, drawn, 4 * block)
    machine.run((columns, rows), block, [params, means, counts])
    expected = draw_counts(means, region, seed=5, shot=2, dtype=count, backend="numpy", first_row=first_row)
    np.testing.assert_array_equal(counts, expected)


@pytest.mark.parametrize(("first", "count"), [(0, 1), (0, 600), (31, 600)])
def test_normal_deviates(nvrtc, first, count):
    params, deviates = np.zeros((), dtype=NORMALS_PARAMS), np.empty(count)
    for name, value in (("key", key_of(7)), ("effect", Effect.READOUT), ("shot", 3), ("draw", 1),
                        ("first_pair", first // 2), ("origin", first), ("end", first + count)):
        params[name] = value
    options = ("-DTILE_FAST=128", "-DTILE_SLOW=1")
    machine = Machine(nvrtc, kernel_text("", "normal_deviates.cu"), options, "draw_normals")
    machine.run((-(-(count + 1) // 256), 1), 128, [params, deviates])
    np.testing.assert_array_equal(deviates, normals(7, 3, Effect.READOUT, np.arange(first, first + count), 1))


def on_device(precision: str, changed: Experiment) -> list[np.ndarray]:
    """Bytes of the records of spots that the kernels of a GPU compute."""
    cupy, listed = sys.modules["cupy"], SpotList(make_plan(changed, "analytic"))
    with cupy.cuda.Stream() as stream:
        kernels = SpotKernels(cupy, 0, precision, stream)
        return [spots.records.get(stream=stream) for spots in kernels.spots_of(listed)]


@pytest.mark.parametrize("case", slow_after(2, [
    ("rotation", "double"), ("curved", "double"), ("rotation", "single"), ("spectrum", "double"), ("sensor", "double"),
    ("still", "double"), ("whole crystal", "double")]))
def test_constants_of_spots(cupy, case):
    name, precision = case
    changed = experiment(**VARIANTS[name])
    ours, = on_device(precision, changed)
    expected, = SpotList(make_plan(changed, "analytic")).panels
    assert {entry for _, entry in cupy.executed} == {"bound_spots", "fill_spots"}
    records = ours.view(record(spot_kernel.real_type(precision)))
    assert len(records) > 10
    for field in records.dtype.names:
        np.testing.assert_array_equal(records[field], expected.records[field].astype(records.dtype[field].base))


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["double", "single"])
def test_spots(cupy, precision):
    experiment = Experiment(
        Crystal(cell=(50.0, 60.0, 70.0, 90.0, 95.0, 90.0), misset_deg=(12.0, 34.0, 56.0), cells=(20, 18, 15),
                shape="gauss", mosaicity_deg=0.3), StructureFactors(100.0), Beam(wavelength_A=1.0, fluence=1e24),
        Detector(distance_mm=80.0, pixel_size_mm=0.8, fast_pixels=45, slow_pixels=25), Goniometer(0.0, 0.5),
        Sampling(mask=np.random.default_rng(0).random((25, 45)) < 0.8), "physical")
    image = simulate(experiment, method="analytic", backend="cuda", precision=precision).photons
    plan = make_plan(experiment, "analytic")
    expected = AnalyticHostEngine(plan, "double").render(1)
    assert cupy.executed
    assert expected.max() > 0
    if precision == "double":
        np.testing.assert_array_equal(image, expected)
    else:
        assert np.abs(image - expected).max() <= 1e-5 * expected.max()

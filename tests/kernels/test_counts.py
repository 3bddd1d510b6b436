"""The kernels that draw counts: that of the GPU run on the CPU, and that of the CPU with other instruction sets."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import numpy as np
import pytest

from cubragg.detect import counting
from cubragg.detect.counting import draw_counts
from cubragg.detect.poisson import RandomStream
from cubragg.device import kernel_source
from cubragg.device.host_build import call_host, load
from cubragg.device.kernel_source import inlined, kernel_folder

SUPPORT = Path(__file__).resolve().parents[1] / "support"


@pytest.fixture(scope="module")
def means() -> np.ndarray:
    generator = np.random.default_rng(8)
    means = (10.0**generator.uniform(-3.0, 6.0, (23, 601))).astype(np.float32)
    means.flat[:3] = (np.nan, 0.0, -1.0)
    return means


@pytest.mark.requirement("AT-NOISE-006")
@pytest.mark.parametrize("first_row", [0, 7])
@pytest.mark.parametrize("region", [(0, 600, 0, 22), (3, 597, 1, 20), (6, 6, 2, 2)])
def test_the_kernel_of_the_gpu_draws_the_counts_of_numpy(means, region, first_row):
    counts = np.zeros(means.shape, dtype=np.int32)
    folders = [SUPPORT, Path(kernel_source.__file__).parent, kernel_folder()]
    threads = 32
    library = load(inlined("counts_kernel.cu", folders, ""), counting._defines(means, counts, threads))
    params, columns, rows = counting._launch_of(
        means.shape, counting._Draw(region, RandomStream(5, 2), first_row, np.int32), 4 * threads)
    library.host_draw_counts.restype = None
    call_host(library.host_draw_counts, (columns, rows), 2, (params, means, counts))
    np.testing.assert_array_equal(counts, draw_counts(means, region, seed=5, shot=2, backend="numpy",
                                                      first_row=first_row))


@pytest.mark.slow
@pytest.mark.requirement("AT-NOISE-006")
@pytest.mark.skipif(platform.machine() != "x86_64" or sys.platform != "linux", reason="instruction sets of x86")
@pytest.mark.parametrize("flags", ["-march=x86-64", "-march=x86-64-v3", "-march=x86-64 -O1",
                                   "-fsanitize=undefined -fno-sanitize-recover=all"])
def test_counts_do_not_depend_on_the_instruction_set(means, flags, monkeypatch):
    """Without AVX2 the random words are computed by the code of the GPU; without FMA nothing can be contracted."""
    expected = draw_counts(means, seed=5, backend="numpy")
    monkeypatch.setenv("CUBRAGG_CXXFLAGS", flags)
    np.testing.assert_array_equal(draw_counts(means, seed=5, backend="cpu"), expected)

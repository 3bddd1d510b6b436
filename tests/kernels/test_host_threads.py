"""Threads of the host kernels: forked processes, launches at the same time, and numbers of threads."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import cubragg
from cubragg import predict, simulate
from cubragg.engine.host.host_engine import HostEngine
from cubragg.errors import ConfigError
from cubragg.plan.make_plan import make_plan
from support.experiments import large
from support.messages import refusal

#: As PyTorch's DataLoader does it: render, fork workers, render in each. Threads of the parent do not exist in them.
FORKED = """
import multiprocessing, os, sys
sys.path[:0] = {paths!r}
import numpy as np
from cubragg import predict, simulate
from support.experiments import large

def shot(threads):
    experiment = large()
    return simulate(experiment, backend="cpu", threads=threads).photons, predict(experiment, threads=threads)

if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, range(os.cpu_count()))
    photons, table = shot(3)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for image, rows in pool.map(shot, [None, None, 3, 1]):
            assert np.array_equal(image, photons)
            assert all(np.array_equal(rows.as_dict()[name], column) for name, column in table.as_dict().items())
    assert np.array_equal(shot(3)[0], photons)
"""


@pytest.mark.requirement("AT-BAK-010")
@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_forked_workers_of_a_parent_that_rendered(tmp_path):
    script = tmp_path / "forked.py"
    tests = Path(__file__).resolve().parents[1]
    script.write_text(FORKED.format(paths=[str(Path(cubragg.__file__).parents[1]), str(tests)]))
    done = subprocess.run([sys.executable, "-W", "ignore", str(script)], capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.requirement("AT-BAK-010")
def test_launches_at_the_same_time():
    """Python threads that render at once each have a team of threads."""
    plan = make_plan(large())
    expected = HostEngine(plan).render(1)
    with ThreadPoolExecutor(4) as pool:
        for image in pool.map(lambda threads: HostEngine(plan).render(threads), [2, 3, 1, 2] * 10):
            np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("call", [simulate, predict])
@pytest.mark.parametrize("threads", [0, -1, 1025, 2**40])
def test_numbers_of_threads_out_of_bounds(call, threads):
    with refusal(ConfigError, "threads", str(threads), "number of threads"):
        call(large(), threads=threads)


def test_the_largest_number_of_threads():
    plan = make_plan(large())
    np.testing.assert_array_equal(HostEngine(plan).render(1024), HostEngine(plan).render(1))

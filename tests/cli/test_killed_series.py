"""A series that is killed at random moments leaves files that agree."""

from __future__ import annotations

import random
import shutil
import signal
import sys

import pytest

from support.killed_series import check_rest, killed, whole_run_s


@pytest.fixture(scope="module")
def whole_s(tmp_path_factory) -> float:
    """Time of the whole run [s], here and now."""
    return whole_run_s(tmp_path_factory.mktemp("whole"))


@pytest.mark.requirement("AT-FMT-013")
@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_a_series_killed_at_random_moments(name, folder, whole_s):
    """And the next run clears what a killed one left. 200 moments were tried once; these are others each time."""
    number, done = signal.Signals[name], []
    for _ in range(8):
        shutil.rmtree(folder)
        folder.mkdir()
        done.append(check_rest(folder, number, *killed(folder, number, random.uniform(0.0, 1.2 * whole_s))))
    assert len(set(done)) > 1  # not all before the first image, or after the last

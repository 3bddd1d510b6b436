"""CPU time of calls."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

RUNS = 7
T = TypeVar("T")


def least(call: Callable[[], T], runs: int = RUNS) -> tuple[float, T]:
    """Shortest CPU time [s] of some runs, and the result of the last one."""
    times = []
    for _ in range(runs):
        start = time.process_time()
        result = call()
        times.append(time.process_time() - start)
    return min(times), result

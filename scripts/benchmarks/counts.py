"""Drawing counts of expected photons on one core, against NumPy's generator in turns."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from benchmarks.measure import ratios, spread
from cubragg.detect.counting import draw_counts

_MEANS = (0.01, 0.1, 0.5, 1.0, 3.0, 10.0, 20.0, 100.0, 1e4, 1e6)
#: Pixels of the image: in the cache, as parts of larger ones that several threads draw.
_SHAPE = (128, 1024)
#: Instruction sets -> options of the compiler after those of the package, which are for this machine.
_INSTRUCTIONS = {"native": "", "AVX2": "-march=x86-64-v3"}


def rows(runs: int, quick: bool = False) -> list[dict[str, Any]]:
    """A row for each mean and set of instructions; ``quick``: one of each."""
    sets = _INSTRUCTIONS if platform.machine() == "x86_64" else {"native": ""}
    found = []
    for name, flags in list(sets.items())[:1 if quick else None]:
        with _options(flags):
            found += [_row(mean, name, 8 * runs) for mean in _MEANS[:1 if quick else None]]
    return found


@contextmanager
def _options(flags: str) -> Iterator[None]:
    before = os.environ.get("CUBRAGG_CXXFLAGS")
    os.environ["CUBRAGG_CXXFLAGS"] = f"{before or ''} {flags}".strip()
    try:
        yield
    finally:
        if before is None:
            del os.environ["CUBRAGG_CXXFLAGS"]
        else:
            os.environ["CUBRAGG_CXXFLAGS"] = before


def _row(mean: float, instructions: str, rounds: int) -> dict[str, Any]:
    means = np.full(_SHAPE, mean, dtype=np.float32)
    generator = np.random.default_rng(1)
    draw_counts(means, backend="cpu", threads=1)  # compiles
    ours, theirs = [], []
    for number in range(rounds):
        ours.append(_ns(means.size, lambda: draw_counts(means, seed=number, backend="cpu", threads=1)))  # noqa: B023
        theirs.append(_ns(means.size, lambda: generator.poisson(means)))
    limit = 3.0 if mean < 1.0 else 5.0 if mean <= 10.0 else 2.0
    ratio = ratios(theirs, ours)
    return {"section": "counts", "workload": f"{mean:g}", "what": instructions, "ns": spread(ours),
            "numpy_ns": spread(theirs), "ratio": ratio, "limit": limit, "holds": ratio["median"] >= limit}


def _ns(pixels: int, call: Callable[[], Any]) -> float:
    """Time of a call for each pixel [ns]."""
    begin = time.perf_counter()
    call()
    return (time.perf_counter() - begin) / pixels * 1e9

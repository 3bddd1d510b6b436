"""Writes a data set of many small shots, and prints memory, open files and the share of bookkeeping on the way.

    python scripts/many_shots.py [--shots 100000] [--pixels 64] [--workers 2] [--every 10000]

A line for each ``--every`` shots: shots done, shots per second, resident memory and open files of this process and of
the largest worker. At the end the part of the run in which no shard was computed (start of the processes, manifest,
master file, experiment list, contact sheet), and the CPU time of this process. Linux only; nothing is asserted.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

from bench_data_sets import experiment

import cubragg as cb
from cubragg.dataset.production import State


class Watch:
    """Prints a line for each number of shots."""

    def __init__(self, every: int) -> None:
        self._every, self._next = every, 0
        self.in_shards = 0.0

    def __call__(self, state: State) -> None:
        """Add the time of a shard, and print a line if it is time."""
        if state.record is not None:
            self.in_shards += state.record["seconds"]
        if state.done < self._next or state.record is None:
            return
        workers = [figures(path.parent) for path in Path("/proc").glob("[0-9]*/cmdline") if _is_worker(path)]
        self._next = state.done + self._every
        memory, files = figures(Path("/proc/self"))
        largest, most = (max((one[place] for one in workers), default=0) for place in range(2))
        print(f"{state.done:>8}{state.done / max(state.seconds, 1e-9):>10.1f}{memory:>10.0f}{files:>8}"
              f"{largest:>12.0f}{most:>8}", flush=True)


def figures(process: Path) -> tuple[float, int]:
    """Resident memory [MB] and open files of a process; 0 if it has ended."""
    try:
        pages = int((process / "statm").read_text().split()[1])
        return pages * resource.getpagesize() / 1e6, len(list((process / "fd").iterdir()))
    except OSError:
        return 0.0, 0


def _is_worker(path: Path) -> bool:
    try:
        own = (path.parent / "stat").read_text().rpartition(")")[2].split()[1] == Path("/proc/self").resolve().name
        return own and b"cubragg.dataset.worker" in path.read_bytes()
    except OSError:
        return False


def main() -> None:
    """Write the data set to a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shots", type=int, default=100_000)
    parser.add_argument("--pixels", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--every", type=int, default=10_000)
    given = parser.parse_args()
    detector = cb.Detector(distance_mm=100.0, pixel_size_mm=0.1, fast_pixels=given.pixels, slow_pixels=given.pixels)
    vary = {"cell": cb.normal(0.002), "beam.flux": cb.gamma(4.0, relative=True)}
    start, cpu = time.perf_counter(), time.process_time()
    data = cb.Stills(experiment(detector, 3.0), given.shots, seed=1, vary=vary)
    watch = Watch(given.every)
    print(f"{'shots':>8}{'shots/s':>10}{'MB':>10}{'files':>8}{'worker MB':>12}{'files':>8}")
    with tempfile.TemporaryDirectory() as folder:
        data.write(Path(folder) / "set", workers=given.workers, report=watch)
        wall, used = time.perf_counter() - start, time.process_time() - cpu
        size_mb = sum(path.stat().st_size for path in (Path(folder) / "set").rglob("*")) / 1e6
    print(f"{given.shots} shots in {wall:.1f} s, {size_mb:.0f} MB; no shard was computed for "
          f"{1.0 - watch.in_shards / given.workers / wall:.2%} of it; CPU time of this process {used:.1f} s "
          f"({used / wall / given.workers:.2%} of the workers' time)")


if __name__ == "__main__":
    main()

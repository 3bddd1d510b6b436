"""Writes a data set of many small shots, and prints memory, open files and the share of bookkeeping on the way.

    python scripts/many_shots.py [--shots 100000] [--pixels 64] [--workers 2] [--every 10000]

A line for each ``--every`` shots: shots done, shots per second, resident memory and open files of this process and of
the largest worker. Bookkeeping is the time of the workers, number times wall time, in which they compute no shard: from
the start of the command to the first shard, between shards, from a worker's last shard to that of all, and files of the
whole set (master, experiment list, contact sheet, summary). The first and the third are the same for any number of
shots; the last line has the share at 100,000 shots of the same rate. Linux only; nothing is asserted.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import tempfile
import time
from pathlib import Path

from bench_data_sets import experiment

import cubragg as cb
from cubragg.dataset.production import State

#: Shots of the set whose share of bookkeeping is extrapolated.
_MANY = 100_000


class Watch:
    """Prints a line for each number of shots, and notes the times of the workers' shards."""

    def __init__(self, every: int) -> None:
        self._every, self._next = every, 0
        self._start = time.perf_counter()
        self._shards: dict[str, list[tuple[float, float]]] = {}

    def bookkeeping(self, wall: float) -> dict[str, float]:
        """Time of all workers [s] without a shard, by what they wait for, of a run of ``wall`` seconds."""
        workers = self._shards.values()
        end = max(shards[-1][1] for shards in workers)
        between = sum(first - before for shards in workers
                      for (_, before), (first, _) in itertools.pairwise(shards))
        return {"start": sum(shards[0][0] for shards in workers), "between shards": between,
                "last shards": sum(end - shards[-1][1] for shards in workers),
                "files of the set": len(workers) * (wall - end)}

    def __call__(self, state: State) -> None:
        """Note the time of a shard, and print a line if it is time."""
        if state.record is not None:
            end = time.perf_counter() - self._start
            self._shards.setdefault(state.record["worker"], []).append((end - state.record["seconds"], end))
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
    watch, cpu = Watch(given.every), time.process_time()
    start = time.perf_counter()
    data = cb.Stills(experiment(detector, 3.0), given.shots, seed=1, vary=vary)
    print(f"{'shots':>8}{'shots/s':>10}{'MB':>10}{'files':>8}{'worker MB':>12}{'files':>8}")
    with tempfile.TemporaryDirectory() as folder:
        data.write(Path(folder) / "set", workers=given.workers, report=watch)
        wall, used = time.perf_counter() - start, time.process_time() - cpu
        size_mb = sum(path.stat().st_size for path in (Path(folder) / "set").rglob("*")) / 1e6
    waits, total = watch.bookkeeping(wall), given.workers * wall
    print(f"{given.shots} shots in {wall:.1f} s, {size_mb:.0f} MB; CPU time of this process {used:.1f} s")
    print(f"bookkeeping {sum(waits.values()) / total:.2%}: "
          + ", ".join(f"{name} {seconds / total:.2%}" for name, seconds in waits.items()))
    once = waits["start"] + waits["last shards"]
    print(f"at {_MANY} shots {(sum(waits.values()) - once) / total + once / total * given.shots / _MANY:.2%}")


if __name__ == "__main__":
    main()

"""Writes what the folder of a data set lacks, with processes that may die, until a signal asks to stop."""

from __future__ import annotations

import hashlib
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from cubragg import checks
from cubragg.dataset.crystfel_files import check_stream
from cubragg.dataset.dask_pool import DaskPool, check_dask
from cubragg.dataset.data_set import DataSet
from cubragg.dataset.pool import Failure, Pool
from cubragg.dataset.run_folder import DERIVED, FAILED, REPORT, RunFolder, opened
from cubragg.dataset.set_files import geometries, write_set_files
from cubragg.dataset.shard import Work
from cubragg.dataset.shard_images import check_images
from cubragg.dataset.specification import specification_of
from cubragg.dataset.write_settings import WriteSettings
from cubragg.device.cuda_device import device_numbers
from cubragg.device.host_build import available_cores
from cubragg.device.kernel_source import kernel_folder
from cubragg.errors import CubraggError
from cubragg.io.files.atomic import write_bytes
from cubragg.io.files.parquet_table import check_pyarrow
from cubragg.plan.make_plan import make_plan

_STOPS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class ShardsFailed(CubraggError):
    """Shards could not be computed; the others are complete."""


class Stopped(KeyboardInterrupt):
    """A signal ended the writing of a data set after the shards that were being computed.

    Attributes
    ----------
    number
        The signal.
    outcome
        What is complete.
    """

    def __init__(self, number: int, outcome: str) -> None:
        super().__init__(outcome)
        self.number, self.outcome = number, outcome


@dataclass
class State:
    """How far the writing of a data set is.

    Attributes
    ----------
    shots, done, before
        Shots in all; complete ones; and those of them that were complete before this run.
    seconds
        Time since the start of this run [s].
    workers, busy
        Number of processes, and of shards that are being computed.
    failed
        Number of shards that failed.
    stages
        Time in each stage, summed over processes [s].
    record
        The line of the manifest of the last complete shard.
    """

    shots: int
    done: int
    before: int
    workers: int
    seconds: float = 0.0
    busy: int = 0
    failed: int = 0
    stages: dict[str, float] = field(default_factory=dict)
    record: dict[str, Any] | None = None

    @property
    def rate(self) -> float:
        """Shots per second of this run; 0 before the first."""
        return (self.done - self.before) / self.seconds if self.seconds > 0.0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Time that the rest will take [s]; ``None`` before the first shard."""
        return (self.shots - self.done) / self.rate if self.rate > 0.0 else None


#: Called with the state after each shard, and now and then in between.
Report = Callable[[State], None]


def write_data_set(data: DataSet, path: Path | str, settings: WriteSettings, *, workers: int | None = None,
                   devices: Sequence[int] | str | None = None, scheduler: str | None = None, resume: bool = True,
                   overwrite: bool = False, report: Report | None = None) -> dict[str, Any]:
    """Write the shards of a data set that its folder lacks, and return its summary; see `StoredDataSet.write`."""
    folder_path = Path(path)
    gpus = None if devices is None else device_numbers(devices)
    shards = settings.shards(data.series)
    checks.integer("workers", "the number of processes", workers, optional=True, at_least=1, at_most=1024)
    count = len(gpus) if gpus is not None else workers or available_cores()
    check_images(data, settings)
    if scheduler is not None:
        check_dask()
    if "parquet" in settings.truth:
        check_pyarrow("write.truth")
    if "stream" in settings.truth:
        check_stream(data, settings)
    specification = specification_of(data, settings, folder_path)
    header = {"cubragg": _version(), "kernels": kernels_digest(), "specification": specification.sha256,
              "rendered by": _renderer(data)}
    with opened(folder_path, specification, header, resume=resume, overwrite=overwrite) as folder:
        missing = [number for number in range(len(shards)) if number not in folder.records]
        made = (*DERIVED, *settings.masters(data.series), *geometries(data, settings))
        if not missing and all((folder_path / name).is_file() for name in made if name != REPORT):
            summary: dict[str, Any] = json.loads((folder_path / "summary.json").read_bytes())
            return summary
        work = Work(data, settings, folder_path.absolute())
        pool: Pool | DaskPool = (Pool(work, missing, max(1, min(count, len(missing))), gpus) if scheduler is None else
                                 DaskPool(work, missing, scheduler))
        processes = min(count, len(missing)) if isinstance(pool, Pool) else pool.workers
        failures = _produce(pool, folder, State(len(data), _done(folder), _done(folder), processes), report)
        _write_failures(folder, failures)
        written = write_set_files(data, settings, folder)
        if failures:
            raise ShardsFailed(_failed_text(folder, failures))
        return written


def _version() -> str:
    from cubragg.version import version

    return version()


def kernels_digest() -> str:
    """SHA-256 of all source that is compiled: the kernels, and what only CPUs run."""
    kernels = [file for file in kernel_folder().iterdir() if file.name.endswith((".cu", ".cuh"))]
    found = hashlib.sha256()
    for file in sorted([*kernels, *Path(__file__).parents[1].rglob("*.[ch]pp")], key=lambda one: one.name):
        found.update(file.name.encode() + file.read_bytes())
    return found.hexdigest()


def _renderer(data: DataSet) -> str:
    """Backend and precision that the first shot is rendered with."""
    from cubragg.engine.select import select_backend

    way = data.rendering
    plan = make_plan(data.experiment_at(0), way.method)
    selected = select_backend(plan, way.backend, way.precision, way.device, way.cull)
    return f"{selected.backend} in {selected.precision} precision"


def _done(folder: RunFolder) -> int:
    return sum(record["count"] for record in folder.records.values())


def _produce(pool: Pool | DaskPool, folder: RunFolder, state: State, report: Report | None) -> list[Failure]:
    """Append the record of each shard that the pool computes to the manifest; stop at a signal or a full disk."""
    failures: list[Failure] = []
    start = time.perf_counter()
    with _stopping(pool) as stop:
        try:
            for result in pool.results():
                state.seconds, state.busy, state.record = time.perf_counter() - start, pool.busy, None
                if isinstance(result, Failure):
                    failures.append(result)
                    state.failed += 1
                    if result.full_disk:
                        pool.stop()
                elif result is not None:
                    folder.append(result)
                    state.done += result["count"]
                    state.record = result
                    for stage, seconds in result["stages"].items():
                        state.stages[stage] = state.stages.get(stage, 0.0) + seconds
                if report is not None:
                    report(state)
        finally:
            pool.end()
            folder.clear_partial()
        full = next((one for one in failures if one.full_disk), None)
        if full is not None:
            raise CubraggError(f"{folder.path}: cannot be written ({full.error}); {state.done} of {state.shots} shots "
                               "are complete, and the same command continues")
        if stop and state.done < state.shots:
            raise Stopped(stop[0], f"{state.done} of {state.shots} shots are complete in {folder.path}, and the same "
                          "command continues")
    return failures


@contextmanager
def _stopping(pool: Pool | DaskPool) -> Iterator[list[int]]:
    """Let the first signal stop the pool after the shards in flight, and the second at once; yields the signals."""
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    before = {number: handler for number in _STOPS if callable(handler := signal.getsignal(number))}
    before |= {number: signal.SIG_DFL for number in _STOPS if signal.getsignal(number) == signal.SIG_DFL}

    def stop(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if len(came) > 1:
            raise Stopped(number, "the shards in flight are not complete, and the same command continues")
        # Not here, where the lock of the pool may be held.
        threading.Thread(target=pool.stop, daemon=True).start()

    for number in before:
        signal.signal(number, stop)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _write_failures(folder: RunFolder, failures: list[Failure]) -> None:
    """Write the traceback of each failed shard; those of earlier runs are removed."""
    place = folder.path / FAILED
    for old in place.glob("shard-*.txt"):
        old.unlink()
    if not failures:
        if place.is_dir():
            place.rmdir()
        return
    place.mkdir(exist_ok=True)
    for one in failures:
        write_bytes(place / f"shard-{one.shard:05d}.txt", one.traceback.encode())


def _failed_text(folder: RunFolder, failures: list[Failure]) -> str:
    names = ", ".join(f"shard-{one.shard:05d}" for one in sorted(failures)[:5])
    more = f" and {len(failures) - 5} more" if len(failures) > 5 else ""
    return (f"{folder.path}: {names}{more} could not be computed ({failures[0].error}); tracebacks are in "
            f"{folder.path / FAILED}, the other shards are complete, and the same command tries these again")



"""Computes shards on the workers of a Dask cluster, which write to a folder that all machines share."""

from __future__ import annotations

import os
import pickle
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

from cubragg.dataset.pool import ATTEMPTS, Failure
from cubragg.dataset.run_folder import PARTIAL
from cubragg.dataset.shard import Work
from cubragg.dataset.worker import answer
from cubragg.errors import CubraggError

#: Shards that wait at a worker's thread, so that it has no pause between two.
_AHEAD = 1
_CONNECT_S = 30.0
#: Name of the file with the work, in the folder of the data set.
_WORK = f"{PARTIAL}work-"


def answer_of(file: str, number: int) -> tuple[Any, ...]:
    """Compute a shard of the work in a file; errors become an answer."""
    return answer(_work_in(file), number)


@lru_cache(maxsize=1)
def _work_in(file: str) -> Work:
    with open(file, "rb") as stream:
        work: Work = pickle.load(stream)
    return work


def check_dask() -> None:
    """Check that Dask is installed.

    Raises
    ------
    CubraggError
        If it is not.
    """
    if find_spec("distributed") is None:
        raise CubraggError("--scheduler: got a scheduler, but Dask is not installed; pip install 'cubragg[dask]'")


class DaskPool:
    """Computes shards on a Dask cluster; the same interface as `pool.Pool`.

    Dask gives the shards of a worker that dies to another one. Results come back as records, and only the process that
    submits writes the manifest.

    Parameters
    ----------
    work, shards
        The work, and numbers of the shards.
    address
        Address of a scheduler (``tcp://host:8786``), or its ``scheduler.json``.

    Raises
    ------
    CubraggError
        If there is no such scheduler.
    """

    def __init__(self, work: Work, shards: Sequence[int], address: str) -> None:
        from distributed import Client

        where = {"scheduler_file": address} if address.endswith(".json") else {"address": address}
        try:
            self._client = Client(timeout=_CONNECT_S, **where)
        except (OSError, ValueError) as error:
            raise CubraggError(f"--scheduler: got {address!r}; no scheduler answers there ({error})") from None
        rendering = work.data.rendering
        self._work = replace(work, data=work.data.rendered(replace(rendering, threads=rendering.threads or 1)))
        self._todo, self._attempts = deque(shards), dict.fromkeys(shards, 0)
        self._lock = threading.Lock()
        self.busy = 0

    @property
    def workers(self) -> int:
        """Number of threads of the cluster now."""
        return max(1, sum(self._client.nthreads().values()))

    def stop(self) -> None:
        """Start no further shard; those that are being computed are finished."""
        with self._lock:
            self._todo.clear()

    def results(self) -> Iterator[dict[str, Any] | Failure | None]:
        """The record of each complete shard as it comes, and the failures; ``None`` now and then while all are busy."""
        from distributed import wait

        # In the folder that all share, since what Dask scatters is lost with a worker.
        file = self._work.folder / f"{_WORK}{os.urandom(8).hex()}"
        file.write_bytes(pickle.dumps(self._work))
        running: dict[Any, int] = {}
        try:
            while True:
                while len(running) < (1 + _AHEAD) * self.workers and (number := self._next()) is not None:
                    running[self._client.submit(answer_of, str(file), number, pure=False)] = number
                self.busy = len(running)
                if not running:
                    return
                try:
                    done = wait(list(running), timeout=0.2, return_when="FIRST_COMPLETED").done
                except TimeoutError:
                    yield None
                    continue
                for future in done:
                    found = self._found(future, running.pop(future))
                    if found is not None:
                        yield found
        finally:
            self._client.cancel(list(running))
            file.unlink(missing_ok=True)

    def end(self) -> None:
        """Leave the cluster; what it still computes is not recorded."""
        self.stop()
        self._client.close()

    def _next(self) -> int | None:
        with self._lock:
            if not self._todo:
                return None
            number = self._todo.popleft()
            self._attempts[number] += 1
            return number

    def _found(self, future: Any, number: int) -> dict[str, Any] | Failure | None:
        """The record of a shard, or its failure; ``None`` if it is to be computed again."""
        if future.status == "finished":
            kind, *rest = future.result()
            if kind == "done":
                record: dict[str, Any] = rest[0]
                return record
            failure = Failure(*rest)
        else:
            text = f"{type(future.exception()).__name__}: {future.exception()}"
            failure = Failure(number, text, text, False)
        with self._lock:
            if not failure.full_disk and self._attempts[number] < ATTEMPTS:
                self._todo.append(number)
                return None
        return failure

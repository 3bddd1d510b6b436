"""Processes that compute shards: how many, what each computes, and what happens when one dies."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from cubragg.dataset.shard import Work
from cubragg.dataset.worker import FINISHING, answer, receive, send
from cubragg.device.host_build import available_cores

#: How often a shard is computed before it is reported as failed.
ATTEMPTS = 3


class Failure(NamedTuple):
    """A shard that cannot be computed: its number, the error in a line, the traceback, and whether the disk is full."""

    shard: int
    error: str
    traceback: str
    full_disk: bool


class Pool:
    """Computes shards in this process or in several others.

    Attributes
    ----------
    busy
        Number of shards that are being computed.
    """

    def __init__(self, work: Work, shards: Sequence[int], workers: int, devices: Sequence[int] | None) -> None:
        self._work, self._todo, self._workers = work, deque(shards), workers
        self._devices = devices
        self._attempts = dict.fromkeys(shards, 0)
        self._answers: queue.Queue[tuple[Any, ...]] = queue.Queue()
        self._lock = threading.Lock()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._stopping = False
        self.busy = 0

    def stop(self) -> None:
        """Start no further shard; those that are being computed are finished."""
        with self._lock:
            self._stopping = True
            self._todo.clear()

    def results(self) -> Iterator[dict[str, Any] | Failure | None]:
        """The record of each complete shard as it comes, and the failures; ``None`` now and then while all are busy."""
        if self._workers == 1 and self._devices is None:
            yield from self._in_this_process()
            return
        threads = [threading.Thread(target=self._serve, args=(place,), daemon=True) for place in range(self._workers)]
        try:
            for thread in threads:
                thread.start()
            while True:
                try:
                    found = self._answers.get(timeout=0.1)
                except queue.Empty:
                    if not any(thread.is_alive() for thread in threads) and self._answers.empty():
                        return
                    yield None
                    continue
                yield _result(found)
        finally:
            self.end()

    def end(self) -> None:
        """End all processes at once, also in the middle of a shard."""
        self.stop()
        for process in list(self._processes):
            with contextlib.suppress(OSError):
                process.kill()
            process.wait()

    def _in_this_process(self) -> Iterator[dict[str, Any] | Failure]:
        while (number := self._next()) is not None:
            self._count(1)
            found = answer(self._work, number)
            self._count(-1)
            if self._again(found):
                continue
            yield _result(found)

    def _next(self) -> int | None:
        with self._lock:
            if not self._todo:
                return None
            number = self._todo.popleft()
            self._attempts[number] += 1
            return number

    def _count(self, change: int) -> None:
        with self._lock:
            self.busy += change

    def _give_back(self, number: int | None) -> None:
        """Leave a shard that was not begun to another worker."""
        with self._lock:
            if number is not None and not self._stopping:
                self._attempts[number] -= 1
                self._todo.appendleft(number)

    def _again(self, found: tuple[Any, ...]) -> bool:
        """Whether a shard that failed is computed again, by whichever worker is free."""
        if found[0] == "done" or found[4]:
            return False
        with self._lock:
            again = self._attempts[found[1]] < ATTEMPTS and not self._stopping
            if again:
                self._todo.append(found[1])
        return again

    def _serve(self, place: int) -> None:
        """Give shards to one process, each when the files of the one before only have to reach the disk, and start the
        process again when it dies."""
        process: subprocess.Popen[bytes] | None = None
        number, sent = self._next(), False
        while number is not None:
            following: int | None = None
            self._count(1)
            try:
                process = process or self._start(place)
                assert process.stdin is not None
                assert process.stdout is not None
                if not sent:
                    send(process.stdin, number)
                found = receive(process.stdout)
                if found[0] == FINISHING:
                    following = self._next()
                    if following is not None:
                        send(process.stdin, following)
                    found = receive(process.stdout)
            except (EOFError, OSError) as error:
                status = None if process is None else _ended(process)
                process = None
                text = f"the process of the worker ended with status {status} ({type(error).__name__})"
                found = ("failed", number, text, text, False)
                self._give_back(following)
                following = None
            self._count(-1)
            if not self._again(found):
                self._answers.put(found)
            number, sent = (self._next(), False) if following is None else (following, True)
        if process is not None:
            _ended(process)

    def _start(self, place: int) -> subprocess.Popen[bytes]:
        """Start a process: not a fork, and without what the main module of this one would do when it is imported."""
        package = str(Path(__file__).resolve().parents[2])
        paths = [package, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        process = subprocess.Popen([sys.executable, "-m", "cubragg.dataset.worker"], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE,
                                   env={**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))})
        self._processes.append(process)
        assert process.stdin is not None
        rendering = self._work.data.rendering
        if self._devices is None:
            threads = rendering.threads or max(1, available_cores() // self._workers)
            rendering = replace(rendering, threads=threads)
        else:
            rendering = replace(rendering, device=self._devices[place % len(self._devices)])
        send(process.stdin, replace(self._work, data=self._work.data.rendered(rendering)))
        return process


def _ended(process: subprocess.Popen[bytes]) -> int:
    """Close the streams of a worker, which ends it, and return its exit status."""
    for stream in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):  # what was not sent to a dead worker
            if stream is not None:
                stream.close()
    return process.wait()


def _result(found: tuple[Any, ...]) -> dict[str, Any] | Failure:
    record: dict[str, Any] = found[1]
    return record if found[0] == "done" else Failure(*found[1:])

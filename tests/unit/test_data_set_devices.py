"""A process for each GPU: which shards and which device each gets. Processes and GPUs are stand-ins."""

from __future__ import annotations

import sys
import threading
from collections import defaultdict
from pathlib import Path

import pytest

from cubragg.dataset import pool
from cubragg.dataset.shard import Work
from cubragg.dataset.write_settings import WriteSettings
from cubragg.device.cuda_device import device_numbers
from cubragg.errors import BackendUnavailable, ConfigError
from cubragg.testing import tiny_sets
from support.cupy_stand_in import Cupy

GPUS = 3


class Stream:
    """Both streams of a process: what was sent to it, and its answers."""

    def __init__(self, started: list[Stream]) -> None:
        self.work, self.shards = None, []
        started.append(self)

    def close(self) -> None:
        """End the process."""


@pytest.fixture
def started(monkeypatch):
    """The processes that the pool starts on a machine with three GPUs.

    Each waits for the others before its first answer, so that all are used; the first that gets shard 4 dies.
    """
    found: list[Stream] = []
    all_busy, deaths = threading.Barrier(GPUS), [4]

    class Process:
        def __init__(self, *args, **settings) -> None:
            self.stdin = self.stdout = Stream(found)

        def wait(self) -> int:
            return 0

        def kill(self) -> None:
            """Nothing runs."""

    def send(stream, message):
        if isinstance(message, Work):
            stream.work = message
        else:
            stream.shards.append(message)

    def receive(stream):
        if len(found) <= GPUS and len(stream.shards) == 1:
            all_busy.wait(timeout=20.0)
        if stream.shards[-1] in deaths:
            deaths.clear()
            raise EOFError
        return ("done", {"shard": stream.shards[-1], "count": 1})

    monkeypatch.setattr(pool.subprocess, "Popen", Process)
    monkeypatch.setattr(pool, "send", send)
    monkeypatch.setattr(pool, "receive", receive)
    monkeypatch.setattr("cubragg.device.cuda_device.device_count", lambda: GPUS)
    return found


def test_each_gpu_has_a_process(started):
    devices = device_numbers("all")
    assert devices == [0, 1, 2]
    work = Work(tiny_sets.stills(), WriteSettings(shard=1), Path("unused"))
    records = [found for found in pool.Pool(work, range(12), len(devices), devices).results() if found is not None]
    assert sorted(record["shard"] for record in records) == list(range(12))
    by_device = defaultdict(list)
    for stream in started:
        by_device[stream.work.data.rendering.device] += stream.shards
    assert sorted(by_device) == [0, 1, 2]
    assert all(by_device.values())
    # The shard of the process that died is computed again, and no other one.
    computed = sorted(shard for shards in by_device.values() for shard in shards)
    assert computed == sorted([*range(12), 4])
    assert len(started) in (GPUS, GPUS + 1)


def test_named_gpus(monkeypatch, tmp_path):
    """A stand-in has two."""
    monkeypatch.setitem(sys.modules, "cupy", Cupy(runs=False))
    assert device_numbers([1, 0]) == [1, 0]
    for wrong in ("0,1", [], [0.0], [True]):
        with pytest.raises(ConfigError, match="numbers of GPUs"):
            device_numbers(wrong)
    with pytest.raises(ConfigError, match="device 1 twice"):
        device_numbers([1, 0, 1])
    with pytest.raises(ConfigError, match="numbered from 0"):
        device_numbers([0, -1])
    with pytest.raises(BackendUnavailable, match="device 9; this machine has devices 0 to 1"):
        tiny_sets.stills().write(tmp_path / "set", devices=[0, 9])
    assert not (tmp_path / "set").exists()

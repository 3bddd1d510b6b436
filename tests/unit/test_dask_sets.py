"""Data sets on a Dask cluster of real processes, in folders of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

import cubragg as cb
from cubragg.dataset.verification import faults
from cubragg.errors import CubraggError
from support.write_stills import stills

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore"),  # Dask's own
              pytest.mark.skipif(find_spec("distributed") is None, reason="needs Dask (extra dask)")]


def contents(folder):
    records = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()[1:]]
    assert len({record["shard"] for record in records}) == len(records)
    return {name: file["content"] for record in records for name, file in record["files"].items()}


@pytest.fixture
def cluster(tmp_path):
    """A scheduler and three workers: its address, and the processes of the workers."""
    import distributed

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    file = tmp_path / "scheduler.json"
    processes = [subprocess.Popen([sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0",
                                   "--no-dashboard", "--scheduler-file", str(file)], env=environment,
                                  stderr=subprocess.DEVNULL)]
    for number in range(3):
        folder = tmp_path / f"worker{number}"
        folder.mkdir()
        processes.append(subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(file), "--nthreads", "1",
             "--no-nanny", "--no-dashboard", "--local-directory", str(folder)], cwd=folder, env=environment,
            stderr=subprocess.DEVNULL))
    try:
        with distributed.Client(scheduler_file=str(file), timeout=120) as client:
            client.wait_for_workers(3, timeout=120)
        yield str(file), processes[1:]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_a_cluster_gives_the_same_set_though_a_worker_dies(cluster, tmp_path):
    address, workers = cluster
    data = stills(20, slow=True)
    data.write(tmp_path / "here", workers=2, shard=1)
    killed = []

    def kill_one(state):
        if not killed and state.record and state.record["worker"].endswith(f":{workers[0].pid}"):
            killed.append(workers[0].pid)
            os.kill(workers[0].pid, signal.SIGKILL)

    data.write(tmp_path / "there", scheduler=address, shard=1, report=kill_one)
    assert killed
    assert list(faults(tmp_path / "there")) == []
    assert contents(tmp_path / "there") == contents(tmp_path / "here")
    records = [json.loads(line) for line in (tmp_path / "there" / "manifest.jsonl").read_text().splitlines()[1:]]
    assert len({record["worker"] for record in records}) == 3
    assert not [path for path in (tmp_path / "there").iterdir() if path.name.startswith(".partial")]


def test_a_shard_that_fails_on_a_cluster_is_named(cluster, tmp_path):
    address, _ = cluster
    with pytest.raises(CubraggError, match=r"shard-00001.*shot 3, response.dead_fraction"):
        stills(8, failing=True).write(tmp_path / "set", scheduler=address, shard=2)
    assert [Path(fault).name for fault in faults(tmp_path / "set")] == ["set: shard-00001 is not complete"]


def test_an_address_without_a_scheduler(tmp_path, monkeypatch):
    monkeypatch.setattr("cubragg.dataset.dask_pool._CONNECT_S", 1.0)
    start = time.monotonic()
    with pytest.raises(CubraggError, match="no scheduler answers"):
        cb.Stills(stills(1).experiment, 1).write(tmp_path / "set", scheduler="tcp://127.0.0.1:1")
    assert time.monotonic() - start < 60.0

"""Structure factors of a protein: expanding a list of reflections to P1, and computing them from a model."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.machine import ROOT
from benchmarks.measure import RunFailedError, spread

#: P 21 21 21, some 100000 unique reflections to 1.5 A, a protein of 5000 atoms in half of the cell.
_CELL = (80.0, 86.0, 94.0)
_GROUP, _COPIES = "P 21 21 21", 4
_SPACING_A = 1.5

_BEGIN = """
import json, resource, sys, time
begin = time.perf_counter()
"""
_END = """
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
print(json.dumps({"seconds": time.perf_counter() - begin, "count": count, "peak_MB": peak}))
"""
_EXPAND = _BEGIN + """
from cubragg.io.reflections.read import read_reflections
found = read_reflections("unique.mtz")
found.structure_factors()
count = sum(shell.listed for shell in found.shells)
""" + _END
_COMPUTE = _BEGIN + """
from cubragg.cli.sf import command
command(["model.pdb", "-o", "F.mtz", "--dmin", sys.argv[1], "--quiet"], standalone_mode=False)
import gemmi
count = gemmi.read_mtz_file("F.mtz").nreflections
""" + _END


class Task(NamedTuple):
    """What is timed, imports included: the code of a process, what it counts, and the seconds that it may take."""

    name: str
    what: str
    code: str
    limit_s: float


TASKS = (Task("list", "unique reflections of an MTZ file expanded", _EXPAND, 2.0),
         Task("model", "unique reflections of 5000 atoms computed and written", _COMPUTE, 10.0))


def rows(runs: int, quick: bool = False) -> list[dict[str, Any]]:
    """A row for each task; ``quick``: to 4 A and of 200 atoms."""
    resolution = 4.0 if quick else 1.5
    with tempfile.TemporaryDirectory() as folder:
        write_reflections(Path(folder) / "unique.mtz", resolution)
        write_model(Path(folder) / "model.pdb", 200 if quick else 5000)
        return [_row(task, folder, resolution, runs) for task in TASKS]


def _row(task: Task, folder: str, resolution: float, runs: int) -> dict[str, Any]:
    head = {"section": "factors", "workload": task.name, "what": task.what, "resolution_A": resolution}
    try:
        taken = [_run(task.code, folder, resolution) for _ in range(runs)]
    except RunFailedError as error:
        return {**head, "failed": str(error)}
    seconds = spread([run["seconds"] for run in taken])
    return {**head, "count": taken[0]["count"], "seconds": seconds, "limit_s": task.limit_s,
            "process_s": statistics.median(run["process_s"] for run in taken),
            "peak_MB": max(run["peak_MB"] for run in taken), "holds": seconds["median"] <= task.limit_s}


def _run(code: str, folder: str, resolution: float) -> dict[str, float]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-P", "-c", code, str(resolution)], cwd=folder, check=False,
                          capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    if done.returncode:
        raise RunFailedError(done.stderr.strip().splitlines()[-1])
    return {**json.loads(done.stdout), "process_s": time.perf_counter() - start}


def write_reflections(path: Path, resolution: float) -> None:
    """Random amplitudes, every unique reflection to a resolution [A]."""
    import gemmi

    cell, group = gemmi.UnitCell(*_CELL, 90.0, 90.0, 90.0), gemmi.SpaceGroup(_GROUP)
    hkl = gemmi.make_miller_array(cell, group, resolution)
    mtz = gemmi.Mtz(with_base=True)
    mtz.spacegroup = group
    mtz.add_dataset("random")
    mtz.set_cell_for_all(cell)
    mtz.add_column("FP", "F")
    amplitudes = np.random.default_rng(1).uniform(1.0, 300.0, len(hkl))
    mtz.set_data(np.column_stack([hkl, amplitudes]).astype(np.float32))
    mtz.write_to_file(str(path))


def write_model(path: Path, atoms: int) -> None:
    """Carbon, nitrogen and oxygen as in proteins, on a jittered grid in the asymmetric unit."""
    lines = [f"CRYST1{_CELL[0]:9.3f}{_CELL[1]:9.3f}{_CELL[2]:9.3f}  90.00  90.00  90.00 {_GROUP:<11}{_COPIES:4d}"]
    for serial, (element, place, b) in enumerate(_atoms(atoms), start=1):
        x, y, z = place
        lines.append(f"ATOM  {serial % 100000:5d}  {element:<3} GLY A{serial // 10 % 10000:4d}    {x:8.3f}{y:8.3f}"
                     f"{z:8.3f}  1.00{b:6.2f}          {element:>2}")
    path.write_text("\n".join([*lines, "END", ""]))


def _atoms(count: int) -> Iterator[tuple[str, np.ndarray, float]]:
    random = np.random.default_rng(2)
    edges = np.array([_CELL[0] / 2.0, _CELL[1] / 2.0, _CELL[2]])
    steps = np.ceil(edges / edges.prod() ** (1 / 3) * (2 * count) ** (1 / 3)).astype(int)
    grid = np.stack(np.meshgrid(*(np.arange(n) / n for n in steps), indexing="ij"), axis=-1).reshape(-1, 3) * edges
    # The lower part of the asymmetric unit, the rest is solvent.
    chosen = grid[np.argsort(grid[:, 2], kind="stable")][:count]
    chosen = chosen + random.uniform(-_SPACING_A / 4.0, _SPACING_A / 4.0, chosen.shape)
    elements = random.choice(["C", "N", "O"], len(chosen), p=[0.63, 0.17, 0.2])
    yield from zip(elements.tolist(), chosen, random.uniform(8.0, 40.0, len(chosen)).tolist(), strict=True)

"""One run of a program in a process of its own, and runs of several in turn."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.machine import ROOT
from benchmarks.workloads import Stills, Workload, write_reflections

ONE_PIXEL = "-roi 0 0 0 0"
#: The variant that others are compared with, if it can run.
REFERENCE = "cpu:double"

_BEGIN = """
import json, resource, sys, time
begin = time.perf_counter()
asked = json.loads(sys.argv[1])
keywords = {"precision": asked["precision"], "cull": asked["cull"]}
from cubragg.cli.build import build
from cubragg.cli.parser import parse
def report(**figures):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
    print(json.dumps({**figures, "peak_MB": peak}))
"""
_IMAGE = _BEGIN + """
from dataclasses import replace
from cubragg.run.render import simulate
job = build(parse(asked["line"]))
image = simulate(job.experiment, backend=asked["backend"], threads=asked["threads"], **keywords)
rendered = time.perf_counter()
if asked["write"]:
    from cubragg.cli.outputs import ImageFiles, Output
    peak = float(image.photons.max())
    settings = replace(job.settings, scale=10000.0 / peak if peak > 0.0 else 1.0)
    ImageFiles(job._replace(settings=settings), image).write(
        {kind: Output(f"out.{kind}", kind) for kind in ("float", "int", "cbf")})
report(setup_s=rendered - begin - image.seconds, render_s=image.seconds, write_s=time.perf_counter() - rendered)
"""
_BATCH = _BEGIN + """
from cubragg.run.batch import render_many
from cubragg.crystallography.orientations import random_orientations
turned = random_orientations(asked["images"], 1)
images = render_many(build(parse(asked["line"])).experiment, turned, backend=asked["backend"],
                     threads=asked["threads"], **keywords)
next(images)
first = time.perf_counter()
count = sum(1 for _ in images)
report(setup_s=first - begin, render_s=(time.perf_counter() - first) / max(count, 1))
"""


class Variant(NamedTuple):
    """A backend, its precision, and the share of the peak below which terms may be left out (``None``: none are)."""

    backend: str
    precision: str
    cull: float | None

    @classmethod
    def of(cls, text: str, cull: float | None = 0.0) -> Variant:
        """From ``backend`` or ``backend:precision``."""
        backend, _, precision = text.partition(":")
        return cls(backend, precision or "auto", cull)

    @property
    def name(self) -> str:
        """Its name in tables."""
        precision = "" if self.precision == "auto" else f":{self.precision}"
        culled = " all terms" if self.cull is None else f" cull {self.cull:g}" if self.cull else ""
        return f"{self.backend}{precision}{culled}"


class RunFailedError(Exception):
    """A program ended with an error; the message is its last line."""


class Setting(NamedTuple):
    """What runs have in common: folder with the reflections, and number of threads."""

    folder: str
    threads: int


def ours(line: str, variant: Variant, setting: Setting, *, write: bool = True) -> dict[str, float]:
    """One image: set-up, render and writing of three files [s], whole process [s], peak memory [MB]."""
    return _child(_IMAGE, setting, variant, line=line.split(), write=write)


def batch(line: str, variant: Variant, setting: Setting, images: int) -> dict[str, float]:
    """A batch: all up to the first image, each further image [s], whole process [s], peak memory [MB]."""
    return _child(_BATCH, setting, variant, line=line.split(), images=images)


def theirs(command: Sequence[str], line: str, setting: Setting) -> dict[str, float]:
    """One image of a program with nanoBragg's flags: the process less the same on one pixel, and all of it [s]."""
    whole, peak = _program(command, line, setting)
    one, _ = _program(command, f"{line} {ONE_PIXEL}", setting)
    return {"render_s": whole - one, "process_s": whole, "peak_MB": peak}


def _child(code: str, setting: Setting, variant: Variant, **asked: Any) -> dict[str, float]:
    asked |= {"backend": variant.backend, "precision": variant.precision, "cull": variant.cull,
              "threads": setting.threads}
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-P", "-c", code, json.dumps(asked)], cwd=setting.folder, check=False,
                          capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    seconds = time.perf_counter() - start
    if done.returncode:
        raise RunFailedError(_last_line(done.stderr, done.returncode))
    return {**json.loads(done.stdout), "process_s": seconds}


def _program(command: Sequence[str], line: str, setting: Setting) -> tuple[float, float]:
    """Wall time [s] and peak memory [MB] of one process."""
    arguments = [*command, *line.split(), "-floatfile", "theirs.bin", "-nonoise", "-nopgm", "-noprogress"]
    with open(Path(setting.folder) / "theirs.txt", "w+") as said:
        start = time.perf_counter()
        process = subprocess.Popen(arguments, cwd=setting.folder, stdout=said, stderr=said,
                                   env={**os.environ, "OMP_NUM_THREADS": str(setting.threads)})
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise RunFailedError(_last_line(said.read(), process.returncode))
    return seconds, usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)


def _last_line(said: str, status: int) -> str:
    return next((line.strip() for line in reversed(said.splitlines()) if line.strip()), f"exit status {status}")


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and largest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratios(above: Sequence[float], below: Sequence[float]) -> dict[str, float]:
    """Spread of the quotients of runs that were neighbours."""
    return spread([a / b for a, b in zip(above, below, strict=True)])


class _Taken:
    """Runs of several programs, round by round; one that fails once is left out from there on."""

    def __init__(self) -> None:
        self.runs: dict[str, list[dict[str, float]]] = {}
        self.failed: dict[str, str] = {}

    def take(self, name: str, run: Any) -> None:
        if name in self.failed:
            return
        try:
            self.runs.setdefault(name, []).append(run())
        except (RunFailedError, OSError) as error:
            self.failed[name] = str(error)

    def seconds(self, name: str) -> list[float]:
        return [run["render_s"] for run in self.runs[name]]

    def medians(self, name: str) -> dict[str, float]:
        return {key: statistics.median(run[key] for run in self.runs[name]) for key in self.runs[name][0]}


def image_rows(workload: Workload, variants: Sequence[Variant], programs: Mapping[str, Sequence[str]], threads: int,
               runs: int, quick: bool = False) -> list[dict[str, Any]]:
    """A row for each variant: medians, and ratios of runs of the same round."""
    taken, count = _Taken(), min(runs, workload.runs or runs)
    compared = programs if workload.compared else {}
    line = f"{workload.flags} {workload.band}".strip()
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(folder, threads)
        write_reflections(Path(folder) / "random.hkl", quick)
        for variant in variants:  # compiles kernels, fills the operating system's caches
            _warmed(taken, variant, f"{workload.flags} {ONE_PIXEL}", setting)
        for _ in range(count):
            for name, command in compared.items():
                taken.take(name, lambda command=command: theirs(command, line, setting))
            for variant in variants:
                taken.take(variant.name, lambda variant=variant: ours(line, variant, setting))
    head = {"section": "images", "workload": workload.name, "flags": line, "threads": threads,
            "band": bool(workload.band)}
    return [_row(taken, variant, variants, list(compared), head) for variant in variants]


def _warmed(taken: _Taken, variant: Variant, line: str, setting: Setting) -> None:
    try:
        ours(line, variant, setting, write=False)
    except RunFailedError as error:
        taken.failed[variant.name] = str(error)


def _row(taken: _Taken, variant: Variant, variants: Sequence[Variant], compared: Sequence[str], head: dict[str, Any]
         ) -> dict[str, Any]:
    row = {**head, "variant": variant.name}
    if variant.name in taken.failed:
        return {**row, "failed": taken.failed[variant.name]}
    mine = taken.seconds(variant.name)
    row |= {"runs": len(mine), **taken.medians(variant.name), "programs": {}}
    if REFERENCE in taken.runs and REFERENCE not in taken.failed:
        row["reference"] = ratios(taken.seconds(REFERENCE), mine)
    uncut = variant._replace(cull=None)
    if variant != uncut and uncut in variants and uncut.name not in taken.failed:
        row["gain_of_culling"] = ratios(taken.seconds(uncut.name), mine)
    for name in compared:
        row["programs"][name] = {"failed": taken.failed[name]} if name in taken.failed else {
            **taken.medians(name), "ratio": ratios(taken.seconds(name), mine)}
    return row


def batch_rows(stills: Stills, variants: Sequence[Variant], programs: Mapping[str, Sequence[str]], threads: int,
               runs: int, quick: bool = False) -> list[dict[str, Any]]:
    """A row for each variant; other programs' time is that of a process an image, which is what they ask for."""
    taken = _Taken()
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(folder, threads)
        write_reflections(Path(folder) / "random.hkl", quick)
        for variant in variants:
            _warmed(taken, variant, f"{stills.flags} {ONE_PIXEL}", setting)
        for _ in range(runs):
            for name, command in programs.items():
                taken.take(name, lambda command=command: _processes(command, stills, setting))
            for variant in variants:
                taken.take(variant.name, lambda variant=variant: batch(
                    stills.flags, variant, setting, _images(stills, variant)))
    head = {"section": "batches", "workload": "stills", "flags": stills.flags, "threads": threads, "band": False}
    return [{**_row(taken, variant, variants, list(programs), head), "images": _images(stills, variant)}
            for variant in variants]


def _images(stills: Stills, variant: Variant) -> int:
    return stills.numpy_images if variant.backend == "numpy" else stills.images


def _processes(command: Sequence[str], stills: Stills, setting: Setting) -> dict[str, float]:
    """Mean of a few images of another program, each a process."""
    taken = [_program(command, f"{stills.flags} -misset {31 * number} {17 * number} {7 * number}", setting)
             for number in range(1, stills.compared_images + 1)]
    seconds = statistics.mean(seconds for seconds, _ in taken)
    return {"render_s": seconds, "process_s": seconds, "peak_MB": max(peak for _, peak in taken)}


def sweep_row(name: str, what: str, lines: Sequence[tuple[int, str]], variant: Variant, threads: int, runs: int
              ) -> dict[str, Any]:
    """The points (number, command line) of a sweep in turn; ratios to the point before, round by round."""
    taken = _Taken()
    row = {"section": "growth", "workload": name, "what": what, "variant": variant.name, "threads": threads}
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(folder, threads)
        _warmed(taken, variant, f"{lines[0][1]} {ONE_PIXEL}", setting)
        for _ in range(runs):
            for number, line in lines:
                if variant.name not in taken.failed:
                    taken.take(str(number), lambda line=line: ours(line, variant, setting, write=False))
    failed = next(iter(taken.failed.values()), None)
    if failed is not None:
        return {**row, "failed": failed}
    points: list[dict[str, Any]] = []
    for place, (number, line) in enumerate(lines):
        point = {"number": number, "flags": line, **taken.medians(str(number))}
        if place:
            before = str(lines[place - 1][0])
            point["ratio"] = ratios(taken.seconds(str(number)), taken.seconds(before))
            point["memory_ratio"] = ratios([run["peak_MB"] for run in taken.runs[str(number)]],
                                           [run["peak_MB"] for run in taken.runs[str(lines[0][0])]])
        points.append(point)
    return {**row, "runs": runs, "points": points}

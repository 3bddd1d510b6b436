"""Where and with what a benchmark ran."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cubragg.errors import CubraggError

ROOT = Path(__file__).resolve().parents[2]
#: Other programs that take nanoBragg's flags, and the variable that holds the command of each.
PROGRAMS = {"C": "NB_C_BIN", "torch": "NB_TORCH", "nanoBraggCUDA": "NB_CUDA_BIN"}


class Setup(NamedTuple):
    """How `gpu_check.py` runs its stages.

    ``device`` is the number of the GPU; ``runs`` are those of which the median is reported; ``quick``: small images and
    a part of the checks; ``deadline``: `time.monotonic` at which everything must have ended.
    """

    device: int
    runs: int
    quick: bool
    deadline: float

    @property
    def seconds_left(self) -> float:
        """Time until the deadline [s]; at least 1, so that what is started can fail by itself."""
        return max(self.deadline - time.monotonic(), 1.0)


def commit() -> str:
    """The checkout's commit, with a mark where files were changed."""
    try:
        return subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=12"], cwd=ROOT, check=True,
                              capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def describe() -> dict[str, Any]:
    """Processor, cores, versions, compiler and GPU."""
    return {"system": platform.platform(), "processor": _processor(), "cores": os.cpu_count(),
            "python": platform.python_version(), "numpy": np.__version__, "compiler": _compiler()[0],
            "gpu": _gpu()[0]}


def variants() -> tuple[list[str], list[str]]:
    """The backends that can run here in each precision, and a sentence for each that cannot."""
    found, skipped = ["numpy"], []
    for backend, (here, why) in (("cpu", _compiler()), ("cuda", _gpu())):
        if here is None:
            skipped.append(f"{backend}: {why}")
        else:
            found += [f"{backend}:{precision}" for precision in ("double", "mixed", "single")]
    return found, skipped


def programs() -> tuple[dict[str, list[str]], list[str]]:
    """Commands of the other programs that are named, and a sentence for each that is not."""
    given = {name: shlex.split(os.environ.get(variable, "")) for name, variable in PROGRAMS.items()}
    return ({name: command for name, command in given.items() if command},
            [f"{name}: not measured, {PROGRAMS[name]} is not set" for name, command in given.items() if not command])


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")),
                platform.processor() or platform.machine())


def _compiler() -> tuple[str | None, str]:
    from cubragg.device.host_build import find_compiler

    try:
        compiler = find_compiler()
    except CubraggError as error:
        return None, str(error)
    return f"{' '.join(compiler.command)} {compiler.version}", ""


def _gpu() -> tuple[str | None, str]:
    from cubragg.device.cuda_device import describe_devices

    try:
        return describe_devices()[0].name, ""
    except CubraggError as error:
        return None, str(error)

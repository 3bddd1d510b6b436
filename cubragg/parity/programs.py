"""Running the C program, or another that takes its flags, in a folder of its own."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from cubragg.errors import CubraggError, FormatError
from cubragg.io.images.raw import read_float

_FLOAT_FILE = "floatimage.bin"
#: The C program writes its integer files beside the float one; noise and picture can be left out.
_QUIET = ("-floatfile", _FLOAT_FILE, "-nonoise", "-nopgm", "-noprogress")
_PIXELS = re.compile(r"\((\d+)x(\d+) pixels\)")
#: Lines of a failed run that are worth repeating.
_COMPLAINT = re.compile(r"error|usage|unable|not found", re.IGNORECASE)


class RunnerFailed(CubraggError, RuntimeError):
    """A program could not be started, failed, or left no image."""


@dataclass(frozen=True, eq=False)
class ProgramRun:
    """A run of a program.

    Attributes
    ----------
    command
        Its whole command line.
    photons
        Its float image, float32 [slow, fast].
    output
        What it printed.
    seconds
        Wall time from start to end [s].
    """

    command: tuple[str, ...]
    photons: np.ndarray
    output: str
    seconds: float


def run_program(program: Path | str, arguments: Sequence[str], shape: tuple[int, int]) -> ProgramRun:
    """Run ``program`` with nanoBragg's flags in an empty folder and read its float image.

    Parameters
    ----------
    program
        Path of the program, or its name on ``PATH``.
    arguments
        Its flags; files must have absolute paths, and none may name a file to write. Flags that keep the
        other files small are put before them.
    shape
        (slow, fast) that its image has if it does not print it.

    Notes
    -----
    It runs on one thread unless ``OMP_NUM_THREADS`` is set: rules of the C program that depend on the pixel
    before (interpolation switched off, a phi of 0) depend on the number of threads as well.

    Raises
    ------
    RunnerFailed
        In one sentence, with the line in which the program complained.
    """
    path = str(Path(program).resolve()) if os.sep in str(program) or Path(program).exists() else str(program)
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    command = (path, *_QUIET, *arguments)
    with TemporaryDirectory(prefix="cubragg-") as folder:
        start = time.perf_counter()
        try:
            done = subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        except OSError as error:
            raise RunnerFailed(f"{program}: cannot be started ({error.strerror})") from None
        seconds = time.perf_counter() - start
        output = done.stdout.decode("utf-8", errors="replace")
        if done.returncode != 0:
            raise RunnerFailed(f"{program}: ended with {_ending(done.returncode)}{_complaint(output)}")
        printed = _PIXELS.search(output)
        shape = (int(printed[2]), int(printed[1])) if printed else shape
        try:
            photons = read_float(Path(folder) / _FLOAT_FILE, shape)
        except FileNotFoundError:
            raise RunnerFailed(f"{program}: wrote no float image{_complaint(output)}") from None
        except FormatError as error:
            raise RunnerFailed(f"{program}: {str(error).partition(': ')[2]}") from None
    return ProgramRun(command, photons, output, seconds)


def _ending(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"


def _complaint(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    told = next((line for line in lines if _COMPLAINT.search(line)), lines[-1] if lines else "")
    return f": {told}" if told else ""

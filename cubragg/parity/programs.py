"""Runs the C program, or another one with the same flags, in a temporary folder."""

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
#: Output flags: only the float image is needed. The integer file cannot be switched off.
_QUIET = ("-floatfile", _FLOAT_FILE, "-nonoise", "-nopgm", "-noprogress")
_PIXELS = re.compile(r"\((\d+)x(\d+) pixels\)")
#: Lines of a failed run's output that are repeated in the error.
_ERROR_LINE = re.compile(r"error|usage|unable|not found", re.IGNORECASE)


class RunnerFailed(CubraggError, RuntimeError):
    """A program could not be started, failed, or left no image."""


@dataclass(frozen=True, eq=False)
class ProgramRun:
    """The result of running a program.

    Attributes
    ----------
    command
        The complete command line.
    photons
        The float image, float32 [slow, fast].
    output
        The text that it printed.
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
        Its flags, without output files; paths of input files must be absolute. Flags that switch off other output
        are put before them.
    shape
        (slow, fast) of the image if the program does not print it.

    Notes
    -----
    The program runs with one thread unless ``OMP_NUM_THREADS`` is set: rules of the C program that depend on the
    previous pixel (interpolation switched off, a phi of 0) also depend on the number of threads.

    Raises
    ------
    RunnerFailed
        If the program cannot be started, fails or writes no image; the message repeats its own error line.
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
            raise RunnerFailed(f"{program}: ended with {_ending(done.returncode)}{_error_line(output)}")
        printed = _PIXELS.search(output)
        shape = (int(printed[2]), int(printed[1])) if printed else shape
        try:
            photons = read_float(Path(folder) / _FLOAT_FILE, shape)
        except FileNotFoundError:
            raise RunnerFailed(f"{program}: wrote no float image{_error_line(output)}") from None
        except FormatError as error:
            raise RunnerFailed(f"{program}: {str(error).partition(': ')[2]}") from None
    return ProgramRun(command, photons, output, seconds)


def _ending(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"


def _error_line(output: str) -> str:
    """The first line of the output that reports an error, else the last line, after a colon."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    found = next((line for line in lines if _ERROR_LINE.search(line)), lines[-1] if lines else "")
    return f": {found}" if found else ""

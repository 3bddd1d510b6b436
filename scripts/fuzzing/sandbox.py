"""Runs a command line on a file in a forked process with limits, and judges how it ended."""

from __future__ import annotations

import os
import re
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

#: Limits: seconds of CPU time, and of wall clock on a busy machine; bytes resident, and bytes of address space beyond
#: those of the parent, at which an allocation fails.
CPU_S, WALL_S = 20, 120
RESIDENT_BYTES, ADDRESS_BYTES = 2 * 10**9, 3 * 2**30
#: Exit status of trace for a difference.
DIFFERS = 3
#: Outcomes that no file may cause.
BAD = ("traceback", "signal", "hang", "memory", "not one error", "python warning", "image", "left over")
GOOD = ("refused", "read", "read, warned")
#: A warning about pixels that are no numbers of photons.
_SAID = re.compile(r"warning: .*(NaN|negative|inf)")
#: Lines that may precede an error.
_BEFORE = ("warning: ", "from ", "note: ", "semantics ", "    ", "  ")


@dataclass
class Case:
    """One command line in a folder of its own."""

    number: int
    kind: str
    line: str
    folder: Path
    outputs: tuple[str, ...]
    pid: int = 0
    started: float = 0.0
    inputs: set[str] = field(default_factory=set)


def start(case: Case, prepare: Callable[[Path], None]) -> None:
    """Fork a process that prepares the files in ``case.folder / work`` and runs the line there."""
    (case.folder / "work").mkdir(parents=True)
    case.started = time.monotonic()
    case.pid = os.fork()
    if case.pid == 0:
        _child(case, prepare)


def _child(case: Case, prepare: Callable[[Path], None]) -> None:
    status = 99
    try:
        os.chdir(case.folder / "work")
        prepare(Path.cwd())
        (case.folder / "inputs").write_text("\n".join(os.listdir(".")))
        for descriptor, name in ((1, "stdout"), (2, "stderr")):
            file = os.open(case.folder / name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
            os.dup2(file, descriptor)
            os.close(file)
        # The command replaces both; without closefd that would close the descriptors.
        sys.stdout, sys.stderr = (open(number, "w", errors="backslashreplace", closefd=False)  # noqa: SIM115
                                  for number in (1, 2))
        _limit()
        status = _command(case.line)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        traceback.print_exc()  # of the mutation, which is no fault of a reader
    finally:
        os._exit(status)


def _limit() -> None:
    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + ADDRESS_BYTES,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _command(line: str) -> int:
    from cubragg.cli import main

    sys.argv = ["cubragg", *line.split()]
    try:
        main.main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
        return 98
    return 0


def finished(case: Case) -> str | None:
    """The outcome of a process that has ended; ``None`` while it runs."""
    pid, status, usage = os.wait4(case.pid, os.WNOHANG)
    if not pid:
        if time.monotonic() - case.started < WALL_S:
            return None
        os.kill(case.pid, signal.SIGKILL)
        os.wait4(case.pid, 0)
        return "hang"
    return _judged(case, status, usage)


def _judged(case: Case, status: int, usage: resource.struct_rusage) -> str:
    stderr = _text(case.folder / "stderr")
    if os.WIFSIGNALED(status):
        return "hang" if os.WTERMSIG(status) == signal.SIGXCPU else "signal"
    if usage.ru_utime + usage.ru_stime > CPU_S:
        return "hang"
    code = os.WEXITSTATUS(status)
    if code in (98, 99) or "Traceback (most recent call last)" in stderr:
        return "traceback"
    if usage.ru_maxrss * 1024 > RESIDENT_BYTES or "not enough memory" in stderr:
        return "memory"
    if "Warning: " in stderr or "Exception ignored" in stderr:
        return "python warning"
    work, inputs = case.folder / "work", set(_text(case.folder / "inputs").split("\n"))
    return outcome(work, inputs, case.outputs, code, stderr)


def outcome(folder: Path, inputs: set[str], outputs: Collection[str], code: int, stderr: str) -> str:
    """The outcome of a command that ended in ``folder``, which held ``inputs`` and may now hold ``outputs``."""
    if set(os.listdir(folder)) - inputs - (set(outputs) if code == 0 else set()):
        return "left over"
    if code == DIFFERS and not stderr:
        return "read"  # trace found a difference
    if code:
        return "refused" if _one_error(stderr) else "not one error"
    image = folder / "out.bin"
    if image.exists() and "out.bin" not in inputs:
        pixels = np.fromfile(image, "<f4")
        if not (np.isfinite(pixels).all() and (pixels >= 0.0).all()) and not _SAID.search(stderr):
            return "image"
    return "read, warned" if "warning: " in stderr else "read"


def _one_error(stderr: str) -> bool:
    """Whether the last line, and no other, is an error, and the others are warnings and reports."""
    *before, last = stderr.removesuffix("\n").split("\n")
    return (last.startswith("Error: ") and stderr.endswith("\n") and len(last) < 2000 and last.isprintable()
            and all(line.startswith(_BEFORE) for line in before))


def _text(path: Path) -> str:
    return path.read_text(errors="backslashreplace") if path.exists() else ""

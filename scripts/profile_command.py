#!/usr/bin/env python3
"""Print how the time of a cubragg command is divided among its parts.

    python scripts/profile_command.py [--top N] [--python PYTHON] -- FLAGS...

    python scripts/profile_command.py -- -default_F 100 -cell 79 79 38 90 90 90 -lambda 1 -N 20 -distance 100

The command runs in a separate process in which the functions of each part are timed (`profiled.py`
lists them): start of the interpreter, imports, flags, each input, plan, kernels, render, noise,
each file. The parts and a remainder add up to the wall time of the process. --top runs the command
again with cProfile, which slows Python code down, and prints the functions that take the most time.
"""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
START, END, REMAINDER = "start of the interpreter", "end of the interpreter", "not accounted for"


class Part(NamedTuple):
    """A row: seconds of a part, and the peak memory of the process [MB] when the part ended."""

    name: str
    seconds: float
    peak_MB: float | None


class Profile(NamedTuple):
    """Parts that add up to ``wall_s``, the wall time of the process, and its exit status."""

    parts: list[Part]
    wall_s: float
    status: int


def profile(line: list[str], python: str = sys.executable) -> Profile:
    """Run a command line of cubragg under the clock."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result"
        # -P: the folder of this script holds a module of the name of one in the standard library.
        spawned = time.monotonic()
        status = subprocess.run([python, "-P", str(ROOT / "scripts" / "profiled.py"), str(ROOT), str(result),
                                 repr(spawned), *line], check=False).returncode
        reaped = time.monotonic()
        if not result.exists():
            raise SystemExit(f"profile_command.py: {python} did not come as far as cubragg (exit status {status})")
        figures = ast.literal_eval(result.read_text(encoding="utf-8"))
    parts = [Part(START, figures["start"], None), *(Part(*row) for row in figures["parts"]),
             Part(END, reaped - figures["end"], None)]
    wall = reaped - spawned
    parts.append(Part(REMAINDER, wall - sum(part.seconds for part in parts), None))
    return Profile(parts, wall, status)


def table(found: Profile) -> str:
    """The parts as text, with their shares."""
    width = max(len(part.name) for part in found.parts)
    lines = [f"{'':{width}}  {'s':>8} {'share':>7} {'peak MB':>8}"]
    for name, seconds, peak in found.parts:
        memory = "" if peak is None else f"{peak:.0f}"
        lines.append(f"{name:{width}}  {seconds:8.4f} {100 * seconds / found.wall_s:6.1f}% {memory:>8}".rstrip())
    highest = max((part.peak_MB for part in found.parts if part.peak_MB is not None), default=0.0)
    return "\n".join([*lines, f"{'wall time of the process':{width}}  {found.wall_s:8.4f} {100:6.1f}% {highest:8.0f}"])


def hottest(line: list[str], count: int, python: str = sys.executable) -> None:
    """Print the functions that cost most by themselves."""
    with tempfile.TemporaryDirectory() as folder:
        result = str(Path(folder) / "result")
        show = ("import pstats, sys; sys.path.pop(0); "
                f"pstats.Stats({result!r}).strip_dirs().sort_stats('tottime').print_stats({count})")
        code = (f"import cProfile, sys\nsys.path.insert(0, {str(ROOT)!r})\nsys.argv[:1] = ['cubragg']\n"
                "run = 'from cubragg.cli.commands import cli; cli(prog_name=\"cubragg\")'\n"
                f"cProfile.run(run, {result!r})")
        subprocess.run([python, "-P", "-c", code, *line], check=False, stderr=subprocess.DEVNULL)
        subprocess.run([python, "-P", "-c", show], check=True)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--top", type=int, default=0, metavar="N", help="the N hottest functions as well, by cProfile")
    parser.add_argument("--python", default=sys.executable, help="the interpreter (default: this one)")
    parser.add_argument("line", nargs="+", metavar="FLAGS", help="the command line, after --")
    options = parser.parse_args()
    found = profile(options.line, options.python)
    print(table(found), flush=True)
    if options.top > 0:
        hottest(options.line, options.top, options.python)
    sys.exit(found.status)


if __name__ == "__main__":
    main()

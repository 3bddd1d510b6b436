"""Selects the width of vectors for the C++ compiler, by a measurement that is kept with the compiled kernels.

GCC prefers vectors of 256 bits on CPUs of Intel that have 512, since early ones lowered their clock; on later ones 512
bits are up to 1.5 times as fast. Images have the same bits with either.
"""

from __future__ import annotations

import ctypes
import hashlib
import math
import os
import platform
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cubragg.device.kernel_source import host_text
from cubragg.errors import CubraggError
from cubragg.work_folders import work_folder

OPTION = "-mprefer-vector-width="
_WIDE = f"{OPTION}512"
#: Macro of compilers that compile for a CPU with vectors of 512 bits.
_MACRO = "#define __AVX512F__ "
#: Least gain in speed that is not noise; compilers that use 512 bits by default gain nothing.
_LEAST_SPEEDUP = 1.1
#: Runs of one library in a row, so that the CPU reaches the clock of its instructions, and turns of both.
_RUNS, _TURNS = 8, 4
_ORIENTATIONS = 1000
#: (options, text, folder) -> None: compiles a library in a folder.
Compile = Callable[[Sequence[str], str, Path], Path]


@dataclass(frozen=True)
class VectorWidth:
    """Speed-up of the kernels' arithmetic by vectors of 512 bits over the compiler's default; NaN if not measured."""

    speedup: float = math.nan

    @property
    def options(self) -> tuple[str, ...]:
        """Options of the compiler."""
        return (_WIDE,) if self.speedup >= _LEAST_SPEEDUP else ()

    def __str__(self) -> str:
        if math.isnan(self.speedup):
            return "vectors as the compiler's options say"
        return (f"vectors of 512 bits ({_WIDE}), {self.speedup:.2f} times as fast as the compiler's default"
                if self.options else
                f"vectors as by the compiler's default; those of 512 bits are {self.speedup:.2f} times as fast")


def vector_width(cache: Path, identity: str, macros: str, flags: Sequence[str], compile_into: Compile) -> VectorWidth:
    """Return the width for this CPU and a compiler, measured unless it is in the folder ``cache``.

    The measurement takes a quarter of a second, nearly all of it compiling. What cannot be measured is left to the
    compiler, and not tried again.

    Parameters
    ----------
    identity, macros
        Command of the compiler, and the macros that it predefines.
    flags
        Its options, without a width.
    compile_into
        Compiles a text with options into a folder and returns the path of the library.
    """
    if _MACRO not in macros:
        return VectorWidth()
    key = hashlib.sha256("\0".join([identity, macros, *flags, _processor()]).encode("utf-8", "surrogateescape"))
    kept = cache / f"vector-width-{key.hexdigest()[:32]}"
    try:
        return VectorWidth(float(kept.read_text()))
    except (OSError, ValueError):
        pass
    found = VectorWidth()
    with suppress(OSError), work_folder(cache, ".build-") as fresh:
        with suppress(CubraggError, OSError):
            found = VectorWidth(_speedup(fresh, flags, compile_into))
        (fresh / kept.name).write_text(repr(found.speedup))
        (fresh / kept.name).replace(kept)
    return found


def _processor() -> str:
    """The name of the CPU, which the macros do not contain; from the first page of a file of one page per core."""
    try:
        with open("/proc/cpuinfo", "rb", buffering=0) as file:
            lines = file.read(4096).decode(errors="replace").splitlines()
    except OSError:
        lines = []
    return next((line for line in lines if line.startswith("model name")), platform.processor())


def _speedup(folder: Path, flags: Sequence[str], compile_into: Compile) -> float:
    """The time of the arithmetic by default divided by that on vectors of 512 bits; the shortest of many runs of each.

    What else runs on the machine makes some runs longer, but none shorter.
    """
    text, functions = host_text("vector_speed.cpp", Path(__file__).parent), []
    for name, options in (("default", ()), ("wide", (_WIDE,))):
        (folder / name).mkdir(0o700)
        library = compile_into([*flags, *options], text, folder / name)
        function = ctypes.CDLL(os.fspath(library)).amplitudes
        function.restype, function.argtypes = ctypes.c_double, [ctypes.c_int]
        functions.append(function)
    shortest = [math.inf, math.inf]
    for _ in range(_TURNS):
        for number, function in enumerate(functions):
            for _ in range(_RUNS):
                start = time.perf_counter()
                function(_ORIENTATIONS)
                shortest[number] = min(shortest[number], time.perf_counter() - start)
    return shortest[0] / shortest[1]

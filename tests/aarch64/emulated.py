"""Kernels compiled for aarch64 by a cross compiler and executed by qemu's emulation of a user program."""

from __future__ import annotations

import functools
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from cubragg.detect import counting, normal_deviates
from cubragg.device import host_build
from cubragg.device.host_build import FLAGS, usable_cache
from cubragg.work_folders import work_folder

_COMPILER, _EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"
#: The options of the program; -march=native would be this machine's. NEON is part of the base of aarch64.
_OPTIONS = (*(flag for flag in FLAGS if flag not in ("-march=native", "-fPIC")), "-static")
#: Reads a file with grid, number of arguments, and for each its size, whether it is an array, and its bytes; launches
#: the entry point with two threads, and writes the bytes of all arguments.
_MAIN = """
#include <cstdio>
#include <cstdlib>
int main(int, char **names)
{
    FILE *file = std::fopen(names[1], "rb");
    long long head[3], about[2], sizes[24];
    if (!file || std::fread(head, 8, 3, file) != 3 || head[2] > 24) return 2;
    void *values[24], *arguments[24];
    for (int i = 0; i < head[2]; ++i) {
        if (std::fread(about, 8, 2, file) != 2) return 3;
        sizes[i] = about[0];
        values[i] = std::aligned_alloc(64, (sizes[i] / 64 + 1) * 64);
        if (std::fread(values[i], 1, sizes[i], file) != (unsigned long long)sizes[i]) return 4;
        arguments[i] = about[1] ? (void *)&values[i] : values[i];
    }
    ENTRY((int)head[0], (int)head[1], 2, arguments);
    file = std::fopen(names[2], "wb");
    for (int i = 0; i < head[2]; ++i) {
        if (std::fwrite(values[i], 1, sizes[i], file) != (unsigned long long)sizes[i]) return 5;
    }
    return std::fclose(file) != 0;
}
"""


def emulate(patch: pytest.MonkeyPatch) -> None:
    """Execute the kernels for the CPU as compiled for aarch64; skips the test where compiler or emulator is missing."""
    for tool in (_COMPILER, _EMULATOR):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed; apt install g++-aarch64-linux-gnu qemu-user")
    for module in (host_build, counting, normal_deviates):
        patch.setattr(module, "load", _Library)
        patch.setattr(module, "call_host", _call)


class _Library:
    """What `host_build.load` returns: a library whose functions are programs."""

    def __init__(self, text: str, defines: Sequence[str]) -> None:
        self._text, self._defines = text, tuple(defines)

    def __getattr__(self, name: str) -> _Function:
        if not name.startswith("host_"):
            raise AttributeError(name)
        return _Function(_program(self._text, self._defines, name))


class _Function:
    """A function of the library; ctypes' attributes of it are set, and mean nothing."""

    def __init__(self, program: Path) -> None:
        self.program = program


@functools.cache
def _program(text: str, defines: tuple[str, ...], entry: str) -> Path:
    """Return the executable of an entry point, compiled unless it is in the cache of kernels."""
    text += _MAIN.replace("ENTRY", entry)
    command = [_COMPILER, *_OPTIONS, *defines]
    final = usable_cache() / f"aarch64-{hashlib.sha256(chr(0).join([text, *command]).encode()).hexdigest()[:32]}"
    if not final.exists():
        with work_folder(usable_cache(), ".build-") as folder:
            subprocess.run([*command, "-x", "c++", "-", "-o", folder / "program"], input=text, text=True, check=True)
            (folder / "program").rename(final)
    return final


def _call(function: _Function, grid: Sequence[int], threads: int, args: Sequence[np.ndarray]) -> None:
    """Run a grid of blocks, as `host_build.call_host`."""
    assert all(array.flags.c_contiguous for array in args)
    with tempfile.TemporaryDirectory() as folder:
        given, result = Path(folder, "given"), Path(folder, "result")
        with given.open("wb") as file:
            np.array([*grid, len(args)], dtype=np.int64).tofile(file)
            for array in args:
                file.write(np.array([array.nbytes, array.ndim > 0], dtype=np.int64).tobytes() + array.tobytes())
        subprocess.run([_EMULATOR, function.program, given, result], check=True)
        with result.open("rb") as file:
            for array in args:
                data = np.frombuffer(file.read(array.nbytes), dtype=array.dtype).reshape(array.shape)
                if array.flags.writeable:
                    array[...] = data

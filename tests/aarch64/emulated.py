"""Kernels compiled for aarch64 by a cross compiler and executed by qemu's emulation of a user program."""

from __future__ import annotations

import functools
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cubragg.device.host_build import FLAGS, usable_cache
from cubragg.engine.host.launch import engine_text
from cubragg.engine.kernel_params import check_arguments
from cubragg.engine.variant import Variant
from cubragg.work_folders import work_folder

_COMPILER, _EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"
#: The options of the program; -march=native would be this machine's. NEON is part of the base of aarch64.
_OPTIONS = (*(flag for flag in FLAGS if flag not in ("-march=native", "-fPIC")), "-static")
#: Reads a file with grid, sizes and bytes of the arguments, launches the entry point with two threads, and writes the
#: last array.
_MAIN = """
#include <cstdio>
#include <cstdlib>
int main(int, char **names)
{
    FILE *file = std::fopen(names[1], "rb");
    long long head[3];
    if (!file || std::fread(head, 8, 3, file) != 3) return 2;
    void *values[16], *arguments[16];
    long long size = 0;
    for (int i = 0; i < head[2]; ++i) {
        if (std::fread(&size, 8, 1, file) != 1) return 3;
        values[i] = std::aligned_alloc(64, (size / 64 + 1) * 64);
        if (std::fread(values[i], 1, size, file) != (unsigned long long)size) return 4;
        arguments[i] = i == 0 ? values[i] : &values[i];
    }
    host_ENTRY((int)head[0], (int)head[1], 2, arguments);
    file = std::fopen(names[2], "wb");
    return std::fwrite(values[head[2] - 1], 1, size, file) != (unsigned long long)size || std::fclose(file) != 0;
}
"""


def need_tools() -> None:
    """Skip the test where compiler or emulator is missing."""
    for tool in (_COMPILER, _EMULATOR):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed; apt install g++-aarch64-linux-gnu qemu-user")


@functools.cache
def program_of(variant: Variant, entry: str) -> Path:
    """Return the executable of an entry point, compiled unless it is in the cache of kernels."""
    text = engine_text(variant.shape) + _MAIN.replace("ENTRY", entry)
    command = [_COMPILER, *_OPTIONS, *variant.defines()]
    final = usable_cache() / f"aarch64-{hashlib.sha256(chr(0).join([text, *command]).encode()).hexdigest()[:32]}"
    if not final.exists():
        with work_folder(usable_cache(), ".build-") as folder:
            subprocess.run([*command, "-x", "c++", "-", "-o", folder / "program"], input=text, text=True, check=True)
            (folder / "program").rename(final)
    return final


class EmulatedKernel:
    """An entry point of a variant, called as `HostKernel`; signature of `host_kernel`."""

    def __init__(self, variant: Variant, entry: str, threads: int = 1, text: str | None = None) -> None:
        assert text is None
        self._variant, self._entry, self.threads = variant, entry, threads

    def __call__(self, grid: Sequence[int], block: Sequence[int], args: Sequence[Any]) -> None:
        """Run a grid of blocks."""
        assert tuple(block) == (self._variant.block,)
        check_arguments(self._entry, self._variant.tile, self._variant.precision, grid, args, self._variant.bound_pad)
        with tempfile.TemporaryDirectory() as folder:
            given, result = Path(folder, "given"), Path(folder, "result")
            with given.open("wb") as file:
                np.array([*grid, len(args)], dtype=np.int64).tofile(file)
                for array in args:
                    file.write(np.int64(array.nbytes).tobytes() + array.tobytes())
            subprocess.run([_EMULATOR, program_of(self._variant, self._entry), given, result], check=True)
            args[-1].ravel()[:] = np.fromfile(result, dtype=args[-1].dtype)

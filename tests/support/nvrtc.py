"""NVRTC without CuPy and without a GPU: the library alone, of a wheel or of a CUDA toolkit."""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
import os
import re
from pathlib import Path
from typing import NamedTuple

_USED = re.compile(r"Compiling entry function '(?P<entry>\w+)'.*?(?P<stores>\d+) bytes spill stores, "
                   r"(?P<loads>\d+) bytes spill loads.*?Used (?P<registers>\d+) registers", re.DOTALL)


class Usage(NamedTuple):
    """What ptxas says of an entry: registers of a thread, spilled bytes stored and loaded."""

    registers: int
    stores: int
    loads: int


class Compiled(NamedTuple):
    status: int
    code: bytes
    log: str

    def usage(self) -> dict[str, Usage]:
        return {found["entry"]: Usage(int(found["registers"]), int(found["stores"]), int(found["loads"]))
                for found in _USED.finditer(self.log)}


def library_path() -> str | None:
    """NVRTC of a wheel (CUDA 12 or 13), of the toolkit, or of the system."""
    for package in ("nvidia.cuda_nvrtc", "nvidia.cu13"):
        try:
            spec = importlib.util.find_spec(package)
        except ModuleNotFoundError:
            continue
        for folder in (spec.submodule_search_locations or []) if spec else []:
            found = sorted(Path(folder, "lib").glob("libnvrtc.so.*"))
            if found:
                return str(found[-1])
    for name in ("CUDA_HOME", "CUDA_PATH"):
        found = sorted(Path(os.environ.get(name) or "/nowhere", "lib64").glob("libnvrtc.so"))
        if found:
            return str(found[0])
    return ctypes.util.find_library("nvrtc")


class Nvrtc:
    """As much of NVRTC as is needed."""

    def __init__(self, path: str) -> None:
        self._library = ctypes.CDLL(path)

    def archs(self) -> set[int]:
        """The architectures that this version makes code for."""
        count = ctypes.c_int()
        self._call("nvrtcGetNumSupportedArchs", ctypes.byref(count))
        numbers = (ctypes.c_int * count.value)()
        self._call("nvrtcGetSupportedArchs", numbers)
        return set(numbers)

    def compile(self, text: str, options: tuple[str, ...]) -> Compiled:
        """Status, result and log of a source text: a cubin for -arch=sm_NN, PTX for -arch=compute_NN."""
        program = ctypes.c_void_p()
        self._call("nvrtcCreateProgram", ctypes.byref(program), text.encode(), b"kernels.cu", 0, None, None)
        given = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        status = self._library.nvrtcCompileProgram(program, len(options), given)
        log = self._bytes(program, "nvrtcGetProgramLog").rstrip(b"\0").decode()
        result = "nvrtcGetPTX" if any(option.startswith("-arch=compute_") for option in options) else "nvrtcGetCUBIN"
        code = self._bytes(program, result) if status == 0 else b""
        self._call("nvrtcDestroyProgram", ctypes.byref(program))
        return Compiled(status, code, log)

    def _bytes(self, program: ctypes.c_void_p, name: str) -> bytes:
        size = ctypes.c_size_t()
        self._call(f"{name}Size", program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        self._call(name, program, buffer)
        return buffer.raw

    def _call(self, name: str, *args) -> None:
        status = getattr(self._library, name)(*args)
        assert status == 0, f"{name}: error {status}"


def installed() -> Nvrtc:
    """NVRTC; without it the test is skipped."""
    import pytest  # here, so that scripts run without it

    path = library_path()
    if path is None:
        pytest.skip("NVRTC is not installed; pip install 'cubragg[ci-nvrtc]'")
    return Nvrtc(path)

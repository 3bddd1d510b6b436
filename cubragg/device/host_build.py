"""Compiles the kernels with the machine's C++ compiler into a cached shared library, and calls them.

A library lies in a folder of its own, named after source, options, compiler and CPU,
together with its checksum; the folder is built under another name and then renamed, so
that it is whole or absent, also with two processes at it. Libraries are run: nothing is
loaded from a place that others could have written to.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import hashlib
import os
import re
import shlex
import shutil
import stat
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cubragg.errors import BackendUnavailable, KernelBuildError

_COMPILERS = ("c++", "g++", "clang++")
#: -ffast-math is left out: it would reorder sums. Fused steps are written out where they are wanted.
FLAGS = ("-std=c++17", "-O3", "-march=native", "-fPIC", "-fopenmp", "-fno-math-errno", "-fno-trapping-math",
         "-fno-signed-zeros", "-ffp-contract=off")
_LIBRARY, _CHECKSUM = "kernels.so", "sha256"
_ERROR = re.compile(r"^(?P<place>[^:\n]+:\d+)(?::\d+)?: (?:fatal )?error: (?P<what>.+)$", re.MULTILINE)
_lock = threading.Lock()

Check = Callable[[Sequence[int], Sequence[int], Sequence[Any]], None]


@dataclass(frozen=True)
class Compiler:
    """A C++ compiler: its command, and what it says of itself and of this CPU."""

    command: tuple[str, ...]
    predefined: str

    @property
    def version(self) -> str:
        """Its version, as it words it."""
        found = re.search(r'#define __VERSION__ "(.*)"', self.predefined)
        return found[1] if found else "unknown"


def find_compiler() -> Compiler:
    """The compiler of ``$CXX``, else c++, g++ or clang++.

    Raises
    ------
    BackendUnavailable
        If there is none.
    KernelBuildError
        If there is one that does not run.
    """
    asked = os.environ.get("CXX", "").strip()
    for command in ([shlex.split(asked)] if asked else [[name] for name in _COMPILERS]):
        path = shutil.which(command[0])
        if path is not None:
            return Compiler((path, *command[1:]), _predefined((path, *command[1:])))
    raise BackendUnavailable(
        f"backend cpu: CXX={asked} is not a program; set CXX to a C++ compiler" if asked else
        "backend cpu: no C++ compiler was found (c++, g++, clang++); install one, set CXX, or use the backend numpy")


@functools.cache
def _predefined(command: tuple[str, ...]) -> str:
    """The macros that the compiler defines: they tell its version and the instructions of this CPU."""
    result = _run([*command, *FLAGS, "-dM", "-E", "-x", "c++", "-"], "")
    if result.returncode != 0:
        raise _build_error(command, result.stderr)
    return result.stdout


def _run(command: Sequence[str], text: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(list(command), input=text, capture_output=True, text=True, errors="replace",
                              env=os.environ | {"LC_ALL": "C"}, check=False)
    except OSError as error:
        raise KernelBuildError(f"backend cpu: {command[0]} does not run ({error.strerror})") from None


def _build_error(command: Sequence[str], log: str) -> KernelBuildError:
    found = _ERROR.search(log)
    first = next(iter(log.strip().splitlines()), "it says nothing")
    what = f"{found['place']}: {found['what']}" if found else first
    return KernelBuildError(f"backend cpu: {' '.join(command)} cannot compile the kernels: {what}")


# Where libraries are kept


def cache_folder() -> Path:
    """The folder that is asked for: ``$CUBRAGG_CACHE``, ``$XDG_CACHE_HOME/cubragg`` or ``~/.cache/cubragg``."""
    if os.environ.get("CUBRAGG_CACHE"):
        return Path(os.environ["CUBRAGG_CACHE"]).absolute()
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root and os.path.isabs(root) else Path("~/.cache").expanduser()) / "cubragg"


def usable_cache() -> Path:
    """The cache folder if it can be written and nobody else can, else a private temporary one."""
    folder = cache_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK | os.X_OK)
    except OSError:
        return _private_folder()
    return folder if writable and _ours(folder) else _private_folder()


@functools.cache
def _private_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="cubragg-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _ours(path: Path) -> bool:
    """Only this user can write the file or folder, or replace it through the folders above it."""
    try:
        path = path.resolve(strict=True)
        if not _only_we_write(path.stat()):
            return False
        return all(_only_trusted_write(parent.stat()) for parent in path.parents)
    except OSError:
        return False


def _only_we_write(status: os.stat_result) -> bool:
    return status.st_uid == os.getuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _only_trusted_write(status: os.stat_result) -> bool:
    """A folder above: ours or root's; open to others only with the sticky bit, to a group only if it is our own."""
    if status.st_mode & stat.S_ISVTX:
        return True
    others = status.st_mode & stat.S_IWOTH or (status.st_mode & stat.S_IWGRP and status.st_gid not in (0, os.getgid()))
    return status.st_uid in (0, os.getuid()) and not others


def _whole(folder: Path) -> bool:
    """The folder holds a library that nobody else can have written and whose checksum is right."""
    library = folder / _LIBRARY
    if library.is_symlink() or not _ours(library):
        return False
    try:
        return hashlib.sha256(library.read_bytes()).hexdigest() == (folder / _CHECKSUM).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return False


# Building


def build(text: str, defines: Sequence[str], cache: Path | None = None) -> Path:
    """The shared library of a source text, compiled unless it is in the cache (``None``: the usual one).

    ``$CUBRAGG_CXXFLAGS`` is added to the options, last.

    Raises
    ------
    BackendUnavailable
        If there is no compiler.
    KernelBuildError
        If it fails; the message holds its first error with file and line.
    """
    compiler = find_compiler()
    options = [*FLAGS, *defines, *shlex.split(os.environ.get("CUBRAGG_CXXFLAGS", ""))]
    key = hashlib.sha256("\0".join([text, *options, *compiler.command, compiler.predefined]).encode()).hexdigest()
    cache = cache or usable_cache()
    final = cache / f"kernels-{key[:32]}"
    if not _whole(final):
        fresh = Path(tempfile.mkdtemp(prefix=".build-", dir=cache))
        try:
            _compile(compiler, options, text, fresh)
            final = _moved(fresh, final)
        finally:
            if final != fresh:
                shutil.rmtree(fresh, ignore_errors=True)
    return final / _LIBRARY


def _compile(compiler: Compiler, options: Sequence[str], text: str, folder: Path) -> None:
    library = folder / _LIBRARY
    result = _run([*compiler.command, *options, "-shared", "-x", "c++", "-", "-o", str(library)], text)
    if result.returncode != 0 or not library.is_file():
        raise _build_error(compiler.command, result.stderr)
    library.chmod(0o600)
    (folder / _CHECKSUM).write_text(hashlib.sha256(library.read_bytes()).hexdigest())


def _moved(fresh: Path, final: Path) -> Path:
    """Where the finished folder came to lie: under its name, or where it is if others are at that name."""
    for _ in range(3):
        try:
            fresh.rename(final)
            return final
        except OSError:
            # There is one already: another process was faster, or it is a broken one.
            if _whole(final):
                return final
            broken = final.with_name(f".broken-{os.getpid()}-{threading.get_ident()}")
            try:
                final.rename(broken)
            except OSError:
                continue
            shutil.rmtree(broken, ignore_errors=True)
            if broken.exists() and not broken.is_dir():
                broken.unlink()
    atexit.register(shutil.rmtree, fresh, ignore_errors=True)
    return fresh


@functools.cache
def _library(text: str, defines: tuple[str, ...], place: tuple[str | None, ...]) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(build(text, defines)))
    except OSError:  # the cache may lie where nothing is allowed to run
        pass
    try:
        return ctypes.CDLL(str(build(text, defines, _private_folder())))
    except OSError as error:
        raise KernelBuildError(f"backend cpu: the compiled kernels cannot be loaded: {error}") from None


def load(text: str, defines: Sequence[str]) -> ctypes.CDLL:
    """The library of a source text, loaded; once per process.

    Raises
    ------
    BackendUnavailable, KernelBuildError
        As `build`, and where no folder is to be had from which libraries may be loaded.
    """
    with _lock:
        place = tuple(os.environ.get(name) for name in ("CXX", "CUBRAGG_CXXFLAGS", "CUBRAGG_CACHE"))
        return _library(text, tuple(defines), place)


class HostKernel:
    """An entry point with the call shape of CuPy's RawKernel: ``kernel(grid, block, args)``.

    The struct goes by value, arrays by address. ``threads`` OpenMP threads share the blocks.

    Parameters
    ----------
    text, defines, entry
        Source text, its ``-D`` options, and the name of the entry point.
    check
        Called with (grid, block, args) before each launch; raises where the launch would leave its arrays.
    """

    def __init__(self, text: str, defines: Sequence[str], entry: str, check: Check, threads: int = 1) -> None:
        self._check, self.threads = check, threads
        self.library = load(text, defines)
        self._function = getattr(self.library, f"host_{entry}")
        self._function.restype = None
        self._function.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.POINTER(ctypes.c_void_p)]

    def __call__(self, grid: Sequence[int], block: Sequence[int], args: Sequence[Any]) -> None:
        """Run a grid of (columns, rows) blocks."""
        self._check(grid, block, args)
        call_host(self._function, grid, self.threads, args)


def call_host(function: Any, grid: Sequence[int], threads: int, args: Sequence[np.ndarray]) -> None:
    """Hand the arguments over as CUDA does: by the addresses of the values, which for arrays are pointers."""
    values: list[Any] = [array if array.ndim == 0 else ctypes.c_void_p(array.ctypes.data) for array in args]
    addresses = [value.ctypes.data if isinstance(value, np.ndarray) else ctypes.addressof(value) for value in values]
    function(grid[0], grid[1], threads, (ctypes.c_void_p * len(addresses))(*addresses))

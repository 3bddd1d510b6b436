"""Compiles the kernels with the machine's C++ compiler into a cached shared library, and calls them.

Each library is in its own folder, named by a hash of source, options, compiler and CPU,
together with its checksum. The folder is written under a temporary name and then renamed, so
that it is complete or absent, also if two processes compile at once. Since libraries are executed,
none is loaded from a folder that other users can write to.
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

from cubragg.device import vector_width
from cubragg.device.vector_width import VectorWidth
from cubragg.errors import BackendUnavailable, KernelBuildError
from cubragg.work_folders import clear_abandoned, work_folder

_COMPILERS = ("c++", "g++", "clang++")
#: -ffast-math is left out, because it reorders sums. Fused multiply-adds are written explicitly in the kernels.
FLAGS = ("-std=c++17", "-O3", "-march=native", "-fPIC", "-fopenmp-simd", "-pthread", "-fno-math-errno",
         "-fno-trapping-math", "-fno-signed-zeros", "-ffp-contract=off")
_LIBRARY, _CHECKSUM = "kernels.so", "sha256"
_BROKEN = ".broken-"
_ERROR = re.compile(r"^(?P<line>[^:\n]+:\d+)(?::\d+)?: (?:fatal )?error: (?P<what>.+)$", re.MULTILINE)
_lock = threading.Lock()


def _renew_lock() -> None:
    """Replace the lock in a forked child: a thread of the parent may hold it, and would never release it here."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)

Check = Callable[[Sequence[int], Sequence[int], Sequence[Any]], None]


@dataclass(frozen=True)
class Compiler:
    """A C++ compiler: its command, and the macros that it predefines (its version, the CPU's instructions)."""

    command: tuple[str, ...]
    predefined: str

    @property
    def version(self) -> str:
        """The version string of the compiler."""
        found = re.search(r'#define __VERSION__ "(.*)"', self.predefined)
        return found[1] if found else "unknown"


def find_compiler() -> Compiler:
    """Find the C++ compiler: ``$CXX``, else c++, g++ or clang++.

    Raises
    ------
    BackendUnavailable
        If there is none, or ``$CXX`` has an open quotation mark.
    KernelBuildError
        If it cannot be run.
    """
    requested = os.environ.get("CXX", "").strip()
    for command in ([_words("CXX")] if requested else [[name] for name in _COMPILERS]):
        path = shutil.which(command[0])
        if path is not None:
            return Compiler((path, *command[1:]), _predefined((path, *command[1:])))
    raise BackendUnavailable(
        f"backend cpu: got CXX={requested}, which is not a program; set CXX to a C++ compiler" if requested else
        "backend cpu: no C++ compiler was found (c++, g++, clang++); install one, set CXX, or use --backend numpy")


def _words(variable: str) -> list[str]:
    """The words of an environment variable, split as a shell does."""
    text = os.environ.get(variable, "")
    try:
        return shlex.split(text)
    except ValueError as error:
        raise BackendUnavailable(f"backend cpu: got {variable}={text} ({error}); words as in a shell, with quotation "
                                 "marks closed, are accepted") from None


@functools.cache
def _predefined(command: tuple[str, ...]) -> str:
    """The compiler's predefined macros, which contain its version and the instruction set of this CPU."""
    result = _run([*command, *FLAGS, "-dM", "-E", "-x", "c++", "-"], "")
    if result.returncode != 0:
        raise _build_error(command, result.stderr)
    return result.stdout


def _run(command: Sequence[str], text: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(list(command), input=text, capture_output=True, text=True, errors="replace",
                              env=os.environ | {"LC_ALL": "C"}, check=False)
    except OSError as error:
        raise KernelBuildError(f"backend cpu: {command[0]} cannot be run ({error.strerror})") from None


def _build_error(command: Sequence[str], log: str) -> KernelBuildError:
    found = _ERROR.search(log)
    first = next(iter(log.strip().splitlines()), "without a message")
    what = f"{found['line']}: {found['what']}" if found else first
    return KernelBuildError(f"backend cpu: {' '.join(command)} cannot compile the kernels: {what}")


# Where libraries are kept


def cache_folder() -> Path:
    """The configured cache folder: ``$CUBRAGG_CACHE``, ``$XDG_CACHE_HOME/cubragg`` or ``~/.cache/cubragg``."""
    if os.environ.get("CUBRAGG_CACHE"):
        return Path(os.environ["CUBRAGG_CACHE"]).absolute()
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root and os.path.isabs(root) else Path("~/.cache").expanduser()) / "cubragg"


def usable_cache() -> Path:
    """The cache folder if only this user can write to it, else a private temporary folder."""
    folder = cache_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK | os.X_OK)
    except OSError:
        return _private_folder()
    return folder if writable and _is_private(folder) else _private_folder()


@functools.cache
def _private_folder() -> Path:
    """A temporary folder, removed when this process ends, and not when a forked child does."""
    folder, owner = Path(tempfile.mkdtemp(prefix="cubragg-")), os.getpid()

    def remove() -> None:
        if os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


def _is_private(path: Path) -> bool:
    """Whether only this user can write the file or folder, or replace it through its parent folders."""
    try:
        path = path.resolve(strict=True)
        if not _only_user_writes(path.stat()):
            return False
        return all(_only_trusted_write(parent.stat()) for parent in path.parents)
    except OSError:
        return False


def _only_user_writes(status: os.stat_result) -> bool:
    return status.st_uid == os.getuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _only_trusted_write(status: os.stat_result) -> bool:
    """Whether a parent folder is safe.

    It belongs to this user or root, and is writable by others only with the sticky bit, by a group only if it is
    the user's own.
    """
    if status.st_mode & stat.S_ISVTX:
        return True
    others = status.st_mode & stat.S_IWOTH or (status.st_mode & stat.S_IWGRP and status.st_gid not in (0, os.getgid()))
    return status.st_uid in (0, os.getuid()) and not others


def _is_complete(folder: Path) -> bool:
    """Whether the folder contains a library with the right checksum that only this user can write."""
    library = folder / _LIBRARY
    if library.is_symlink() or not _is_private(library):
        return False
    try:
        return hashlib.sha256(library.read_bytes()).hexdigest() == (folder / _CHECKSUM).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return False


# Building


def build(text: str, defines: Sequence[str], cache: Path | None = None) -> Path:
    """Path of the shared library of a source text, compiled unless it is in ``cache`` (``None``: `usable_cache`).

    ``$CUBRAGG_CXXFLAGS`` is appended to the options; `selected_width` adds the width of vectors.

    Raises
    ------
    BackendUnavailable
        If there is no compiler.
    KernelBuildError
        If the compiler fails; the message contains its first error with file and line.
    """
    compiler, requested = find_compiler(), _words("CUBRAGG_CXXFLAGS")
    options = [*FLAGS, *selected_width(compiler).options, *defines, *requested]
    key = hashlib.sha256("\0".join([text, *options, *compiler.command, compiler.predefined])
                         .encode("utf-8", "surrogateescape")).hexdigest()
    cache = cache or usable_cache()
    final = cache / f"kernels-{key[:32]}"
    if not _is_complete(final):
        clear_abandoned(cache, _BROKEN)
        with work_folder(cache, ".build-") as fresh:
            _compile(compiler, options, text, fresh)
            final = _moved(fresh, final)
    return final / _LIBRARY


def selected_width(compiler: Compiler) -> VectorWidth:
    """The width of vectors, from a measurement for this CPU and compiler that is in the cache after the first time.

    Where ``$CUBRAGG_CXXFLAGS`` has an option of the machine (``-m...``), or ``$CXX`` a width, it is the user's.
    """
    if (any(word.startswith("-m") for word in _words("CUBRAGG_CXXFLAGS"))
            or any(word.startswith(vector_width.OPTION) for word in compiler.command)):
        return VectorWidth()
    return _measured_width(compiler)


@functools.cache
def _measured_width(compiler: Compiler) -> VectorWidth:
    return vector_width.vector_width(usable_cache(), "\0".join(compiler.command), compiler.predefined, FLAGS,
                                     functools.partial(_compile, compiler))


def _compile(compiler: Compiler, options: Sequence[str], text: str, folder: Path) -> Path:
    """Compile a library in a folder, with its checksum; return its path."""
    library = folder / _LIBRARY
    result = _run([*compiler.command, *options, "-shared", "-x", "c++", "-", "-o", str(library)], text)
    if result.returncode != 0 or not library.is_file():
        raise _build_error(compiler.command, result.stderr)
    library.chmod(0o600)
    (folder / _CHECKSUM).write_text(hashlib.sha256(library.read_bytes()).hexdigest())
    return library


def _moved(fresh: Path, final: Path) -> Path:
    """Rename a finished folder to ``final`` and return its path.

    It is copied to the private folder if other processes repeatedly write a broken folder ``final``.
    """
    for _ in range(3):
        try:
            fresh.rename(final)
            return final
        except OSError:
            # It exists: another process was faster, or it is damaged.
            if _is_complete(final):
                return final
            broken = final.with_name(f"{_BROKEN}{os.getpid()}-{threading.get_ident()}")
            try:
                final.rename(broken)
            except OSError:
                continue
            shutil.rmtree(broken, ignore_errors=True)
            if broken.exists() and not broken.is_dir():
                broken.unlink()
    return Path(shutil.copytree(fresh, Path(tempfile.mkdtemp(dir=_private_folder())) / final.name))


@functools.cache
def _library(text: str, defines: tuple[str, ...], environment: tuple[str | None, ...]) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(build(text, defines)))
    except OSError:  # the cache may be on a file system mounted noexec
        pass
    try:
        return ctypes.CDLL(str(build(text, defines, _private_folder())))
    except OSError as error:
        raise KernelBuildError(f"backend cpu: the compiled kernels cannot be loaded: {error}") from None


def load(text: str, defines: Sequence[str]) -> ctypes.CDLL:
    """Load the library of a source text, once per process.

    Raises
    ------
    BackendUnavailable, KernelBuildError
        As `build`, and if libraries can be loaded neither from the cache nor from a temporary folder.
    """
    with _lock:
        environment = tuple(os.environ.get(name) for name in ("CXX", "CUBRAGG_CXXFLAGS", "CUBRAGG_CACHE"))
        return _library(text, tuple(defines), environment)


class HostKernel:
    """A kernel entry point that is called like CuPy's RawKernel: ``kernel(grid, block, args)``.

    The struct is passed by value, arrays by address. ``threads`` threads share the blocks.

    Parameters
    ----------
    text, defines, entry
        Source text, its ``-D`` options, and the name of the entry point.
    check
        Called with (grid, block, args) before each launch; raises if the launch would access memory outside its arrays.
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
    """Call a host function with arguments as in CUDA: the address of a struct, or of a pointer to an array."""
    values: list[Any] = [array if array.ndim == 0 else ctypes.c_void_p(array.ctypes.data) for array in args]
    addresses = [value.ctypes.data if isinstance(value, np.ndarray) else ctypes.addressof(value) for value in values]
    function(grid[0], grid[1], threads, (ctypes.c_void_p * len(addresses))(*addresses))


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

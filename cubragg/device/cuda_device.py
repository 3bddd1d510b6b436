"""CUDA devices and the kernels compiled for them, through CuPy.

The only module that imports cupy, and only inside a function: importing cubragg needs no GPU.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from cubragg.device.kernel_source import kernel_text
from cubragg.errors import BackendUnavailable, ConfigError, CubraggError, KernelBuildError

#: Beyond this double:single ratio, double precision is what a kernel waits for.
_FAST_DOUBLE_RATIO = 2
_OUT_OF_MEMORY = 2  # cudaErrorMemoryAllocation, CUDA_ERROR_OUT_OF_MEMORY
_NVRTC_ERROR = re.compile(r"^(?P<file>[^\s()]+)\((?P<line>\d+)\): (?:catastrophic )?error(?: #[\w-]+)?: (?P<what>.+)$",
                          re.MULTILINE)
#: Beside the ``-D`` options; CuPy adds the architecture.
NVRTC_OPTIONS = ("-std=c++17", "--fmad=false")
_INSTALL = "pip install 'cubragg[cuda12]'"


def import_cupy() -> Any:
    """The module cupy.

    Raises
    ------
    BackendUnavailable
        If it is not installed, or does not import.
    """
    try:
        import cupy
    except ModuleNotFoundError as error:
        if error.name == "cupy":
            raise BackendUnavailable(f"backend cuda: cupy is not installed; {_INSTALL}") from None
        raise _broken(error) from None
    except ImportError as error:
        raise _broken(error) from None
    return cupy


def _broken(error: ImportError) -> BackendUnavailable:
    """CuPy wraps the loader's message into a page of advice: the message alone is told."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" =")]
    marks = [number for number, line in enumerate(lines[:-1]) if line.startswith("Original error")]
    what = lines[marks[-1] + 1] if marks else next(iter(lines), type(error).__name__)
    return BackendUnavailable(f"backend cuda: cupy is installed but does not import ({what}); reinstall it: {_INSTALL}")


def device_count() -> int:
    """Number of CUDA devices, at least 1.

    Raises
    ------
    BackendUnavailable
        If there is none that can be used: no cupy, no driver, no device; it says which.
    """
    cupy = import_cupy()
    try:
        count = int(cupy.cuda.runtime.getDeviceCount())
    except RuntimeError as error:
        raise BackendUnavailable(f"backend cuda: no device can be used ({one_line(error)})") from None
    if count == 0:
        raise BackendUnavailable("backend cuda: no device can be used (the driver lists none)")
    return count


def checked_device(device: int) -> Any:
    """The module cupy, where it has a device of this number."""
    if device < 0:
        raise ConfigError("device", f"got {device}; devices are numbered from 0")
    count = device_count()
    if device >= count:
        known = "device 0" if count == 1 else f"devices 0 to {count - 1}"
        raise BackendUnavailable(f"backend cuda: got device {device}; this machine has {known}")
    return import_cupy()


class DeviceDescription(NamedTuple):
    """A CUDA device: number, name, memory [bytes], compute capability (``9.0``), and how many
    single-precision operations it does in the time of one in double precision."""

    number: int
    name: str
    memory_bytes: int
    compute_capability: str
    single_to_double: int


def describe_devices() -> list[DeviceDescription]:
    """All CUDA devices.

    Raises
    ------
    BackendUnavailable
        If there is none that can be used.
    """
    return [_described(number) for number in range(device_count())]


def _described(device: int) -> DeviceDescription:
    runtime = checked_device(device).cuda.runtime
    try:
        properties = runtime.getDeviceProperties(device)
        ratio = runtime.deviceGetAttribute(runtime.cudaDevAttrSingleToDoublePrecisionPerfRatio, device)
    except RuntimeError as error:
        raise BackendUnavailable(f"backend cuda: device {device} does not answer ({one_line(error)})") from None
    name, capability = properties["name"], f"{properties['major']}.{properties['minor']}"
    return DeviceDescription(device, name.decode() if isinstance(name, bytes) else name,
                             int(properties["totalGlobalMem"]), capability, int(ratio))


def auto_precision(device: int = 0) -> str:
    """``mixed`` on a device with a double:single ratio of 1:2, ``single`` elsewhere."""
    return "mixed" if _described(device).single_to_double <= _FAST_DOUBLE_RATIO else "single"


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def current_device(cupy: Any, device: int) -> Iterator[None]:
    """The device is the current one, and what CUDA complains of is told in one line."""
    try:
        with cupy.cuda.Device(device):
            yield
    except cupy.cuda.memory.OutOfMemoryError as error:
        raise _out_of_memory(cupy, device, error) from error
    except (cupy.cuda.runtime.CUDARuntimeError, cupy.cuda.driver.CUDADriverError) as error:
        if error.status == _OUT_OF_MEMORY:
            raise _out_of_memory(cupy, device, error) from error
        raise CubraggError(f"backend cuda: device {device} failed ({one_line(error)})") from error


def _out_of_memory(cupy: Any, device: int, error: Exception) -> BackendUnavailable:
    try:
        with cupy.cuda.Device(device):
            free, total = cupy.cuda.runtime.memGetInfo()
        state = f"{free / 1e9:.2f} of its {total / 1e9:.2f} GB are free"
    except RuntimeError:
        state = one_line(error)
    return BackendUnavailable(f"backend cuda: device {device} is out of memory ({state}); end other programs on it, "
                              "choose another device, or use the backend cpu")


# Compiling


@functools.cache
def kernel_module(shape: str, defines: tuple[str, ...], device: int) -> Any:
    """The kernels of a shape compiled with these ``-D`` options on the current device; CuPy keeps them on disk as well.

    Raises
    ------
    KernelBuildError
        If they do not compile; the message holds NVRTC's first error with file and line.
    BackendUnavailable
        If NVRTC is not found.
    """
    cupy = import_cupy()
    module = cupy.RawModule(code=kernel_text(shape), options=(*NVRTC_OPTIONS, *defines))
    try:
        module.get_function("render")
    except cupy.cuda.compiler.CompileException as error:
        raise build_error(str(error)) from None
    except RuntimeError as error:
        if type(error).__name__ != "DynamicLibNotFoundError":
            raise
        what = one_line(error).split(". ")[0]
        raise BackendUnavailable(f"backend cuda: NVRTC, which compiles the kernels, is not found ({what}); {_INSTALL}"
                                 ) from None
    return module


def build_error(log: str) -> KernelBuildError:
    found = _NVRTC_ERROR.search(log)
    first = next(iter(log.strip().splitlines()), "it says nothing")
    what = f"{found['file']}:{found['line']}: {found['what']}" if found else first
    return KernelBuildError(f"backend cuda: NVRTC cannot compile the kernels: {what}")

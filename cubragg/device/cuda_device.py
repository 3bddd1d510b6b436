"""Lists CUDA devices and compiles kernels for them, with CuPy.

This is the only module that imports cupy, inside a function, so that importing cubragg needs no GPU.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral
from typing import Any, NamedTuple

from cubragg.device.kernel_source import kernel_text
from cubragg.errors import BackendUnavailable, ConfigError, CubraggError, KernelBuildError

#: With a larger ratio of single to double throughput, double precision limits the speed of a kernel.
_FAST_DOUBLE_RATIO = 2
_OUT_OF_MEMORY = 2  # cudaErrorMemoryAllocation, CUDA_ERROR_OUT_OF_MEMORY
_NVRTC_ERROR = re.compile(r"^(?P<file>[^\s()]+)\((?P<line>\d+)\): (?:catastrophic )?error(?: #[\w-]+)?: (?P<what>.+)$",
                          re.MULTILINE)
#: Compiler options in addition to ``-D``; CuPy adds the architecture.
NVRTC_OPTIONS = ("-std=c++17", "--fmad=false")
_INSTALL = "pip install 'cubragg[cuda12]'"


def import_cupy() -> Any:
    """The module cupy.

    Raises
    ------
    BackendUnavailable
        If it is not installed or cannot be imported.
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
    """The error for a cupy that cannot be imported, with the loader's message out of CuPy's page of advice."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" =")]
    marks = [number for number, line in enumerate(lines[:-1]) if line.startswith("Original error")]
    what = lines[marks[-1] + 1] if marks else next(iter(lines), type(error).__name__)
    return BackendUnavailable(f"backend cuda: cupy is installed but cannot be imported ({what}); reinstall it: "
                              f"{_INSTALL}")


def device_count() -> int:
    """Number of CUDA devices, at least 1.

    Raises
    ------
    BackendUnavailable
        If there is none that can be used; the message gives the reason: no cupy, no driver or no device.
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
    """The module cupy, after a check that ``device`` exists."""
    if device < 0:
        raise ConfigError("device", f"got {device}; devices are numbered from 0")
    count = device_count()
    if device >= count:
        present = "device 0" if count == 1 else f"devices 0 to {count - 1}"
        raise BackendUnavailable(f"backend cuda: got device {device}; this machine has {present}")
    return import_cupy()


def device_numbers(devices: Sequence[int] | str) -> list[int]:
    """The numbers of the devices that a caller lists, or of ``all``.

    Raises
    ------
    ConfigError
        For something else than different whole numbers.
    BackendUnavailable
        For a device that this machine does not have.
    """
    if isinstance(devices, str):
        if devices == "all":
            return [*range(device_count())]
        raise ConfigError("devices", f"got {devices!r}; all or numbers of GPUs are accepted")
    if not devices or not all(isinstance(device, Integral) and not isinstance(device, bool) for device in devices):
        raise ConfigError("devices", f"got {devices!r}; all or numbers of GPUs are accepted")
    numbers = [int(device) for device in devices]
    twice = next((device for device in numbers if numbers.count(device) > 1), None)
    if twice is not None:
        raise ConfigError("devices", f"got device {twice} twice; each can be listed once")
    for device in numbers:
        if device < 0:
            raise ConfigError("devices", f"got {device}; devices are numbered from 0")
        checked_device(device)
    return numbers


class DeviceDescription(NamedTuple):
    """A CUDA device: number, name, memory [bytes], compute capability (``9.0``), and the ratio of its
    throughput in single precision to that in double precision."""

    number: int
    name: str
    memory_bytes: int
    compute_capability: str
    single_to_double: int


def describe_devices() -> list[DeviceDescription]:
    """Descriptions of all CUDA devices.

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
        raise BackendUnavailable(f"backend cuda: device {device} cannot be queried ({one_line(error)})") from None
    name, capability = properties["name"], f"{properties['major']}.{properties['minor']}"
    return DeviceDescription(device, name.decode() if isinstance(name, bytes) else name,
                             int(properties["totalGlobalMem"]), capability, int(ratio))


def single_to_double(device: int) -> int:
    """Ratio of the throughput of a device in single precision to that in double precision."""
    return _described(device).single_to_double


def auto_precision(device: int = 0) -> str:
    """``mixed`` on a device with a double:single ratio of 1:2, ``single`` elsewhere."""
    return "mixed" if single_to_double(device) <= _FAST_DOUBLE_RATIO else "single"


def one_line(error: BaseException) -> str:
    """The message of an error on one line, or the name of its class if it has no message."""
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def current_device(cupy: Any, device: int) -> Iterator[None]:
    """Make a device the current one, and convert errors of CUDA to one-line errors of cubragg."""
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
                              "select another device (--device), or use --backend cpu")


# Compiling


@functools.cache
def kernel_module(shape: str, defines: tuple[str, ...], device: int, name: str = "render.cu", entry: str = "render"
                  ) -> Any:
    """Compile a kernel file with ``-D`` options on the current device; CuPy also caches it on disk.

    ``shape`` is the crystal shape of files that have one, and ``entry`` one of the entry points of the file.

    Raises
    ------
    KernelBuildError
        If they do not compile; the message contains NVRTC's first error with file and line.
    BackendUnavailable
        If NVRTC is not found.
    """
    cupy = import_cupy()
    module = cupy.RawModule(code=kernel_text(shape, name), options=(*NVRTC_OPTIONS, *defines))
    try:
        module.get_function(entry)
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
    """The error for a failed compilation, with the first error in NVRTC's log."""
    found = _NVRTC_ERROR.search(log)
    first = next(iter(log.strip().splitlines()), "without a message")
    what = f"{found['file']}:{found['line']}: {found['what']}" if found else first
    return KernelBuildError(f"backend cuda: NVRTC cannot compile the kernels: {what}")

"""A stand-in for cupy that runs kernels as the C++ compiler compiles them, but keeps CUDA's order.

What is queued on a stream runs when it is waited for, new memory holds arbitrary bytes, and a launch takes its struct
at once and its arrays later. Each thread has its current device and streams; streams and arrays belong to a device, and
are refused while another one is the current one.
"""

from __future__ import annotations

import threading
import types
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np

import cubragg.engine.analytic
import cubragg.engine.host
from cubragg.device.cuda_device import NVRTC_OPTIONS
from cubragg.device.host_build import call_host, load
from cubragg.device.kernel_source import host_text, kernel_text
from cubragg.engine.host.launch import engine_text
from support.nvrtc import installed


class CUDARuntimeError(RuntimeError):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class CUDADriverError(CUDARuntimeError):
    pass


class OutOfMemoryError(MemoryError):
    pass


class CompileException(Exception):
    pass


class DynamicLibNotFoundError(RuntimeError):
    pass


class Pool:
    """Memory of the devices: an array that is larger than the limit cannot be allocated."""

    def __init__(self) -> None:
        self.limit = 0

    def set_limit(self, size: int) -> None:
        self.limit = size

    def get_limit(self) -> int:
        return self.limit

    def allocate(self, size: int) -> None:
        if 0 < self.limit < size:
            raise OutOfMemoryError(f"Out of memory allocating {size:,} bytes")

    @staticmethod
    def used_bytes() -> int:
        return 0

    free_bytes = used_bytes

    def free_all_blocks(self) -> None:
        """Free nothing: arrays are Python's."""


_POOL = Pool()


class _Thread(threading.local):
    """Of a thread: its current device, and the streams that it has entered."""

    def __init__(self) -> None:
        self.device = 0
        self.streams: list[Stream] = []


_THREAD = _Thread()


class Stream:
    """A queue of a device that runs when it is waited for."""

    _defaults: dict[int, Stream]

    def __init__(self, non_blocking: bool = False) -> None:
        self.queue: list = []
        self.device = _THREAD.device

    def __enter__(self):
        assert self.device == _THREAD.device
        _THREAD.streams.append(self)
        return self

    def __exit__(self, *_) -> None:
        _THREAD.streams.pop()

    def synchronize(self) -> None:
        while self.queue:
            self.queue.pop(0)()

    def wait_event(self, event: Event) -> None:
        self.queue.append(event.synchronize)

    def record(self) -> Event:
        event = Event()
        event.record(self)
        return event


def current_stream() -> Stream:
    """The stream of this thread on its current device."""
    entered = [stream for stream in _THREAD.streams if stream.device == _THREAD.device]
    return entered[-1] if entered else Stream._defaults.setdefault(_THREAD.device, Stream())


class Device:
    """A device, as a context manager: the current one of the thread."""

    def __init__(self, number: int) -> None:
        self.id, self.before = number, list[int]()

    def __enter__(self):
        self.before.append(_THREAD.device)
        _THREAD.device = self.id
        return self

    def __exit__(self, *_) -> None:
        _THREAD.device = self.before.pop()


class Event:
    def __init__(self, disable_timing: bool = False) -> None:
        self.stream, self.done = None, True

    def record(self, stream: Stream | None = None) -> None:
        self.stream, self.done = stream or current_stream(), False
        assert self.stream.device == _THREAD.device
        self.stream.queue.append(self._reached)

    def _reached(self) -> None:
        self.done = True

    def synchronize(self) -> None:
        while not self.done:
            self.stream.queue.pop(0)()


class Array:
    """An array of a device: its bytes come and go through streams of the device only. A view has the same bytes."""

    def __init__(self, shape, dtype, memory: bytearray | None = None) -> None:
        self.device = Device(_THREAD.device)
        self._bytes = np.empty(shape, dtype)
        _POOL.allocate(self._bytes.nbytes)
        if memory is None:
            self._bytes.reshape(-1).view(np.uint8).fill(0xff)
        else:
            self._bytes = np.frombuffer(memory, dtype, int(np.prod(shape))).reshape(shape)

    shape, dtype, ndim = (property(lambda self, name=name: getattr(self._bytes, name))
                          for name in ("shape", "dtype", "ndim"))
    size, nbytes, flags = (property(lambda self, name=name: getattr(self._bytes, name))
                           for name in ("size", "nbytes", "flags"))

    def __len__(self) -> int:
        return len(self._bytes)

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    def _view(self, view: np.ndarray) -> Array:
        array = object.__new__(Array)
        array.device, array._bytes = self.device, view
        return array

    def __getitem__(self, place) -> Array:
        return self._view(self._bytes[place if isinstance(place, tuple) else (place, ...)])

    def reshape(self, *shape) -> Array:
        return self._view(self._bytes.reshape(*shape))

    def view(self, dtype) -> Array:
        return self._view(self._bytes.view(dtype))

    def __setitem__(self, place, values: Array) -> None:
        self._into(self[place], np.copyto, values)

    def __iadd__(self, other: Array) -> Array:
        return self._into(self, lambda target, source: np.add(target, source, out=target), other)

    def __imul__(self, other: Array) -> Array:
        return self._into(self, lambda target, source: np.multiply(target, source, out=target), other)

    def __add__(self, other: Array | float) -> Array:
        result = Array(self.shape, np.result_type(self.dtype, np.float64))
        return self._into(result, lambda target, one, two: np.add(one, two, out=target), self, other)

    def astype(self, dtype) -> Array:
        return self._into(Array(self.shape, dtype), lambda target, source: np.copyto(target, source, "unsafe"), self)

    def argmax(self) -> Array:
        return self._into(Array((), np.int64), lambda target, source: np.copyto(target, source.argmax()), self)

    @staticmethod
    def _into(target: Array, compute: Callable, *sources: Array | float) -> Array:
        """Queue what a kernel of CuPy does, on the current stream; it refuses arrays of another device."""
        assert {array.device.id for array in (target, *sources) if isinstance(array, Array)} == {_THREAD.device}
        given = [source._bytes if isinstance(source, Array) else source for source in sources]
        current_stream().queue.append(lambda: compute(target._bytes, *given))
        return target

    def __float__(self) -> float:
        return float(self.get())

    def __int__(self) -> int:
        return int(self.get())

    def _stream(self, stream: Stream | None) -> Stream:
        """The stream, or the current one of the array's device."""
        with self.device:
            stream = stream or current_stream()
        assert stream.device == self.device.id
        return stream

    def set(self, array: np.ndarray, stream: Stream | None = None) -> None:
        assert array.shape == self.shape
        assert array.dtype == self.dtype
        # Page-locked memory is read when the copy runs, other memory at once.
        source = array if is_pinned(array) else array.copy()
        self._stream(stream).queue.append(lambda: np.copyto(self._bytes, source))

    def get(self, stream: Stream | None = None, out: np.ndarray | None = None, blocking: bool = True) -> np.ndarray:
        out = np.empty(self.shape, self.dtype) if out is None else out
        stream = self._stream(stream)
        stream.queue.append(lambda: np.copyto(out, self._bytes))
        if blocking:
            stream.synchronize()
        return out

    @property
    def data(self):
        def memset_async(value: int, count: int, stream: Stream) -> None:
            assert count == self.nbytes
            assert stream.device == self.device.id
            stream.queue.append(lambda: self._bytes.fill(value))
        return types.SimpleNamespace(memset_async=memset_async)


def bytes_of(array: Array | np.ndarray) -> np.ndarray:
    """The bytes of an array as a kernel reads and writes them; a struct is itself."""
    return array if isinstance(array, np.ndarray) else array._bytes


class Pinned(bytearray):
    """Page-locked memory, with arbitrary bytes."""

    ptr = 0

    def __init__(self, size: int) -> None:
        super().__init__(b"\xa5" * size)


def is_pinned(array: np.ndarray) -> bool:
    """Return whether an array or what it is a view of is in page-locked memory."""
    base = array
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base.obj if isinstance(base, memoryview) else base, Pinned)


class Kernel:
    """An entry point: queued on the current stream, with the struct as it is now."""

    num_regs, local_size_bytes, shared_size_bytes, binary_version = 64, 0, 1024, 90

    def __init__(self, cupy: Cupy, code: str, options: tuple[str, ...], entry: str) -> None:
        self.cupy, self.code, self.options, self.entry = cupy, code, options, entry

    def __call__(self, grid, block, args) -> None:
        tile = dict(option[2:].split("=") for option in self.options if option.startswith("-DTILE"))
        assert block == (int(tile["TILE_FAST"]) * int(tile["TILE_SLOW"]),)
        struct = args[0]
        args = tuple(each.copy() if isinstance(each, np.ndarray) else each for each in args)
        devices = [each.device.id for each in args if isinstance(each, Array)]
        assert devices == [_THREAD.device] * len(devices)
        if _THREAD.device in self.cupy.failing:
            raise CUDARuntimeError(700, "cudaErrorIllegalAddress: an illegal memory access was encountered")
        first = [int(struct[name]) if name in struct.dtype.names else 0 for name in ("first_tile_row", "first_row")]
        self.cupy.launches.append((self.entry, first[0], grid[1], first[1]))
        self.cupy.launched_on.append(_THREAD.device)
        if self.cupy.at_launch is not None:
            self.cupy.at_launch(len(self.cupy.launches))
        if self.cupy.runs:
            current_stream().queue.append(lambda: self.run(grid, args))

    def texts(self) -> tuple[str, str]:
        """The text of the package for the entry point, and that of the same entry point for the CPU."""
        if self.entry == "draw_counts":
            return kernel_text("", "counts.cu"), host_text("counts_kernel.cu", Path(__file__).parent)
        if self.entry == "render_spots":
            return (kernel_text("gauss", "analytic.cu"),
                    host_text("spot_entries.cpp", Path(cubragg.engine.host.__file__).parent, "gauss"))
        if self.entry in ("bound_spots", "fill_spots"):
            return (kernel_text("", "spot_list.cu"),
                    host_text("list_entries.cpp", Path(cubragg.engine.analytic.__file__).parent))
        if self.entry in ("count_spots", "count_background"):
            return (kernel_text("gauss", "analytic.cu"),
                    host_text("spot_count_kernels.cu", Path(__file__).parent, "gauss"))
        shape = next(option.removeprefix("-DSHAPE=") for option in self.options if option.startswith("-DSHAPE="))
        if self.entry == "count":
            return kernel_text(shape), host_text("count_kernel.cu", Path(__file__).parent, shape)
        return kernel_text(shape), engine_text(shape)

    def run(self, grid, args) -> None:
        of_package, text = self.texts()
        assert self.code == of_package
        function = getattr(load(text, [option for option in self.options if option.startswith("-D")]),
                           f"host_{self.entry}")
        call_host(function, grid, 2, [*map(bytes_of, args)])


class Cupy(types.ModuleType):
    """As much of cupy as the renderer uses.

    Attributes
    ----------
    kernel
        What an entry point of a module is, called with this module, code, options and the entry's name.
    launches, launched_on
        Entry, first row of tiles, rows of tiles and first row of pixels of each launch, and its device.
    failing
        Devices on which launches fail.
    """

    kernel: Callable[..., Kernel] = Kernel
    __version__ = "0"

    def __init__(self, runs: bool) -> None:
        super().__init__("cupy")
        self.__spec__ = ModuleSpec("cupy", None)
        self.launches: list[tuple[str, int, int, int]] = []
        self.launched_on: list[int] = []
        self.failing: set[int] = set()
        self.at_launch = None
        self.runs, self.ratio, self.devices, self.free = runs, 2, 2, 10**9
        self.milliseconds = 60.0
        Stream._defaults = {}
        _POOL.set_limit(0)
        self.cuda = types.SimpleNamespace(
            Device=Device, Stream=Stream, Event=Event, get_current_stream=current_stream,
            get_elapsed_time=self._elapsed, set_allocator=lambda allocator: None,
            alloc_pinned_memory=Pinned, PinnedMemory=Pinned,
            PinnedMemoryPointer=lambda memory, offset: memory,
            UnownedMemory=lambda ptr, size, owner, device: owner, MemoryPointer=lambda memory, offset: memory,
            compiler=types.SimpleNamespace(CompileException=CompileException),
            memory=types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
            driver=types.SimpleNamespace(CUDADriverError=CUDADriverError),
            runtime=types.SimpleNamespace(
                CUDARuntimeError=CUDARuntimeError, getDevice=lambda: _THREAD.device,
                cudaDevAttrSingleToDoublePrecisionPerfRatio=87,
                getDeviceCount=lambda: self.devices, memGetInfo=lambda: (self.free, 2 * 10**9),
                getDeviceProperties=lambda number: {"name": b"Stand-in", "totalGlobalMem": 2 * 10**9, "major": 9,
                                                    "minor": 0, "multiProcessorCount": 1},
                cudaDevAttrClockRate=13, runtimeGetVersion=lambda: 12000, driverGetVersion=lambda: 12000,
                deviceGetAttribute=lambda attribute, number: {87: self.ratio, 13: 1_000_000}.get(attribute)))

    @staticmethod
    def get_default_memory_pool():
        return _POOL

    def _elapsed(self, start: Event, stop: Event) -> float:
        assert start.done
        assert stop.done
        return self.milliseconds

    ndarray = empty = Array

    @staticmethod
    def zeros(shape, dtype) -> Array:
        array = Array(shape, dtype)
        current_stream().queue.append(lambda: bytes_of(array).fill(0))
        return array

    @staticmethod
    def asarray(given) -> Array:
        if isinstance(given, Array):
            assert given.device.id == _THREAD.device
            return given
        copy = Array(given.shape, given.dtype)
        copy.set(given)
        return copy

    @staticmethod
    def ascontiguousarray(array, dtype) -> Array:
        assert array.flags.c_contiguous
        assert array.dtype == dtype
        return array

    @staticmethod
    def from_dlpack(array: Array) -> Array:
        return array

    def RawModule(self, code: str, options: tuple[str, ...]):  # noqa: N802
        def get_function(entry: str) -> Kernel:
            kernel = self.kernel(self, code, options, entry)
            if self.runs and code != kernel.texts()[0]:
                # Only NVRTC finds out whether the text of a test compiles.
                compiled = installed().compile(code, (*NVRTC_OPTIONS, *options, "-arch=compute_90"))
                if compiled.status != 0:
                    raise CompileException(compiled.log)
            return kernel
        return types.SimpleNamespace(get_function=get_function)

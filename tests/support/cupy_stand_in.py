"""A stand-in for cupy that runs kernels as the C++ compiler compiles them, but keeps CUDA's order.

What is queued on a stream runs when it is waited for, new memory holds arbitrary bytes, and a launch takes its struct
at once and its arrays later.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np

import cubragg.engine.host
from cubragg.device.host_build import call_host, load
from cubragg.device.kernel_source import host_text, kernel_text
from cubragg.engine.host.launch import engine_text


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


class Stream:
    """A queue that runs when it is waited for."""

    current: list[Stream]

    def __init__(self, non_blocking: bool = False) -> None:
        self.queue: list = []

    def __enter__(self):
        Stream.current.append(self)
        return self

    def __exit__(self, *_) -> None:
        Stream.current.pop()

    def synchronize(self) -> None:
        while self.queue:
            self.queue.pop(0)()

    def wait_event(self, event: Event) -> None:
        self.queue.append(event.synchronize)

    def record(self) -> Event:
        event = Event()
        event.record(self)
        return event


class Event:
    def __init__(self, disable_timing: bool = False) -> None:
        self.stream, self.done = None, True

    def record(self, stream: Stream | None = None) -> None:
        self.stream, self.done = stream or Stream.current[-1], False
        self.stream.queue.append(self._reached)

    def _reached(self) -> None:
        self.done = True

    def synchronize(self) -> None:
        while not self.done:
            self.stream.queue.pop(0)()


class Array(np.ndarray):
    """A device array: its bytes come and go through streams only."""

    def set(self, array: np.ndarray, stream: Stream | None = None) -> None:
        assert array.shape == self.shape
        assert array.dtype == self.dtype
        # Page-locked memory is read when the copy runs, other memory at once.
        source = array if is_pinned(array) else array.copy()
        (stream or Stream.current[-1]).queue.append(lambda: np.copyto(self, source))

    def get(self, stream: Stream | None = None, out: np.ndarray | None = None, blocking: bool = True) -> np.ndarray:
        out = np.empty(self.shape, self.dtype) if out is None else out
        stream = stream or Stream.current[-1]
        stream.queue.append(lambda: np.copyto(out, self.view(np.ndarray)))
        if blocking:
            stream.synchronize()
        return out

    def __setitem__(self, place, values) -> None:
        # Between device arrays a copy runs on the current stream.
        target, source = self.view(np.ndarray)[place], np.asarray(values)
        assert isinstance(values, Array)
        Stream.current[-1].queue.append(lambda: np.copyto(target, source))

    @property
    def data(self):
        def memset_async(value: int, count: int, stream: Stream) -> None:
            assert count == self.nbytes
            stream.queue.append(lambda: self.view(np.ndarray).fill(value))
        return types.SimpleNamespace(memset_async=memset_async)


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

    def __init__(self, cupy: Cupy, code: str, options: tuple[str, ...], entry: str) -> None:
        self.cupy, self.code, self.options, self.entry = cupy, code, options, entry

    def __call__(self, grid, block, args) -> None:
        tile = dict(option[2:].split("=") for option in self.options if option.startswith("-DTILE"))
        assert block == (int(tile["TILE_FAST"]) * int(tile["TILE_SLOW"]),)
        struct = args[0].copy()
        first = [int(struct[name]) if name in struct.dtype.names else 0 for name in ("first_tile_row", "first_row")]
        self.cupy.launches.append((self.entry, first[0], grid[1], first[1]))
        if self.cupy.at_launch is not None:
            self.cupy.at_launch(len(self.cupy.launches))
        if self.cupy.runs:
            Stream.current[-1].queue.append(lambda: self.run(grid, (struct, *args[1:])))

    def host_text(self) -> str:
        """The text of the same entry point for the CPU."""
        if self.entry == "render_spots":
            assert self.code == kernel_text("gauss", "analytic.cu")
            return host_text("spot_entries.cpp", Path(cubragg.engine.host.__file__).parent, "gauss")
        shape = next(option.removeprefix("-DSHAPE=") for option in self.options if option.startswith("-DSHAPE="))
        assert self.code == kernel_text(shape)
        return engine_text(shape)

    def run(self, grid, args) -> None:
        text = self.host_text()
        function = getattr(load(text, [option for option in self.options if option.startswith("-D")]),
                           f"host_{self.entry}")
        call_host(function, grid, 2, [args[0], *(array.view(np.ndarray) for array in args[1:])])


class Cupy(types.ModuleType):
    """As much of cupy as the renderer uses.

    Attributes
    ----------
    kernel
        What an entry point of a module is, called with this module, code, options and the entry's name.
    """

    kernel: Callable[..., Kernel] = Kernel
    __version__ = "0"

    def __init__(self, runs: bool) -> None:
        super().__init__("cupy")
        self.__spec__ = ModuleSpec("cupy", None)
        self.launches: list[tuple[str, int, int, int]] = []
        self.at_launch = None
        self.runs, self.ratio, self.devices, self.free = runs, 2, 2, 10**9
        self.milliseconds = 60.0
        Stream.current = [Stream()]
        self.cuda = types.SimpleNamespace(
            Device=lambda number: contextlib.nullcontext(),
            Stream=Stream, Event=Event, get_current_stream=lambda: Stream.current[-1],
            get_elapsed_time=self._elapsed, alloc_pinned_memory=Pinned, PinnedMemory=Pinned,
            PinnedMemoryPointer=lambda memory, offset: memory,
            UnownedMemory=lambda ptr, size, owner, device: owner, MemoryPointer=lambda memory, offset: memory,
            compiler=types.SimpleNamespace(CompileException=CompileException),
            memory=types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
            driver=types.SimpleNamespace(CUDADriverError=CUDADriverError),
            runtime=types.SimpleNamespace(
                CUDARuntimeError=CUDARuntimeError, cudaDevAttrSingleToDoublePrecisionPerfRatio=87,
                getDeviceCount=lambda: self.devices, memGetInfo=lambda: (self.free, 2 * 10**9),
                getDeviceProperties=lambda number: {"name": b"Stand-in", "totalGlobalMem": 2 * 10**9, "major": 9,
                                                    "minor": 0, "multiProcessorCount": 1},
                cudaDevAttrClockRate=13, runtimeGetVersion=lambda: 12000, driverGetVersion=lambda: 12000,
                deviceGetAttribute=lambda attribute, number: {87: self.ratio, 13: 1_000_000}.get(attribute)))

    @staticmethod
    def get_default_memory_pool():
        return types.SimpleNamespace(free_bytes=lambda: 0, used_bytes=lambda: 0, get_limit=lambda: 0)

    def _elapsed(self, start: Event, stop: Event) -> float:
        assert start.done
        assert stop.done
        return self.milliseconds

    @staticmethod
    def ndarray(shape, dtype, memory) -> Array:
        return np.frombuffer(memory, dtype, int(np.prod(shape))).reshape(shape).view(Array)

    @staticmethod
    def empty(shape, dtype) -> Array:
        array = np.empty(shape, dtype)
        array.view(np.uint8).fill(0xff)
        return array.view(Array)

    @classmethod
    def zeros(cls, shape, dtype) -> Array:
        array = cls.empty(shape, dtype)
        Stream.current[-1].queue.append(lambda: array.view(np.ndarray).fill(0))
        return array

    def RawModule(self, code: str, options: tuple[str, ...]):  # noqa: N802
        return types.SimpleNamespace(get_function=lambda entry: self.kernel(self, code, options, entry))

"""A stand-in for cupy whose kernels are NVRTC's PTX, translated to C++ and run on the CPU with every access checked."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from cubragg.device.cuda_device import NVRTC_OPTIONS
from cubragg.device.host_build import load
from ptx.translation import translate
from support.cupy_stand_in import Cupy, Kernel, bytes_of
from support.nvrtc import Nvrtc

#: CuPy adds this to the options of every module.
_ADDED = ("-ftz=true", "-arch=compute_90")
#: What a test does to a kernel's source or PTX before it is compiled.
Change = Callable[[str], str]


class PtxFault(AssertionError):
    """What a kernel must not do: an access outside of memory, a race, a barrier that threads do not reach."""


def same(text: str) -> str:
    """Return the text: no change."""
    return text


#: Arrays that an entry point stores to, where there are two.
_STORED = {"count": 2, "count_spots": 2, "count_background": 2, "fill_spots": 2}


class Machine:
    """An entry point of a module, executed from its PTX.

    Parameters
    ----------
    nvrtc, code, options, entry
        The compiler, source text, options in addition to CuPy's, and name of the entry.
    change_ptx
        Changes the PTX before it is translated.
    """

    def __init__(self, nvrtc: Nvrtc, code: str, options: tuple[str, ...], entry: str,
                 change_ptx: Change = same) -> None:
        self._ptx = change_ptx(_ptx_of(nvrtc, code, options))
        self._translation = translate(self._ptx, entry)
        self._launch = load(self._translation.text, ("-O1",)).launch

    def run(self, grid: tuple[int, int], block: int, args: list[np.ndarray], seed: int = 1, stored: int = 1) -> None:
        """Run a grid of blocks with structs and arrays; a number of arrays, the last ones, are stored to.

        ``seed`` is that of the order of blocks and threads.

        Raises
        ------
        PtxFault
            At the first fault.
        """
        assert block == self._translation.block
        assert [array.nbytes if array.ndim == 0 else 8 for array in args] == list(self._translation.parameters)
        assert all(array.flags.c_contiguous for array in args)
        arrays = [array for array in args if array.ndim > 0]
        pointers = np.array([array.ctypes.data for array in arrays], dtype=np.uint64)
        places = iter(pointers.ctypes.data + 8 * np.arange(len(arrays)))
        given = np.array([next(places) if array.ndim else array.ctypes.data for array in args], dtype=np.uint64)
        table = np.array([(array.ctypes.data, array.nbytes, place >= len(arrays) - stored)
                          for place, array in enumerate(arrays)], dtype=np.uint64)
        text = ctypes.c_char_p()
        line = self._launch(int(grid[0]), int(grid[1]), ctypes.c_void_p(given.ctypes.data),
                            ctypes.c_void_p(table.ctypes.data), len(arrays), ctypes.c_ulonglong(seed),
                            ctypes.byref(text))
        if line:
            assert text.value is not None
            raise PtxFault(f"{text.value.decode()} PTX line {line}: {self._ptx.splitlines()[line - 1].strip()}")


@functools.cache
def _ptx_of(nvrtc: Nvrtc, code: str, options: tuple[str, ...]) -> str:
    compiled = nvrtc.compile(code, (*NVRTC_OPTIONS, *options, *_ADDED))
    assert compiled.status == 0, compiled.log
    return compiled.code.rstrip(b"\0").decode()


class PtxCupy(Cupy):
    """As `Cupy`, with kernels from PTX.

    Attributes
    ----------
    change, change_ptx
        Change source text and PTX of every module.
    executed
        Options and entry of each launch.
    """

    def __init__(self, nvrtc: Nvrtc) -> None:
        super().__init__(runs=True)
        self.nvrtc, self.change, self.change_ptx = nvrtc, same, same
        self.executed: list[tuple[tuple[str, ...], str]] = []

    class kernel(Kernel):  # noqa: N801
        """An entry point: queued on the current stream, with the struct as it is now."""

        cupy: PtxCupy

        def run(self, grid: tuple[int, int], args: tuple[Any, ...]) -> None:
            """Execute a launch."""
            cupy = self.cupy
            tile = dict(option[2:].split("=") for option in self.options if option.startswith("-DTILE"))
            machine = Machine(cupy.nvrtc, cupy.change(self.code), self.options, self.entry, cupy.change_ptx)
            machine.run(grid, int(tile["TILE_FAST"]) * int(tile["TILE_SLOW"]),
                        [*map(bytes_of, args)], stored=_STORED.get(self.entry, 1))
            cupy.executed.append((self.options, self.entry))

"""Entry points of the host-compiled kernels, ready to be launched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cubragg.device.host_build import HostKernel
from cubragg.device.kernel_source import host_text
from cubragg.engine.kernel_params import check_arguments
from cubragg.engine.variant import Variant


def engine_text(shape: str) -> str:
    """The source text of the engine's entry points for a shape of crystal."""
    return host_text("host_entries.cpp", Path(__file__).parent, shape)


def host_kernel(variant: Variant, entry: str, threads: int = 1, text: str | None = None) -> HostKernel:
    """The entry point of a variant, compiled unless it is in the cache; launches are checked by `check_arguments`.

    Parameters
    ----------
    variant, entry, threads
        As `HostKernel`; at first so many threads.
    text
        Source text of the entry point; the engine's if ``None``.

    Raises
    ------
    BackendUnavailable, KernelBuildError
        As `host_build.load`.
    """
    def check(grid: Sequence[int], block: Sequence[int], args: Sequence[Any]) -> None:
        if tuple(block) != (variant.block,):
            raise ValueError(f"{entry}: got a block of {tuple(block)}; it was compiled for {variant.block}")
        check_arguments(entry, variant.tile, variant.precision, grid, args, variant.bound_pad)

    return HostKernel(text or engine_text(variant.shape), variant.defines(), entry, check, threads)

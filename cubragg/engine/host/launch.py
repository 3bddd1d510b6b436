"""Compiles and loads entry points of the kernels for the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cubragg.device.host_build import HostKernel
from cubragg.device.kernel_source import host_text
from cubragg.engine.kernel_params import check_arguments
from cubragg.engine.variant import Variant


def engine_text(shape: str) -> str:
    """Return the source text of the engine's entry points for a shape of crystal."""
    return host_text("host_entries.cpp", Path(__file__).parent, shape)


def host_kernel(variant: Variant, entry: str, threads: int = 1, text: str | None = None) -> HostKernel:
    """Return an entry point of a variant, compiled or from the cache; `check_arguments` checks every launch.

    Parameters
    ----------
    variant, entry, threads
        As for `HostKernel`; ``threads`` can be changed later.
    text
        Source text with the entry point; that of the engine if ``None``.

    Raises
    ------
    BackendUnavailable, KernelBuildError
        As for `host_build.load`.
    """
    def check(grid: Sequence[int], block: Sequence[int], args: Sequence[Any]) -> None:
        if tuple(block) != (variant.block,):
            raise ValueError(f"{entry}: got a block of {tuple(block)}; the kernel was compiled for {variant.block}")
        check_arguments(entry, variant.tile, variant.precision, grid, args, variant.bound_pad)

    return HostKernel(text or engine_text(variant.shape), variant.defines(), entry, check, threads)

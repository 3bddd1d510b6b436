"""Runs cubragg and another program with the same flags: both images, or the first quantity of a pixel that differs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from cubragg.compare.comparison import Side
from cubragg.engine.select import Backend, Devices, Precision
from cubragg.errors import BackendUnavailable, KernelBuildError
from cubragg.experiment.experiment import Experiment
from cubragg.parity.pixel_trace import PixelTrace
from cubragg.parity.programs import RunnerFailed, run_program
from cubragg.parity.trace_compare import Divergence, printout_divergence
from cubragg.plan.plan import Plan
from cubragg.run.render import simulate


class Rendering(TypedDict):
    """Keywords of `simulate` for cubragg's image."""

    backend: Backend
    precision: Precision
    device: int
    devices: Devices | None
    threads: int | None
    cull: float


def image_sides(experiment: Experiment, plan: Plan, rendering: Rendering, program: str, arguments: Sequence[str], *,
                command: Sequence[str], started: float) -> tuple[Side, Side, tuple[str, ...]]:
    """The images of cubragg and of a program, and cubragg's warnings.

    Parameters
    ----------
    experiment, plan, rendering
        Experiment of cubragg's image, its plan, and keywords of `simulate`.
    program, arguments
        See `run_program`.
    command
        The command line of cubragg, for the report.
    started
        `time.perf_counter` before cubragg read its input, so that its time includes reading, like the program's.

    Raises
    ------
    RunnerFailed
        If either of them renders no image.
    """
    try:
        image = simulate(experiment, plan=plan, **rendering)
    except (BackendUnavailable, KernelBuildError, MemoryError) as error:
        raise RunnerFailed(f"cubragg: {error or 'not enough memory for this run'}") from None
    seconds = time.perf_counter() - started
    run = run_program(program, arguments, plan.shape)
    ours = Side(f"cubragg ({image.backend}, {image.precision})", image.photons.astype(np.float64), "program",
                tuple(command), seconds)
    theirs = Side(program, run.photons.astype(np.float64), "program", run.command, run.seconds)
    return ours, theirs, image.warnings


def trace_divergence(plan: Plan, trace: PixelTrace, program: str, arguments: Sequence[str]
                     ) -> tuple[Divergence | None, int]:
    """The first quantity of a traced pixel for which a program prints another value, and the number compared.

    Raises
    ------
    RunnerFailed
        If the program cannot be started or fails.
    FormatError
        If it does not print the pixel.
    """
    pixel = ["-printout", "-printout_pixel", str(trace.fast), str(trace.slow)]
    run = run_program(program, [*pixel, *arguments], plan.shape)
    return printout_divergence(plan, trace, run.output)

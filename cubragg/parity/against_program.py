"""cubragg and another program with the same flags: both images, or the first quantity of a pixel that differs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from cubragg.compare.comparison import Side
from cubragg.engine.select import Backend, Precision
from cubragg.errors import BackendUnavailable, KernelBuildError
from cubragg.experiment.experiment import Experiment
from cubragg.parity.pixel_trace import PixelTrace
from cubragg.parity.programs import RunnerFailed, run_program
from cubragg.parity.trace_compare import Divergence, printout_divergence
from cubragg.plan.plan import Plan
from cubragg.run.render import simulate


class Rendering(TypedDict):
    """What cubragg renders with: keywords of `simulate`."""

    backend: Backend
    precision: Precision
    device: int
    threads: int | None
    cull: float


def image_sides(experiment: Experiment, plan: Plan, rendering: Rendering, program: str, arguments: Sequence[str], *,
                command: Sequence[str], started: float) -> tuple[Side, Side, tuple[str, ...]]:
    """The images of cubragg and of a program, and what cubragg warns of.

    Parameters
    ----------
    experiment, plan, rendering
        For cubragg; the plan is that of the experiment.
    program, arguments
        See `run_program`.
    command
        The command line that cubragg's side is reported with.
    started
        `time.perf_counter` before cubragg read its input: its time includes that, as the program's does.

    Raises
    ------
    RunnerFailed
        If either gives no image.
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
    return ours, theirs, image.notices


def trace_divergence(plan: Plan, trace: PixelTrace, program: str, arguments: Sequence[str]
                     ) -> tuple[Divergence | None, int]:
    """The first quantity of a traced pixel that a program prints otherwise, and how many were compared.

    Raises
    ------
    RunnerFailed
        If it cannot be started or fails.
    FormatError
        If it does not print the pixel.
    """
    pixel = ["-printout", "-printout_pixel", str(trace.fast), str(trace.slow)]
    run = run_program(program, [*pixel, *arguments], plan.shape)
    return printout_divergence(plan, trace, run.output)

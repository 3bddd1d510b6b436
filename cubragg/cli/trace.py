"""``cubragg trace``: how one pixel comes about, and where another program or version parts from it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from cubragg.cli import parser
from cubragg.cli.compare import c_arguments
from cubragg.cli.exit_errors import CommandLineFault, RunFault
from cubragg.cli.options import Option, RequestCommand, split
from cubragg.errors import ConfigError

if TYPE_CHECKING:
    from cubragg.cli.build import Job
    from cubragg.parity.pixel_trace import PixelTrace, Step
    from cubragg.parity.trace_compare import Divergence
    from cubragg.plan.plan import Plan

DIVERGES = 3  #: exit status

OPTIONS = {
    "--last": Option(0, str, "", "print the block of the C program only: the last sample and the sums"),
    "--json": Option(1, str, "<file>", "write every step as JSON"),
    "--against": Option(1, str, "<program>|<file>", "find the first quantity that differs, instead of printing"),
    "--tolerance": Option(1, float, "<x>", "relative difference allowed against a JSON file [1e-9]"),
}
_INTRO = ("Every step of one pixel, in the order of computation and with 15 digits: detector, crystal, beam, then each "
          "sub-pixel, source, phi step and mosaic domain, the sums and the final scaling. Semantics: nanobragg.")
_NOTES = (
    "--against a JSON file of --json compares every step. --against the C program runs it with the same flags and "
    "compares what it prints, at its printed digits: a smaller difference shows further down, where digits are more.",
    "Exit status: 0, 1 if the run failed, 2 for a fault in the command line, 3 if a quantity differs.",
)


@dataclass(frozen=True)
class Request:
    """A command line of ``trace`` understood: the pixel, the command's own options, and simulate's flags."""

    fast: int
    slow: int
    options: dict[str, Any]
    line: list[parser.Given]


def parse(args: Sequence[str]) -> Request:
    """A command line of ``trace``.

    Raises
    ------
    CommandLineFault, ConfigError
        For what cannot be understood.
    """
    options, rest = split(args, OPTIONS)
    pixel = rest[:2]
    if len(pixel) < 2 or not all(word.isascii() and word.isdigit() for word in pixel):
        raise CommandLineFault(f"Got {' '.join(pixel)!r} for the pixel; two whole numbers, fast and slow, come first.")
    if "--last" in options and {"--json", "--against"} & set(options):
        raise ConfigError("--last", "got --json or --against as well; those work on all steps")
    tolerance = options.get("--tolerance")
    if tolerance is not None and not 0.0 <= tolerance < 1.0:
        raise ConfigError("--tolerance", f"got {tolerance:g}; it must be >= 0 and < 1")
    return Request(int(pixel[0]), int(pixel[1]), options, parser.parse(rest[2:]))


def trace(request: Request) -> int:
    """Trace a pixel, print what was asked for, and return the exit status.

    Raises
    ------
    CubraggError
        See `cubragg.errors`.
    RunFault
        If the C program fails.
    """
    from cubragg import __version__
    from cubragg.cli.build import build
    from cubragg.io.files.atomic import write_bytes
    from cubragg.parity.pixel_trace import format_trace, trace_pixel, trace_steps
    from cubragg.parity.trace_compare import format_steps, to_json
    from cubragg.plan.plan import make_plan

    job = build(request.line)
    with job.replay.naming():
        plan = make_plan(job.experiment)
    against: str = request.options.get("--against", "")
    program = bool(against) and not _is_json(against)
    steps: list[Step] = []
    if "--last" in request.options or (program and "--json" not in request.options):
        found = trace_pixel(plan, request.fast, request.slow)
    else:
        found, steps = trace_steps(plan, request.fast, request.slow)
    if "--json" in request.options:
        write_bytes(request.options["--json"], to_json(found, steps, __version__).encode())
    if program:
        return _against_program(against, request, job, plan, found)
    if against:
        return _against_file(against, request, steps)
    click.echo(format_steps(found, steps) if steps else format_trace(found), nl=False)
    return 0


def _is_json(path: str) -> bool:
    """Whether ``--against`` names a trace; anything else is taken for a program."""
    if path.endswith(".json"):
        return True
    try:
        with open(path, "rb") as file:
            return file.read(1) == b"{"
    except OSError:
        return False


def _against_file(path: str, request: Request, steps: Sequence[Step]) -> int:
    from cubragg.cli.inputs import InputFile, reading
    from cubragg.parity.trace_compare import TOLERANCE, first_divergence, from_json

    with reading(InputFile(path, "--against")):
        fast, slow, theirs = from_json(path)
    if (fast, slow) != (request.fast, request.slow):
        raise ConfigError("--against", f"got a trace of pixel {fast} {slow} (fast slow); one of pixel {request.fast} "
                          f"{request.slow} is accepted")
    tolerance = request.options.get("--tolerance", TOLERANCE)
    return _tell(first_divergence(steps, theirs, tolerance), len(steps), f"within {tolerance:g}")


def _against_program(program: str, request: Request, job: Job, plan: Plan, found: PixelTrace) -> int:
    from cubragg.parity.programs import RunnerFailed, run_program
    from cubragg.parity.trace_compare import printout_divergence

    if "--tolerance" in request.options:
        raise ConfigError("--tolerance", "got a program to compare with; its printed digits decide")
    if shutil.which(program) is None:
        raise ConfigError("--against", f"got {program!r}; it is neither a trace in JSON nor a program that can be run")
    wanted = ["-printout", "-printout_pixel", str(request.fast), str(request.slow)]
    try:
        run = run_program(program, [*wanted, *c_arguments(request.line, job)], plan.shape)
    except RunnerFailed as error:
        raise RunFault(str(error)) from None
    divergence, count = printout_divergence(plan, found, run.output)
    return _tell(divergence, count, "to the digits that the program prints")


def _tell(divergence: Divergence | None, count: int, how: str) -> int:
    if divergence is None:
        click.echo(f"no divergence: {count} quantities agree {how}")
        return 0
    click.echo(str(divergence))
    return DIVERGES


@click.command("trace", cls=RequestCommand, parse=parse, usage="FAST SLOW [OPTIONS] [FLAGS OF simulate]", intro=_INTRO,
               options=OPTIONS, notes=_NOTES, fault=CommandLineFault.exit_code,
               short_help="Print how a pixel comes about, or where another program parts.")
@click.pass_context
def command(ctx: click.Context, request: Request) -> None:
    """The command as Click knows it."""
    ctx.exit(trace(request))

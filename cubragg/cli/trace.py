"""``cubragg trace``: print every step of one pixel, or the first that differs from another program or version."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from cubragg.cli import c_line, parser
from cubragg.cli.base_command import BaseCommand, FiniteRange, option
from cubragg.cli.flag_completion import FlagCommand
from cubragg.errors import ConfigError

if TYPE_CHECKING:
    from cubragg.cli.build import Job
    from cubragg.parity.pixel_trace import PixelTrace
    from cubragg.parity.plan_steps import Step
    from cubragg.parity.trace_compare import Divergence
    from cubragg.plan.plan import Plan

DIVERGES = 3  #: exit status


class Options(NamedTuple):
    """The options of ``trace``, by the names of its parameters."""

    last: bool
    json: str | None
    against: str | None
    tolerance: float | None


def trace(fast: int, slow: int, line: Sequence[parser.Given], options: Options) -> int:
    """Trace a pixel, print the requested output, and return the exit status.

    Raises
    ------
    CubraggError
        See `cubragg.errors`.
    """
    from cubragg.cli.build import build
    from cubragg.io.files.atomic import write_bytes
    from cubragg.parity.pixel_trace import format_trace, trace_pixel, trace_steps
    from cubragg.parity.trace_compare import format_steps, is_trace, to_json
    from cubragg.plan.make_plan import make_plan
    from cubragg.version import version

    if options.last and (options.json or options.against):
        raise ConfigError("--last", "got --json or --against as well; those need all steps, leave one of them out")
    program = options.against if options.against is not None and not is_trace(options.against) else None
    if program is not None:
        _check_program(program, options)
        c_line.check(line)
    job = build(line)
    with job.replay.naming():
        plan = make_plan(job.experiment)
    steps: list[Step] = []
    if options.last or (program is not None and options.json is None):
        found = trace_pixel(plan, fast, slow)
    else:
        found, steps = trace_steps(plan, fast, slow)
    if options.json is not None:
        write_bytes(options.json, to_json(found, steps, version()).encode())
    if program is not None:
        return _against_program(program, line, job, plan, found)
    if options.against is not None:
        return _against_file(options.against, found, steps, options.tolerance)
    click.echo(format_steps(found, steps) if steps else format_trace(found), nl=False)
    return 0


def _check_program(program: str, options: Options) -> None:
    if shutil.which(program) is None:
        raise ConfigError("--against", f"got {program!r}; it is neither a trace in JSON nor a program that can be run")
    if options.tolerance is not None:
        raise ConfigError("--tolerance", "got a program as --against, compared at its printed digits; leave it out")


def _against_file(path: str, found: PixelTrace, steps: Sequence[Step], tolerance: float | None) -> int:
    from cubragg.cli.inputs import InputFile, reading
    from cubragg.parity.trace_compare import TOLERANCE, first_divergence, from_json

    with reading(InputFile(path, "--against")):
        fast, slow, theirs = from_json(path)
    if (fast, slow) != (found.fast, found.slow):
        raise ConfigError("--against", f"got a trace of pixel {fast} {slow} (fast slow); one of pixel {found.fast} "
                          f"{found.slow} is accepted")
    if tolerance is None:
        tolerance = TOLERANCE
    return _print_divergence(first_divergence(steps, theirs, tolerance), len(steps), f"within {tolerance:g}")


def _against_program(program: str, line: Sequence[parser.Given], job: Job, plan: Plan, found: PixelTrace) -> int:
    from cubragg.parity.against_program import trace_divergence

    divergence, count = trace_divergence(plan, found, program, c_line.c_arguments(line, job))
    return _print_divergence(divergence, count, "to the digits that the program prints")


def _print_divergence(divergence: Divergence | None, count: int, how: str) -> int:
    """Print the divergence and return the exit status."""
    if divergence is None:
        click.echo(f"no divergence: {count} quantities agree {how}")
        return 0
    click.echo(str(divergence))
    return DIVERGES


_NOTES = """--against a JSON file of --json compares every step. --against the C program runs it with the same flags and
compares what it prints, at its printed digits: a smaller difference is found only in a later quantity that is printed
with more digits. Flags that change the experiment and that nanoBragg.c does not have are then refused;
'cubragg compare -h' lists them.

\b
  cubragg trace 120 98 -default_F 100 -cell 100 -lambda 1 -N 5 -detpixels 256
  cubragg trace 120 98 --against ./nanoBragg -default_F 100 -cell 100 \\
      -lambda 1 -N 5 -detpixels 256

Exit status: 0, 1 if the run failed, 2 for an error in the command line, 3 if a quantity differs."""


@click.command("trace", cls=FlagCommand, epilog=_NOTES, context_settings={"ignore_unknown_options": True},
               short_help="Print every step of one pixel, or where another program differs.")
@click.argument("fast", type=click.IntRange(0))
@click.argument("slow", type=click.IntRange(0))
@click.argument("flags", nargs=-1, type=click.UNPROCESSED, metavar="[FLAGS OF simulate]")
@option("--last", is_flag=True, help="Print the block of the C program only: the last sample and the sums.")
@option("--json", metavar="<file>", help="Write every step as JSON.")
@option("--against", metavar="<program>|<file>",
        help="Find the first quantity that differs, instead of printing.")
@option("--tolerance", type=FiniteRange(0.0, 1.0, max_open=True), metavar="<x>",
        help="Relative difference allowed against a JSON file.  [1e-9]")
@click.pass_context
def command(ctx: click.Context, fast: int, slow: int, flags: tuple[str, ...], **options: Any) -> None:
    """Print every step of pixel FAST SLOW, in the order of computation and with 15 digits: detector, crystal, beam,
    then each sub-pixel, source, phi step and mosaic domain, the sums and the final scaling. Semantics: nanobragg."""
    assert isinstance(ctx.command, BaseCommand)
    ctx.exit(trace(fast, slow, parser.parse(flags, ctx.command.spellings()), Options(**options)))

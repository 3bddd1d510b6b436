"""``cubragg simulate``: render images from nanoBragg's flags and write them to files."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import click

from cubragg.cli import formats, geometry_out, named_detectors, nanobragg_log, outputs, summary
from cubragg.cli.build import Job, build
from cubragg.cli.exit_errors import Interrupted, one_line
from cubragg.cli.parser import Given
from cubragg.cli.series import Series
from cubragg.engine.select import require_method
from cubragg.errors import ConfigError, CubraggError
from cubragg.plan.make_plan import make_plan
from cubragg.plan.plan import Plan
from cubragg.run.render import simulate
from cubragg.run.simulated_image import SimulatedImage

if TYPE_CHECKING:
    from cubragg.reflections.image_sums import SumRequest

#: Largest number of pixels that ``-printout`` traces.
MAX_TRACES = 1000
Progress = Callable[[int, int], None]
#: Called with the name of the task, then as `Progress`.
Bar = Callable[[str, int, int], None]


def run(line: Sequence[Given], model: str | None = None) -> None:
    """Run the command line of ``simulate``; ``model`` is the file before the flags.

    Raises
    ------
    CubraggError
        See `cubragg.errors`; nothing is left half written.
    Interrupted
        At Ctrl-C, and at a signal that ends the run.
    """
    try:
        _run(line, model)
    except KeyboardInterrupt as stop:
        raise Interrupted(stop, "no file was written.") from None


def _run(line: Sequence[Given], model: str | None) -> None:
    start = time.perf_counter()
    if named_detectors.wants_list(line):
        click.echo(named_detectors.table())
        return
    job = build(line, model=model)
    with job.replay.naming():
        plan = make_plan(job.experiment, job.settings.method)
        require_method(plan)
    settings, targets = job.settings, outputs.select_outputs(job)
    outputs.check(targets, job, plan)
    sums = None
    if "truth" in targets or "spots" in settings.picture:
        from cubragg.reflections.image_sums import MIN_SUMMED, SumRequest
        from cubragg.reflections.predict import require_reflection_sums

        with job.replay.naming():
            require_reflection_sums(plan)
        sums = SumRequest(min(MIN_SUMMED, settings.truth_min))
    geometry_out.texts(job, targets)  # raises before rendering if a file cannot describe it
    shown: set[str] = set()
    if not settings.quiet:
        for provenance in job.provenance_lines:
            click.echo(provenance, err=True)
    _warn(job, shown, [*job.warnings, *geometry_out.warnings(job, targets), *plan.warnings,
                      *formats.warnings(targets, plan), *outputs.warnings(targets, job)])
    series = Series(job, plan, targets)
    try:
        log = nanobragg_log.wanted(settings)
        if log:
            click.echo(nanobragg_log.before(job, plan, targets))
        for block in _traces(job, plan):
            click.echo(block)
        first = None
        with job.replay.naming(), _progress(job) as bar, series:
            for image in _images(job, plan, sums, bar and partial(bar, "rendering")):
                first = first or image
                _warn(job, shown, image.warnings)
                files = series.add(image, bar and partial(bar, "truth"))
                if log:
                    click.echo(nanobragg_log.after(image.plan, series.figures[-1], files))
        assert first is not None  # a run has at least one image
        if not settings.quiet and not log:
            seconds = time.perf_counter() - start
            click.echo(summary.summary(first, series.figures, outputs.listed(series.written), seconds), err=True)
            if settings.verbose:
                click.echo(summary.rendering(first), err=True)
    except KeyboardInterrupt as stop:
        raise Interrupted(stop, series.outcome()) from None
    except (CubraggError, OSError, MemoryError):
        if series.images > 1 and series.written:
            click.echo(series.outcome(), err=True)
        raise


def _images(job: Job, plan: Plan, sums: SumRequest | None, progress: Progress | None) -> Iterable[SimulatedImage]:
    """Render the images of a run, one after the other, with sums by reflection if they are asked for."""
    settings = job.settings
    if settings.images == 1:
        return (simulate(job.experiment, backend=settings.backend, precision=settings.precision,
                         device=settings.device, threads=settings.threads, method=settings.method, cull=settings.cull,
                         progress=progress, plan=plan, devices=settings.devices, reflections=sums or False),)
    from cubragg.run.batch import render_series

    return render_series(job.experiment, settings.images, backend=settings.backend, precision=settings.precision,
                         device=settings.device, threads=settings.threads, method=settings.method, progress=progress,
                         cull=settings.cull, devices=settings.devices, reflections=sums or False)


def _warn(job: Job, shown: set[str], warnings: Iterable[str]) -> None:
    """Print each warning once, on stderr."""
    for warning in warnings:
        if warning not in shown and not job.settings.quiet:
            click.echo(f"warning: {one_line(warning)}", err=True)
        shown.add(warning)


def _traces(job: Job, plan: Plan) -> Iterator[str]:
    """Yield the text of ``-printout``, ``-printout_pixel`` and ``-trace_pixel``.

    Of a pixel that is named this is every step, else the block that the C program prints.
    """
    fast_min, fast_max, slow_min, slow_max = plan.roi
    pixels = list(job.settings.pixels)
    if job.settings.printout and not pixels:
        count = (fast_max - fast_min + 1) * (slow_max - slow_min + 1)
        if count > MAX_TRACES:
            raise ConfigError("-printout", f"got a region of {count} pixels; at most {MAX_TRACES} are printed, "
                              "name one with -printout_pixel or narrow -roi")
        pixels = [("-printout", fast, slow) for slow in range(slow_min, slow_max + 1)
                  for fast in range(fast_min, fast_max + 1) if plan.mask is None or plan.mask[slow, fast]]
    if not pixels:
        return
    if plan.method == "analytic":
        raise ConfigError(pixels[0][0], "got a pixel to trace with --method analytic, which has no samples to print; "
                          "omit one of them")
    from cubragg.parity.pixel_trace import format_trace, trace_pixel, trace_steps
    from cubragg.parity.trace_compare import format_steps

    for flag, fast, slow in pixels:
        try:
            if job.settings.pixels:
                yield format_steps(*trace_steps(plan, fast, slow))
            else:
                yield format_trace(trace_pixel(plan, fast, slow))
        except ConfigError as error:
            where = flag if error.where == "trace" else job.replay.source_of(error.where)
            raise ConfigError(where, error.what) from None


@contextmanager
def _progress(job: Job) -> Iterator[Bar | None]:
    """Show a progress bar on a terminal; elsewhere yield ``None``."""
    if job.settings.quiet or not job.settings.progress or not sys.stderr.isatty():
        yield None
        return
    with click.progressbar(length=1, file=sys.stderr) as bar:
        def advance(what: str, done: int, total: int) -> None:
            bar.label, bar.length = what, total
            if done < bar.pos:  # the next image, or the truth: Click does not restart a full bar
                bar.pos, bar.finished = 0, False
            bar.update(done - bar.pos)

        yield advance



"""``cubragg compare``: two images, or cubragg and the C program with the same flags."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from cubragg.cli import parser
from cubragg.cli.flags import DEFAULT_NAMES, NO_EFFECT
from cubragg.cli.options import Option, RequestCommand, coefficient, pixels, positive, split
from cubragg.errors import BackendUnavailable, ConfigError, FormatError, KernelBuildError

if TYPE_CHECKING:
    import numpy as np

    from cubragg.cli.build import Job
    from cubragg.compare.comparison import Comparison, Side

DEFAULT_THRESHOLD = 0.9999999


class Ended(click.ClickException):
    """The command ends other than well, with a status of its own: here a fault in the command line."""

    exit_code = 1


class RunnerFault(Ended):
    """A program, or cubragg itself, gave no image."""

    exit_code = 2


class BelowThreshold(Ended):
    """The images do not agree as asked for."""

    exit_code = 3


class ShapesApart(Ended):
    """The images cannot be laid over one another."""

    exit_code = 4


class Unreadable(Ended):
    """A file cannot be read."""

    exit_code = 5


OPTIONS = {
    "--c-bin": Option(1, str, "<program>", "compare cubragg with this program; simulate's flags follow"),
    "--threshold": Option(1, coefficient, "<correlation>", f"status 3 below this [{DEFAULT_THRESHOLD}]"),
    "--roi": Option(4, int, "<xmin xmax ymin ymax>", "compare these pixels, ends included (-roi renders them only)"),
    "--shape": Option(2, pixels, "<fast slow>", "pixels of a float image that is not square"),
    "--resample": Option(0, str, "", "bring B to the pixels of A, by shares of area"),
    "--out": Option(1, str, "<folder>", "write <date>-<hash>/ with summary.json, report.html and previews there"),
    "--save-diff": Option(0, str, "", "write A - B as floats as well (with --out)"),
    "--png-black": Option(1, positive, "<photons>", "what previews show black (with --out) [99.5th percentile of B]"),
}
_INTRO = ("Two images (float, SMV, CBF, or what fabio reads), or cubragg and a program with nanoBragg's flags: "
          "correlation, differences, sums, SSIM and matched peaks. B is the reference.")
_NOTES = (
    "Exit status: 0, 1 for a fault in the command line, 2 if a program failed, 3 if the correlation is below the "
    "threshold or a pixel is NaN in one image only, 4 if the shapes differ, 5 if a file cannot be read.",
    "The program runs in a folder of its own, on one thread unless OMP_NUM_THREADS is set. Flags that only cubragg "
    "knows (--semantics, --backend, --precision) are not passed on; output files named are not written.",
)


@dataclass(frozen=True)
class Request:
    """A command line of ``compare`` understood: two ``files``, or a program with ``line``; ``args`` as given."""

    args: tuple[str, ...]
    options: dict[str, Any]
    files: tuple[str, str] | None
    line: list[parser.Given]


def parse(args: Sequence[str]) -> Request:
    """A command line of ``compare``.

    Raises
    ------
    Ended
        With status 1.
    """
    with usage():
        options, rest = split(args, OPTIONS)
        for name in ("--save-diff", "--png-black"):
            if name in options and "--out" not in options:
                raise ConfigError(name, "got no --out; it needs a folder to write to")
        if "--c-bin" in options:
            for name in ("--shape", "--resample"):
                if name in options:
                    raise ConfigError(name, "got --c-bin as well; it is for two image files")
            return Request(tuple(args), options, None, parser.parse(rest))
        unknown = next((word for word in rest if word.startswith("-")), None)
        if unknown is not None:
            raise Ended(f"No such option {unknown!r}; simulate's flags go with --c-bin.")
        if len(rest) != 2:
            raise Ended(f"Got {len(rest)} image{'s' * (len(rest) != 1)}; two are compared, "
                        "or --c-bin with simulate's flags.")
        return Request(tuple(args), options, (rest[0], rest[1]), [])


@contextmanager
def usage() -> Iterator[None]:
    """Faults of the command line end with status 1, files that cannot be read with 5."""
    try:
        yield
    except Ended:
        raise
    except (click.UsageError, ConfigError) as error:
        raise Ended(str(error)) from None
    except click.ClickException as error:
        raise Ended(error.format_message()) from None
    except FormatError as error:
        raise Unreadable(str(error)) from None


def compare(request: Request) -> None:
    """Run a comparison and print its figures.

    Raises
    ------
    Ended
        With status 1 to 5 and one sentence.
    """
    from cubragg import __version__
    from cubragg.compare.metrics import ShapesDiffer
    from cubragg.compare.report import rows, write_report

    try:
        comparison = _files(request, *request.files) if request.files else _programs(request)
    except ShapesDiffer as error:
        hint = " (--resample brings B to the pixels of A)" if request.files else ""
        raise ShapesApart(f"{error}{hint}") from None
    except ConfigError as error:
        raise Ended(str(error)) from None
    for note in comparison.notes:
        click.echo(f"note: {note}", err=True)
    sides = {"A": comparison.a, "B": comparison.b}
    table = [(name, f"{side.name} ({side.form}, {side.pixels.shape[1]} x {side.pixels.shape[0]} pixels)")
             for name, side in sides.items()]
    table += rows(comparison.metrics)
    table += [(f"time {name}", f"{side.seconds:.3g} s") for name, side in sides.items() if side.seconds is not None]
    click.echo("\n".join(f"{name:<18}{text}" for name, text in table))
    if "--out" in request.options:
        try:
            folder = write_report(request.options["--out"], comparison, when=datetime.now(), version=__version__,
                                  black=request.options.get("--png-black"),
                                  save_diff="--save-diff" in request.options)
        except OSError as error:
            raise Ended(f"--out: got {request.options['--out']!r}; it cannot be written "
                        f"({error.strerror})") from None
        click.echo(f"{'report':<18}{folder / 'report.html'}")
    if not comparison.passed:
        raise BelowThreshold(comparison.verdict)
    click.echo(comparison.verdict)


def _comparison(request: Request, a: Side, b: Side, mask: np.ndarray | None, notes: Sequence[str]) -> Comparison:
    from cubragg.compare.comparison import Comparison
    from cubragg.compare.metrics import compare_images

    roi = request.options.get("--roi")
    try:
        metrics = compare_images(a.pixels, b.pixels, roi=tuple(roi) if roi else None, mask=mask)
    except ConfigError as error:
        raise ConfigError("--roi" if error.where == "roi" else error.where, error.what) from None
    return Comparison(a, b, metrics, request.options.get("--threshold", DEFAULT_THRESHOLD), request.args,
                      tuple(roi) if roi else None, tuple(notes))


def _files(request: Request, first: str, second: str) -> Comparison:
    import numpy as np

    from cubragg.compare.comparison import Side
    from cubragg.compare.metrics import resampled
    from cubragg.io.images.read_image import read_image

    shape = request.options.get("--shape")
    images = []
    for path in (first, second):
        try:
            images.append(read_image(path, (shape[1], shape[0]) if shape else None))
        except FormatError as error:
            raise Unreadable(str(error)) from None
        except OSError as error:
            raise Unreadable(f"{path}: cannot be read ({error.strerror})") from None
    a, b = images
    notes = []
    pixels, mask_b = b.pixels, b.mask
    if "--resample" in request.options and a.pixels.shape != pixels.shape:
        notes.append(f"B is brought from {pixels.shape[1]} x {pixels.shape[0]} to {a.pixels.shape[1]} x "
                     f"{a.pixels.shape[0]} pixels; its sum stays")
        if mask_b is not None:
            # A pixel that any masked one reaches into is left out.
            pixels = np.where(mask_b, pixels, 0.0)
            mask_b = resampled((~mask_b).astype(np.float64), a.pixels.shape) == 0.0
        pixels = resampled(pixels, a.pixels.shape)
    masks = [mask for mask in (a.mask, mask_b) if mask is not None and mask.shape == a.pixels.shape]
    mask = np.logical_and.reduce(masks) if masks else None
    if mask is not None and not mask.all():
        notes.append(f"{int((~mask).sum())} pixels are masked and left out")
    return _comparison(request, Side(first, a.pixels, a.form), Side(second, pixels, b.form), mask, notes)


def _programs(request: Request) -> Comparison:
    import numpy as np

    from cubragg.cli.build import build
    from cubragg.compare.comparison import Side
    from cubragg.parity.programs import RunnerFailed, run_program
    from cubragg.plan.plan import make_plan
    from cubragg.run.render import simulate

    program = request.options["--c-bin"]
    start = time.perf_counter()
    with usage():
        job = build(request.line)
        arguments = c_arguments(request.line, job)
        with job.replay.naming():
            plan = make_plan(job.experiment)
    settings = job.settings
    try:
        image = simulate(job.experiment, backend=settings.backend, precision=settings.precision,
                         device=settings.device, threads=settings.threads, plan=plan)
    except (BackendUnavailable, KernelBuildError, MemoryError) as error:
        raise RunnerFault(f"cubragg: {error or 'not enough memory for this run'}") from None
    seconds = time.perf_counter() - start
    try:
        run = run_program(program, arguments, plan.shape)
    except RunnerFailed as error:
        raise RunnerFault(str(error)) from None
    ours = ("cubragg", *(word for given in request.line for word in words(given)))
    first = Side(f"cubragg ({image.backend}, {image.precision})", image.photons.astype(np.float64), "program", ours,
                 seconds)
    second = Side(program, run.photons.astype(np.float64), "program", run.command, run.seconds)
    return _comparison(request, first, second, None, [*job.notices, *image.notices])


@click.command("compare", cls=RequestCommand, parse=parse, intro=_INTRO, options=OPTIONS, notes=_NOTES,
               usage="A B [OPTIONS] | --c-bin <program> [OPTIONS] [FLAGS OF simulate]", fault=Ended.exit_code,
               short_help="Compare two images, or cubragg and the C program.")
def command(request: Request) -> None:
    """The command as Click knows it."""
    compare(request)


def words(given: parser.Given) -> list[str]:
    """A flag as it would be typed: numbers so that they come back to the bit."""
    return [given.spelling, *(value if isinstance(value, str) else repr(value) for value in given.values)]


def c_arguments(line: Sequence[parser.Given], job: Job) -> list[str]:
    """The flags of a command line for the C program, run in another folder.

    What cubragg alone knows and files to write are left out, paths are made absolute, a seed that cubragg drew is
    handed on. ``-misset_seed`` stands last: elsewhere the C program takes it for a ``-misset`` of three numbers.

    Raises
    ------
    ConfigError
        For what cannot be said in flags.
    """
    from cubragg.io.reflections.read import list_kind

    if job.experiment.detector.panels:
        raise ConfigError(job.replay.source_of("detector.panels"), "got a detector of panels; the C program has none")
    arguments: list[str] = []
    for given in line:
        sections = {path.partition(".")[0] for path in given.flag.fields}
        if "input.config" in given.flag.fields:
            raise ConfigError(given.spelling, "got an experiment file; the C program reads flags only")
        if given.flag.name == "-misset_seed" or given.flag.group == NO_EFFECT or sections & {"output", "run"}:
            continue
        spelled = "-" + given.spelling.lstrip("-")
        values = words(given)[1:]
        if given.flag.name == "-hkl" and list_kind(values[0]) != "text":
            raise ConfigError(given.spelling, f"got {values[0]!r}; the C program reads lines of h k l F only")
        if "input" in sections:
            values = [os.path.abspath(value) for value in values]
        arguments += [spelled, *values]
    factors, dump = job.experiment.structure_factors, job.settings.outputs.get("dump")
    if factors.grid is not None and not job.from_hkl:
        arguments += ["-dump", os.path.abspath(dump.path if dump else DEFAULT_NAMES["dump"])]
    if job.experiment.crystal.misset_seed is not None:
        arguments += ["-misset_seed", str(job.experiment.crystal.misset_seed)]
    return arguments

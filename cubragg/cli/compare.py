"""``cubragg compare``: compare two images, or cubragg and the C program with the same flags."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import fill
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from cubragg.cli import c_line, parser
from cubragg.cli.base_command import WORDS, BaseCommand, FiniteRange, option
from cubragg.cli.exit_errors import OneLineError, unknown_option
from cubragg.cli.flag_completion import FlagCommand
from cubragg.cli.flags import SPELLINGS
from cubragg.cli.picture_options import check_picture, picture_options, style_of
from cubragg.errors import ConfigError, FormatError

if TYPE_CHECKING:
    from cubragg.compare.comparison import Comparison, Side
    from cubragg.view.colours import Style
    from cubragg.view.notes import Notes

DEFAULT_THRESHOLD = 0.9999999


class CompareError(OneLineError):
    """The comparison cannot be made because of the command line; subclasses have exit statuses of their own."""

    exit_code = 1


class ProgramFailed(CompareError):
    """A program, or cubragg itself, produced no image."""

    exit_code = 2


class BelowThreshold(CompareError):
    """The correlation is below the threshold, or a pixel is NaN in one image only."""

    exit_code = 3


class DifferentShapes(CompareError):
    """The images have different numbers of pixels."""

    exit_code = 4


class Unreadable(CompareError):
    """A file cannot be read."""

    exit_code = 5


class Options(NamedTuple):
    """The options of ``compare``, by the names of its parameters."""

    program: str | None
    threshold: float
    roi: tuple[int, int, int, int] | None
    shape: tuple[int, int] | None
    resample: bool
    out: str | None
    save_diff: bool
    black: float | None
    picture: str | None
    described: str | None
    rings: bool
    style: Style

    def check(self) -> None:
        """Refuse options that have no effect together.

        Raises
        ------
        ConfigError
            Naming the option.
        """
        if self.out is None and self.save_diff:
            raise ConfigError("--save-diff", "got no --out; give --out FOLDER, where it is written")
        if self.out is None and self.picture is None and self.black is not None:
            raise ConfigError("--png-black", "got neither --png nor --out; give --png FILE or --out FOLDER")
        if self.picture is None:
            for name, given in (("--png-rings", self.rings), ("--png-scale", self.style.scale != "sqrt"),
                                ("--png-colors", self.style.colours != "inverted"),
                                ("--png-range", self.style.percentiles is not None),
                                ("--png-dpi", self.style.dpi is not None)):
                if given and self.program is None:
                    raise ConfigError(name, "got no --png; give --png FILE, the picture")
        if self.program is not None:
            if self.described is not None:
                c_line.check(parser.parse(["--from", self.described]))
            for name, given in (("--shape", self.shape is not None), ("--resample", self.resample)):
                if given:
                    raise ConfigError(name, "got --c-bin as well; it applies to two image files only")

    def notes_of(self, file: str, other_file: str, side: Side, other: Side) -> Notes:
        """What pictures show of the detector: by --from, else by the header of the first or second file."""
        from cubragg.cli.picture_geometry import Given, Scene, scene_of
        from cubragg.view.notes import Notes
        from cubragg.view.picture_notes import notes_for

        unit = "photons/pixel" if side.form == other.form == "float image" else "counts"
        if self.out is None and self.picture is None:
            return Notes(unit=unit)
        given = Given(None, self.described, None, None, None, None)
        found = scene_of(file, side.pixels.shape, given, needed="")
        if not isinstance(found, Scene):
            found = scene_of(other_file, side.pixels.shape, given, needed="--png-rings" if self.rings else "")
        if not isinstance(found, Scene):
            return Notes(unit=unit)
        return notes_for(["rings"] if self.rings else (), *found.placed, found.wavelength_A, curved=found.curved,
                         title="", unit=unit)


@contextmanager
def _statuses() -> Iterator[None]:
    """Convert errors into those with the exit statuses of this command."""
    from cubragg.compare.metrics import ShapesDiffer
    from cubragg.parity.programs import RunnerFailed

    try:
        yield
    except CompareError:
        raise
    except ShapesDiffer as error:
        raise DifferentShapes(str(error)) from None
    except RunnerFailed as error:
        raise ProgramFailed(str(error)) from None
    except ConfigError as error:
        raise CompareError(f"--roi: {error.what}" if error.where == "roi" else str(error)) from None
    except click.ClickException as error:
        raise CompareError(error.format_message()) from None
    except FormatError as error:
        raise Unreadable(str(error)) from None


def _files(words: tuple[str, ...], arguments: tuple[str, ...], options: Options, spellings: list[str]) -> Comparison:
    """Compare the two files that ``words`` name."""
    unknown = next((word for word in words if word.startswith("-")), None)
    if unknown in SPELLINGS:
        raise CompareError(f"No such option {unknown!r}; simulate's flags are accepted with --c-bin only.")
    if unknown is not None:
        raise CompareError(unknown_option(unknown, spellings, "cubragg compare"))
    if len(words) != 2:
        raise CompareError(f"Got {len(words)} image{'s' * (len(words) != 1)}; two are accepted, "
                           "or --c-bin with simulate's flags.")
    from cubragg.compare.comparison import compare_sides
    from cubragg.compare.image_files import read_pair
    from cubragg.compare.metrics import ShapesDiffer

    pair = read_pair(*words, shape=options.shape and options.shape[::-1], resample=options.resample)
    if options.picture is not None:
        check_picture(options.picture, "--png", words, figure="--png")
    try:
        return compare_sides(pair.a, pair.b, threshold=options.threshold, arguments=arguments, roi=options.roi,
                             mask=pair.mask, notes=pair.notes, picture=options.notes_of(*words, pair.a, pair.b))
    except ShapesDiffer as error:
        raise DifferentShapes(f"{error} (--resample averages B onto the pixels of A)") from None


def _programs(line: list[parser.Given], arguments: tuple[str, ...], options: Options) -> Comparison:
    """Compare cubragg with a program."""
    from cubragg.cli.build import build
    from cubragg.compare.comparison import compare_sides
    from cubragg.parity.against_program import Rendering, image_sides
    from cubragg.parity.c_flags import typed
    from cubragg.plan.make_plan import make_plan
    from cubragg.view.picture_notes import notes_for

    assert options.program is not None
    c_line.check(line)
    started = time.perf_counter()
    job = build(line)
    with job.replay.naming():
        plan = make_plan(job.experiment, job.settings.method)
    settings, notes = job.settings, list(job.warnings)
    if job.experiment.semantics == "physical":
        notes.append("cubragg renders in physical semantics, the C program with its quirks (specs/physical.md)")
    command = ("cubragg", *(word for given in line for word in typed(given.spelling, given.values)))
    rendering: Rendering = {"backend": settings.backend, "precision": settings.precision, "device": settings.device,
                            "devices": settings.devices, "threads": settings.threads, "cull": settings.cull}
    ours, theirs, warnings = image_sides(job.experiment, plan, rendering, options.program,
                                        c_line.c_arguments(line, job), command=command, started=started)
    picture = notes_for(["rings"] if options.rings else (), *job.experiment.placed(), job.experiment.beam.wavelength_A,
                        curved=job.experiment.detector.curved, title="")
    return compare_sides(ours, theirs, threshold=options.threshold, arguments=arguments, roi=options.roi,
                         notes=[*notes, *warnings], picture=picture)


def _report(comparison: Comparison, options: Options) -> None:
    """Print the metrics and write picture and report.

    Raises
    ------
    CompareError
        If a file or the folder cannot be written.
    BelowThreshold
        If the correlation is below the threshold, or a pixel is NaN in one image only.
    """
    from cubragg.compare.report import rows, write_report
    from cubragg.io.files.timestamp import timestamp
    from cubragg.version import version

    for note in comparison.notes:
        click.echo(f"note: {note}", err=True)
    sides = {"A": comparison.a, "B": comparison.b}
    table = [(name, f"{side.name} ({side.form}, {side.pixels.shape[1]} x {side.pixels.shape[0]} pixels)")
             for name, side in sides.items()]
    table += rows(comparison.metrics)
    table += [(f"time {name}", f"{side.seconds:.3g} s") for name, side in sides.items() if side.seconds is not None]
    click.echo("\n".join(f"{name:<18}{text}" for name, text in table))
    if options.picture is not None:
        from cubragg.view.side_by_side import write_pair

        try:
            write_pair(options.picture, comparison.pair, options.style, options.black)
        except OSError as error:
            raise CompareError(f"--png: cannot write {options.picture!r} ({error.strerror})") from None
        click.echo(f"{'picture':<18}{options.picture}")
    if options.out is not None:
        try:
            folder = write_report(options.out, comparison, when=timestamp(), version=version(),
                                  black=options.black, save_diff=options.save_diff)
        except OSError as error:
            raise CompareError(f"--out: got {options.out!r}; it cannot be written ({error.strerror})") from None
        click.echo(f"{'report':<18}{folder / 'report.html'}")
    if not comparison.passed:
        raise BelowThreshold(comparison.verdict)
    click.echo(comparison.verdict)


_REFUSED = fill(", ".join(flag.name for flag in c_line.REFUSED), 76, break_on_hyphens=False)
_GROUPS = {
    "Comparison": ("threshold", "roi", "shape", "resample", "program"),
    "Picture and report": ("picture", "out", "save_diff", "described", "colours", "scale", "percentiles", "black",
                           "rings", "dpi"),
}
_NOTES = f"""With --c-bin, cubragg renders the image that simulate would, and runs the program with the same flags, in
a folder of its own and on one thread unless OMP_NUM_THREADS is set. Flags that only select how to render or what to
write (--semantics, --backend, --precision, outputs, noise) are not passed on, and their files are not written. Files
that nanoBragg.c reads differently, such as an MTZ after -hkl, are refused, and flags that change the experiment and
that it does not have:

\b
{_REFUSED}

\b
  cubragg compare measured.cbf simulated.cbf --threshold 0.9 --png both.png
  cubragg compare out.cbf floatimage.bin --threshold 0.99 --out reports
  cubragg compare --c-bin ./nanoBragg -default_F 100 -cell 100 -lambda 1 \\
      -N 5 -detpixels 256

Exit status: 0, 1 for an error in the command line, 2 if a program failed, 3 if the correlation is below the threshold
or a pixel is NaN in one image only, 4 if the shapes differ, 5 if a file cannot be read."""


@click.command("compare", cls=FlagCommand, usage_error=CompareError, groups=_GROUPS, epilog=_NOTES,
               context_settings={"ignore_unknown_options": True},
               short_help="Compare two images, or cubragg and the C program.")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="A B | --c-bin <program> [FLAGS OF simulate]")
@option("--c-bin", "program", metavar="<program>",
        help="Compare cubragg with this program; simulate's flags follow.")
@option("--threshold", type=FiniteRange(-1.0, 1.0), default=DEFAULT_THRESHOLD, show_default=True,
        metavar="<correlation>", help="Exit status 3 below this.")
@option("--roi", type=int, nargs=4, metavar="<xmin xmax ymin ymax>",
        help="Compare these pixels, ends included (-roi renders them only).  [all]")
@option("--shape", type=click.IntRange(1), nargs=2, metavar="<fast slow>",
        help="Pixels of a float image (.bin) that is not square.")
@option("--resample", is_flag=True, help="Resample B to the pixels of A, weighted by area.")
@option("--out", metavar="<folder>",
        help="Write <date>-<hash>/ with summary.json, report.html and previews there.")
@option("--save-diff", is_flag=True, help="Write A - B as floats as well (with --out).")
@option("--png", "picture", metavar="<file>",
        help="Write a picture of A, B and A - B side by side: .png, .svg or .pdf (needs matplotlib).")
@option("--from", "described", metavar="<file>",
        help="Detector of the pictures, from an .expt, .geom, NXmx file or image.  [header of A or B]")
@picture_options
@option("--png-black", "black", type=FiniteRange(0.0, min_open=True), metavar="<photons>",
        help="Upper end of the scale of A and B in picture and report.  [automatic]")
@click.pass_context
def command(ctx: click.Context, words: tuple[str, ...], colours: str, scale: str,
            percentiles: tuple[float, float] | None, dpi: float | None, **options: Any) -> None:
    """Compare two images (float, SMV, CBF, or what fabio reads), or cubragg and a program with nanoBragg's flags:
    correlation, differences, sums, SSIM and matched peaks. B is the reference."""
    assert isinstance(ctx.command, BaseCommand)
    with _statuses():
        given = Options(style=style_of(colours, scale, percentiles, dpi), **options)
        spellings, arguments = ctx.command.spellings(), ctx.meta[WORDS]
        given.check()
        if given.program is None:
            comparison = _files(words, arguments, given, spellings)
        else:
            comparison = _programs(parser.parse(words, spellings), arguments, given)
        _report(comparison, given)

"""Command with a MODEL, options of its own, and the flags of ``simulate``: ``sweep`` and ``stills``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import click

from cubragg.cli import parser
from cubragg.cli.base_command import WORDS, FlagOption
from cubragg.cli.exit_errors import CommandLineError
from cubragg.cli.flag_completion import FlagCommand
from cubragg.cli.flags import SPELLINGS


class Options(NamedTuple):
    """The options of both commands, by the names of their parameters."""

    output: str | None
    seed: int
    vary: tuple[str, ...]
    dmin: float | None
    shard: int | None
    dtype: str | None
    compression: str | None
    file_format: str
    truth: str
    labels: str | None
    workers: int | None
    devices: str | None
    scheduler: str | None
    overwrite: bool
    verify: str | None
    log_json: str | None
    report: bool
    quiet: bool


class DataSetCommand(FlagCommand):
    """Command whose own options are parsed by Click, and the rest of the line as flags of ``simulate``.

    Click would read ``-osc`` as its option ``-o`` with the value ``sc``, so the line is divided here first.
    """

    def read_line(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the own options and MODEL with Click, and the other words into the parameter ``line``."""
        own, flags = self._divided(args)
        words = ctx.meta[WORDS] = tuple(args)
        if not words or words[0].startswith("-"):
            if "--detector" in words and "list" in words:
                own = ["list", *own]
            elif "--verify" not in words:
                raise CommandLineError(f"got {words[0]!r} before MODEL; MODEL comes first, a PDB, mmCIF, CIF, MTZ or "
                                       "hkl file")
        self._refuse_options_of_sibling(ctx, flags)
        super().read_line(ctx, own)
        ctx.meta[WORDS] = words
        ctx.params["line"] = parser.parse(flags, self.spellings())
        return []

    def _refuse_options_of_sibling(self, ctx: click.Context, flags: Sequence[str]) -> None:
        """Refuse the options of stills in a line of sweep, and the reverse, naming the command that has them."""
        group = ctx.parent and ctx.parent.command
        if not isinstance(group, click.Group):
            return
        known = self.spellings()
        for name in ("stills", "sweep"):
            sibling = group.get_command(ctx, name)
            if isinstance(sibling, DataSetCommand) and name != self.name:
                theirs = {word for param in sibling.params if isinstance(param, click.Option) for word in param.opts}
                for word in flags:
                    option = word.partition("=")[0]
                    if option in theirs and option not in known and option not in SPELLINGS:
                        raise CommandLineError(f"{option}: got an option of 'cubragg {name}'; leave it out here")

    def _divided(self, args: list[str]) -> tuple[list[str], list[str]]:
        options = {name: param for param in self.params if isinstance(param, click.Option) for name in param.opts}
        own = list(args[:1]) if args and not args[0].startswith("-") else []
        flags: list[str] = []
        position = len(own)
        while position < len(args):
            word = args[position]
            param = options.get(word.partition("=")[0] if word.startswith("--") else word)
            count = 0 if param is None or param.is_flag or "=" in word else param.nargs
            (flags if param is None else own).extend(args[position:position + 1 + count])
            position += 1 + count
        return own, flags


def _options(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function
    return decorate


#: Options of both commands.
shared_options = _options(
    click.option("-o", "--output", "output", cls=FlagOption, metavar="<folder>",
                 help="Folder of the data set; the same command continues a set that is there."),
    click.option("--seed", cls=FlagOption, type=int, default=0, show_default=True, metavar="<n>",
                 help="Seed of all that is random."),
    click.option("--vary", cls=FlagOption, multiple=True, metavar="<name>=<distribution>",
                 help="What differs from shot to shot (see below); may be repeated."),
    click.option("--dmin", cls=FlagOption, type=float, metavar="<A>",
                 help="Resolution of structure factors of atoms.  [corner of the detector, at least 1.2]"),
    click.option("--shard", cls=FlagOption, type=int, metavar="<n>",
                 help="Shots in a file.  [a tenth of them, at most 100]"),
    click.option("--dtype", cls=FlagOption, type=click.Choice(["uint32", "int32", "uint16", "float32"]),
                 metavar="uint32|int32|uint16|float32",
                 help="Pixels in NXmx; float32: expected photons.  [uint32, int32 for detectors that integrate]"),
    click.option("--compression", cls=FlagOption, type=click.Choice(["bslz4", "gzip", "none"]),
                 metavar="bslz4|gzip|none", help="Compression of pixels in NXmx.  [bslz4]"),
    click.option("--format", "file_format", cls=FlagOption, type=click.Choice(["nxmx", "cbf", "smv"]), default="nxmx",
                 metavar="nxmx|cbf|smv", show_default=True,
                 help="Files of images; cbf (miniCBF) and smv: one for each image."),
    click.option("--truth", cls=FlagOption, default="refl,h5", show_default=True, metavar="refl,h5,parquet,stream|none",
                 help="Reflections of the shots: DIALS, HDF5, Parquet (extra parquet), CrystFEL."),
    click.option("--labels", cls=FlagOption, metavar="boxes,mask,heat",
                 help="Labels for learning, by reflection, in the HDF5 of the truth."),
    click.option("--workers", cls=FlagOption, type=click.IntRange(1, 1024), metavar="<n>",
                 help="Processes.  [one for each core]"),
    click.option("--devices", cls=FlagOption, metavar="all|<n,n>", help="GPUs, a process for each."),
    click.option("--scheduler", cls=FlagOption, metavar="<address>",
                 help="Dask cluster whose workers compute and share the folder (extra dask)."),
    click.option("--overwrite", cls=FlagOption, is_flag=True, help="Remove a data set that is in the folder first."),
    click.option("--verify", cls=FlagOption, metavar="<folder>",
                 help="Compare a set with the checksums of its manifest, and do nothing else."),
    click.option("--log-json", cls=FlagOption, metavar="<file>|-", help="Append a line of JSON for each shard."),
    click.option("--report", cls=FlagOption, is_flag=True,
                 help="Write report.html, a page about the set, at the end."),
    click.option("--quiet", cls=FlagOption, is_flag=True, help="Print errors only."),
)

NOTES = """MODEL is a file of atoms (PDB, mmCIF, CIF) or of reflections (MTZ, mmCIF, hkl), or the spec.toml of a data
set; helix_bundle.pdb and quartz.cif come with cubragg. Flags of simulate set beam, crystal, detector and background
('cubragg simulate -h'), in physical semantics and by the method analytic. What is not given has a default, which is
printed and is in spec.toml.

\b
Distributions of --vary, for fields of the experiment (beam.wavelength_A) and
orientation, cell, spectrum, distance_mm, beam_centre_mm, decay, dose_MGy:
  constant:X    normal:SIGMA      normal:MEAN,SIGMA    lognormal:MEDIAN,SIGMA
  choice:A,B    uniform:LOW,HIGH  gamma:MODES,MEAN     poisson:MEAN
  uniform       near:SIGMA        of_shot:FORMULA      column:FILE:NAME
  sase:BANDWIDTH,SPIKES,SPIKE    (of spectrum)
  column:FILE.expt  column:FILE.stream    (orientations of DIALS, CrystFEL)
with :relative at the end of a factor on the value of the experiment.
"""
#: Sections of the help besides that of the command's own options.
GROUPS = {
    "Data set": ("output", "seed", "vary", "dmin", "overwrite", "verify"),
    "Files": ("file_format", "dtype", "compression", "shard", "truth", "labels", "report"),
    "Computing": ("workers", "devices", "scheduler", "log_json", "quiet"),
}
STATUS = """Exit status: 0, 1 if the run failed, 2 for an error in the command line, 130 or 143 if a signal stopped it
after the shards in flight."""

"""``cubragg sweep``: write a rotation series, or several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from cubragg.cli.base_command import FlagOption
from cubragg.cli.data_set_command import GROUPS, NOTES, STATUS, DataSetCommand, Options, shared_options
from cubragg.errors import ConfigError

if TYPE_CHECKING:
    from cubragg.cli.parser import Given
    from cubragg.dataset.data_set import DataSet
    from cubragg.dataset.distributions import Distribution
    from cubragg.dataset.wedges import Wedge
    from cubragg.experiment.experiment import Experiment
    from cubragg.experiment.goniometer_axes import GoniometerAxis

_SWEEP, _AXIS, _INVERSE = "--sweep", "--goniometer-axis", "--inverse-beam"

_EPILOG = f"""{NOTES}
Without -misset, -mat or --from the crystal has a random orientation, drawn with the seed.

--sweep START:IMAGES[:NAME=VALUE,...] gives one of several sweeps, in the order in which they are recorded: osc=DEG is
its own rotation range of an image, kappa=DEG the angle of another axis, scan=NAME the axis that turns. Axes are those
of --from FILE.expt, or of --goniometer-axis, from the crystal outwards; the last one turns unless scan names another.

\b
  cubragg sweep model.pdb --detector eiger2-1m --distance 100 --images 900 \\
      --osc 0.1 -o run/
  cubragg sweep model.pdb --detector eiger2-1m --distance 100 --images 360 \\
      --osc 0.5 --inverse-beam 15 -o run/
  cubragg sweep model.pdb --from kappa.expt --osc 0.1 --sweep 0:900 \\
      --sweep 0:900:kappa=30,phi=90 -o run/

{STATUS}"""


@click.command("sweep", cls=DataSetCommand, epilog=_EPILOG, short_help="Write a rotation series to a folder.",
               groups={"Rotation": ("images", "osc", "start", "sweeps", "inverse", "axes"), **GROUPS})
@click.argument("model", required=False)
@click.option("--images", cls=FlagOption, type=int, metavar="<n>", help="Number of images.")
@click.option("--osc", cls=FlagOption, type=float, metavar="<deg>", help="Rotation range of an image.")
@click.option("--start", cls=FlagOption, type=float, metavar="<deg>",
              help="Spindle angle at the start of the first image.  [-phi or 0]")
@click.option(_SWEEP, "sweeps", cls=FlagOption, multiple=True, metavar="<start>:<images>[:<name>=<value>,...]",
              help="One of several sweeps, in place of --images (see below); may be repeated.")
@click.option(_INVERSE, "inverse", cls=FlagOption, type=float, metavar="<deg>",
              help="Wedges of this width, each followed by the same at 180 deg more.")
@click.option(_AXIS, "axes", cls=FlagOption, multiple=True, metavar="<name>=<x,y,z>",
              help="An axis of the goniometer in the laboratory, the innermost first; may be repeated.")
@shared_options
def command(model: str | None, line: Sequence[Given], images: int | None, osc: float | None, start: float | None,
            sweeps: tuple[str, ...], inverse: float | None, axes: tuple[str, ...], **options: Any) -> None:
    """Write a rotation series of a crystal: MODEL, then options and flags of simulate, in any order."""
    given = Options(**options)

    def make(experiment: Experiment, vary: dict[str, Distribution], rendering: dict[str, Any]) -> DataSet:
        from cubragg.dataset.parameters import randomly_oriented
        from cubragg.dataset.rotation_series import Sweep

        wedges = [_wedge(text) for text in sweeps]
        for name, value in (("--images", images), ("--osc", osc)):
            if value is None and not wedges:
                raise ConfigError(name, "got none; give --images N and --osc DEG, or --sweep START:IMAGES")
        crystal = experiment.crystal
        drawn = crystal.a_matrix is None and crystal.misset_deg is None and crystal.misset_seed is None
        if drawn:
            experiment = randomly_oriented(experiment, given.seed)
        if axes:
            experiment = _with_axes(experiment, [_axis(text) for text in axes])
        data = Sweep(experiment, images, osc, start_deg=start, wedges=wedges, inverse_beam_deg=inverse, seed=given.seed,
                     vary=vary, **rendering)
        if drawn and not given.quiet and experiment.crystal.misset_deg is not None:
            angles = " ".join(f"{angle:.2f}" for angle in experiment.crystal.misset_deg)
            click.echo(f"default: crystal.misset_deg = {angles} deg, drawn with the seed (-misset)", err=True)
        return data

    from cubragg.cli.data_set_run import run

    run("sweep", model, line, given, make)


def _wedge(text: str) -> Wedge:
    """The wedge of ``START:IMAGES[:NAME=VALUE,...]``."""
    from cubragg.dataset.wedges import Wedge

    start, images, *rest = [*text.split(":", 2), ""] if ":" in text else ["", ""]
    settings: dict[str, Any] = {}
    angles: dict[str, float] = {}
    try:
        for part in filter(None, ",".join(rest).split(",")):
            name, _, value = part.partition("=")
            if name == "scan":
                settings["scan_axis"] = value
            elif name == "osc":
                settings["osc_deg"] = float(value)
            else:
                angles[name] = float(value)
        return Wedge(float(start), int(images), angles_deg=angles, **settings)
    except ValueError:
        raise ConfigError(_SWEEP, f"got {text!r}; START:IMAGES is accepted, as 0:900, and START:IMAGES:NAME=VALUE,... "
                          "such as 0:900:kappa=30,osc=0.2") from None


def _axis(text: str) -> GoniometerAxis:
    """The axis of ``NAME=X,Y,Z``."""
    from cubragg.experiment.goniometer_axes import GoniometerAxis

    name, _, numbers = text.partition("=")
    try:
        x, y, z = (float(number) for number in numbers.split(","))
    except ValueError:
        raise ConfigError(_AXIS, f"got {text!r}; NAME=X,Y,Z is accepted, as kappa=0.914,0.279,-0.297") from None
    return GoniometerAxis(name, (x, y, z))


def _with_axes(experiment: Experiment, axes: Sequence[GoniometerAxis]) -> Experiment:
    """The experiment with these axes in place of those of its goniometer."""
    from dataclasses import replace

    if experiment.goniometer.axes:
        raise ConfigError(_AXIS, "got axes, and --from has a goniometer with axes; leave one of them out")
    return replace(experiment, goniometer=replace(experiment.goniometer, axes=tuple(axes), axis=None))

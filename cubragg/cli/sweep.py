"""``cubragg sweep``: write a rotation series."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from cubragg.cli.base_command import FlagOption
from cubragg.cli.data_set_command import NOTES, STATUS, DataSetCommand, Options, shared_options
from cubragg.errors import ConfigError

if TYPE_CHECKING:
    from cubragg.cli.parser import Given
    from cubragg.dataset.data_set import DataSet
    from cubragg.dataset.distributions import Distribution
    from cubragg.experiment.experiment import Experiment

_EPILOG = f"""{NOTES}
Without -misset, -mat or --from the crystal has a random orientation, drawn with the seed.

\b
  cubragg sweep model.pdb --detector eiger2-1m --distance 100 --images 900 --osc 0.1 -o run/

{STATUS}"""


@click.command("sweep", cls=DataSetCommand, epilog=_EPILOG, short_help="Write a rotation series to a folder.")
@click.argument("model", required=False)
@click.option("--images", cls=FlagOption, type=int, metavar="<n>", help="Number of images.")
@click.option("--osc", cls=FlagOption, type=float, metavar="<deg>", help="Rotation range of an image.")
@click.option("--start", cls=FlagOption, type=float, metavar="<deg>",
              help="Spindle angle at the start of the first image.  [-phi or 0]")
@shared_options
def command(model: str | None, line: Sequence[Given], images: int | None, osc: float | None, start: float | None,
            **options: Any) -> None:
    """Write a rotation series of a crystal: MODEL, then options and flags of simulate, in any order."""
    given = Options(**options)

    def make(experiment: Experiment, vary: dict[str, Distribution], rendering: dict[str, Any]) -> DataSet:
        from cubragg.dataset.data_set import Sweep
        from cubragg.dataset.parameters import randomly_oriented

        for name, value in (("--images", images), ("--osc", osc)):
            if value is None:
                raise ConfigError(name, "got none; give --images N and --osc DEG")
        crystal = experiment.crystal
        drawn = crystal.a_matrix is None and crystal.misset_deg is None and crystal.misset_seed is None
        if drawn:
            experiment = randomly_oriented(experiment, given.seed)
        assert images is not None
        assert osc is not None
        data = Sweep(experiment, images, osc, start_deg=start, seed=given.seed, vary=vary, **rendering)
        if drawn and not given.quiet and experiment.crystal.misset_deg is not None:
            angles = " ".join(f"{angle:.2f}" for angle in experiment.crystal.misset_deg)
            click.echo(f"default: crystal.misset_deg = {angles} deg, drawn with the seed (-misset)", err=True)
        return data

    from cubragg.cli.data_set_run import run

    run("sweep", model, line, given, make)

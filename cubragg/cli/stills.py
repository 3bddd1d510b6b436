"""``cubragg stills``: write stills of crystals."""

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
    from cubragg.experiment.experiment import Experiment

_EPILOG = f"""{NOTES}
The orientation is random in each shot unless it varies otherwise.

\b
  cubragg stills model.pdb --detector jungfrau4m --distance 100 -n 1000 \\
      --seed 7 -o run/
  cubragg stills model.pdb --detector eiger2-1m --distance 100 -n 100 \\
      --vary cell=normal:0.002 --vary beam.flux=gamma:4:relative \\
      --crystals poisson:1.2 -o run/

{STATUS}"""


@click.command("stills", cls=DataSetCommand, epilog=_EPILOG, short_help="Write stills of crystals to a folder.",
               groups={"Shots": ("shots", "crystals", "blank"), **GROUPS})
@click.argument("model", required=False)
@click.option("-n", "shots", cls=FlagOption, type=int, metavar="<n>", help="Number of shots.")
@click.option("--crystals", cls=FlagOption, default="1", show_default=True, metavar="<n>|<distribution>",
              help="Crystals in a shot.")
@click.option("--blank", cls=FlagOption, type=float, default=0.0, metavar="<fraction>",
              help="Fraction of shots without a crystal.")
@shared_options
def command(model: str | None, line: Sequence[Given], shots: int | None, crystals: str, blank: float, **options: Any
            ) -> None:
    """Write stills of crystals: MODEL, then options and flags of simulate, in any order."""
    given = Options(**options)

    def make(experiment: Experiment, vary: dict[str, Distribution], rendering: dict[str, Any]) -> DataSet:
        from cubragg.dataset.distribution_tables import distribution_from_words
        from cubragg.dataset.still_shots import Stills

        if shots is None:
            raise ConfigError("-n", "got no number of shots; give -n N")
        count = (int(crystals) if crystals.removeprefix("-").isdigit() else
                 distribution_from_words("--crystals", crystals, "a number of crystals, "))
        return Stills(experiment, shots, seed=given.seed, vary=vary, crystals=count, blank=blank, **rendering)

    from cubragg.cli.data_set_run import run

    run("stills", model, line, given, make)

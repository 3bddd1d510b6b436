"""Parts of an experiment, as a file of another program describes it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from cubragg.errors import ConfigError
from cubragg.experiment.beam import Beam
from cubragg.experiment.crystal import Crystal
from cubragg.experiment.detector import Detector
from cubragg.experiment.experiment import Experiment
from cubragg.experiment.goniometer import Goniometer
from cubragg.experiment.settings_repr import settings_repr
from cubragg.experiment.structure_factors import StructureFactors


@dataclass(frozen=True)
class ExperimentParts:
    """Beam, detector, goniometer and crystal of a file; ``None`` if the file does not describe one.

    Attributes
    ----------
    beam, detector, goniometer, crystal
        The parts; see their classes.
    warnings
        Warnings about what was read.
    """

    beam: Beam | None = None
    detector: Detector | None = None
    goniometer: Goniometer | None = None
    crystal: Crystal | None = None
    warnings: tuple[str, ...] = ()

    __repr__ = settings_repr

    def complete(self, structure_factors: StructureFactors, crystal: Crystal | None = None, **parts: Any) -> Experiment:
        """Return an experiment with these parts; the given ones replace them, missing ones have their defaults.

        Parameters
        ----------
        structure_factors
            The structure factors.
        crystal
            The crystal; ``None``: the one of these parts.
        parts
            Further arguments of `Experiment`.

        Raises
        ------
        ConfigError
            If there is no crystal, or the experiment is not valid.
        """
        known = {name: value for name, value in vars(self).items() if name != "warnings" and value is not None}
        if crystal is not None:
            known["crystal"] = crystal
        elif parts.get("semantics") == "nanobragg" and self.crystal is not None:
            # Of the profile that another program fitted, which nanobragg semantics has not.
            known["crystal"] = replace(self.crystal, mosaicity_deg=None)
        if parts.get("semantics") == "nanobragg" and self.beam is not None:
            known["beam"] = replace(self.beam, divergence_deg=None)
        if "crystal" not in known:
            raise ConfigError("crystal", "got parts without a crystal; give a Crystal")
        return Experiment(structure_factors=structure_factors, **{**known, **parts})

"""Parts of an experiment, as a file of another program describes it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from cubragg.crystallography.vectors import Vector, apply_matrix, transposed
from cubragg.errors import ConfigError
from cubragg.experiment.beam import Beam
from cubragg.experiment.crystal import Crystal
from cubragg.experiment.detector import Detector
from cubragg.experiment.experiment import Experiment, require_experiment
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

    def complete(self, structure_factors: StructureFactors, crystal: Crystal | None = None, *,
                 crystal_of: Experiment | None = None, **parts: Any) -> Experiment:
        """Return an experiment with these parts; the given ones replace them, missing ones have their defaults.

        A beam or goniometer that is given without directions has those of these parts.

        Parameters
        ----------
        structure_factors
            The structure factors.
        crystal
            The crystal, oriented in the laboratory frame of the file: that of DIALS for .expt, NXmx and images, with
            the beam along -z and the spindle along x. ``None``: the one of these parts.
        crystal_of
            An experiment of which the crystal is taken: it is turned from the laboratory frame there (of nanoBragg's
            conventions, with the beam along x) into that of the file.
        parts
            Further arguments of `Experiment`.

        Raises
        ------
        ConfigError
            If there is no crystal, or two, or the experiment is not valid.
        """
        if crystal_of is not None:
            if crystal is not None:
                raise ConfigError("crystal_of", "got a crystal as well; give one of them")
            require_experiment(crystal_of)
            crystal = crystal_of.crystal
        for name, directions in (("beam", ("direction", "polarization_axis")), ("goniometer", ("axis",))):
            given, own = parts.get(name), getattr(self, name)
            if given is not None and own is not None and all(getattr(given, one, 0) is None for one in directions):
                parts[name] = replace(given, **{one: getattr(own, one) for one in directions})
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
        experiment = Experiment(structure_factors=structure_factors, **{**known, **parts})
        if crystal_of is not None:
            experiment = replace(experiment, crystal=_turned_crystal(crystal_of, experiment))
        return experiment


def _turned_crystal(source: Experiment, target: Experiment) -> Crystal:
    """Return the crystal of an experiment in the laboratory frame of another one."""
    to_dials, from_dials = source.placed().frame.dials_rotation(), transposed(target.placed().frame.dials_rotation())

    def rotate(vector: Vector) -> Vector:
        return apply_matrix(from_dials, apply_matrix(to_dials, vector))

    return replace(source.crystal.turned(rotate, source.semantics), wobble_mm=rotate(source.crystal.wobble_mm))

"""The rules by which samples become photons: where nanoBragg.c and physical semantics differ."""

from __future__ import annotations

from typing import NamedTuple

from cubragg.experiment.experiment import Experiment


class Rules(NamedTuple):
    """What an engine needs to know of the semantics.

    Attributes
    ----------
    per_sample
        Polarization, solid angle, absorbed fraction and source weight are those of each sample, and a sample whose
        neighbourhood leaves the grid of structure factors takes its nearest reflection (physical semantics). Otherwise
        they are those of a pixel's first sub-pixel, sources count alike, and interpolation stops for good at the first
        such sample (nanoBragg.c).
    running_thick, running_polar, running_omega
        Absorbed fraction, polarization, solid angle multiply the running sum after each term, as nanoBragg.c does with
        ``-oversample_thick``, ``_polar`` and ``_omega``. Never with ``per_sample``.
    """

    per_sample: bool
    running_thick: bool = False
    running_polar: bool = False
    running_omega: bool = False

    @property
    def running(self) -> bool:
        """Whether any factor multiplies the running sum, so that the order of terms matters."""
        return self.running_thick or self.running_polar or self.running_omega


def rules_of(experiment: Experiment) -> Rules:
    """The rules of an experiment's semantics."""
    if experiment.semantics == "physical":
        return Rules(per_sample=True)
    sampling = experiment.sampling
    return Rules(False, sampling.oversample_thick, sampling.oversample_polar, sampling.oversample_omega)

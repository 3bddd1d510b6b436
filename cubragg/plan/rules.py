"""How samples are summed to photons: where nanobragg and physical semantics differ."""

from __future__ import annotations

from typing import NamedTuple

from cubragg.experiment.experiment import Experiment


class Rules(NamedTuple):
    """The differences between the semantics that engines implement.

    Attributes
    ----------
    per_sample
        Physical semantics: polarization, solid angle, absorbed fraction and source weight are computed for each sample,
        and a sample whose neighbourhood exceeds the grid of structure factors has the amplitude of its nearest
        reflection. Otherwise nanoBragg.c: the factors are those of the pixel's first sub-pixel, sources have equal
        weights, and interpolation is off for all samples after the first one whose neighbourhood exceeds the grid.
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
        """Whether a factor multiplies the running sum, so that the order of terms matters."""
        return self.running_thick or self.running_polar or self.running_omega


def rules_of(experiment: Experiment) -> Rules:
    """Return the rules of an experiment's semantics."""
    if experiment.semantics == "physical":
        return Rules(per_sample=True)
    sampling = experiment.sampling
    return Rules(False, sampling.oversample_thick, sampling.oversample_polar, sampling.oversample_omega)

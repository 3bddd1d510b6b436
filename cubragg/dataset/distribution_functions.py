"""Functions that return distributions: what users write, as ``cubragg.normal(0.01)``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cubragg.dataset.distributions import (
    Choice,
    Constant,
    CrystalTable,
    Gamma,
    LogNormal,
    Near,
    Normal,
    OfShot,
    Poisson,
    Table,
    Uniform,
)
from cubragg.dataset.spectrum_draws import SPIKE, SPIKES, Areas, Sase
from cubragg.errors import ConfigError


def constant(value: Any) -> Constant:
    """Return a distribution with one value."""
    return Constant(value)


def uniform(low: float | None = None, high: float | None = None, *, relative: bool = False) -> Uniform:
    """Return the uniform distribution between two numbers; without numbers, that of all orientations."""
    return Uniform(low, high, relative=relative)


def normal(*mean_sigma: float, relative: bool = False, keep: str | None = None) -> Normal:
    """Return the normal distribution of a mean and a standard deviation.

    With one number, the standard deviation, it is about the value of the experiment; ``relative``: of the factor on
    that value, about 1.

    Raises
    ------
    ConfigError
        For other than one or two numbers, or a negative standard deviation.
    """
    if len(mean_sigma) not in (1, 2):
        raise ConfigError("normal", f"got {len(mean_sigma)} numbers; the standard deviation, or mean and standard "
                          "deviation, are accepted")
    return Normal(mean_sigma[-1], mean_sigma[0] if len(mean_sigma) == 2 else None, relative=relative, keep=keep)


def lognormal(median: float, sigma: float, *, relative: bool = False, keep: str | None = None) -> LogNormal:
    """Return the log-normal distribution of a median and a standard deviation of the logarithm."""
    return LogNormal(median, sigma, relative=relative, keep=keep)


def gamma(modes: float, mean: float = 1.0, *, relative: bool = False) -> Gamma:
    """Return the gamma distribution of a number of modes and a mean, such as that of SASE pulse energies."""
    return Gamma(modes, mean, relative=relative)


def choice(options: Sequence[Any], weights: Sequence[float] | None = None, *, relative: bool = False) -> Choice:
    """Return the distribution over several values, with equal probabilities or in proportion to ``weights``."""
    return Choice(tuple(options), None if weights is None else tuple(weights), relative=relative)


def poisson(mean: float, *, relative: bool = False) -> Poisson:
    """Return the Poisson distribution of a mean."""
    return Poisson(mean, relative=relative)


def of_shot(formula: str, *, relative: bool = False) -> OfShot:
    """Return a function of the shot's number i, such as ``exp(-0.001 * i)``; see `shot_formula`."""
    return OfShot(formula, relative=relative)


def near(misset_deg: Sequence[float] | None = None, *, sigma_deg: float) -> Near:
    """Return orientations near misset angles [deg], or near that of the experiment."""
    return Near(sigma_deg, None if misset_deg is None else tuple(misset_deg))  # type: ignore[arg-type]


def sase(bandwidth: float, spikes: int = SPIKES, spike: float = SPIKE, areas: Areas = "exponential") -> Sase:
    """Return spectra of SASE pulses, for the parameter ``beam.spectrum``; see `spectrum_draws.Sase`."""
    return Sase(bandwidth, spikes, spike, areas)


def table(values: Any, *, relative: bool = False) -> Table:
    """Return given values, one for each shot: an array, or a column of a file as ``FILE.csv:NAME`` or ``FILE.npy``.

    Orientations are misset angles [n, 3] [deg], quaternions x, y, z, w [n, 4], rotation matrices [n, 3, 3] as of
    `cubragg.random_orientations`, SciPy's Rotation, or the crystals of a file: ``FILE.expt`` (DIALS) or ``FILE.stream``
    (CrystFEL).

    Raises
    ------
    ConfigError
        If the values are no numbers, or the file or its column does not exist.
    FormatError
        If a file of crystals is damaged.
    """
    if isinstance(values, str):
        from cubragg.io.geometry.crystal_lists import ENDINGS, read_crystals

        if Path(values).suffix.lower() in ENDINGS:
            if not Path(values).is_file():
                raise ConfigError(values, "there is no such file; a list of crystals is accepted")
            return CrystalTable(read_crystals(values), values, relative=relative)
        from cubragg.io.column_file import read_column

        return Table(read_column(values), values, relative=relative)
    try:
        array = np.array(values.as_matrix() if hasattr(values, "as_matrix") else values)
    except ValueError:
        raise ConfigError("table", "got rows of different lengths; numbers, one or one row for each shot, are "
                          "accepted") from None
    return Table(array.reshape(-1, 9) if array.shape[1:] == (3, 3) else array, relative=relative)

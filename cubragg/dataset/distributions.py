"""Distributions of the parameters of a data set.

Each draws by inversion, or by rejection with counter-based random numbers, so that the value of a shot depends on no
other shot.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from cubragg import checks
from cubragg.dataset.draws import Draws, name_index
from cubragg.dataset.shot_formula import parse_formula, value_of
from cubragg.detect.normal_deviates import normal_pairs
from cubragg.errors import ConfigError
from cubragg.philox import Effect

#: Attempts of a rejection, of which each is accepted with a probability above 0.95.
_MAX_ATTEMPTS = 200
#: The smallest uniform deviate of `cubragg.philox`.
_LEAST_UNIFORM = 2.0**-65


@dataclass(frozen=True, kw_only=True)
class Distribution(ABC):
    """A distribution of a parameter.

    Attributes
    ----------
    relative
        What is drawn is a factor on the value of the experiment.
    keep
        Of a cell: ``lattice`` (its equal lengths and angles, and those of 90 and 120 deg, stay so), ``shape`` (one
        factor on all lengths) or ``none``.
    """

    relative: bool = False
    keep: str | None = None
    name: ClassVar[str]

    @abstractmethod
    def drawn(self, draws: Draws, centre: float) -> Sequence[Any] | np.ndarray:
        """What is drawn in each shot [n]; ``centre`` is the mean of a distribution that has none of its own."""

    @property
    def needs_centre(self) -> bool:
        """Whether the value of the experiment is part of what is drawn."""
        return self.relative

    def limits(self) -> Sequence[Distribution]:
        """The ends of what can be drawn, as constants; none of tails, and of values that are all drawn."""
        return ()

    @abstractmethod
    def arguments(self) -> Any:
        """The value of the distribution's name in TOML."""

    def to_dict(self) -> dict[str, Any]:
        """The distribution as a table of TOML."""
        more = {"relative": True} if self.relative else {}
        return {self.name: self.arguments(), **more, **({"keep": self.keep} if self.keep is not None else {})}

    def values(self, draws: Draws, base: float | None) -> list[Any]:
        """The parameter in each shot [n]; ``base`` is the value of the experiment.

        Raises
        ------
        ConfigError
            If the value of the experiment is needed and there is none.
        """
        if self.needs_centre and base is None:
            raise ConfigError(draws.name, f"got {self.to_dict()}, which varies the value of the experiment, but the "
                              "experiment has none; give a distribution with its own mean, or set the value")
        drawn = self.drawn(draws, 1.0 if self.relative else base or 0.0)
        if self.relative and base is not None:
            return [base * float(factor) for factor in drawn]
        return [value.item() if isinstance(value, np.generic) else value for value in drawn]


@dataclass(frozen=True)
class Constant(Distribution):
    """The same value in every shot."""

    value: Any
    name: ClassVar[str] = "constant"

    def drawn(self, draws: Draws, centre: float) -> Sequence[Any]:
        return [self.value] * len(draws)

    def arguments(self) -> Any:
        return list(self.value) if isinstance(self.value, tuple) else self.value


@dataclass(frozen=True)
class Uniform(Distribution):
    """Uniform between two numbers; without numbers, of an orientation, uniform over all orientations."""

    low: float | None = None
    high: float | None = None
    name: ClassVar[str] = "uniform"

    def __post_init__(self) -> None:
        if (self.low is None) != (self.high is None):
            raise ConfigError("uniform", "got one limit; two are accepted, or none for an orientation")
        if self.low is not None and self.high is not None:
            checks.number("uniform", "the lower limit", self.low)
            checks.number("uniform", "the upper limit", self.high)
            if not self.low <= self.high:
                raise ConfigError("uniform", f"got the limits {self.low:g} and {self.high:g}; the first must be the "
                                  "lower one")

    def drawn(self, draws: Draws, centre: float) -> np.ndarray:
        if self.low is None or self.high is None:
            raise ConfigError(draws.name, "got a uniform distribution without limits, which is one of orientations; "
                              "give the lower and the upper limit")
        return self.low + (self.high - self.low) * draws.uniforms(0)

    def limits(self) -> Sequence[Distribution]:
        if self.low is None or self.high is None:
            return ()
        return [Constant(self.low + (self.high - self.low) * u, relative=self.relative, keep=self.keep)
                for u in (_LEAST_UNIFORM, 1.0)]

    def arguments(self) -> Any:
        return True if self.low is None else [self.low, self.high]


@dataclass(frozen=True)
class Normal(Distribution):
    """Normal, by the method of Box and Muller; without a mean, about the value of the experiment."""

    sigma: float
    mean: float | None = None
    name: ClassVar[str] = "normal"

    def __post_init__(self) -> None:
        checks.number("normal", "the standard deviation", self.sigma, at_least=0.0)
        checks.number("normal", "the mean", self.mean, optional=True)

    @property
    def needs_centre(self) -> bool:
        return self.relative or self.mean is None

    def drawn(self, draws: Draws, centre: float) -> np.ndarray:
        return (centre if self.mean is None else self.mean) + self.sigma * gaussians(draws, 0)

    def arguments(self) -> Any:
        return self.sigma if self.mean is None else [self.mean, self.sigma]


@dataclass(frozen=True)
class LogNormal(Distribution):
    """Log-normal: median times exp of a normal deviate of standard deviation sigma."""

    median: float
    sigma: float
    name: ClassVar[str] = "lognormal"

    def __post_init__(self) -> None:
        checks.number("lognormal", "the median", self.median, above=0.0)
        checks.number("lognormal", "the standard deviation of the logarithm", self.sigma, at_least=0.0)

    def drawn(self, draws: Draws, centre: float) -> np.ndarray:
        return self.median * np.array([math.exp(self.sigma * x) for x in gaussians(draws, 0).tolist()])

    def arguments(self) -> Any:
        return [self.median, self.sigma]


@dataclass(frozen=True)
class Gamma(Distribution):
    """Gamma with a mean and a number of modes (shape): pulse energies of a SASE source of that many modes.

    Source: G. Marsaglia and W. W. Tsang, "A simple method for generating gamma variables", ACM Trans. Math. Software
    26, 363 (2000); E. L. Saldin et al., Opt. Commun. 148, 383 (1998).
    """

    modes: float
    mean: float = 1.0
    name: ClassVar[str] = "gamma"

    def __post_init__(self) -> None:
        checks.number("gamma", "the number of modes", self.modes, above=0.0)
        checks.number("gamma", "the mean", self.mean, above=0.0)

    def drawn(self, draws: Draws, centre: float) -> np.ndarray:
        shape = self.modes if self.modes >= 1.0 else self.modes + 1.0
        d = shape - 1.0 / 3.0
        c = 1.0 / math.sqrt(9.0 * d)
        found, open_ = np.zeros(len(draws)), np.ones(len(draws), dtype=bool)
        for attempt in range(_MAX_ATTEMPTS):
            rest = draws.some(open_)
            x, u = gaussians(rest, 1 + 3 * attempt), rest.uniforms(3 + 3 * attempt)
            tried = [(1.0 + c * one) ** 3 for one in x.tolist()]
            accepted = np.array([v > 0.0 and math.log(uniform_) < 0.5 * one * one + d - d * v + d * math.log(v)
                                 for v, one, uniform_ in zip(tried, x.tolist(), u.tolist(), strict=True)], dtype=bool)
            places = np.flatnonzero(open_)[accepted]
            found[places] = d * np.array(tried)[accepted]
            open_[places] = False
            if not open_.any():
                break
        if self.modes < 1.0:
            found *= np.array([math.pow(u, 1.0 / self.modes) for u in draws.uniforms(0).tolist()])
        return self.mean / self.modes * found

    def arguments(self) -> Any:
        return {"modes": self.modes, "mean": self.mean}


@dataclass(frozen=True)
class Choice(Distribution):
    """One of several values, with given probabilities or equal ones."""

    options: tuple[Any, ...]
    weights: tuple[float, ...] | None = None
    name: ClassVar[str] = "choice"

    def __post_init__(self) -> None:
        if not self.options:
            raise ConfigError("choice", "got no values; at least one is accepted")
        if self.weights is not None:
            for weight in self.weights:
                checks.number("choice", "a weight", weight, at_least=0.0)
            if len(self.weights) != len(self.options) or not sum(self.weights) > 0.0:
                raise ConfigError("choice", f"got {len(self.weights)} weights of sum {sum(self.weights):g} for "
                                  f"{len(self.options)} values; one weight for each value and a sum > 0 are accepted")

    def drawn(self, draws: Draws, centre: float) -> Sequence[Any]:
        weights = np.ones(len(self.options)) if self.weights is None else np.array(self.weights)
        ends = np.cumsum(weights) / weights.sum()
        # Of u in (0, 1], the first end that is not below it.
        places = np.minimum(np.searchsorted(ends, draws.uniforms(0), side="left"), np.flatnonzero(weights)[-1])
        return [self.options[place] for place in places.tolist()]

    def limits(self) -> Sequence[Distribution]:
        weights = self.weights or (1.0,) * len(self.options)
        return [Constant(option, relative=self.relative, keep=self.keep)
                for option, weight in zip(self.options, weights, strict=True) if weight > 0.0]

    def arguments(self) -> Any:
        return [list(option) if isinstance(option, tuple) else option for option in self.options]

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), **({} if self.weights is None else {"weights": list(self.weights)})}


@dataclass(frozen=True)
class Poisson(Distribution):
    """Poisson: whole numbers of a mean; exact at every mean, see `cubragg.detect.poisson`."""

    mean: float
    name: ClassVar[str] = "poisson"

    def __post_init__(self) -> None:
        checks.number("poisson", "the mean", self.mean, at_least=0.0)

    def drawn(self, draws: Draws, centre: float) -> Sequence[int]:
        from cubragg.detect.poisson import RandomStream, poisson_counts

        mean, index = np.array([self.mean]), np.array([name_index(draws.name)], dtype=np.uint32)
        return [int(poisson_counts(mean, index, RandomStream(draws.seed, shot, Effect(draws.effect)))[0])
                for shot in draws.shots.tolist()]

    def arguments(self) -> Any:
        return self.mean


@dataclass(frozen=True, eq=False)
class Table(Distribution):
    """Given values, one for each shot: numbers, or rows of numbers for a parameter of several.

    ``source`` names the file and column that they were read from, as in TOML.
    """

    column: np.ndarray = field(repr=False)
    source: str = ""
    name: ClassVar[str] = "column"

    def __post_init__(self) -> None:
        if self.column.ndim not in (1, 2) or not len(self.column) or self.column.dtype.kind not in "iuf":
            raise ConfigError("table", f"got an array of {self.column.dtype} of shape {self.column.shape}; a number "
                              "or a row of numbers for each shot is accepted")
        if not np.isfinite(self.column).all():
            raise ConfigError("table", "got NaN or inf; finite numbers are accepted")

    def drawn(self, draws: Draws, centre: float) -> Sequence[Any]:
        last = int(draws.shots.max(initial=0))
        if last >= len(self.column):
            named = f" ({self.source})" if self.source else ""
            raise ConfigError(draws.name, f"got a table of {len(self.column)} values{named} for shot {last}; a value "
                              "for each shot is accepted")
        return [tuple(row) if isinstance(row, list) else row for row in self.column[draws.shots].tolist()]

    def arguments(self) -> Any:
        return self.source or self.column.tolist()

    def __eq__(self, other: object) -> bool:
        return (isinstance(other, Table) and self.relative == other.relative
                and np.array_equal(self.column, other.column))

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, eq=False)
class CrystalTable(Table):
    """The orientations of the crystals of a file of DIALS or CrystFEL, one for each shot.

    ``column`` has A matrices [n, 9] in the frame of DIALS, by rows [1/A].
    """


@dataclass(frozen=True)
class OfShot(Distribution):
    """A function of the shot's number i, from 0."""

    formula: str
    name: ClassVar[str] = "of_shot"

    def __post_init__(self) -> None:
        parse_formula(self.formula)

    @cached_property
    def _function(self) -> Any:
        return parse_formula(self.formula)

    def drawn(self, draws: Draws, centre: float) -> Sequence[float]:
        return [value_of(self._function, shot, self.formula) for shot in draws.shots.tolist()]

    def arguments(self) -> Any:
        return self.formula

    def __getstate__(self) -> dict[str, Any]:
        """The fields only: a parsed formula cannot be pickled."""
        return {name: value for name, value in vars(self).items() if name != "_function"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


@dataclass(frozen=True)
class Near(Distribution):
    """Orientations near a given one: misset angles [deg], rotated by a normally distributed rotation vector.

    ``sigma_deg`` is the standard deviation of each of its three components [deg]; without angles, near the orientation
    of the experiment.
    """

    sigma_deg: float
    misset_deg: tuple[float, float, float] | None = None
    name: ClassVar[str] = "near"

    def __post_init__(self) -> None:
        checks.number("near", "the standard deviation", self.sigma_deg, "deg", at_least=0.0)
        checks.vector("near", "the misset angles", self.misset_deg, "deg", optional=True)

    def drawn(self, draws: Draws, centre: float) -> Sequence[Any]:
        raise ConfigError(draws.name, "got near, a distribution of orientations; crystal.orientation accepts it")

    def arguments(self) -> Any:
        return True if self.misset_deg is None else list(self.misset_deg)

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "sigma_deg": self.sigma_deg}


def gaussians(draws: Draws, draw: int) -> np.ndarray:
    """Normal deviates float64 [n] from the uniform deviates number ``draw`` and ``draw + 1``."""
    deviates: np.ndarray = normal_pairs(draws.uniforms(draw), draws.uniforms(draw + 1))[0]
    return deviates

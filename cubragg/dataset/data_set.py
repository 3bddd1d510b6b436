"""Data sets: sequences of shots that differ in the parameters that vary."""

from __future__ import annotations

import copy
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, overload

import numpy as np

from cubragg import checks
from cubragg.dataset.distributions import Constant, Distribution
from cubragg.dataset.draws import Draws
from cubragg.dataset.parameters import CrystalShot, Parameter, named_distributions, parameters_of, with_values
from cubragg.dataset.shot import Rendering, Shot
from cubragg.dataset.shot_checks import check_shots
from cubragg.engine.select import check_choices, check_method, check_threads
from cubragg.errors import ConfigError
from cubragg.experiment.experiment import Experiment, require_experiment
from cubragg.philox import key_of

#: Largest number of shots: their numbers are 32-bit words of the random numbers.
MAX_SHOTS = 2**32 - 1
_CRYSTALS, _BLANK = "crystals", "blank"
#: Shots that are drawn at once: a single one takes as long.
_DRAWN_AT_ONCE = 32


class DataSet(ABC, Sequence[Shot]):
    """A sequence of shots, each rendered when it is asked for; see `cubragg.Sweep` and `cubragg.Stills`.

    A shot is a function of the data set's seed and of its number: neither the number of shots, nor other parameters
    that vary, nor the order in which shots are rendered change it.
    """

    kind: ClassVar[str]

    def __init__(self, experiment: Experiment, shots: int, seed: int, vary: Mapping[str, Distribution] | None,
                 crystals: int | Distribution, blank: float, rendering: Rendering) -> None:
        require_experiment(experiment)
        vary = named_distributions(vary)
        check_method(rendering.method)
        check_choices(rendering.backend, rendering.precision, rendering.cull)
        check_threads(rendering.threads)
        checks.integer(self._count_name, "the number of shots", shots, at_least=1, at_most=MAX_SHOTS)
        key_of(seed)
        if experiment.semantics != "physical":
            raise ConfigError("semantics", f"got {experiment.semantics}; data sets are rendered in physical semantics")
        checks.number("blank", "the fraction of blank shots", blank, at_least=0.0)
        if blank > 1.0:
            raise ConfigError("blank", f"got {blank:g}; the fraction of blank shots must be <= 1")
        if experiment.response is None and any(name.startswith("response.") for name in vary):
            experiment = replace(experiment, response=experiment.detector_response())
        self.experiment, self.seed, self.rendering = experiment, int(seed), rendering
        self.parameters = parameters_of(experiment, vary)
        self.crystals = Constant(crystals) if isinstance(crystals, int) else crystals
        self.blank = float(blank)
        #: Where structure factors came from, for the specification: file, SHA-256, resolution, space group.
        self.source: dict[str, Any] = {}
        self._range = range(shots)
        self._drawn: dict[tuple[str, int], tuple[int, list[Any]]] = {}
        self.check()

    #: Name of the number of shots in messages.
    _count_name: ClassVar[str] = "n"

    @abstractmethod
    def own_settings(self) -> dict[str, Any]:
        """The settings of a specification that only this kind of data set has, as of TOML."""

    def experiment_at(self, shot: int) -> Experiment:
        """The experiment of a shot before its parameters vary."""
        return self._mounted(shot, self._rotated(shot))

    def _rotated(self, shot: int) -> Experiment:
        """The experiment with the rotation range of a shot."""
        return self.experiment

    def _mounted(self, shot: int, experiment: Experiment) -> Experiment:
        """The experiment of a shot with the crystal as the goniometer holds it."""
        return experiment

    @property
    def series(self) -> list[range]:
        """Numbers of the shots that belong together in files: those of a wedge of a sweep; of stills all."""
        return [self._range]

    def series_at(self, shot: int) -> int:
        """Number of the element of `series` of a shot."""
        return 0

    def __len__(self) -> int:
        return len(self._range)

    def __eq__(self, other: object) -> bool:
        """Whether the shots are those of another data set; how they are rendered does not matter."""
        if not isinstance(other, DataSet) or type(self) is not type(other):
            return NotImplemented
        return (len(self), self.seed, self.blank, self.own_settings()) == (
            len(other), other.seed, other.blank, other.own_settings()) and (
            self.experiment, self.parameters, self.crystals) == (other.experiment, other.parameters, other.crystals)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        varied = ", ".join(parameter.name for parameter in self.parameters) or "nothing"
        return f"<cubragg.{type(self).__name__} of {len(self)} shots, seed {self.seed}, in which {varied} varies>"

    @overload
    def __getitem__(self, index: int) -> Shot: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Shot]: ...
    def __getitem__(self, index: int | slice) -> Shot | Sequence[Shot]:
        """A shot, or the sequence of shots of a slice, none of which is rendered yet."""
        if isinstance(index, slice):
            return ShotSlice(self, self._range[index])
        return self.shot(shot_number(self._range, index))

    def __iter__(self) -> Iterator[Shot]:
        return (self.shot(number) for number in self._range)

    def shot(self, number: int, rendering: Rendering | None = None) -> Shot:
        """Shot number ``number``, also beyond the last one."""
        count = self._drawn_at(number, _CRYSTALS, 0, self.counts_in)
        parameters: dict[str, Any] = {}
        if not (isinstance(self.crystals, Constant) and not self.blank):
            parameters[_CRYSTALS] = count
        crystals = []
        for crystal in range(max(count, 1)):
            values = self.values_at(number, crystal)
            for parameter in self.parameters:
                if count and (crystal == 0 or parameter.of_crystal):
                    parameters[parameter.name_of(crystal)] = values[parameter.name]
                elif not count and not parameter.of_crystal:
                    parameters[parameter.name] = values[parameter.name]
            try:
                crystals.append(self.crystal_with(number, values))
            except ConfigError as error:
                raise ConfigError(f"shot {number}, {error.where}", error.what) from None
        blank_base = crystals[0].experiment
        return Shot(number, self.seed, blank_base, tuple(crystals[:count]), parameters, rendering or self.rendering,
                    any(parameter.of_background for parameter in self.parameters))

    def values_at(self, number: int, crystal: int) -> dict[str, Any]:
        """The values of the parameters of a crystal in a shot, by name."""
        return {parameter.name: self._value_at(number, parameter, crystal) for parameter in self.parameters}

    def crystal_with(self, number: int, values: Mapping[str, Any]) -> CrystalShot:
        """A crystal of a shot, with values of the parameters by name.

        Raises
        ------
        ConfigError
            For a value that the experiment cannot have.
        """
        found = with_values(self._rotated(number), values)
        return found._replace(experiment=self._mounted(number, found.experiment))

    def rendered(self, rendering: Rendering) -> DataSet:
        """The same data set, rendered in another way."""
        found = copy.copy(self)
        found.rendering = rendering
        return found

    @property
    def detector_moves(self) -> bool:
        """Whether the detector differs from shot to shot."""
        return any(parameter.name.startswith("detector.") for parameter in self.parameters)

    def example_parameters(self) -> dict[str, Any]:
        """A value of each parameter of a shot with one crystal, whether shot 0 has a crystal or not."""
        counted = {} if isinstance(self.crystals, Constant) and not self.blank else {_CRYSTALS: 1}
        return counted | {parameter.name: self._value_at(0, parameter, 0) for parameter in self.parameters}

    def _value_at(self, number: int, parameter: Parameter, crystal: int) -> Any:
        """The value of a parameter in a shot."""
        return self._drawn_at(number, parameter.name, crystal, lambda shots: parameter.values(
            self.experiment, parameter.draws(self.seed, shots, crystal)))

    def _drawn_at(self, number: int, name: str, crystal: int, draw: Callable[[np.ndarray], list[Any]]) -> Any:
        """What is drawn for a shot, from a block of shots around it that is kept until another one is needed."""
        first = number - number % _DRAWN_AT_ONCE
        block, values = self._drawn.get((name, crystal), (-1, []))
        if block != first or number - first >= len(values):
            # A table has no rows, and a formula perhaps no value, beyond the last shot.
            stop = min(first + _DRAWN_AT_ONCE, max(len(self), number + 1))
            values = draw(np.arange(first, stop, dtype=np.uint32))
            self._drawn[name, crystal] = first, values
        return values[number - first]

    def counts_in(self, shots: np.ndarray) -> list[int]:
        """The number of crystals in each shot [n], as it was drawn."""
        counts = self.crystals.values(Draws(self.seed, shots, _CRYSTALS), 1.0)
        blank = Draws(self.seed, shots, _BLANK).uniforms(0) <= self.blank
        whole = [int(count) if count == int(count) else count for count in counts]
        return [0 if empty else count for count, empty in zip(whole, blank.tolist(), strict=True)]

    def check(self) -> None:
        """Check the whole specification; see `shot_checks`.

        Raises
        ------
        ConfigError
            For a value that the experiment cannot have; the message names parameter and shot.
        """
        check_shots(self)

    def experiments_before(self, shot: int) -> int | None:
        """The number of crystals in the shots before one; ``None`` if all shots are images of one crystal."""
        return None if self.kind == "sweep" else int(self._crystals_before[shot])

    @cached_property
    def _crystals_before(self) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(self.counts_in(np.arange(len(self), dtype=np.uint32)))])


def shot_number(numbers: range, index: int) -> int:
    """The number of the shot at an index of a sequence of shots, of which ``numbers`` are the numbers.

    Raises
    ------
    IndexError
        Beyond the last shot, or before the first.
    TypeError
        For an index that is not a whole number.
    """
    try:
        return numbers[operator.index(index)]
    except IndexError:
        raise IndexError(f"got shot {index} of a sequence of {len(numbers)} shots") from None
    except TypeError:
        raise TypeError(f"got {index!r:.60} as the index of a shot; a whole number or a slice is accepted") from None


class ShotSlice(Sequence[Shot]):
    """Some shots of a data set: a slice of it.

    Attributes
    ----------
    data, numbers
        The data set, and the numbers of the shots there.
    """

    def __init__(self, data: DataSet, numbers: range) -> None:
        self.data, self.numbers = data, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __repr__(self) -> str:
        shown = f"{self.numbers[0]} to {self.numbers[-1]}" if self.numbers else "none"
        return f"<{len(self)} shots, {shown}, of {self.data!r}>"

    @overload
    def __getitem__(self, index: int) -> Shot: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Shot]: ...
    def __getitem__(self, index: int | slice) -> Shot | Sequence[Shot]:
        if isinstance(index, slice):
            return ShotSlice(self.data, self.numbers[index])
        return self.data.shot(shot_number(self.numbers, index))

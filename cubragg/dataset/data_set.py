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
from cubragg.dataset.cell_draws import cell_of
from cubragg.dataset.distributions import Constant, CrystalTable, Distribution, Table
from cubragg.dataset.draws import Draws
from cubragg.dataset.orientation_draws import check_lattices
from cubragg.dataset.parameters import (
    ORIENTATION,
    CrystalShot,
    Parameter,
    named_distributions,
    parameters_of,
    with_values,
)
from cubragg.dataset.shot import Rendering, Shot
from cubragg.dataset.spectrum_draws import SPECTRUM
from cubragg.engine.select import check_choices, check_method, check_threads
from cubragg.errors import ConfigError
from cubragg.experiment.experiment import Experiment, require_experiment
from cubragg.philox import key_of
from cubragg.plan.make_plan import make_plan

#: Largest number of shots: their numbers are 32-bit words of the random numbers.
MAX_SHOTS = 2**32 - 1
#: Largest number of crystals in a shot.
MAX_CRYSTALS = 1000
_CRYSTALS, _BLANK = "crystals", "blank"
#: Spectra that are checked at once.
_SPECTRA_AT_ONCE = 1000
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
        base = self._rotated(number)
        count = self._drawn_at(number, _CRYSTALS, 0, self._counts)
        parameters: dict[str, Any] = {}
        if not (isinstance(self.crystals, Constant) and not self.blank):
            parameters[_CRYSTALS] = count
        crystals = []
        for crystal in range(max(count, 1)):
            values = {}
            for parameter in self.parameters:
                value = values[parameter.name] = self._value_at(number, parameter, crystal)
                if count and (crystal == 0 or parameter.of_crystal):
                    parameters[parameter.name_of(crystal)] = value
                elif not count and not parameter.of_crystal:
                    parameters[parameter.name] = value
            try:
                crystal_shot = with_values(base, values)
                crystals.append(crystal_shot._replace(experiment=self._mounted(number, crystal_shot.experiment)))
            except ConfigError as error:
                raise ConfigError(f"shot {number}, {error.where}", error.what) from None
        blank_base = crystals[0].experiment
        return Shot(number, self.seed, blank_base, tuple(crystals[:count]), parameters, rendering or self.rendering,
                    any(parameter.of_background for parameter in self.parameters))

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

    def _counts(self, shots: np.ndarray) -> list[int]:
        """The number of crystals in each shot [n]."""
        counts = self.crystals.values(Draws(self.seed, shots, _CRYSTALS), 1.0)
        blank = Draws(self.seed, shots, _BLANK).uniforms(0) <= self.blank
        whole = [int(count) if count == int(count) else count for count in counts]
        return [0 if empty else count for count, empty in zip(whole, blank.tolist(), strict=True)]

    def check(self) -> None:
        """Check the whole specification: every parameter in every shot, and the plan of the first shot.

        Raises
        ------
        ConfigError
            For a value that the experiment cannot have; the message names parameter and shot.
        """
        shots = np.arange(len(self), dtype=np.uint32)
        counts = self._counts(shots)
        most = max(range(len(counts)), key=counts.__getitem__)
        if not all(isinstance(count, int) and 0 <= count <= MAX_CRYSTALS for count in counts):
            raise ConfigError(_CRYSTALS, f"got {counts[most]} in shot {most}; 0 to {MAX_CRYSTALS} are accepted")
        tables = [one for one in self.parameters if one.name == ORIENTATION and isinstance(one.distribution, Table)]
        if tables and counts[most] > 1:
            raise ConfigError(_CRYSTALS, f"got {counts[most]} in shot {most}, and a table with one orientation for "
                              "each shot; one crystal in a shot is accepted")
        for parameter in tables:
            if isinstance(parameter.distribution, CrystalTable):
                check_lattices(f"vary {parameter.name}", parameter.distribution, cell_of(self.experiment.crystal))
        for parameter in self.parameters:
            for crystal in range(max(counts[most], 1) if parameter.of_crystal else 1):
                self._check_parameter(parameter, shots, crystal)
        first = self.shot(0)
        make_plan((first.crystals[0] if first.crystals else CrystalShot(self.experiment, 1.0, 0.0)).experiment,
                  self.rendering.method)

    def experiments_before(self, shot: int) -> int | None:
        """The number of crystals in the shots before one; ``None`` if all shots are images of one crystal."""
        return None if self.kind == "sweep" else int(self._crystals_before[shot])

    @cached_property
    def _crystals_before(self) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(self._counts(np.arange(len(self), dtype=np.uint32)))])

    def _check_parameter(self, parameter: Parameter, shots: np.ndarray, crystal: int) -> None:
        """Check the smallest and the largest values of a parameter, of each of its numbers."""
        if parameter.name == SPECTRUM:
            self._check_spectra(parameter, shots)
            return
        values = parameter.values(self.experiment, parameter.draws(self.seed, shots, crystal))
        for number in _extremes(values):
            try:
                with_values(self._rotated(number), {parameter.name: values[number]})
            except (ConfigError, TypeError) as error:
                what = error.what if isinstance(error, ConfigError) else f"got {values[number]!r}; a number is accepted"
                raise ConfigError(f"vary {parameter.name}, shot {number}", what) from None

    def _check_spectra(self, parameter: Parameter, shots: np.ndarray) -> None:
        """Check the spectra of the shots, some at a time: they may be large."""
        for start in range(0, len(shots), _SPECTRA_AT_ONCE):
            part = shots[start:start + _SPECTRA_AT_ONCE]
            spectra = np.array(parameter.values(self.experiment, parameter.draws(self.seed, part)))
            spread = np.where(spectra[:, :, 1] > 0.0, spectra[:, :, 0], np.nan)
            for place in {int(np.argmin(np.nanmin(spread, axis=1))), int(np.argmax(np.nanmax(spread, axis=1)))}:
                number = start + place
                try:
                    with_values(self._rotated(number), {SPECTRUM: spectra[place]})
                except ConfigError as error:
                    raise ConfigError(f"vary {SPECTRUM}, shot {number}", error.what) from None


def _extremes(values: Sequence[Any]) -> list[int]:
    """The places of the smallest and largest value of each number of the values; all of values of other kinds."""
    try:
        array = np.array(values, dtype=np.float64).reshape(len(values), -1)
    except (TypeError, ValueError):
        return [values.index(value) for value in dict.fromkeys(values)]
    return sorted({*array.argmin(axis=0).tolist(), *array.argmax(axis=0).tolist(),
                   *np.flatnonzero(~np.isfinite(array).all(axis=1))[:1].tolist()})


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

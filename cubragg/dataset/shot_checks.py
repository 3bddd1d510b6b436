"""What is checked of a data set before its first shot: the values that were drawn, and those that may be.

Of each number of each parameter the shots with its smallest and largest value are checked, with all that varies in
them: the experiment can be made, and planned. Of numbers whose limits depend on one another (`_COUPLED`) also the shots
in which one is large and the other large or small, of which there are few. Then the limits of distributions that have
some, whether a shot comes near them or not. What these do not find, an unlucky combination of three values, is an error
of its shot.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from cubragg.dataset.cell_draws import cell_of
from cubragg.dataset.distributions import CrystalTable, Table
from cubragg.dataset.orientation_draws import check_lattices
from cubragg.dataset.parameters import DECAY, DOSE, ORIENTATION, CrystalShot, Parameter, with_values
from cubragg.dataset.shot import Rendering, Shot
from cubragg.dataset.spectrum_draws import SPECTRUM
from cubragg.engine.analytic.model_of_plan import require_analytic
from cubragg.errors import ConfigError
from cubragg.experiment.experiment import Experiment
from cubragg.plan.make_plan import make_plan

#: Largest number of crystals in a shot.
MAX_CRYSTALS = 1000
#: Spectra that are checked at once.
_SPECTRA_AT_ONCE = 1000
#: Beginnings of the names of parameters of which one limits the other.
_COUPLED = (("beamstop.distance_mm", "detector."), ("background.air_mm", "detector."), ("response.", "response."),
            ("goniometer.", "goniometer."), ("crystal.mosaic_domains", "goniometer."))
#: Parameters, and beginnings of names, that no plan depends on.
_NOT_PLANNED = (ORIENTATION, DECAY, DOSE, "response.")


class Checked(Protocol):
    """What is checked: a data set, as `cubragg.dataset.data_set.DataSet`."""

    @property
    def experiment(self) -> Experiment: ...
    @property
    def seed(self) -> int: ...
    @property
    def rendering(self) -> Rendering: ...
    @property
    def parameters(self) -> tuple[Parameter, ...]: ...
    def __len__(self) -> int: ...
    def counts_in(self, shots: np.ndarray) -> list[int]: ...
    def values_at(self, number: int, crystal: int) -> dict[str, Any]: ...
    def crystal_with(self, number: int, values: Mapping[str, Any]) -> CrystalShot: ...
    def shot(self, number: int) -> Shot: ...


class _Column(NamedTuple):
    """The values [n] of a parameter of a crystal in the shots with these numbers [n]."""

    parameter: Parameter
    crystal: int
    shots: np.ndarray
    values: list[Any]


def check_shots(data: Checked) -> None:
    """Check every parameter in every shot, and the plan of the first one.

    Raises
    ------
    ConfigError
        For a value that the experiment cannot have; the message names parameter and shot.
    """
    shots = np.arange(len(data), dtype=np.uint32)
    counts = _checked_counts(data, shots)
    varying = [parameter for parameter in data.parameters if parameter.name != SPECTRUM]
    columns = [_column(data, parameter, crystal, shots, counts) for parameter in varying
               for crystal in range(max(int(counts.max()), 1) if parameter.of_crystal else 1)]
    for parameter in data.parameters:
        if parameter.name == SPECTRUM:
            _check_spectra(data, parameter, shots)
    checked: set[tuple[int, int]] = set()
    for column in columns:
        for place in extremes(column.values):
            _check_place(data, column, place, checked)
    for one, other in _coupled(columns):
        for place in corners(one.values, other.values):
            _check_place(data, one, place, checked)
    _check_limits(data, varying)
    first = data.shot(0)
    make_plan((first.crystals[0] if first.crystals else CrystalShot(data.experiment, 1.0, 0.0)).experiment,
              data.rendering.method)


def _checked_counts(data: Checked, shots: np.ndarray) -> np.ndarray:
    """The number of crystals in each shot [n]."""
    counts = data.counts_in(shots)
    most = max(range(len(counts)), key=counts.__getitem__)
    if not all(isinstance(count, int) and 0 <= count <= MAX_CRYSTALS for count in counts):
        raise ConfigError("crystals", f"got {counts[most]} in shot {most}; 0 to {MAX_CRYSTALS} are accepted")
    tables = [one for one in data.parameters if one.name == ORIENTATION and isinstance(one.distribution, Table)]
    if tables and counts[most] > 1:
        raise ConfigError("crystals", f"got {counts[most]} in shot {most}, and a table with one orientation for each "
                          "shot; one crystal in a shot is accepted")
    for parameter in tables:
        if isinstance(parameter.distribution, CrystalTable):
            check_lattices(f"vary {parameter.name}", parameter.distribution, cell_of(data.experiment.crystal))
    return np.array(counts)


def _column(data: Checked, parameter: Parameter, crystal: int, shots: np.ndarray, counts: np.ndarray) -> _Column:
    """The values of a parameter in the shots that have the crystal; those without any have the first one's."""
    some = shots[np.maximum(counts, 1) > crystal]
    return _Column(parameter, crystal, some, parameter.values(
        data.experiment, parameter.draws(data.seed, some, crystal)))


def _check_place(data: Checked, column: _Column, place: int, checked: set[tuple[int, int]]) -> None:
    """Check a crystal of a shot, and its plan if the parameter may change that."""
    number, name = int(column.shots[place]), column.parameter.name
    try:
        crystal = data.crystal_with(number, data.values_at(number, column.crystal))
        if not name.startswith(_NOT_PLANNED) and (number, column.crystal) not in checked:
            checked.add((number, column.crystal))
            _check_plan(data, crystal)
    except (ConfigError, TypeError) as error:
        raise _named(data, name, f", shot {number}", column.values[place], error) from None


def _check_plan(data: Checked, crystal: CrystalShot) -> None:
    plan = make_plan(crystal.experiment, data.rendering.method)
    if data.rendering.method == "analytic":
        require_analytic(plan)


def _check_limits(data: Checked, varying: Sequence[Parameter]) -> None:
    """Check the limits of each distribution beside the other values of the first shot, and pairs of coupled ones."""
    first = data.values_at(0, 0)
    limits = {parameter.name: [Parameter(parameter.name, limit).values(
        data.experiment, parameter.draws(data.seed, np.zeros(1, dtype=np.uint32)))[0]
        for limit in parameter.distribution.limits()] for parameter in varying}
    sets = [{name: values[place]} for name, values in limits.items() for place in extremes(values)]
    sets += [{**one, **other} for one, other in itertools.combinations(sets, 2)
             if one.keys() != other.keys() and _are_coupled(*one, *other)]
    for given in sets:
        name = ", ".join(given)
        try:
            crystal = data.crystal_with(0, first | given)
            if not all(one.startswith(_NOT_PLANNED) for one in given):
                _check_plan(data, crystal)
        except (ConfigError, TypeError) as error:
            raise _named(data, name, "", next(iter(given.values())), error) from None


def _named(data: Checked, name: str, shot: str, value: Any, error: ConfigError | TypeError) -> ConfigError:
    """The error about the value of a parameter, or of another one that is to blame."""
    if not isinstance(error, ConfigError):
        return ConfigError(f"vary {name}{shot}", f"got {value!r}; a number is accepted")
    if any(error.where == parameter.name for parameter in data.parameters):
        name = error.where if error.where not in name.split(", ") else name
    same = name.partition("[")[0] == error.where.partition("[")[0]
    return ConfigError(f"vary {name}{shot}", error.what if same else f"{error.where}: {error.what}")


def extremes(values: Sequence[Any]) -> list[int]:
    """The places of the smallest and largest value of each number of the values; all of values of other kinds."""
    if not values:
        return []
    try:
        array = np.array(values, dtype=np.float64).reshape(len(values), -1)
    except (TypeError, ValueError):
        return [values.index(value) for value in dict.fromkeys(values)]
    return sorted({*array.argmin(axis=0).tolist(), *array.argmax(axis=0).tolist(),
                   *np.flatnonzero(~np.isfinite(array).all(axis=1))[:1].tolist()})


def _are_coupled(one: str, other: str) -> bool:
    return any((one.startswith(first) and other.startswith(second))
               or (one.startswith(second) and other.startswith(first)) for first, second in _COUPLED)


def _coupled(columns: Sequence[_Column]) -> Iterator[tuple[_Column, _Column]]:
    """Pairs of coupled columns of the same shots."""
    for one, other in itertools.combinations(columns, 2):
        if len(one.shots) == len(other.shots) and _are_coupled(one.parameter.name, other.parameter.name):
            yield one, other


def corners(one: Sequence[Any], other: Sequence[Any]) -> list[int]:
    """The places [m] of pairs of values that no other pair exceeds in both, each of the two upwards or downwards.

    A limit on what grows, or falls, with both is exceeded there if it is anywhere. Of values of other kinds than
    numbers, those of the other one are compared for each.
    """
    try:
        columns = [np.array(values, dtype=np.float64).reshape(len(values), -1).T for values in (one, other)]
    except (TypeError, ValueError):
        return _corners_of_kinds(one, other)
    found: set[int] = set()
    for x, y in itertools.product(*columns):
        for up, right in itertools.product((1.0, -1.0), repeat=2):
            found.update(_front(up * x, right * y))
    return sorted(found)


def _front(x: np.ndarray, y: np.ndarray) -> list[int]:
    """The places of points of which no other has both a larger x and a larger y."""
    order = np.lexsort((-y, -x))
    highest = np.maximum.accumulate(y[order])
    new = np.append(True, highest[1:] > highest[:-1])
    found: list[int] = order[new].tolist()
    return found


def _corners_of_kinds(one: Sequence[Any], other: Sequence[Any]) -> list[int]:
    """The extremes of each of two columns among the places with the same value of the other one."""
    found: set[int] = set()
    for kinds, values in ((one, other), (other, one)):
        if isinstance(kinds[0], int | float):
            continue
        for kind in dict.fromkeys(kinds):
            places = [place for place, value in enumerate(kinds) if value == kind]
            found.update(places[at] for at in extremes([values[place] for place in places]))
    return sorted(found)


def _check_spectra(data: Checked, parameter: Parameter, shots: np.ndarray) -> None:
    """Check the spectra of the shots, some at a time: they may be large."""
    for start in range(0, len(shots), _SPECTRA_AT_ONCE):
        part = shots[start:start + _SPECTRA_AT_ONCE]
        spectra = np.array(parameter.values(data.experiment, parameter.draws(data.seed, part)))
        spread = np.where(spectra[:, :, 1] > 0.0, spectra[:, :, 0], np.nan)
        for place in {int(np.argmin(np.nanmin(spread, axis=1))), int(np.argmax(np.nanmax(spread, axis=1)))}:
            number = start + place
            try:
                with_values(data.experiment, {SPECTRUM: spectra[place]})
            except ConfigError as error:
                raise ConfigError(f"vary {SPECTRUM}, shot {number}", error.what) from None

"""The parameters that vary: fields of the experiment by their dotted names, and derived names."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, get_type_hints

import numpy as np

from cubragg.dataset.cell_draws import cell_of, cells_of, with_cell
from cubragg.dataset.distributions import Choice, Constant, CrystalTable, Distribution, Table, Uniform
from cubragg.dataset.draws import Draws
from cubragg.dataset.orientation_draws import orientations_of
from cubragg.dataset.spectrum_draws import SPECTRUM, beam_settings, of_spectra, spectra_of
from cubragg.errors import ConfigError
from cubragg.experiment.experiment import Experiment
from cubragg.experiment.panel import panel_in_beam
from cubragg.philox import Effect

ORIENTATION, CELL, DECAY, DOSE, BEAM_CENTRE = (
    "crystal.orientation", "crystal.cell", "crystal.decay", "crystal.dose_MGy", "detector.beam_centre_mm")
#: Other names of parameters.
SHORT = {"orientation": ORIENTATION, "cell": CELL, "decay": DECAY, "dose_MGy": DOSE, "beam_centre_mm": BEAM_CENTRE,
         "distance_mm": "detector.distance_mm", "wavelength_A": "beam.wavelength_A", "spectrum": SPECTRUM}
#: Parameters that are no field of the experiment.
_DERIVED = (ORIENTATION, DECAY, DOSE)
_SECTIONS = ("crystal", "beam", "detector", "goniometer", "sampling", "background", "structure_factors", "response",
             "beamstop")
_INDEXED = re.compile(r"(\w+)\.(\w+)\[(\d+)\]")
#: What the type of a field must name for it to vary.
_TYPES = ("float", "int", "str", "bool", "Vector", "Literal", "Habit", "Profile")


class CrystalShot(NamedTuple):
    """A crystal of a shot: its experiment, the factor ``decay`` on its photons, and its dose [MGy]."""

    experiment: Experiment
    decay: float
    dose_MGy: float


@dataclass(frozen=True)
class Parameter:
    """A parameter that varies.

    Attributes
    ----------
    name
        Its name: a field of the experiment, with an index for one of several numbers, or a derived name.
    distribution
        Its distribution.
    """

    name: str
    distribution: Distribution

    @property
    def of_crystal(self) -> bool:
        """Whether each crystal of a shot has its own value."""
        return self.name.startswith("crystal.")

    @property
    def of_background(self) -> bool:
        """Whether the scattering of the background differs from shot to shot, by more than a factor."""
        section, _, field = self.name.partition(".")
        return section in ("detector", "background") or (
            section == "beam" and field not in ("flux", "fluence", "exposure_s"))

    def name_of(self, crystal: int) -> str:
        """The name of the value of crystal number ``crystal``: with its number, if it has a value of its own."""
        return f"{self.name}#{crystal}" if crystal and self.of_crystal else self.name

    def draws(self, seed: int, shots: Any, crystal: int = 0) -> Draws:
        """The random numbers of the parameter for crystal number ``crystal`` of the shots."""
        return Draws(seed, shots, self.name_of(crystal),
                     Effect.ORIENTATION if self.name == ORIENTATION else Effect.PARAMETERS)

    def values(self, experiment: Experiment, draws: Draws) -> list[Any]:
        """The value in each shot [n].

        Raises
        ------
        ConfigError
            If the distribution cannot give values of this parameter.
        """
        if self.name == ORIENTATION:
            return [*orientations_of(self.distribution, draws, experiment.crystal.misset_deg,
                                     lambda: experiment.placed().frame.dials_rotation())]
        if self.name == SPECTRUM:
            return [*spectra_of(self.distribution, draws, experiment.beam)]
        if self.name == CELL:
            return [*cells_of(self.distribution, draws, cell_of(experiment.crystal))]
        base = value_in(experiment, self.name)
        found = self._values(base, draws)
        if not _is_whole(experiment, self.name):
            return found
        return [tuple(round(one) for one in value) if isinstance(value, tuple) else round(value) for value in found]

    def _values(self, base: Any, draws: Draws) -> list[Any]:
        whole = isinstance(self.distribution, Constant | Choice | Table) and not isinstance(
            (first := self.distribution.drawn(draws.some(np.arange(1)), 0.0)[0]), int | float) and first is not None
        if isinstance(base, tuple) and not whole:
            parts = [self.distribution.values(draws.of(f"[{place}]"), number) for place, number in enumerate(base)]
            return [tuple(row) for row in zip(*parts, strict=True)]
        number = base if isinstance(base, int | float) and not isinstance(base, bool) else None
        return self.distribution.values(draws, number)


def named_distributions(vary: Mapping[str, Distribution] | None) -> dict[str, Distribution]:
    """The distributions of what varies, by name.

    Raises
    ------
    ConfigError
        For anything but a dictionary whose keys are names.
    """
    if not isinstance(vary or {}, Mapping) or not all(isinstance(name, str) for name in vary or {}):
        raise ConfigError("vary", f"got {vary!r:.60}; a dictionary of distributions by name is accepted, such as "
                          "{'beam.wavelength_A': cubragg.normal(0.002)}")
    return dict(vary or {})


def parameters_of(experiment: Experiment, vary: Mapping[str, Distribution]) -> tuple[Parameter, ...]:
    """The parameters that vary, checked by name.

    Raises
    ------
    ConfigError
        For a name that is no parameter, a field that is not a number, and a field that is named twice.
    """
    found: dict[str, Parameter] = {}
    for given, distribution in vary.items():
        name = SHORT.get(given, given)
        if not isinstance(distribution, Distribution):
            raise ConfigError(f"vary {given}", f"got {distribution!r:.60}; a distribution such as cubragg.normal is "
                              "accepted, and cubragg.table for a value of each shot")
        _check_name(experiment, given, name)
        if name in found:
            raise ConfigError(f"vary {given}", f"got {name} twice; one of them is accepted")
        if isinstance(distribution, CrystalTable) and name != ORIENTATION:
            raise ConfigError(f"vary {given}", f"got {distribution.source}, a list of crystals; {ORIENTATION} "
                              "accepts it")
        if name == SPECTRUM:
            distribution = of_spectra(f"vary {given}", distribution, experiment.beam)
        found[name] = Parameter(name, distribution)
    for one, other in ((ORIENTATION, "crystal.misset_deg"), (ORIENTATION, "crystal.a_matrix"),
                       ("beam.fluence", "beam.flux"), (SPECTRUM, "beam.bandwidth"),
                       (SPECTRUM, "beam.bandwidth_fwhm")):
        rivals = [name for name in found if name.partition("[")[0] == other]
        if one in found and rivals:
            raise ConfigError(f"vary {rivals[0]}", f"got {one} as well, which replaces it; leave one of them out")
    return tuple(found.values())


def _check_name(experiment: Experiment, given: str, name: str) -> None:
    if name in (*_DERIVED, SPECTRUM):
        return
    field, _ = _split(name)
    section, _, key = field.partition(".")
    names = [*_names(experiment)]
    if section in _SECTIONS and getattr(experiment, section) is None:
        raise ConfigError(f"vary {given}", f"the experiment has no {section}, whose fields could vary; give it one, "
                          "Experiment(beamstop=BeamStop(...)) or --beamstop MM")
    if field not in names:
        near = difflib.get_close_matches(given, [*names, *_DERIVED, *SHORT], n=1)
        raise ConfigError(f"vary {given}", "no such parameter; "
                          + (f"did you mean {near[0]}?" if near else "a field such as beam.wavelength_A is accepted"))
    hint = str(get_type_hints(type(getattr(experiment, section)))[key])
    if "ndarray" in hint or not any(word in hint for word in _TYPES):
        raise ConfigError(f"vary {given}", "got a field that is no number; a field with numbers is accepted")


def _names(experiment: Experiment) -> Iterator[str]:
    for section in _SECTIONS:
        part = getattr(experiment, section)  # None without a beam stop or a response of its own
        for field in () if part is None else fields(part):
            yield f"{section}.{field.name}"


def _is_whole(experiment: Experiment, name: str) -> bool:
    """Whether a field holds whole numbers, to which what is drawn is rounded."""
    if name in (*_DERIVED, SPECTRUM):
        return False
    section, _, key = _split(name)[0].partition(".")
    hint = str(get_type_hints(type(getattr(experiment, section)))[key])
    return "int" in hint and not any(word in hint for word in ("float", "Vector", "str"))


def _split(name: str) -> tuple[str, int | None]:
    """The field of a parameter, and the index of one of its numbers."""
    found = _INDEXED.fullmatch(name)
    return (f"{found[1]}.{found[2]}", int(found[3])) if found else (name, None)


def randomly_oriented(experiment: Experiment, seed: int) -> Experiment:
    """The experiment with a random orientation: that of shot 0 of stills with this seed."""
    parameter = Parameter(ORIENTATION, Uniform())
    return with_values(experiment, {ORIENTATION: parameter.values(
        experiment, parameter.draws(seed, np.zeros(1, dtype=np.uint32)))[0]}).experiment


def value_in(experiment: Experiment, name: str) -> Any:
    """The value of a parameter in the experiment; ``None`` without one.

    Raises
    ------
    ConfigError
        For an index of a field that has not so many numbers.
    """
    if name in (DECAY, DOSE):
        return 1.0 if name == DECAY else 0.0
    field, index = _split(name)
    section, _, key = field.partition(".")
    value = getattr(getattr(experiment, section), key)
    if name == BEAM_CENTRE and value is None:
        placed = experiment.placed()
        panel = panel_in_beam(placed.panels, placed.frame.beam)
        spot = panel.spot(placed.frame.beam)
        return None if spot is None else (spot.fast_px * panel.pixel_mm[0], spot.slow_px * panel.pixel_mm[1])
    if index is None:
        return value
    if not isinstance(value, tuple) or index >= len(value):
        raise ConfigError(f"vary {name}", f"got an index, but {field} is {value!r:.60} in the experiment; leave the "
                          "index out, or set several numbers")
    return value[index]


def with_values(experiment: Experiment, values: Mapping[str, Any]) -> CrystalShot:
    """The experiment with the values of parameters by name.

    Raises
    ------
    ConfigError
        For a value that the experiment cannot have.
    """
    changed: dict[str, dict[str, Any]] = {}
    decay, dose = 1.0, 0.0
    crystal = experiment.crystal
    # The orientation first: an A matrix has a cell, which may vary.
    for name, value in sorted(values.items(), key=lambda item: item[0] != ORIENTATION):
        if name == DECAY:
            decay = _checked_positive(name, value)
        elif name == DOSE:
            dose = _checked_positive(name, value)
            if experiment.structure_factors.grid is None:
                raise ConfigError(name, f"got {value:g} MGy with the same F for all reflections, which have no "
                                  "resolution; give a list of structure factors")
        elif name == ORIENTATION:
            matrix = isinstance(value[0], tuple)
            crystal = (replace(crystal, a_matrix=value, cell=None, misset_deg=None, misset_seed=None) if matrix else
                       replace(crystal, misset_deg=value, misset_seed=None))
        elif name == CELL:
            crystal = with_cell(crystal, value)
        elif name != SPECTRUM:
            _set(experiment, changed, name, value)
    if crystal is not experiment.crystal:
        changed.setdefault("crystal", {})
    if "fluence" in changed.get("beam", {}):
        changed["beam"]["flux"] = 0.0  # which would overrule it
    if not {SPECTRUM, "beam.wavelength_A"}.isdisjoint(values):
        changed.setdefault("beam", {}).update(beam_settings(
            experiment.beam, values.get(SPECTRUM), values.get("beam.wavelength_A")))
    if not changed:
        return CrystalShot(experiment, decay, dose)
    parts = {**{section: getattr(experiment, section) for section in changed}, "crystal": crystal}
    sections: dict[str, Any] = {section: replace(parts[section], **settings) for section, settings in changed.items()}
    return CrystalShot(replace(experiment, **sections), decay, dose)


def _checked_positive(name: str, value: float) -> float:
    if not value >= 0.0:
        raise ConfigError(name, f"got {value:g}; a number >= 0 is accepted")
    return float(value)


def _set(experiment: Experiment, changed: dict[str, dict[str, Any]], name: str, value: Any) -> None:
    field, index = _split(name)
    section, _, key = field.partition(".")
    part = getattr(experiment, section)
    settings = changed.setdefault(section, {})
    if index is not None:
        numbers = list(settings.get(key, getattr(part, key)))
        numbers[index] = value
        value = tuple(numbers)
    settings[key] = value

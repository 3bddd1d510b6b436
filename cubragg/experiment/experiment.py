"""The experiment: all settings of a simulation, in the user's units, and their TOML form."""

from __future__ import annotations

import base64
import dataclasses
import math
import os
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import numpy as np

from cubragg import checks, units
from cubragg.crystallography.shapes import resolve_shape
from cubragg.crystallography.vectors import unit
from cubragg.documents import toml_document
from cubragg.errors import ConfigError
from cubragg.experiment.background_settings import Background, Scatterer
from cubragg.experiment.beam import Beam, Source
from cubragg.experiment.beam_stop import BeamStop
from cubragg.experiment.conventions import Directions
from cubragg.experiment.crystal import Crystal
from cubragg.experiment.detector import Detector, Placed
from cubragg.experiment.goniometer import Goniometer
from cubragg.experiment.goniometer_axes import GoniometerAxis
from cubragg.experiment.panel import Panel
from cubragg.experiment.physical_only import refuse_physical_settings
from cubragg.experiment.response_settings import Response
from cubragg.experiment.sampling import Sampling
from cubragg.experiment.settings_repr import settings_repr
from cubragg.experiment.spectrum_channels import Channel
from cubragg.experiment.structure_factors import StructureFactors

Semantics = Literal["nanobragg", "physical"]
SEMANTICS: tuple[Semantics, ...] = get_args(Semantics)
_SECTIONS = {"beam": Beam, "crystal": Crystal, "detector": Detector, "goniometer": Goniometer,
             "sampling": Sampling, "structure_factors": StructureFactors, "background": Background,
             "response": Response, "beamstop": BeamStop}
#: The largest number of a pixel, float32.
_MOST_PHOTONS = 3.4e38
#: Sections that an experiment may not have.
_OPTIONAL = ("response", "beamstop")
#: Settings of structure factors that name a file, in place of a grid.
FILES = frozenset({"hkl_file", "model_file"})


@dataclass(frozen=True)
class Experiment:
    """All settings of a simulated image.

    Attributes
    ----------
    crystal, structure_factors, beam, detector, goniometer, sampling
        The parts; see their classes.
    semantics
        ``physical`` follows the textbook formulas; ``nanobragg`` reproduces the C program, including the deviations
        that `specs/physical.md` lists.
    background
        Photons that do not depend on the crystal, in physical semantics.
    response
        Response of the detector, in physical semantics; ``None``: that of a named detector (`Response.preset`), of
        others the ideal one, which counts every photon.
    beamstop
        The beam stop, in physical semantics; ``None``: nothing hides the detector.

    Raises
    ------
    ConfigError
        If a part is not valid, or the parts are inconsistent.
    """

    crystal: Crystal
    structure_factors: StructureFactors
    beam: Beam = field(default_factory=Beam)
    detector: Detector = field(default_factory=Detector)
    goniometer: Goniometer = field(default_factory=Goniometer)
    sampling: Sampling = field(default_factory=Sampling)
    semantics: Semantics = "physical"
    background: Background = field(default_factory=Background, kw_only=True)
    response: Response | None = field(default=None, kw_only=True)
    beamstop: BeamStop | None = field(default=None, kw_only=True)

    __repr__ = settings_repr

    def __post_init__(self) -> None:
        for name, part_class in _SECTIONS.items():
            part = getattr(self, name)
            if not isinstance(part, part_class) and not (part is None and name in _OPTIONAL):
                raise ConfigError(name, f"got {type(part).__name__}; a cubragg.{part_class.__name__} is accepted")
        checks.choice("semantics", "semantics", self.semantics, SEMANTICS)
        if self.semantics == "nanobragg":
            refuse_physical_settings(vars(self))
        else:
            self._check_photons()
        resolve_shape(self.crystal.shape, self.semantics)
        shape = self.detector.shape()
        self.sampling.region(shape)
        self.sampling.checked_mask(shape)

    def _check_photons(self) -> None:
        """Refuse a flux that is no photons, for which nanoBragg uses its fluence, and more photons than images hold."""
        beam = self.beam
        if beam.flux and not beam.exposure_s > 0.0:
            raise ConfigError("beam.exposure_s", f"got {beam.exposure_s:g} s and a flux; the exposure must be > 0 s")
        if beam.flux and beam.size_mm is None and not beam.beamsize_mm > 0.0:
            raise ConfigError("beam.beamsize_mm", f"got {beam.beamsize_mm:g} mm and a flux; the beam must be > 0 mm")
        if not beam.photons() <= _MOST_PHOTONS:
            where, given, unit = (("beam.flux", beam.flux, "photons/s") if beam.flux else
                                  ("beam.fluence", beam.fluence, "photons/m^2"))
            raise ConfigError(where, f"got {given:g} {unit}, a beam of {beam.photons():g} photons; up to "
                              f"{_MOST_PHOTONS:g}, what a pixel can hold, are accepted")

    def placed(self) -> Placed:
        """Return the placed panels of the detector, and its geometry as nanoBragg prints it.

        Raises
        ------
        ConfigError
            As `Detector.placed`.
        """
        given = Directions(self.beam.direction, self.beam.polarization_axis, self.goniometer.axis)
        placed = self.detector.placed(given, self.semantics)
        goniometer = self.goniometer
        if not goniometer.axes or goniometer.axis is None:
            return placed
        return placed._replace(frame=placed.frame._replace(
            spindle=unit(goniometer.axis), outermost=unit(goniometer.axes[-1].direction)))

    def detector_response(self) -> Response:
        """Return the response in force: the given one, that of a named detector, or the ideal one."""
        if self.response is not None:
            return self.response
        if self.semantics == "nanobragg" or self.detector.model is None:
            return Response()
        return Response.preset(self.detector.model, units.HC_EV_ANGSTROM / self.beam.wavelength_A)

    def to_toml(self, folder: Path | str | None = None) -> str:
        """Return the experiment as self-contained TOML text; `from_toml` returns an equal experiment.

        Parameters
        ----------
        folder
            The folder that the text is written to: it then names the file that structure factors were read from, with
            its SHA-256, in place of the grid; `cubragg.read` and ``cubragg simulate --config`` read it.
        """
        import tomli_w

        return tomli_w.dumps(self.document(folder))

    def document(self, folder: Path | str | None = None, leave_out: Sequence[str] = ()) -> dict[str, Any]:
        """Return what `to_toml` writes as nested dictionaries, without the settings ``leave_out``."""
        document: dict[str, Any] = {"semantics": self.semantics}
        for name in _SECTIONS:
            if getattr(self, name) is None:
                continue
            section = {key: _plain(value) for key, value in vars(getattr(self, name)).items()
                       if value is not None and key != "file" and f"{name}.{key}" not in leave_out
                       and not (isinstance(value, tuple) and not value)}
            if name == "structure_factors" and folder is not None:
                section = _with_file(section, self.structure_factors, folder)
            if section and not (name == "background" and self.background == Background()):
                document[name] = section
        return document

    @classmethod
    def from_toml(cls, text: str) -> Experiment:
        """Return the experiment that TOML text describes; omitted settings have their defaults.

        Raises
        ------
        ConfigError
            If the text is not TOML, or the experiment is not valid.
        """
        try:
            document = toml_document(text)
        except ValueError as error:
            raise ConfigError("config", f"not TOML: {error}") from None
        return cls.from_dict(document)

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Experiment:
        """Return the experiment of nested dictionaries, such as a TOML file is parsed into.

        A section ``run``, as ``cubragg simulate --save-config`` writes it, is that of the command line and has no
        effect.
        """
        checks.known(document, [*_SECTIONS, "semantics", "run"], "")
        parts: dict[str, Any] = {}
        for name, section_class in _SECTIONS.items():
            if name in _OPTIONAL and not document.get(name):
                continue
            section = document.get(name, {})
            if not isinstance(section, dict):
                raise ConfigError(name, f"got {section!r}; it must be a table of settings")
            hints = get_type_hints(section_class)
            hints.pop("file", None)
            for key in section.keys() & {*FILES, *(f"{hint}_file" for hint in hints)}:
                raise ConfigError(f"{name}.{key}", f"got {section[key]!r}; cubragg.read(path) and cubragg simulate "
                                  "--config read such a file, text for from_toml holds the numbers")
            checks.known(section, list(hints), f"{name}.")
            parts[name] = section_class(**{key: _typed(f"{name}.{key}", value, str(hints[key]))
                                           for key, value in section.items()})
        return cls(semantics=document.get("semantics", cls.semantics), **parts)


def require_experiment(given: object) -> None:
    """Refuse what is given in place of an experiment.

    Raises
    ------
    ConfigError
        For anything that is not an `Experiment`.
    """
    if not isinstance(given, Experiment):
        raise ConfigError("experiment", f"got {type(given).__name__}; a cubragg.Experiment is accepted"
                          + (", which its method complete() makes" if hasattr(given, "complete") else ""))


def _known_of_table(where: str, table: Any, accepted: list[str]) -> None:
    """Refuse what is no table, and settings that it does not have."""
    if not isinstance(table, dict):
        raise ConfigError(where, f"got {table!r:.60}; it must be a table of settings")
    checks.known(table, accepted, f"{where}.")


def _with_file(section: dict[str, Any], factors: StructureFactors, folder: Path | str) -> dict[str, Any]:
    """Return the settings of structure factors with the file that they were read from in place of the grid."""
    if factors.file is None:
        return section
    file = factors.file
    kind = "hkl" if file.dmin_A is None else "model"
    named = {f"{kind}_file": os.path.relpath(file.path, folder), f"{kind}_sha256": file.sha256}
    chosen = {"hkl_column": file.column, "model_dmin_A": file.dmin_A, "space_group": file.space_group,
              "F000": factors.F000}
    return {"default_F": factors.default_F, **named, **{name: one for name, one in chosen.items() if one is not None}}


def _plain(value: Any) -> Any:
    """Return a value as TOML can store it."""
    if isinstance(value, np.ndarray):
        packed = base64.b64encode(zlib.compress(value.tobytes(), 6)).decode("ascii")
        return {"dtype": value.dtype.newbyteorder("<").str, "shape": list(value.shape), "zlib_base64": packed}
    if isinstance(value, Source):
        position = [float("nan") if component is None else component for component in value.position]
        rest = {key: item for key, item in vars(value).items() if key != "position" and item is not None}
        return {"position": position, **rest}
    if isinstance(value, Channel | GoniometerAxis):
        return {key: _plain(item) for key, item in vars(value).items()}
    if isinstance(value, Scatterer):
        return {key: _plain(item) for key, item in vars(value).items()}
    if isinstance(value, Panel):
        return {key: _plain(item) for key, item in vars(value).items() if item is not None and key != "made_by"}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _typed(where: str, value: Any, hint: str) -> Any:
    """Return a TOML value as the type of the dataclass field."""
    if "ndarray" in hint:
        return _unpacked(where, value)
    if where in _LISTS:
        if not isinstance(value, list | tuple):
            raise ConfigError(where, f"got {value!r:.60}; it must be a list of tables")
        return tuple(_LISTS[where](f"{where}[{number}]", table) for number, table in enumerate(value, start=1))
    if where == "detector.panels":
        return panels_of(where, value)
    if "bool" in hint and not isinstance(value, bool):
        raise ConfigError(where, f"got {value!r}; it must be true or false")
    if isinstance(value, list):
        return tuple(_typed(where, item, hint) for item in value)
    if "float" in hint and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def _scatterer(where: str, table: Any) -> Scatterer:
    hints = {part.name: str(part.type) for part in dataclasses.fields(Scatterer)}
    _known_of_table(where, table, list(hints))
    missing = [name for name in ("table", "path_mm") if name not in table]
    if missing:
        raise ConfigError(where, f"got a scatterer without {', '.join(missing)}; it needs table and path_mm")
    return Scatterer(**{key: _typed(f"{where}.{key}", value, hints[key]) for key, value in table.items()})


def _source(where: str, table: Any) -> Source:
    _known_of_table(where, table, [part.name for part in dataclasses.fields(Source)])
    given = table.get("position", (math.nan,) * 3)
    if not isinstance(given, list | tuple) or len(given) != 3:
        raise ConfigError(where, f"got {given!r:.60}; a source position needs 3 numbers")
    x, y, z = (None if component != component else component for component in given)
    return Source((x, y, z), table.get("weight"), table.get("wavelength_m"))


def _channel(where: str, table: Any) -> Channel:
    _known_of_table(where, table, [part.name for part in dataclasses.fields(Channel)])
    if "wavelength_A" not in table:
        raise ConfigError(where, "got a channel without wavelength_A; a channel needs it")
    return Channel(**{key: _typed(f"{where}.{key}", value, "float") for key, value in table.items()})


def _goniometer_axis(where: str, table: Any) -> GoniometerAxis:
    if isinstance(table, GoniometerAxis):
        return table
    _known_of_table(where, table, [part.name for part in dataclasses.fields(GoniometerAxis)])
    missing = [name for name in ("name", "direction") if name not in table]
    if missing:
        raise ConfigError(where, f"got an axis without {', '.join(missing)}; it needs name and direction")
    return GoniometerAxis(**{key: _typed(f"{where}.{key}", value, "str" if key == "name" else "float")
                             for key, value in table.items()})


#: Settings that are lists of tables, and what makes an element of a table.
_LISTS: dict[str, Callable[[str, Any], Any]] = {
    "beam.sources": _source, "beam.spectrum": _channel, "goniometer.axes": _goniometer_axis,
    "background.scatterers": _scatterer}


def panels_of(where: str, value: Any) -> tuple[Panel, ...]:
    """Return the panels of a list of TOML tables or `Panel` objects.

    Raises
    ------
    ConfigError
        If a table does not describe a panel; ``where`` is the setting in the message.
    """
    if not isinstance(value, list | tuple) or not all(isinstance(table, Panel | dict) for table in value):
        raise ConfigError(where, f"got {value!r:.60}; it must be a list of tables, one for each panel")
    return tuple(table if isinstance(table, Panel) else _panel(f"{where}[{number}]", table)
                 for number, table in enumerate(value))


def _panel(where: str, table: dict[str, Any]) -> Panel:
    accepted = [part for part in dataclasses.fields(Panel) if part.init]
    hints = {part.name: part.type for part in accepted}
    checks.known(table, list(hints), f"{where}.")
    missing = [part.name for part in accepted if part.default is dataclasses.MISSING and part.name not in table]
    if missing:
        raise ConfigError(where, f"got a panel without {', '.join(missing)}; a panel needs all of them")
    return Panel(**{key: _typed(f"{where}.{key}", value, str(hints[key])) for key, value in table.items()})


def _unpacked(where: str, table: Any) -> np.ndarray:
    if isinstance(table, np.ndarray):
        return table
    if isinstance(table, list):
        try:
            return np.array(table, dtype=np.float64)
        except (TypeError, ValueError):
            raise ConfigError(where, f"got {table!r:.60}; it must be an array of numbers") from None
    try:
        data = zlib.decompress(base64.b64decode(table["zlib_base64"], validate=True))
        return np.frombuffer(data, dtype=np.dtype(table["dtype"])).reshape(table["shape"])
    except (TypeError, KeyError, ValueError, zlib.error) as error:
        raise ConfigError(where, f"not a packed array ({error}); it needs dtype, shape and zlib_base64") from None

"""``--background`` and nanoBragg's ``-stol``: terms on the line become settings of the background."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cubragg.cli.inputs import InputFile, read_setting, reading
from cubragg.errors import ConfigError
from cubragg.experiment import Background, Scatterer

if TYPE_CHECKING:
    from cubragg.run.named_settings import NamedFile

#: Terms with a number, and the setting of each. ``air`` takes one length, before the crystal, or two: 10:30.
NUMBERS = {"water": "water_um", "ice": "ice_um", "ice-width": "ice_fwhm_per_A", "constant": "constant"}
COUNTS = {"ice-grains": "ice_grains", "ice-seed": "ice_seed"}
FILES = ("stol", "radial", "image")
_SETTINGS = {**NUMBERS, **COUNTS, "air": "air_mm"}
#: Terms by the names of their settings in Python and TOML, which are accepted as well.
_BY_SETTING = {setting: term for term, setting in _SETTINGS.items()}
_ACCEPTED = ("water=UM, air=MM or air=MM:MM, ice=UM, ice-width=1/A, ice-grains=N, ice-seed=N, constant=PHOTONS, "
             "stol=FILE:MM:DENSITY:MW, radial=FILE, image=FILE")
#: Length of the material of ``-stol`` [mm], nonBragg's default.
_STOL_PATH_MM = 0.1


def background_of(text: str, where: str, files: dict[str, NamedFile] | None = None) -> Background:
    """Return the background of terms such as ``water=50,air=5:20,constant=0.1``.

    Files that are read are added to ``files``.

    Raises
    ------
    ConfigError
        For a term that is not known, or whose value is not accepted; ``where`` is the flag in the message.
    FormatError
        For a file that does not conform to its format.
    """
    settings: dict[str, Any] = {}
    scatterers: list[Scatterer] = []
    named: set[str] = set()
    for term in text.split(","):
        name, separator, value = (part.strip() for part in term.partition("="))
        name = _BY_SETTING.get(name, name)
        if not separator or not value or name not in (*_SETTINGS, *FILES):
            raise ConfigError(where, f"got {term.strip()!r}; accepted are {_ACCEPTED}, separated by commas")
        if name in named and name != "stol":
            raise ConfigError(f"{where} {name}", "got it twice; give it once")
        named.add(name)
        if name in NUMBERS:
            settings[NUMBERS[name]] = _number(where, name, value)
        elif name in COUNTS:
            if not value.isdecimal():
                raise ConfigError(where, f"got {name}={value}; a whole number >= 0 is accepted")
            settings[COUNTS[name]] = int(value)
        elif name == "air":
            lengths = [_number(where, name, length) for length in value.split(":")]
            if len(lengths) > 2:
                raise ConfigError(where, f"got air={value}; one or two lengths in mm are accepted: before the crystal, "
                                  "and after it to the beam stop")
            settings["air_mm"] = (lengths[0], lengths[1] if len(lengths) == 2 else 0.0)
        elif name == "stol":
            scatterers.append(_scatterer(where, value))
        else:
            settings[name] = read_setting(f"background.{name}", value, where, files)
    try:
        return Background(**settings, scatterers=tuple(scatterers))
    except ConfigError as error:
        setting = error.where.removeprefix("background.")
        raise ConfigError(f"{where} {_BY_SETTING.get(setting, setting)}", error.what) from None


def stol_files(text: str) -> list[str]:
    """Return the tables of F that terms name."""
    terms = (term.partition("=") for term in text.split(","))
    return [value.partition(":")[0].strip() for name, _, value in terms if name.strip() == "stol"]


def amorphous(settings: dict[str, Any], provenance: dict[str, str]) -> Scatterer:
    """Return the material of ``-stol``, ``-4stol`` or ``-Q`` with ``-density`` and ``-MW``."""
    from cubragg.io.form_factor_file import read_form_factor

    abscissa = next(name for name in ("stol", "4stol", "Q") if name in settings)
    where = provenance[f"amorphous.{abscissa}"]
    with reading(InputFile(settings[abscissa], where)):
        table = read_form_factor(settings[abscissa], abscissa)
    try:
        return Scatterer(table, _STOL_PATH_MM, settings.get("density", 1.0), settings.get("MW", 18.0))
    except ConfigError as error:
        raise ConfigError(where, error.what) from None


def _number(where: str, name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(where, f"got {name}={text}; a number is accepted") from None


def _scatterer(where: str, value: str) -> Scatterer:
    from cubragg.io.form_factor_file import read_form_factor

    path, *numbers = value.split(":")
    if len(numbers) not in (1, 2, 3):
        raise ConfigError(where, f"got stol={value}; FILE:MM, FILE:MM:DENSITY or FILE:MM:DENSITY:MW is accepted, the "
                          "length along the beam, g/cm^3 and g/mol")
    with reading(InputFile(path, where)):
        table = read_form_factor(path)
    try:
        return Scatterer(table, *(_number(where, "stol", number) for number in numbers))
    except ConfigError as error:
        raise ConfigError(where, error.what) from None

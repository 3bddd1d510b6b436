"""``--response``: terms on the line become settings of the detector's response."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from cubragg.cli.inputs import read_setting
from cubragg.errors import ConfigError
from cubragg.experiment.response_settings import Response

if TYPE_CHECKING:
    from cubragg.run.named_settings import NamedFile

#: Settings by the name of their term; units are left out of the names.
_TERMS = {field.name.replace("_um", "").replace("_ns", "").replace("_", "-"): field.name for field in fields(Response)}
#: Names of fields, with a unit, that are accepted as well.
_WITH_UNIT = tuple(field.name for field in fields(Response) if field.name.endswith(("_um", "_ns")))
_WHOLE = ("count_cutoff", "calibration_seed")
_WORDS = ("kind", "order", "dead_time")


def response_of(text: str, energy_eV: float, where: str, files: dict[str, NamedFile] | None = None) -> Response:
    """Return the response of a detector's name or terms, such as ``pilatus6m,flat-field-sigma=0.01`` or ``ideal``.

    Files that are read are added to ``files``.

    Raises
    ------
    ConfigError
        For a term that is not known, or whose value is not accepted; ``where`` is the flag in the message.
    """
    first, *terms = (term.strip() for term in text.split(","))
    response = Response()
    if "=" in first:
        terms = [first, *terms]
    if "=" not in first and first != "ideal":
        try:
            response = Response.preset(first, energy_eV)
        except ConfigError as error:
            raise ConfigError(where, error.what) from None
    settings: dict[str, Any] = {}
    for term in terms:
        field, value = _setting(term, where, files)
        if field in settings:
            raise ConfigError(f"{where} {_term_of(field)}", "got it twice; give it once")
        settings[field] = value
    try:
        return replace(response, **settings)
    except ConfigError as error:
        raise ConfigError(f"{where} {_term_of(error.where.removeprefix('response.'))}", error.what) from None


def _term_of(field: str) -> str:
    """Return the term that sets a field."""
    special = {"dead_time_ns": "dead-time", "dead_time": "dead-time-model"}
    return special.get(field) or next((term for term, name in _TERMS.items() if name == field), field)


def terms_of(response: Response) -> str:
    """Return the terms of the settings that are not those of the ideal response, without a map of bad pixels."""
    ideal = vars(Response())
    chosen = {"kind": response.kind, **{name: value for name, value in vars(response).items()
                                        if name != "bad_pixels" and value != ideal[name]}}
    return ",".join(f"{_term_of(name)}={_text(name, value)}" for name, value in chosen.items())


def _text(name: str, value: Any) -> str:
    if isinstance(value, tuple):
        return (":" if name == "chips" else "/").join(":".join(f"{one:g}" for one in row) for row in value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _setting(term: str, where: str, files: dict[str, NamedFile] | None) -> tuple[str, Any]:
    name, separator, value = (part.strip() for part in term.partition("="))
    if name == "psf" and ":" in value:
        raise ConfigError(where, f"got {term}; psf=gauss and psf-fwhm=80, in um, are accepted")
    field = {"dead-time": "dead_time_ns", "dead-time-model": "dead_time"}.get(name) or _TERMS.get(name)
    if name in _WITH_UNIT:  # as in Python and TOML
        field = name
    if field is None or not separator or not value:
        known = ", ".join(sorted({*_TERMS, "dead-time-model"}))
        raise ConfigError(where, f"got {term!r}; the name of a detector, ideal, and terms NAME=VALUE are accepted, "
                          f"with the names {known}")
    if field in _WORDS or field == "psf":
        return field, value
    if field == "bad_pixels":
        return field, read_setting("response.bad_pixels", value, where, files)
    try:
        if field in _WHOLE:
            return field, int(value)
        if field == "gain_stages":
            rows = (row.split(":") for row in value.split("/"))
            return field, tuple((float(signal), float(noise)) for signal, noise in rows)
        if field == "chips":
            fast, slow, *gaps = (int(number) for number in value.split(":"))
            gap_fast, gap_slow = gaps
            return field, ((fast, slow), (gap_fast, gap_slow))
        return field, float(value)
    except ValueError:
        raise ConfigError(where, f"got {term}; {_accepted(field)} accepted") from None


def _accepted(field: str) -> str:
    return {"gain_stages": "SIGNAL:NOISE/SIGNAL:NOISE, in photons, is", "chips": "FAST:SLOW:GAP:GAP, in pixels, is"
            }.get(field, "a whole number is" if field in _WHOLE else "a number is")

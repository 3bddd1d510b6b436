"""Reader of source lists (``-sourcefile``)."""

from __future__ import annotations

from pathlib import Path

from cubragg.errors import FormatError
from cubragg.experiment import Source
from cubragg.io.files.text import data_lines, number, read_text

#: A first column from here on is an energy [eV], not a coordinate [m].
_LEAST_ENERGY_EV = 100.0
_COLUMNS = ("X", "Y", "Z", "a weight", "a wavelength")


def read_sources(path: Path | str) -> tuple[Source, ...]:
    """Return the sources of lines ``X Y Z weight wavelength``, lengths in metres; trailing columns may be omitted.

    Raises
    ------
    FormatError
        If there is no line, or a value is not valid.
    OSError
        If the file cannot be read.
    """
    sources = tuple(_source(f"{path}:{line_number}", columns)
                    for line_number, columns in data_lines(read_text(path)))
    if not sources:
        raise FormatError(f"{path}: no sources; a source file needs lines of X Y Z weight wavelength, in metres")
    return sources


def _source(where: str, columns: list[str]) -> Source:
    if len(columns) == 2 and number(where, _COLUMNS[0], columns[0]) >= _LEAST_ENERGY_EV:
        raise FormatError(f"{where}: got two columns, which seem to be an energy [eV] and a weight; a source has X Y Z "
                          "[m], weight and wavelength [m]: give --spectrum for a spectrum")
    values: list[float | None] = [number(where, name, token) for name, token in zip(_COLUMNS, columns, strict=False)]
    values += [None] * (len(_COLUMNS) - len(values))
    x, y, z, weight, wavelength = values
    if x == y == z == 0.0:
        raise FormatError(f"{where}: got a source at the crystal; its position must have a direction")
    if weight is not None and weight < 0.0:
        raise FormatError(f"{where}: got {weight:g}; a weight must be >= 0")
    if wavelength is not None and wavelength <= 0.0:
        raise FormatError(f"{where}: got {wavelength:g} m; a wavelength must be > 0 m")
    return Source((x, y, z), weight, wavelength)

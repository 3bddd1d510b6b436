"""Reader of spectra (``--spectrum``)."""

from __future__ import annotations

from pathlib import Path

from cubragg import units
from cubragg.errors import FormatError
from cubragg.experiment import Channel
from cubragg.io.files.text import data_lines, number, read_text

#: First column from which on it is an energy [eV], not a wavelength [A].
_LEAST_ENERGY_EV = 100.0
_COLUMNS = ("a wavelength", "a weight", "a bandwidth")


def read_spectrum(path: Path | str) -> tuple[Channel, ...]:
    """Return the channels of lines ``wavelength weight bandwidth``, separated by blanks or commas.

    The first column is a wavelength [A] in every line, or an energy [eV] in every line: from 100 on. The weight counts
    photons; the bandwidth is a sigma of the relative wavelength, 0 if omitted. A first line of column names is skipped,
    as in the .lam files of Precognition.

    Raises
    ------
    FormatError
        If there is no line, one has more columns, or a value is not valid.
    OSError
        If the file cannot be read.
    """
    lines = [(f"{path}:{line_number}", columns)
             for line_number, columns in data_lines(read_text(path))]
    if lines and not _is_number(lines[0][1][0]):
        lines = lines[1:]
    rows = [_row(where, columns) for where, columns in lines]
    if not any(weight > 0.0 for _, weight, _ in rows):
        raise FormatError(f"{path}: no channel with a weight > 0; a spectrum needs lines of wavelength [A] or energy "
                          "[eV], and weight")
    energies = _in_energies(rows[0])
    for (where, _), row in zip(lines, rows, strict=True):
        if _in_energies(row) != energies:
            units_of = ("wavelengths [A]", "energies [eV]")
            raise FormatError(f"{where}: got {row[0]:g} in the first column of a file of {units_of[energies]}; all "
                              f"lines have wavelengths, below {_LEAST_ENERGY_EV:g} A, or all have energies")
    return tuple(Channel(units.angstrom_from_ev(first) if energies else first, weight, bandwidth)
                 for first, weight, bandwidth in rows)


def _in_energies(row: tuple[float, float, float]) -> bool:
    return row[0] >= _LEAST_ENERGY_EV


def _is_number(token: str) -> bool:
    try:
        float(token)
    except ValueError:
        return False
    return True


def _row(where: str, columns: list[str]) -> tuple[float, float, float]:
    if len(columns) < 2:
        raise FormatError(f"{where}: got one column; a channel needs a wavelength [A] or energy [eV], and a weight")
    if len(columns) > len(_COLUMNS):
        raise FormatError(f"{where}: got {len(columns)} columns; a channel has a wavelength [A] or energy [eV], a "
                          "weight, and a bandwidth (sigma of the relative wavelength) or none")
    values = [number(where, name, token) for name, token in zip(_COLUMNS, columns, strict=False)]
    first, weight, bandwidth = [*values, 0.0][:3]
    if not first > 0.0:
        raise FormatError(f"{where}: got {first:g}; a wavelength or energy must be > 0")
    if weight < 0.0 or bandwidth < 0.0:
        raise FormatError(f"{where}: got {min(weight, bandwidth):g}; weight and bandwidth must be >= 0")
    return first, weight, bandwidth

"""Reads a column of numbers, or rows of numbers, from a CSV or NumPy file."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from cubragg.errors import ConfigError


def read_column(named: str) -> np.ndarray:
    """The numbers of a file: ``FILE.csv:NAME`` or ``FILE.csv:NUMBER`` (from 0), ``FILE.npy``, ``FILE.npz:NAME``.

    A CSV file has names in its first line; lines that begin with # are skipped. Without a column all columns are read,
    as a row of numbers for each shot. An array of a NumPy file has a number or a row of numbers for each shot.

    Raises
    ------
    ConfigError
        If there is no such file or column, or a value is not a number; ``where`` is the file.
    """
    path, column = split_column(named)
    if not Path(path).is_file():
        raise ConfigError(named, "there is no such file; a CSV or NumPy file is accepted, with a column as FILE:NAME")
    if Path(path).suffix.lower() in (".npy", ".npz"):
        return _from_numpy(path, column)
    return _from_csv(path, column)


def split_column(named: str) -> tuple[str, str]:
    """The path and the column, empty without one, of ``FILE:COLUMN``."""
    if Path(named).is_file():
        return named, ""
    path, colon, column = named.rpartition(":")
    return (path, column) if colon else (named, "")


def _from_numpy(path: str, column: str) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as found:
            if not column or column not in found:
                raise ConfigError(path, f"got the array {column!r}; it has {', '.join(found)}, named as FILE:NAME")
            return np.array(found[column])
    except (AttributeError, TypeError):  # np.load returns the array of an .npy file itself
        array: np.ndarray = np.load(path, allow_pickle=False)
        return array
    except (ValueError, OSError) as error:
        raise ConfigError(path, f"not a NumPy file of numbers: {error}") from None


def _from_csv(path: str, column: str) -> np.ndarray:
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(line for line in file if not line.startswith("#")) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(path, f"not a CSV file: {error}") from None
    names = [name.strip() for name in rows[0]] if rows else []
    if not column and len(names) > 1:
        return np.array([[_number(path, number, row, names, place) for place in range(len(names))]
                         for number, row in enumerate(rows[1:], start=2)]).reshape(-1, len(names))
    if column in names:
        place = names.index(column)
    elif column.isdigit() and int(column) < len(names):
        place = int(column)
    else:
        raise ConfigError(path, f"got the column {column!r}; it has {', '.join(names)}, named as FILE:NAME")
    return np.array([_number(path, number, row, names, place) for number, row in enumerate(rows[1:], start=2)])


def _number(path: str, line: int, row: list[str], names: list[str], place: int) -> float:
    """The number of a row in the column at ``place``."""
    try:
        return float(row[place])
    except (IndexError, ValueError):
        raise ConfigError(f"{path}, row {line}", f"got {row[place] if place < len(row) else 'no value'!r} in the "
                          f"column {names[place]}; a number is accepted") from None

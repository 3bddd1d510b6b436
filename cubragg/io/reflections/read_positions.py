"""Reads positions and indices of reflections from tables that `cubragg` writes as CSV or HDF5."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cubragg.errors import FormatError
from cubragg.io.files.hdf5_source import hdf5_file, read_values

_POSITIONS = ("image_fast", "image_slow", "photons")
_COLUMNS = ("h", "k", "l", *_POSITIONS)


class SpotPositions(NamedTuple):
    """Reflections of one image, brightest first: positions in the image [pixel], float64 [n], and hkl, int64 [n, 3]."""

    fast_px: np.ndarray
    slow_px: np.ndarray
    hkl: np.ndarray


def read_positions(path: Path | str, shot: int) -> SpotPositions:
    """Read the reflections of an image, without 0 0 0.

    Parameters
    ----------
    path
        A table of one image (`simulate --truth`), or of the shots of a shard of a data set.
    shot
        Number of the image in the data set, from 0.

    Raises
    ------
    FormatError
        If the file is no such table, or one of other shots.
    OSError
        If it cannot be read.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in (".csv", ".h5", ".hdf5", ".nxs"):
        raise FormatError(f"{path}: a reflection table of cubragg as CSV or HDF5 (.h5) is accepted")
    columns = _csv(path) if suffix == ".csv" else _hdf5(path, shot)
    kept = ~np.all([columns[name] == 0 for name in "hkl"], axis=0)
    order = np.flatnonzero(kept)[np.argsort(-columns["photons"][kept], kind="stable")]
    hkl = np.stack([columns[name][order] for name in "hkl"], axis=1).astype(np.int64)
    return SpotPositions(columns["image_fast"][order], columns["image_slow"][order], hkl)


def _csv(path: Path | str) -> dict[str, np.ndarray]:
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(line for line in file if not line.startswith("#")))
    names = [name.partition(" [")[0] for name in rows[0]] if rows else []
    missing = [name for name in _COLUMNS if name not in names]
    if missing:
        raise FormatError(f"{path}: no column {missing[0]!r}; a table as simulate --truth writes it is accepted")
    try:
        values = np.array([[float(row[names.index(name)]) for name in _COLUMNS] for row in rows[1:]])
    except (ValueError, IndexError) as error:
        raise FormatError(f"{path}: {error}; a table as simulate --truth writes it is accepted") from None
    return dict(zip(_COLUMNS, values.reshape(-1, len(_COLUMNS)).T, strict=True))


def _hdf5(path: Path | str, shot: int) -> dict[str, np.ndarray]:
    with hdf5_file(path) as file:
        group = file.get("reflections", {})
        missing = [name for name in _COLUMNS if name not in group]
        if missing:
            raise FormatError(f"{path}: no /reflections/{missing[0]}; a table as simulate --truth or a data set "
                              "writes it is accepted")
        columns = {name: np.asarray(read_values(path, group[name]), dtype=np.float64) for name in _COLUMNS}
        if "shot" in group:
            shots = np.asarray(read_values(path, group["shot"]))
            if shots.size and not shots.min() <= shot <= shots.max():
                raise FormatError(f"{path}: no reflections of shot {shot}; it has those of shots {shots.min()} to "
                                  f"{shots.max()}")
            inside = shots == shot
            columns = {name: column[inside] for name, column in columns.items()}
        return columns

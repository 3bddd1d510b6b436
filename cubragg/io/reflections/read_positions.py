"""Reads positions and indices of reflections from tables that `cubragg` writes as CSV or HDF5, and from DIALS's."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cubragg.errors import FormatError
from cubragg.experiment.panel import Panel
from cubragg.io.files.hdf5_source import hdf5_file, read_values
from cubragg.io.files.text import read_text

_POSITIONS = ("image_fast", "image_slow", "photons")
_COLUMNS = ("h", "k", "l", *_POSITIONS)
_ACCEPTED = "a table as simulate --truth writes it is accepted"
#: Largest index of a reflection, which other programs hold in 32 bits.
_MOST_INDEX = 2**31 - 1
#: Types of columns of DIALS that are read.
_KINDS = {"int": "<i4", "std::size_t": "<u8", "double": "<f8", "vec3<double>": "<f8", "cctbx::miller::index<>": "<i4"}


class SpotPositions(NamedTuple):
    """Reflections of one image, brightest first.

    Attributes
    ----------
    fast_px, slow_px
        Positions in the image [pixel], float64 [n].
    hkl
        int64 [n, 3]; ``None`` for spots without indices.
    """

    fast_px: np.ndarray
    slow_px: np.ndarray
    hkl: np.ndarray | None


def read_positions(path: Path | str, shot: int, panels: Sequence[Panel] = ()) -> SpotPositions:
    """Read the reflections of an image, without 0 0 0.

    Parameters
    ----------
    path
        A table of one image (`simulate --truth`), or of the shots of a shard of a data set; a table of DIALS with
        predicted or observed positions.
    shot
        Number of the image in the data set, from 0.
    panels
        Panels of the detector, on which the positions of a table of DIALS are.

    Raises
    ------
    FormatError
        If the file is no such table, or one of other shots.
    OSError
        If it cannot be read.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in (".csv", ".h5", ".hdf5", ".nxs", ".refl"):
        raise FormatError(f"{path}: a reflection table of cubragg (.csv, .h5) or of DIALS (.refl) is accepted")
    if suffix == ".refl":
        return _refl(path, shot, panels)
    columns = _csv(path) if suffix == ".csv" else _hdf5(path, shot)
    _check(path, columns)
    kept = ~np.all([columns[name] == 0 for name in "hkl"], axis=0)
    order = np.flatnonzero(kept)[np.argsort(-columns["photons"][kept], kind="stable")]
    hkl = np.stack([columns[name][order] for name in "hkl"], axis=1).astype(np.int64)
    return SpotPositions(columns["image_fast"][order], columns["image_slow"][order], hkl)


def _check(path: Path | str, columns: Mapping[str, np.ndarray]) -> None:
    """Check that columns are of equal length, and of numbers that can be drawn."""
    shapes = {name: column.shape for name, column in columns.items()}
    if any(len(shape) != 1 or shape != shapes["h"] for shape in shapes.values()):
        raise FormatError(f"{path}: columns of {', '.join(f'{name} {shape}' for name, shape in shapes.items())} "
                          "rows; columns of equal length are accepted")
    for name, column in columns.items():
        wrong = ~np.isfinite(column) if name not in "hkl" else ~(np.abs(column) <= _MOST_INDEX)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise FormatError(f"{path}: {name} of reflection {row + 1} is {column[row]:g}; {_ACCEPTED}")


def _csv(path: Path | str) -> dict[str, np.ndarray]:
    text = read_text(path)
    try:
        rows = list(csv.reader(line for line in text.split("\n") if line and not line.startswith("#")))
    except csv.Error as error:
        raise FormatError(f"{path}: {error}; {_ACCEPTED}") from None
    names = [name.partition(" [")[0] for name in rows[0]] if rows else []
    missing = [name for name in _COLUMNS if name not in names]
    if missing:
        raise FormatError(f"{path}: no column {missing[0]!r}; {_ACCEPTED}")
    try:
        values = np.array([[float(row[names.index(name)]) for name in _COLUMNS] for row in rows[1:]])
    except (ValueError, IndexError) as error:
        raise FormatError(f"{path}: {error}; {_ACCEPTED}") from None
    return dict(zip(_COLUMNS, values.reshape(-1, len(_COLUMNS)).T, strict=True))


def _hdf5(path: Path | str, shot: int) -> dict[str, np.ndarray]:
    with hdf5_file(path) as file:
        group = file.get("reflections", {})
        missing = [name for name in _COLUMNS if name not in group]
        if missing:
            raise FormatError(f"{path}: no /reflections/{missing[0]}; a table as simulate --truth or a data set "
                              "writes it is accepted")
        names = [*_COLUMNS, *(["shot"] if "shot" in group else [])]
        columns = {name: np.asarray(read_values(path, group[name]), dtype=np.float64) for name in names}
        _check(path, columns)
        if "shot" in group:
            shots = columns.pop("shot")
            if shots.size and not shots.min() <= shot <= shots.max():
                raise FormatError(f"{path}: no reflections of shot {shot}; it has those of shots {shots.min():.0f} to "
                                  f"{shots.max():.0f}")
            inside = shots == shot
            columns = {name: column[inside] for name, column in columns.items()}
        return columns


def _refl(path: Path | str, shot: int, panels: Sequence[Panel]) -> SpotPositions:
    """Read a table of DIALS: of a sweep by the number of the frame, of stills by that of the imageset."""
    import msgpack

    try:
        table = msgpack.unpackb(Path(path).read_bytes(), strict_map_key=False)[2]
        columns = {name: _column(kind, *stored) for name, (kind, stored) in table["data"].items() if kind in _KINDS}
        places = columns["xyzcal.px" if "xyzcal.px" in columns else "xyzobs.px.value"]
        panel = columns.get("panel", np.zeros(len(places), np.uint64)).astype(np.intp)
        frames, sets = np.floor(places[:, 2]), columns.get("imageset_id", np.zeros(len(places)))
        inside = sets == shot if len(np.unique(sets)) > 1 else frames == shot if frames.max(initial=0.0) >= 1.0 else (
            np.ones(len(places), dtype=bool))
        offsets = np.array([one.offset for one in panels] or [(0, 0)], dtype=np.float64)[panel]
        photons = columns.get("intensity.sum.value", np.zeros(len(places)))
        inside &= np.isfinite(places).all(axis=1) & np.isfinite(photons)
        order = np.flatnonzero(inside)[np.argsort(-photons[inside], kind="stable")]
        hkl = columns["miller_index"][order].astype(np.int64) if "miller_index" in columns else None
    except OSError:
        raise
    except Exception as error:  # of msgpack and of tables of any other shape
        raise FormatError(f"{path}: not a table of DIALS with positions of this image's panels "
                          f"({type(error).__name__}: {error})") from None
    x, y = (places[:, :2] + offsets)[order].T
    return SpotPositions(x, y, hkl)


def _column(kind: str, rows: int, data: bytes) -> np.ndarray:
    """Return a column of a table of DIALS, [rows] or [rows, 3]."""
    values = np.frombuffer(data, _KINDS[kind])
    return values.reshape(rows, -1) if kind in ("vec3<double>", "cctbx::miller::index<>") else values.reshape(rows)

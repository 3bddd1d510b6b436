"""Tables of the shots that image files hold: wavelengths, parameters and crystals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cubragg.crystallography.cell import dual_axes
from cubragg.crystallography.frames import to_frame
from cubragg.crystallography.vectors import Matrix
from cubragg.dataset.digests import CRYSTALS, PARAMETERS, POSITIONS
from cubragg.dataset.spectrum_draws import SPECTRUM
from cubragg.io.images.nexus_nodes import field
from cubragg.io.images.nxmx_beam import BEAM, WAVELENGTH
from cubragg.plan.plan import Plan

if TYPE_CHECKING:
    import h5py


class ShotTables(NamedTuple):
    """What image files hold of their n shots with m crystals.

    Attributes
    ----------
    wavelengths_A
        float64 [n] [A].
    parameters
        Values [n, ...] by name; NaN, or an empty text, where a shot has none.
    shot, A_dials
        Shot of each crystal, int64 [m], and its A matrix in the frame of DIALS [m, 3, 3] [1/A].
    positions
        `DetectorPositions` of a detector that moves, float64 [n] by name [m]; empty of another one.
    """

    wavelengths_A: np.ndarray
    parameters: Mapping[str, np.ndarray]
    shot: np.ndarray
    A_dials: np.ndarray
    positions: Mapping[str, np.ndarray] = MappingProxyType({})


def dials_matrix(plan: Plan) -> Matrix:
    """The A matrix [1/A] of the crystal of a still in the frame of DIALS, by rows."""
    rotation = plan.geometry.dials_rotation()
    axes = [to_frame(rotation, axis) for axis in dual_axes(plan.lattice.a, plan.lattice.b, plan.lattice.c)]
    return tuple(axis[row] for row in range(3) for axis in axes)  # type: ignore[return-value]


def parameter_arrays(parameters: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """The parameters of shots as arrays [n, ...] by name; NaN, or an empty text, where a shot has none."""
    names = dict.fromkeys(name for one in parameters for name in one)
    found: dict[str, np.ndarray] = {}
    for name in names:
        values = [one.get(name) for one in parameters]
        example = next(value for value in values if value is not None)
        if isinstance(example, str):
            found[name] = np.array([value or "" for value in values], dtype=object)
            continue
        shape = np.shape(example)
        rows = [np.full(shape, np.nan) if value is None or np.shape(value) != shape else np.asarray(value, float)
                for value in values]
        found[name] = np.array(rows)
    return found


def write_arrays(group: h5py.Group, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as data sets of a group; # in a name, which separates crystals, stays."""
    import h5py

    for name, array in arrays.items():
        kind = h5py.string_dtype() if array.dtype.kind == "O" else None
        group.create_dataset(name.replace("/", "_"), data=array, dtype=kind)


def read_arrays(group: h5py.Group, without: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Read the data sets of a group that `write_arrays` wrote, but those of some names."""
    return {name: read_array(group, name) for name in map(bytes.decode, group.id) if name not in without}


def read_array(group: h5py.Group, name: str) -> np.ndarray:
    """Read a data set below a group: numbers with h5py's low level, which takes a fourth of the time."""
    from h5py import h5d, h5s

    node = h5d.open(group.id, name.encode())
    if node.dtype.kind == "O":
        return np.asarray(group[name].asstr()[()])
    found = np.empty(node.shape, node.dtype)
    node.read(h5s.ALL, h5s.ALL, found)
    return found


def write_shot_tables(file: h5py.File, tables: ShotTables) -> None:
    """Write the wavelengths of the shots, if they differ from that of the file, and all parameters and crystals into an
    NXmx file."""
    beam = file[BEAM]
    if np.any(tables.wavelengths_A != beam[WAVELENGTH][()]):
        del beam[WAVELENGTH]
        field(beam, WAVELENGTH, tables.wavelengths_A, "angstrom")
    crystals = {"shot": tables.shot, "A_dials": tables.A_dials}
    for name, arrays in ((PARAMETERS, tables.parameters), (CRYSTALS, crystals), (POSITIONS, tables.positions)):
        if arrays or name == PARAMETERS:
            group = file.create_group(name)
            group.attrs["NX_class"] = "NXcollection"
            write_arrays(group, arrays)
    for name in tables.positions:
        file[POSITIONS][name].attrs["units"] = "m"


def tables_file(record: Mapping[str, Any]) -> str:
    """The file of a shard, given by its line of the manifest, that has the tables of its shots."""
    return next(name for name in record["files"] if name.endswith(".nxs") or name.startswith("shots-"))


def read_shot_tables(folder: Path, parts: Sequence[tuple[str, int]]) -> ShotTables:
    """The tables of all shots of files, each given by its name and its number of shots."""
    import h5py

    wavelengths, shots, matrices = [], [], []
    parameters: list[dict[str, np.ndarray]] = []
    positions: list[dict[str, np.ndarray]] = []
    for name, count in parts:
        with h5py.File(folder / name, "r") as file:
            given = read_array(file, f"{BEAM}/{WAVELENGTH}").astype(float).reshape(-1)
            wavelengths.append(given if len(given) == count else np.full(count, given[0]))
            parameters.append(read_arrays(file[PARAMETERS], without=(SPECTRUM,)))  # which is large
            positions.append(read_arrays(file[POSITIONS]) if POSITIONS in file else {})
            crystals = read_arrays(file[CRYSTALS])
            shots.append(crystals["shot"])
            matrices.append(crystals["A_dials"])
    counts = [count for _, count in parts]
    return ShotTables(np.concatenate(wavelengths), _joined(parameters, counts), np.concatenate(shots),
                      np.concatenate(matrices), _joined(positions, counts))


def _joined(parts: Sequence[Mapping[str, np.ndarray]], counts: Sequence[int]) -> dict[str, np.ndarray]:
    """Parameters of all shots; those that a part does not have are NaN, or empty texts."""
    found = {}
    for name in dict.fromkeys(name for part in parts for name in part):
        example = next(part[name] for part in parts if name in part)
        missing = "" if example.dtype.kind == "O" else np.nan
        found[name] = np.concatenate([
            part[name] if name in part else np.full((count, *example.shape[1:]), missing, dtype=example.dtype)
            for part, count in zip(parts, counts, strict=True)])
    return found

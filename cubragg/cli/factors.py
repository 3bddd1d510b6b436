"""Read the structure factors and the cell of the ``-hkl`` file."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from cubragg.cli.inputs import InputFile, reading
from cubragg.cli.settings_builder import Replay
from cubragg.crystallography.cell import cell_of_axes
from cubragg.errors import ConfigError
from cubragg.experiment import Experiment, StructureFactors
from cubragg.experiment.structure_factors import FactorFile

#: Cells are the same within these tolerances: lengths relative, angles [deg].
_LENGTHS, _ANGLES_DEG = 1e-3, 0.05
_CRYSTAL = ("crystal.cell", "crystal.a_matrix", "input.matrix")


class FileCell(NamedTuple):
    """Cell [A, deg] of a reflection file; ``overruled_by`` names the flags that replace it, empty if none does."""

    path: str
    cell: tuple[float, ...]
    overruled_by: str


def listed_factors(replay: Replay, listed: InputFile, default_F: float) -> tuple[StructureFactors, FileCell | None]:
    """Return the structure factors of a file and its cell, which becomes the crystal's where nothing else gives one."""
    from cubragg.io.reflections.read import read_reflections

    replay.provenance["structure_factors.grid"] = listed.provenance
    column, group, expected = (replay.get(f"run.{name}") for name in ("column", "space_group", "hkl_sha256"))
    with reading(listed):
        sha256 = hashlib.sha256(Path(listed.path).read_bytes()).hexdigest()
        if expected not in (None, sha256):
            raise ConfigError(listed.provenance, f"got {listed.path!r} with SHA-256 {sha256:.12}..., but the "
                              f"experiment was saved with {expected!s:.12}...; restore that file, or remove hkl_sha256")
        with replay.naming():
            reflections = read_reflections(listed.path, column, group)
    replay.provenance_lines += [f"from {one}" for one in reflections.provenance_lines]
    replay.warnings += reflections.warnings
    file_cell = None
    if reflections.cell is not None:
        given = [replay.provenance[setting] for setting in _CRYSTAL if replay.get(setting) is not None]
        file_cell = FileCell(listed.path, reflections.cell, " and ".join(given))
        if not given:
            replay.set("crystal.cell", reflections.cell, f"{listed.path}: cell")
    with replay.naming():
        factors = reflections.structure_factors(default_F)
    return replace(factors, file=FactorFile(listed.path, sha256, column, group)), file_cell


def cell_warnings(file_cell: FileCell | None, experiment: Experiment) -> list[str]:
    """Return a warning if the crystal's cell differs from that of its reflection file."""
    if file_cell is None or not file_cell.overruled_by:
        return []
    lattice = experiment.crystal.lattice(experiment.semantics)
    cell = cell_of_axes(lattice.a, lattice.b, lattice.c)
    same = (all(abs(a - b) <= _LENGTHS * b for a, b in zip(cell[:3], file_cell.cell[:3], strict=True))
            and all(abs(a - b) <= _ANGLES_DEG for a, b in zip(cell[3:], file_cell.cell[3:], strict=True)))
    if same:
        return []
    shown = (" ".join(f"{number:.6g}" for number in cell) for cell in (cell, file_cell.cell))
    return [f"{file_cell.overruled_by}: the crystal has the cell {next(shown)}, not {next(shown)} of {file_cell.path}"]

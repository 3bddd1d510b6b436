"""Read the structure factors and the cell of the ``-hkl`` file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from cubragg import checks
from cubragg.cli.flags import DEFAULT_NAMES
from cubragg.cli.inputs import InputFile, reading
from cubragg.cli.settings_builder import Replay
from cubragg.crystallography.cell import cell_of_axes
from cubragg.errors import ConfigError
from cubragg.experiment import Experiment, StructureFactors
from cubragg.experiment.structure_factors import FactorFile
from cubragg.io.files.checksum import check_sha256

#: Cells are the same within these tolerances: lengths relative, angles [deg].
_LENGTHS, _ANGLES_DEG = 1e-3, 0.05
_CRYSTAL = ("crystal.cell", "crystal.a_matrix", "input.matrix")


class FileCell(NamedTuple):
    """Cell [A, deg] of a file of reflections or atoms.

    ``overruled_by`` names the flags that replace it, empty if none does.
    """

    path: str
    cell: tuple[float, ...]
    overruled_by: str


def given_factors(replay: Replay) -> tuple[StructureFactors | None, bool, FileCell | None]:
    """Return structure factors of a list or dump (``None``: from the settings), whether from a list, and its cell.

    Raises
    ------
    ConfigError
        For a file that does not exist.
    FormatError
        For one that breaks its format.
    """
    default_F = replay.get("structure_factors.default_F", StructureFactors.default_F)
    with replay.naming():
        checks.number("structure_factors.default_F", "default_F", default_F, "electrons")
    listed = replay.input_file("hkl")
    if listed is not None:
        factors, file_cell = _listed_factors(replay, listed, default_F)
        return factors, True, file_cell
    replay.warnings += [f"{replay.provenance[setting]} has no effect: there is no -hkl"
                        for setting in ("run.column", "run.space_group") if setting in replay.flagged]
    dump = InputFile(replay.get("output.dump", DEFAULT_NAMES["dump"]), replay.provenance.get("output.dump", "-dump"))
    if replay.get("structure_factors.grid") is not None:
        return None, False, None
    if not Path(dump.path).exists():
        if "output.dump" in replay.flagged:
            if default_F == 0.0:
                raise ConfigError(dump.provenance, f"got {dump.path!r}; there is no such file, give -hkl or "
                                  "-default_F")
            replay.warnings.append(f"{dump.provenance} has no effect: there is no {dump.path} to read, "
                                  "and no -hkl to write")
        return None, False, None
    from cubragg.io.reflections.fdump import read_fdump

    with reading(dump):
        grid, origin = read_fdump(dump.path)
    replay.warnings.append(f"no -hkl: structure factors are read from {dump.path}, as in nanoBragg")
    replay.provenance["structure_factors.grid"] = dump.provenance
    with replay.naming():
        return StructureFactors(default_F, grid, origin), False, None


def _listed_factors(replay: Replay, listed: InputFile, default_F: float) -> tuple[StructureFactors, FileCell | None]:
    """Return the structure factors of a file and its cell, which becomes the crystal's where nothing else gives one."""
    from cubragg.io.reflections.read import read_reflections

    replay.provenance["structure_factors.grid"] = listed.provenance
    column, group, expected = (replay.get(f"run.{name}") for name in ("column", "space_group", "hkl_sha256"))
    with reading(listed):
        sha256 = check_sha256(listed.provenance, listed.path, expected, "hkl_sha256")
        with replay.naming():
            reflections = read_reflections(listed.path, column, group)
    replay.provenance_lines += [f"from {one}" for one in reflections.provenance_lines]
    replay.warnings += reflections.warnings
    file_cell = None if reflections.cell is None else cell_given(replay, listed.path, reflections.cell)
    with replay.naming():
        factors = reflections.structure_factors(default_F)
    return replace(factors, file=FactorFile(
        listed.path, sha256, column, group, symbol=reflections.space_group)), file_cell


def cell_given(replay: Replay, path: str, cell: tuple[float, ...]) -> FileCell:
    """Return the cell [A, deg] of a file of structure factors or atoms, the crystal's where nothing else gives one."""
    given = [replay.provenance[setting] for setting in _CRYSTAL if replay.get(setting) is not None]
    if not given:
        replay.set("crystal.cell", cell, f"{path}: cell")
    return FileCell(path, cell, " and ".join(given))


def cell_warnings(file_cell: FileCell | None, experiment: Experiment) -> list[str]:
    """Return a warning if the crystal's cell differs from that of its file."""
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

"""The file of ``-hkl``: structure factors, and the cell that comes with them."""

from __future__ import annotations

from typing import NamedTuple

from cubragg.cli.inputs import InputFile, reading
from cubragg.cli.settings_builder import Replay
from cubragg.crystallography.cell import cell_of_axes
from cubragg.experiment import Experiment, StructureFactors

#: Cells that differ by more, of lengths relative and of angles in degrees, are said to.
_LENGTHS, _ANGLES_DEG = 1e-3, 0.05
_CRYSTAL = ("crystal.cell", "crystal.a_matrix", "input.matrix")


class FileCell(NamedTuple):
    """The cell [A, deg] of a reflection file, and what the crystal's comes from; empty: from the file."""

    path: str
    cell: tuple[float, ...]
    overruled_by: str


def listed_factors(replay: Replay, listed: InputFile, default_F: float) -> tuple[StructureFactors, FileCell | None]:
    """Structure factors of a file, whose cell is the crystal's where nothing else gives one."""
    from cubragg.io.reflections.read import read_reflections

    replay.origins["structure_factors.grid"] = listed.named_by
    with reading(listed):
        reflections = read_reflections(listed.path, replay.get("run.column"))
    replay.taken += [f"from {one}" for one in reflections.taken]
    replay.notices += reflections.notices
    own = None
    if reflections.cell is not None:
        given = [replay.origins[setting] for setting in _CRYSTAL if replay.get(setting) is not None]
        own = FileCell(listed.path, reflections.cell, " and ".join(given))
        if not given:
            replay.set("crystal.cell", reflections.cell, f"{listed.path}: cell")
    with replay.naming():
        return reflections.structure_factors(default_F), own


def cell_notices(own: FileCell | None, experiment: Experiment) -> list[str]:
    """What to tell if the crystal has another cell than its reflection file."""
    if own is None or not own.overruled_by:
        return []
    lattice = experiment.crystal.lattice(experiment.semantics)
    cell = cell_of_axes(lattice.a, lattice.b, lattice.c)
    same = (all(abs(a - b) <= _LENGTHS * b for a, b in zip(cell[:3], own.cell[:3], strict=True))
            and all(abs(a - b) <= _ANGLES_DEG for a, b in zip(cell[3:], own.cell[3:], strict=True)))
    if same:
        return []
    shown = (" ".join(f"{number:.6g}" for number in cell) for cell in (cell, own.cell))
    return [f"the cell is {next(shown)} from {own.overruled_by}, not {next(shown)} from {own.path}"]

"""Reflection lists of any kind, as what can be rendered: h k l F text as it stands, everything else expanded to P1."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from cubragg.crystallography.p1_grid import DISAGREEMENT, Merged, ReflectionGrid, Shell, Sphere, expand, merge
from cubragg.crystallography.symmetry import Symmetry
from cubragg.errors import ConfigError, FormatError
from cubragg.experiment.structure_factors import StructureFactors
from cubragg.io.files.compression import start_of, unpacked
from cubragg.io.reflections.columns import Column, Listed, choose
from cubragg.io.reflections.hkl import read_hkl

#: A cell whose metric the space group changes by more is an error in the file.
MAX_MISFIT = 0.03
_HEAD_BYTES = 8192
_PARAMETERS = (".ins", ".res", ".cif")
_XDS = (b"!FORMAT=XDS_ASCII", b"!OUTPUT_FILE=INTEGRATE")
_CRYSTFEL = b"CrystFEL reflection list"
_MODEL_RECORDS = ("HEADER", "CRYST1", "ATOM  ", "HETATM", "REMARK", "TITLE ")


@dataclass(frozen=True, eq=False)
class Reflections:
    """Structure factors in P1.

    Attributes
    ----------
    hkl, amplitudes
        int32 [n, 3] and float64 [n] [electrons, where the file is on that scale]. A text list in its own order;
        else every reflection and its mates, absences as 0, sorted by h, k, l.
    cell, space_group
        a, b, c [A], alpha, beta, gamma [deg] and the symbol; ``None`` for a text list.
    columns
        Where the values come from.
    shells
        Unique reflections, listed and possible, by resolution; empty for a text list.
    taken, notices
        What was taken from the file, and what to warn of.
    """

    cell: tuple[float, ...] | None = None
    space_group: str | None = None
    columns: tuple[str, ...] = ()
    shells: tuple[Shell, ...] = ()
    taken: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    _listed: tuple[np.ndarray, np.ndarray] | None = field(default=None, repr=False)
    _grid: ReflectionGrid | None = field(default=None, repr=False)

    @cached_property
    def _rows(self) -> tuple[np.ndarray, np.ndarray]:
        if self._listed is not None:
            return self._listed
        assert self._grid is not None
        return self._grid.rows()

    @property
    def hkl(self) -> np.ndarray:
        """Indices int32 [n, 3]."""
        return self._rows[0]

    @property
    def amplitudes(self) -> np.ndarray:
        """|F| float64 [n]."""
        return self._rows[1]

    def structure_factors(self, default_F: float = 0.0) -> StructureFactors:
        """As what is rendered; ``default_F`` [electrons] is that of every reflection not in the list."""
        if self._grid is not None:
            return StructureFactors(default_F, *self._grid.filled(default_F))
        return StructureFactors.from_list(self.hkl, self.amplitudes, default_F)


def list_kind(path: Path | str) -> str:
    """``mtz``, ``cif``, ``xds``, ``shelx``, ``model`` or ``text``, by content; SHELX with an .ins or .cif beside it."""
    path = Path(path)
    head, lines = _head(path)
    if head.startswith(b"MTZ "):
        return "mtz"
    if head.startswith(_XDS):
        return "xds"
    if lines and lines[0].lstrip("\ufeff ").lower().startswith("data_"):
        return "cif"
    if lines and lines[0].startswith(_MODEL_RECORDS):
        return "model"
    return "shelx" if _parameters_beside(path) and _looks_like_shelx(path, lines) else "text"


def _head(path: Path) -> tuple[bytes, list[str]]:
    """The beginning of a file, unpacked, and its lines that are not blank or comment."""
    head = start_of(path, _HEAD_BYTES)
    return head, [line for line in head.decode("latin-1").splitlines() if line.strip() and not line.startswith("#")]


def _looks_like_shelx(path: Path, head: list[str]) -> bool:
    from cubragg.io.reflections.shelx import is_hklf

    # Most lists fail at their first lines: no need to read them twice.
    zeros = "   0   0   0"
    return is_hklf("\n".join([*head[:20], zeros])) and is_hklf(unpacked(path).decode("latin-1"))


def _parameters_beside(path: Path) -> Path | None:
    """The .ins, .res or .cif of the same name."""
    beside = (path.with_suffix(suffix) for suffix in _PARAMETERS)
    return next((one for one in beside if one.is_file() and one != path), None)


def read_reflections(path: Path | str, column: str | None = None) -> Reflections:
    """A reflection file of any kind that `list_kind` tells.

    Parameters
    ----------
    column
        Column label or CIF tag of amplitudes or intensities; left out: the best (`columns.Column.rank`).

    Raises
    ------
    FormatError
        If the file cannot be understood, there is no such column or none can be named, or its cell does not fit its
        space group.
    OSError
        If it cannot be read.
    """
    kind = list_kind(path)
    if kind == "text":
        if column is not None:
            raise FormatError(f"--column: got {column!r}; {path} is text, whose fourth column is F")
        return _plain(path)
    if kind == "model":
        raise FormatError(f"{path}: no reflections, but a model; 'cubragg sf' computes structure factors from it")
    if kind == "mtz":
        from cubragg.io.reflections.mtz import read_mtz

        return _expanded(path, read_mtz(path, column))
    if kind == "xds":
        from cubragg.io.reflections.xds_hkl import read_xds

        return _expanded(path, read_xds(path, column))
    from cubragg.io.reflections.cif import read_cif_reflections

    return _expanded(path, read_cif_reflections(path, column) if kind == "cif" else _shelx(path, column))


def _plain(path: Path | str) -> Reflections:
    if start_of(path, len(_CRYSTFEL)) == _CRYSTFEL:
        raise FormatError(f"{path}: got intensities of CrystFEL, which have no cell; the MTZ that its get_hkl writes "
                          "with --output-format=mtz is accepted")
    listed = read_hkl(path)
    notices: tuple[str, ...] = ()
    if listed.duplicates:
        notices = (f"{path}: {listed.duplicates} duplicate reflection{'s' * (listed.duplicates > 1)}; "
                   f"the last of each counts (first: {listed.first_duplicate})",)
    if _looks_like_shelx(Path(path), _head(Path(path))[1]):
        notices += (f"{path}: looks like F^2 of SHELX, but is read as F, as nanoBragg does: there is no .ins, .res or "
                    ".cif of the same name",)
    return Reflections(columns=("F",), notices=notices, _listed=(listed.hkl, listed.amplitudes))


def _shelx(path: Path | str, column: str | None) -> Listed:
    """SHELX .hkl with the cell and the space group of the file beside it."""
    from cubragg.io.reflections import cif as cif_reflections
    from cubragg.io.reflections import shelx

    beside = _parameters_beside(Path(path))
    assert beside is not None
    if beside.suffix == ".cif":
        blocks = [block for block in cif_reflections.read_document(beside) if block.find_value("_cell_length_a")]
        if not blocks:
            raise FormatError(f"{beside}: no unit cell")
        cell, symmetry = cif_reflections.cell_and_symmetry(beside, blocks[0])
        form = 4
    else:
        cell, symmetry, form = shelx.read_instructions(beside)
    if form not in (3, 4):
        raise FormatError(f"{beside}: got HKLF {form}; 3 (F) and 4 (F^2) are accepted")
    kind = shelx.SHELX_COLUMNS if form == 4 else Column(("F",), False)
    choose(path, [kind], column)
    rows = shelx.hklf_rows(str(path), unpacked(path).decode("latin-1"))
    return Listed(*rows, kind.intensities, kind, (), cell, symmetry,
                  (f"SHELX format (HKLF {form}), cell and space group from {beside}",))


def _expanded(path: Path | str, listed: Listed) -> Reflections:
    """A unique list, merged, made amplitudes and expanded to P1."""
    symmetry, cell = listed.symmetry, listed.cell
    if not listed.hkl.any():
        raise FormatError(f"{path}: {listed.column} has no value in any row{' but 0 0 0' * bool(len(listed.hkl))}")
    if symmetry.misfit(cell) > MAX_MISFIT:
        raise FormatError(f"{path}: got the cell {_shown(cell)} and the space group {symmetry.name}, which do not go "
                          "together")
    with _about(path):
        merged = merge(listed.hkl, listed.values, symmetry)
        amplitudes, notices = _amplitudes(listed, merged, symmetry)
        grid = expand(merged.hkl, amplitudes, symmetry)
    sphere = Sphere.around(merged.hkl, grid, symmetry, cell)
    shells = sphere.shells()
    possible, missing = (sum(shell.possible for shell in shells),
                         sum(shell.possible - shell.listed for shell in shells))
    others = f" (also there: {', '.join(listed.others)})" if listed.others else ""
    forward = grid.values[tuple(grid.box.reach)]
    told = [f"{'|F| from the root of' if listed.intensities else '|F| from'} {listed.column}{others}; space group "
            f"{symmetry.name}, {possible - missing} unique reflections to {sphere.finest ** -0.5:.4g} A, "
            f"{'no F000' if np.isnan(forward) else f'F000 {forward:g}'}", *listed.notices]
    if missing:
        told.append(f"{missing} of {possible} unique reflections are missing and get default_F\n{shell_table(shells)}")
    sphere.enter_absences(grid)
    taken, notices = ([f"{path}: {one}" for one in lines] for lines in (told, notices))
    return Reflections(cell, symmetry.name, listed.column.names, shells, tuple(taken), tuple(notices), _grid=grid)


def _amplitudes(listed: Listed, merged: Merged, symmetry: Symmetry) -> tuple[np.ndarray, list[str]]:
    """|F| of merged rows, 0 where it has to be, and what to tell."""
    values, notices = merged.values.copy(), []
    # In a pair, a centric reflection stands under both hands.
    if merged.disagreeing or (merged.repeated and len(listed.column.names) == 1):
        notices.append(f"{merged.repeated} reflections are listed more than once, counting symmetry mates; their mean "
                       f"counts ({merged.disagreeing} differ from it by more than {DISAGREEMENT:.0%})")
    if listed.intensities:
        negative = values < 0.0
        if negative.any():
            notices.append(f"{int(negative.sum())} negative intensities are taken as 0")
        values = np.sqrt(np.maximum(values, 0.0))
    else:
        values = np.abs(values)
    absent = symmetry.operations.systematic_absences(merged.hkl) & (values > 0.0)
    if absent.any():
        notices.append(f"{int(absent.sum())} systematic absences of {symmetry.name} are listed with |F| > 0; "
                       "they are taken as 0")
        values[absent] = 0.0
    return values, notices


@contextmanager
def _about(path: Path | str) -> Iterator[None]:
    """Name the file in an error about its indices."""
    try:
        yield
    except ConfigError as error:
        raise FormatError(f"{path}: {error.what}") from None


def shell_table(shells: tuple[Shell, ...]) -> str:
    """Lines of resolution [A], unique reflections listed and possible, and the share."""
    return "\n".join(f"    {shell.d_max_A:7.2f} - {shell.d_min_A:5.2f} A {shell.listed:8d} of {shell.possible:8d}"
                     f"{100 * shell.listed / shell.possible:8.1f} %" for shell in shells)


def _shown(cell: tuple[float, ...]) -> str:
    return " ".join(f"{number:g}" for number in cell)

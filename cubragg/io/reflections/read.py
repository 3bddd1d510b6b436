"""Reads reflection files of every supported format; merged data are expanded to P1, h k l F text is used as listed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from cubragg.bounds import LARGEST
from cubragg.crystallography.p1_grid import DISAGREEMENT, Merged, ReflectionGrid, Shell, Sphere, expand, merge
from cubragg.crystallography.symmetry import Symmetry
from cubragg.errors import ConfigError, FormatError
from cubragg.experiment.structure_factors import StructureFactors
from cubragg.io.companions import SHELX_PARAMETERS
from cubragg.io.files.compression import start_of, unpacked
from cubragg.io.reflections.columns import NEGATIVE_SIGMA, Column, Listed, left_out, select_column
from cubragg.io.reflections.hkl import read_hkl
from cubragg.io.reflections.reflection_lines import MAX_INDEX
from cubragg.io.reflections.scalepack import is_scalepack

#: Largest relative change of the cell's metric under the space group; more is an error in the file.
MAX_MISFIT = 0.03
_HEAD_BYTES = 8192
_XDS = (b"!FORMAT=XDS_ASCII", b"!OUTPUT_FILE=INTEGRATE")
#: First words of lists without a unit cell, and the program that converts each.
_WITHOUT_CELL = {b"CrystFEL reflection list": ("CrystFEL", "CrystFEL's get_hkl --output-format=mtz"),
                 b"NREF": ("CNS", "CCP4's f2mtz or Phenix's reflection_file_editor"),
                 b"INDE": ("CNS", "CCP4's f2mtz or Phenix's reflection_file_editor")}
_MODEL_RECORDS = ("HEADER", "CRYST1", "ATOM  ", "HETATM", "REMARK", "TITLE ")


@dataclass(frozen=True, eq=False)
class Reflections:
    """Structure factors in P1.

    Attributes
    ----------
    hkl, amplitudes
        int32 [n, 3] and float64 [n] [electrons, if the file is on an absolute scale]. A text list keeps its order;
        other formats give all symmetry and Friedel mates, systematic absences as 0, sorted by h, k, l.
    cell, space_group
        a, b, c [A], alpha, beta, gamma [deg] and the symbol; ``None`` for a text list.
    columns
        Names of the columns that the values come from.
    shells
        Numbers of unique reflections, listed and possible, by resolution; empty for a text list.
    provenance_lines, warnings
        Sentences about what was read from the file, and warnings.
    """

    cell: tuple[float, ...] | None = None
    space_group: str | None = None
    columns: tuple[str, ...] = ()
    shells: tuple[Shell, ...] = ()
    provenance_lines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
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
        """Structure factors for an `Experiment`; reflections that are not listed get ``default_F`` [electrons]."""
        if self._grid is not None:
            return StructureFactors(default_F, *self._grid.filled(default_F))
        return StructureFactors.from_list(self.hkl, self.amplitudes, default_F)


def list_kind(path: Path | str) -> str:
    """Format of a file: ``mtz``, ``cif``, ``xds``, ``shelx``, ``sca``, ``model`` or ``text``.

    It is found from the content; SHELX also needs an .ins, .res or .cif file of the same name.
    """
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
    if is_scalepack(lines):
        return "sca"
    return "shelx" if _is_shelx(path, lines) else "text"


def _head(path: Path) -> tuple[bytes, list[str]]:
    """The first bytes of a file, decompressed, and those of its lines that are neither blank nor comments."""
    head = start_of(path, _HEAD_BYTES)
    return head, [line for line in head.decode("latin-1").splitlines() if line.strip() and not line.startswith("#")]


def _is_shelx(path: Path, head: list[str]) -> bool:
    """Whether a list is in HKLF format and its .ins, .res or .cif is beside it; it may end without 0 0 0."""
    from cubragg.io.reflections.shelx import are_rows

    return (_parameters_beside(path) is not None and are_rows(head[:20])
            and are_rows(unpacked(path).decode("latin-1").strip("\r\n").splitlines()))


def _looks_like_shelx(path: Path, head: list[str]) -> bool:
    from cubragg.io.reflections.shelx import is_hklf

    # Most text lists differ in their first lines, so the whole file is rarely read twice.
    zeros = "   0   0   0"
    return is_hklf("\n".join([*head[:20], zeros])) and is_hklf(unpacked(path).decode("latin-1"))


def _parameters_beside(path: Path) -> Path | None:
    """The .ins, .res or .cif file with the name of ``path``, if there is one."""
    beside = (path.with_suffix(suffix) for suffix in SHELX_PARAMETERS)
    return next((one for one in beside if one.is_file() and one != path), None)


def read_reflections(path: Path | str, column: str | None = None, group: str | None = None) -> Reflections:
    """Read a reflection file of any format that `list_kind` recognizes.

    Parameters
    ----------
    column
        Column label or CIF tag of amplitudes or intensities; by default the preferred one (`columns.Column.rank`).
    group
        Space group, a symbol or a number, in place of that of the file.

    Raises
    ------
    ConfigError
        If ``group`` is not a space group, or the file is a text list, which is used as it is.
    FormatError
        If the file is malformed, has no such column or its format has no column names, or its cell does not fit
        its space group.
    OSError
        If it cannot be read.
    """
    kind = list_kind(path)
    if kind == "text":
        if group is not None:
            raise ConfigError("space_group", f"got {group}, but {path} is a text list, which is used without symmetry; "
                              "leave the space group out")
        if column is not None:
            raise FormatError(f"--column: got {column!r}; {path} is a text list without column names, its fourth "
                              "column is read as F: leave --column out")
        return _plain(path)
    if kind == "model":
        raise FormatError(f"{path}: contains atoms and no reflections; compute structure factors with "
                          "'cubragg sf MODEL --dmin 2 -o F.mtz'")
    return _expanded(path, _reader(kind)(path, column, group))


def _reader(kind: str) -> Callable[[Path | str, str | None, str | None], Listed]:
    """The reader of a format with a cell."""
    if kind == "mtz":
        from cubragg.io.reflections.mtz import read_mtz

        return read_mtz
    if kind == "xds":
        from cubragg.io.reflections.xds_hkl import read_xds

        return read_xds
    if kind == "sca":
        from cubragg.io.reflections.scalepack import read_scalepack

        return read_scalepack
    if kind == "shelx":
        return _shelx
    from cubragg.io.reflections.cif import read_cif_reflections

    return read_cif_reflections


def _plain(path: Path | str) -> Reflections:
    start = start_of(path, max(map(len, _WITHOUT_CELL))).lstrip()
    for words, (program, converter) in _WITHOUT_CELL.items():
        if start.upper().startswith(words.upper()):
            raise FormatError(f"{path}: got a {program} reflection list, which contains no unit cell; convert it to "
                              f"MTZ with {converter}")
    listed = read_hkl(path)
    warnings: tuple[str, ...] = ()
    if listed.duplicates:
        warnings = (f"{path}: {listed.duplicates} duplicate reflection{'s' * (listed.duplicates > 1)}; "
                   f"the last value of each is used (first duplicate: {listed.first_duplicate})",)
    if _looks_like_shelx(Path(path), _head(Path(path))[1]):
        warnings += (f"{path}: looks like F^2 in SHELX format, but is read as F, as in nanoBragg, because there is no "
                    ".ins, .res or .cif file of the same name",)
    return Reflections(columns=("F",), warnings=warnings, _listed=(listed.hkl, listed.amplitudes))


def _shelx(path: Path | str, column: str | None, group: str | None) -> Listed:
    """Read a SHELX .hkl file with the cell and the space group of the .ins, .res or .cif file of the same name."""
    from cubragg.io.reflections import cif as cif_reflections
    from cubragg.io.reflections import shelx

    beside = _parameters_beside(Path(path))
    assert beside is not None
    if beside.suffix == ".cif":
        blocks = [block for block in cif_reflections.read_document(beside) if block.find_value("_cell_length_a")]
        if not blocks:
            raise FormatError(f"{beside}: contains no unit cell")
        instructions = shelx.Instructions(*cif_reflections.cell_and_symmetry(beside, blocks[0], group), 4)
    else:
        instructions = shelx.read_instructions(beside, group)
    form = instructions.form
    kind = Column(("F",), False) if form == 3 else shelx.SHELX_COLUMNS
    select_column(path, [kind], column)
    rows = instructions.applied(str(beside), shelx.hklf_rows(str(path), unpacked(path).decode("latin-1")))
    lines = (f"SHELX format (HKLF {form}), cell and space group from {beside}",
             *left_out(rows.misfits, NEGATIVE_SIGMA))
    if form == 2:
        lines += ("intensities at all wavelengths of the Laue data are averaged",)
    return Listed(rows.hkl, rows.values, kind.intensities, kind, (), instructions.cell, instructions.symmetry, lines)


def _expanded(path: Path | str, listed: Listed) -> Reflections:
    """Merge a list of unique reflections, convert it to amplitudes and expand it to P1."""
    symmetry, cell = listed.symmetry, listed.cell
    if not listed.hkl.any():
        raise FormatError(f"{path}: column {listed.column} has no value in any row"
                          f"{' other than 0 0 0' * bool(len(listed.hkl))}")
    if not (np.abs(listed.hkl.astype(np.int64)) <= MAX_INDEX).all() or not (np.abs(listed.values) <= LARGEST).all():
        raise FormatError(f"{path}: got an index beyond {MAX_INDEX} or a value beyond {LARGEST:g}; the file is damaged")
    if symmetry.misfit(cell) > MAX_MISFIT:
        raise FormatError(f"{path}: got cell {_shown(cell)}, which does not fit space group {symmetry.name}; one of "
                          "them is wrong in the file")
    with _naming_file(path):
        merged = merge(listed.hkl, listed.values, symmetry)
        amplitudes, warnings = _amplitudes(listed, merged, symmetry)
        grid = expand(merged.hkl, amplitudes, symmetry)
        sphere = Sphere.around(merged.hkl, grid, symmetry, cell)
    shells = sphere.shells()
    possible, missing = (sum(shell.possible for shell in shells),
                         sum(shell.possible - shell.listed for shell in shells))
    others = f" (other columns: {', '.join(listed.others)})" if listed.others else ""
    forward = grid.values[tuple(grid.box.reach)]
    summary = [f"{'|F| from the square root of' if listed.intensities else '|F| from'} {listed.column}{others}; space "
               f"group {symmetry.name}, {possible - missing} unique reflections to {sphere.finest ** -0.5:.4g} A, "
               f"{'no F000' if np.isnan(forward) else f'F000 {forward:g}'}", *listed.warnings]
    if missing:
        summary.append(f"{missing} of {possible} unique reflections are missing and get default_F\n"
                       f"{shell_table(shells)}")
    sphere.enter_absences(grid)
    provenance_lines, named_warnings = (tuple(f"{path}: {line}" for line in lines) for lines in (summary, warnings))
    return Reflections(cell, symmetry.name, listed.column.names, shells, provenance_lines, named_warnings, _grid=grid)


def _amplitudes(listed: Listed, merged: Merged, symmetry: Symmetry) -> tuple[np.ndarray, list[str]]:
    """|F| of merged rows, with systematic absences and negative intensities set to 0, and warnings."""
    values, warnings = merged.values.copy(), []
    # In a (+)/(-) pair of columns, a centric reflection is listed in both.
    if merged.disagreeing or (merged.repeated and len(listed.column.names) == 1):
        warnings.append(f"{merged.repeated} reflections are listed more than once, counting symmetry mates; their mean "
                       f"is used ({merged.disagreeing} differ from it by more than {DISAGREEMENT:.0%})")
    if listed.intensities:
        negative = values < 0.0
        if negative.any():
            warnings.append(f"{int(negative.sum())} negative intensities are set to 0")
        values = np.sqrt(np.maximum(values, 0.0))
    else:
        values = np.abs(values)
    absent = symmetry.operations.systematic_absences(merged.hkl) & (values > 0.0)
    if absent.any():
        warnings.append(f"{int(absent.sum())} systematic absences of {symmetry.name} are listed with |F| > 0; "
                       "they are set to 0")
        values[absent] = 0.0
    return values, warnings


@contextmanager
def _naming_file(path: Path | str) -> Iterator[None]:
    """Put the name of the file into an error about its indices."""
    try:
        yield
    except ConfigError as error:
        raise FormatError(f"{path}: {error.what}") from None


def shell_table(shells: tuple[Shell, ...]) -> str:
    """Table of completeness: resolution [A], unique reflections listed and possible, percentage."""
    return "\n".join(f"    {shell.d_max_A:7.2f} - {shell.d_min_A:5.2f} A {shell.listed:8d} of {shell.possible:8d}"
                     f"{100 * shell.listed / shell.possible:8.1f} %" for shell in shells)


def _shown(cell: tuple[float, ...]) -> str:
    return " ".join(f"{number:g}" for number in cell)

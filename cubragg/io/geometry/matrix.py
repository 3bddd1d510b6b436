"""Reader of orientation matrices (``-mat``), including those of MOSFLM."""

from __future__ import annotations

from pathlib import Path

from cubragg.crystallography.vectors import Matrix
from cubragg.errors import FormatError
from cubragg.io.files.text import data_lines, number, read_text


def read_matrix(path: Path | str) -> Matrix:
    """Return the first nine numbers of a file: rows x, y, z; columns a*, b*, c* times wavelength [A A^-1].

    The rest of the file (in MOSFLM's files missets, U and cell) is ignored.

    Raises
    ------
    FormatError
        If there are fewer than nine, or one is not a finite number.
    OSError
        If the file cannot be read.
    """
    values: list[float] = []
    line_number = 1
    for line_number, columns in data_lines(read_text(path)):
        where = f"{path}:{line_number}"
        values += [number(where, "a matrix element", token) for token in columns[:9 - len(values)]]
        if len(values) == 9:
            return tuple(values)  # type: ignore[return-value]
    raise FormatError(f"{path}:{line_number}: ends after {len(values)} numbers; a matrix needs 9, "
                      "rows x y z by columns a* b* c*")

"""Writes and reads tables in Apache Parquet: one row group, units in the metadata of the columns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from cubragg.errors import ConfigError
from cubragg.io.files.atomic import atomic_path

if TYPE_CHECKING:
    import pyarrow

#: Key of a column's unit in its metadata.
UNIT = "unit"


def check_pyarrow(where: str) -> None:
    """Check that pyarrow is installed.

    Raises
    ------
    ConfigError
        If it is not; ``where`` begins the message.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise ConfigError(where, "got parquet, but pyarrow is not installed; pip install 'cubragg[parquet]'") from None


def write_parquet(path: Path, columns: Mapping[str, np.ndarray], units: Mapping[str, str]) -> None:
    """Write columns [n, ...] by name; NaN, and an empty text, are null, and rows of numbers lists of a fixed length.

    Parameters
    ----------
    units
        Unit of a column by its name; those that are missing or empty have none.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet

    arrays = {name: _to_arrow(pa, column) for name, column in columns.items()}
    fields = [pa.field(name, array.type, metadata={UNIT: units[name]} if units.get(name) else None)
              for name, array in arrays.items()]
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        pyarrow.parquet.write_table(pa.Table.from_arrays([*arrays.values()], schema=pa.schema(fields)), file,
                                    compression="zstd")


def _to_arrow(pa: ModuleType, column: np.ndarray) -> pyarrow.Array:
    if column.dtype.kind == "O":
        return pa.array([value or None for value in column.tolist()], pa.string())
    flat = pa.array(column.reshape(-1), from_pandas=True)
    return flat if column.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, int(np.prod(column.shape[1:])))


def read_parquet(path: Path) -> dict[str, np.ndarray]:
    """The columns of a table that `write_parquet` wrote: arrays [n] or [n, k], with NaN or empty texts for null.

    Raises
    ------
    OSError, ValueError
        If the file cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet

    with open(path, "rb") as file:
        table = pyarrow.parquet.read_table(file)
    found = {}
    for name in table.column_names:
        column = table[name].combine_chunks()
        if pa.types.is_string(column.type):
            found[name] = np.array([value or "" for value in column.to_pylist()], dtype=object)
        elif pa.types.is_fixed_size_list(column.type):
            numbers = column.flatten().to_numpy(zero_copy_only=False)
            found[name] = numbers.reshape(-1, column.type.list_size)
        else:
            found[name] = column.to_numpy(zero_copy_only=False)
    return found

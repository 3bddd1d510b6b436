"""Reads data sets of every kind."""

from __future__ import annotations

from pathlib import Path

from cubragg.dataset.rotation_series import Sweep
from cubragg.dataset.specification import read_document
from cubragg.dataset.still_shots import Stills
from cubragg.dataset.stored_set import StoredDataSet
from cubragg.dataset.write_settings import WriteSettings

_KINDS: dict[str, type[StoredDataSet]] = {kind.kind: kind for kind in (Stills, Sweep)}


def read_specification(path: Path | str) -> tuple[StoredDataSet, WriteSettings]:
    """Return the data set and the settings of a ``spec.toml``.

    Raises
    ------
    ConfigError
        For a document that is no specification, and files that are missing or have changed.
    FormatError
        If it is not TOML.
    OSError
        If it cannot be read.
    """
    document = read_document(path)
    return _KINDS[document.kind].from_document(document), document.settings()

"""Names of files that are not UTF-8, for libraries that accept no others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


def is_utf8(name: Path | str) -> bool:
    """Whether a name can be written in UTF-8; others come from Linux's file systems, which store any bytes."""
    try:
        os.fspath(name).encode()
    except UnicodeEncodeError:
        return False
    return True


def display_name(path: Path | str) -> str:
    """The name of a file without its folder, with a mark in place of bytes that are not UTF-8."""
    return os.fsencode(Path(path).name).decode("utf-8", "replace")


@contextmanager
def utf8_path(path: Path | str) -> Iterator[str]:
    """Context manager that yields a name in UTF-8 of an existing file, if necessary that of a link to it."""
    if is_utf8(path):
        yield str(path)
        return
    with TemporaryDirectory(prefix="cubragg-") as folder:
        link = os.path.join(folder, "link")
        os.symlink(os.path.abspath(path), link)
        yield link

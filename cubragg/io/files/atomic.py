"""Writes files atomically: a file appears complete or not at all."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir

from cubragg.io.files.held_signals import hold_signals
from cubragg.work_folders import work_folder

_PREFIX = ".cubragg-"


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Context manager that yields a temporary path, which is renamed to ``path`` at the end of the block.

    The temporary file is in a new folder beside ``path`` and has the same name, with
    characters that are not allowed in the name of a CIF data block replaced by ``_``
    (fabio names the block of a CBF file after the file). After an exception nothing is
    left behind and an earlier file is unchanged; what a killed process left is cleared by
    the next that writes into the folder. A symbolic link is followed; to a
    device or a pipe the finished file is copied.

    Raises
    ------
    OSError
        With ``path`` as its file name, also if a library gave none.
    """
    given = Path(path)
    try:
        _check_target(given)
        # A device has no folder to rename in, and renaming over it would remove it.
        special = given.exists() and not given.is_file()
        target = given if special else Path(os.path.realpath(given))
        with work_folder(Path(gettempdir()) if special else target.parent, _PREFIX, _remove) as folder:
            temporary = folder / re.sub(r"[^\w.+-]", "_", given.name, flags=re.ASCII)
            yield temporary
            if special:
                with open(temporary, "rb") as source, open(target, "wb") as sink:
                    shutil.copyfileobj(source, sink)
            else:
                if target.exists():
                    shutil.copymode(target, temporary)
                os.replace(temporary, target)
    except OSError as error:
        if not _concerns(error, given):
            raise
        raise OSError(error.errno or errno.EIO, error.strerror or str(error), os.fspath(path)) from error


def _remove(folder: Path) -> None:
    with hold_signals():  # which shutil would turn into an error of a file that is closed twice
        shutil.rmtree(folder, ignore_errors=True)


def _concerns(error: OSError, given: Path) -> bool:
    """Whether an error concerns the file that is being written, and not another one used in the block."""
    name = error.filename
    return name is None or _PREFIX in str(name) or os.path.realpath(name) == os.path.realpath(given)


def _check_target(target: Path) -> None:
    """Raise the error that opening ``target`` for writing would raise."""
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def write_bytes(path: Path | str, *parts: bytes | memoryview) -> None:
    """Write ``parts`` one after the other to the file ``path``, atomically.

    Raises
    ------
    OSError
        With ``path`` as its file name.
    """
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        for part in parts:
            file.write(part)


def require_size(path: Path, size: int) -> None:
    """Check that a library wrote all ``size`` bytes of ``path``.

    NumPy's ``tofile`` does not report a full disk, or gives no reason. Writing
    the missing bytes makes the operating system raise the error.

    Raises
    ------
    OSError
        If bytes are missing.
    """
    missing = size - path.stat().st_size
    if missing > 0:
        with open(path, "ab") as file:
            file.write(bytes(missing))
        raise OSError(errno.EIO, f"{missing} of {size} bytes were not written")

"""Files that appear whole or not at all."""

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

_PREFIX = ".cubragg-"


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """A place to write a file at, which becomes ``path`` when the ``with`` block ends well.

    The place lies in a new folder beside ``path`` and bears its name, with what a
    CIF data block cannot hold replaced by ``_`` (fabio names the block of a CBF
    file after the file). Whatever ends the block early, nothing is left behind
    and an earlier file stays as it was. A symbolic link is followed; into a
    device or a pipe the finished file is copied.

    Raises
    ------
    OSError
        With ``path`` as its file name, also where a library gave none.
    """
    given = Path(path)
    try:
        _check_target(given)
        # A device has no folder to rename in, and renaming over it would remove it.
        special = given.exists() and not given.is_file()
        target = given if special else Path(os.path.realpath(given))
        with _new_folder(Path(gettempdir()) if special else target.parent) as folder:
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


@contextmanager
def _new_folder(parent: Path) -> Iterator[Path]:
    """A folder that is removed at the end, wherever in between a signal becomes an exception.

    `tempfile.TemporaryDirectory` leaves its folder where that happens while it makes or removes it. Here the name is
    known before the folder is made, and a removal that is cut short is done again.
    """
    folder = parent / f"{_PREFIX}{os.urandom(8).hex()}"
    try:
        try:
            folder.mkdir(0o700)
            yield folder
        finally:
            _remove(folder)
    except BaseException:
        _remove(folder)
        raise


def _remove(folder: Path) -> None:
    with hold_signals():  # which shutil would turn into an error of a file that is closed twice
        shutil.rmtree(folder, ignore_errors=True)


def _concerns(error: OSError, given: Path) -> bool:
    """Whether an error is about the file being written, not about another one that the block has to do with."""
    name = error.filename
    return name is None or _PREFIX in str(name) or os.path.realpath(name) == os.path.realpath(given)


def _check_target(target: Path) -> None:
    """Refuse early what opening ``target`` for writing would refuse."""
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def write_bytes(path: Path | str, *parts: bytes | memoryview) -> None:
    """Write ``parts`` one after the other as the file ``path``, whole or not at all.

    Raises
    ------
    OSError
        With ``path`` as its file name.
    """
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        for part in parts:
            file.write(part)


def require_size(path: Path, size: int) -> None:
    """Make sure that a library wrote all ``size`` bytes of ``path``.

    NumPy's ``tofile`` keeps quiet about a full disk, or tells no reason. Writing
    what is missing makes the operating system name it.

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

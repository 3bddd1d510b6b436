"""Temporary folders in shared places, locked while their process lives, so that the next run can clear the others."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: nothing is locked, and nothing of other runs is cleared
    fcntl = None  # type: ignore[assignment]


@contextmanager
def work_folder(parent: Path, prefix: str, remove: Callable[[Path], None] | None = None) -> Iterator[Path]:
    """Context manager that yields a new folder in ``parent``, and removes it at the end.

    The folder is locked, and its name is known before it is made, so that it is removed wherever in between a signal
    becomes an exception; `tempfile.TemporaryDirectory` leaves its folder where that happens while it makes or removes
    it. Folders with the same prefix whose process was killed are cleared, once per process.

    Parameters
    ----------
    remove
        Removes the folder; ``None``: `shutil.rmtree`.
    """
    remove = remove or _remove
    clear_abandoned(parent, prefix)
    folder, lock = parent / f"{prefix}{os.urandom(8).hex()}", -1
    try:
        try:
            lock = _make_locked(folder)
            yield folder
        finally:
            remove(folder)
            if lock >= 0:
                os.close(lock)
    except BaseException:
        remove(folder)
        raise


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _make_locked(folder: Path) -> int:
    """Make a folder, and return a descriptor that holds its lock, or -1 where there are no locks."""
    while True:
        folder.mkdir(0o700)
        if fcntl is None:
            return -1
        try:
            lock = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:  # cleared by another process before it was locked
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if os.stat(folder).st_ino == os.fstat(lock).st_ino:
                return lock
        except FileNotFoundError:
            pass
        except OSError:  # a file system without locks, on which nothing is cleared
            return lock
        os.close(lock)


@functools.cache
def clear_abandoned(parent: Path, prefix: str) -> None:
    """Remove the folders that `work_folder` made and whose process has ended without removing them."""
    if fcntl is None:
        return
    with suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if entry.name.startswith(prefix) and entry.is_dir(follow_symlinks=False):
                _clear(Path(entry.path))


def _clear(folder: Path) -> None:
    with suppress(OSError):  # of another user, or removed meanwhile
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)

"""The folder of a data set: its lock, and the manifest, a line of JSON for each complete shard."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cubragg.dataset.specification import SPEC, Specification, differences
from cubragg.dataset.write_settings import PARQUET_TABLES, SINGLE_ENDINGS
from cubragg.errors import CubraggError
from cubragg.io.files.atomic import write_bytes

MANIFEST, LOCK, FAILED = "manifest.jsonl", ".lock", "failed"
#: Folders in which a shard is being written.
PARTIAL = ".partial-"
#: Files of the shards and of the specification, and those that are made of them at the end, of which masters and
#: those for CrystFEL have names of their own.
SET_FILES = ("shard-*.nxs", "truth-*.refl", "truth-*.h5", "truth-*.stream", "vary-*.npy", "structure_factors.npz",
             "master*.nxs", "models*.geom", "models*.cell", "shots-*.h5",
             *(f"{table}-*.parquet" for table in PARQUET_TABLES),
             *(f"image*_*{ending}" for ending in SINGLE_ENDINGS))
REPORT = "report.html"
DERIVED = ("models.expt", "summary.json", "contact.png", REPORT)


class FolderRefused(CubraggError):
    """A folder holds another data set, is being written, or cannot be made."""


def fsync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class RunFolder:
    """The folder of a data set, opened by `opened`.

    Attributes
    ----------
    path
        The folder.
    header
        What the first line of the manifest says: versions and the digest of the specification.
    records
        The line of each complete shard, by its number.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header: dict[str, Any] = {}
        self.records: dict[int, dict[str, Any]] = {}

    @property
    def manifest(self) -> Path:
        """The manifest."""
        return self.path / MANIFEST

    def read(self) -> None:
        """Read the manifest; a last line without its end, torn by a kill or a full disk, is ignored."""
        self.header, self.records = {}, {}
        if not self.manifest.exists():
            return
        for number, line in enumerate(self.manifest.read_bytes().split(b"\n")[:-1]):
            try:
                record = json.loads(line)
            except ValueError:
                continue  # torn, and followed by the line of a later run
            if number == 0:
                self.header = record
            elif isinstance(record, dict) and "shard" in record:
                self.records[record["shard"]] = record

    def append(self, record: Mapping[str, Any]) -> None:
        """Append a line to the manifest, and wait until it is on the disk."""
        line = json.dumps(record, sort_keys=True).encode() + b"\n"
        with open(self.manifest, "ab", buffering=0) as file:
            start = file.tell()
            if start and self._torn():
                line = b"\n" + line
            try:
                _write_all(file.fileno(), line)
                os.fsync(file.fileno())
            except OSError as error:
                os.ftruncate(file.fileno(), start)
                raise OSError(error.errno, error.strerror, str(self.manifest)) from None
        if "shard" in record:
            self.records[record["shard"]] = dict(record)
        else:
            self.header = dict(record)

    def _torn(self) -> bool:
        with open(self.manifest, "rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read() != b"\n"

    def clear_partial(self) -> None:
        """Remove what killed runs left of unfinished shards."""
        for left in self.path.glob(f"{PARTIAL}*"):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)

    def remove_set(self) -> None:
        """Remove the files of the data set in the folder, and no others."""
        self.read()
        names = {name for record in self.records.values() for name in record["files"]}
        for pattern in SET_FILES:
            names |= {path.name for path in self.path.glob(pattern)}
        for name in sorted({*names, *DERIVED, SPEC}):
            (self.path / name).unlink(missing_ok=True)
        shutil.rmtree(self.path / FAILED, ignore_errors=True)
        # Last, so that a set that is half removed is still known as one.
        self.manifest.unlink(missing_ok=True)
        self.read()


def _write_all(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data):]


@contextmanager
def opened(path: Path, specification: Specification, header: Mapping[str, Any], *, resume: bool, overwrite: bool
           ) -> Iterator[RunFolder]:
    """Open a folder for a data set, with its lock held until the end of the ``with`` block.

    A new folder gets the specification. A folder with the same data set is continued.

    Parameters
    ----------
    header
        Versions and digests, which must be the same when a data set is continued.
    resume, overwrite
        Continue a data set that is there; remove one that is there.

    Raises
    ------
    FolderRefused
        If the folder holds other files or another data set, or another process writes it; the message shows what
        differs.
    OSError
        If it cannot be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FolderRefused(f"{path}: the folder cannot be made ({error.strerror}); name another folder") from None
    folder = RunFolder(path)
    with _locked(path):
        folder.read()
        removed = overwrite and bool(folder.header)
        if removed:
            folder.remove_set()
        if folder.header:
            _check_same(folder, specification, header, resume)
        else:
            others = sorted(name for name in os.listdir(path) if not name.startswith("."))
            begun = {SPEC, MANIFEST, *specification.files}
            if removed or set(others) <= begun:
                _begin(folder, specification, header)
            else:
                raise FolderRefused(f"{path}: got a folder with other files ({', '.join(others[:3])}); a new folder, "
                                    "or one with this data set, is accepted")
        folder.clear_partial()
        yield folder


def _begin(folder: RunFolder, specification: Specification, header: Mapping[str, Any]) -> None:
    """Write specification and first line of the manifest; a kill in between leaves a folder that begins again."""
    folder.manifest.unlink(missing_ok=True)
    for name, content in specification.files.items():
        write_bytes(folder.path / name, content)
    write_bytes(folder.path / SPEC, specification.text.encode())
    for name in (*specification.files, SPEC):
        fsync(folder.path / name)
    folder.append(header)
    fsync(folder.path)


def _check_same(folder: RunFolder, specification: Specification, header: Mapping[str, Any], resume: bool) -> None:
    import tomllib

    if not resume:
        raise FolderRefused(f"{folder.path}: got a folder with a data set of {len(folder.records)} complete shards; "
                            "resume=True continues it, --overwrite (overwrite=True) removes it first, or name "
                            "another folder")
    spec = folder.path / SPEC
    if not spec.is_file():
        raise FolderRefused(f"{spec}: got a folder with a manifest and without its specification; --overwrite "
                            "(overwrite=True) removes the set, or name another folder")
    changed = differences(tomllib.loads(spec.read_text(encoding="utf-8")), specification.document)
    changed += differences(folder.header, header) if not changed else []
    if changed:
        more = f" and {len(changed) - 10} more" if len(changed) > 10 else ""
        raise FolderRefused(f"{folder.path}: got a folder with another data set ({'; '.join(changed[:10])}{more}); "
                            "the same specification and version continue it, --overwrite (overwrite=True) removes it "
                            "first, or name another folder")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of a folder, which the system releases when the process ends, however it ends."""
    lock = path / LOCK
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            holder = os.pread(handle, 1000, 0).decode("utf-8", "replace").strip()
            raise FolderRefused(f"{path}: got a folder that another process writes ({holder or 'unknown'}); wait for "
                                "its end, or name another folder") from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)

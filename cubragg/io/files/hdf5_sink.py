"""A file for HDF5 to write to that survives a full disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


class Sink:
    """A new file that keeps its first fault to itself until `check`.

    HDF5 cannot close a file that it could not write: the process crashes when it ends. So it is not told; what comes
    after a fault goes nowhere.
    """

    def __init__(self, path: Path | str) -> None:
        self._file = open(path, "w+b", buffering=0)  # noqa: SIM115  (closed by close)
        self._fault: OSError | None = None

    def check(self) -> None:
        """Raise the fault, if there was one.

        Raises
        ------
        OSError
            The first that writing met.
        """
        if self._fault is not None:
            raise self._fault

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    # what h5py asks of a file object

    def write(self, data: Any) -> int:
        """Write all of ``data``, or remember why not."""
        view = memoryview(data).cast("B")
        size = len(view)
        try:
            while self._fault is None and len(view) > 0:
                view = view[self._file.write(view) or 0:]
        except OSError as error:
            self._fault = error
        return size

    def truncate(self, size: int) -> int:
        """Set the size, or remember why not."""
        try:
            if self._fault is None:
                self._file.truncate(size)
        except OSError as error:
            self._fault = error
        return size

    def read(self, size: int = -1) -> bytes:
        """Bytes from the place on; h5py knows a file by having this."""
        return self._file.read(size) or b""

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer``; behind the end with zeros."""
        view = memoryview(buffer).cast("B")
        done = 0
        while done < len(view) and (count := self._file.readinto(view[done:])):
            done += count
        view[done:] = bytes(len(view) - done)
        return len(view)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The place."""
        return self._file.tell()

    def flush(self) -> None:
        """Nothing waits."""

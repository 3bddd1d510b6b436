"""A file object for h5py that survives a full disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


class Sink:
    """A new file that stores its first error until `check` is called.

    HDF5 cannot close a file after a failed write, and the process crashes at its end. Therefore a write error is not
    raised inside HDF5; later writes are discarded.
    """

    def __init__(self, path: Path | str) -> None:
        self._file = open(path, "w+b", buffering=0)  # noqa: SIM115  (closed by close)
        self._error: OSError | None = None

    def check(self) -> None:
        """Raise the stored error, if there is one.

        Raises
        ------
        OSError
            The first error of a write.
        """
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    # The methods that h5py calls

    def write(self, data: Any) -> int:
        """Write all of ``data``, or store the error."""
        view = memoryview(data).cast("B")
        size = len(view)
        try:
            while self._error is None and len(view) > 0:
                view = view[self._file.write(view) or 0:]
        except OSError as error:
            self._error = error
        return size

    def truncate(self, size: int) -> int:
        """Set the size of the file, or store the error."""
        try:
            if self._error is None:
                self._file.truncate(size)
        except OSError as error:
            self._error = error
        return size

    def read(self, size: int = -1) -> bytes:
        """Read from the current position; h5py recognizes a file object by this method."""
        return self._file.read(size) or b""

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer``, with zeros beyond the end of the file."""
        view = memoryview(buffer).cast("B")
        done = 0
        while done < len(view) and (count := self._file.readinto(view[done:])):
            done += count
        view[done:] = bytes(len(view) - done)
        return len(view)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the current position."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The current position."""
        return self._file.tell()

    def flush(self) -> None:
        """Do nothing: the file is unbuffered."""

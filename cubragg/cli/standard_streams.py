"""Standard output and error of a command, whose failure does not end the run."""

from __future__ import annotations

import errno
import io
import os
import sys

TYPE_CHECKING = False  # importing typing would leave signals unhandled for 10 ms more
if TYPE_CHECKING:
    from typing import Any, TextIO


class _Descriptor(io.RawIOBase):
    """A file descriptor that stores its first error instead of raising it; what cannot be written is lost."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.error: OSError | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._number

    def isatty(self) -> bool:
        return os.isatty(self._number)

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        size = len(view)
        try:
            while len(view) > 0:
                view = view[os.write(self._number, view):]
        except OSError as error:
            self.error = self.error or error
        return size


class StandardStreams:
    """Replacement of `sys.stdout` and `sys.stderr` until the end of the process.

    An image of an hour is not lost because the log is on a full disk, its pipe or terminal is gone, or a name in a
    message cannot be encoded. Descriptors 0 to 2 that are closed lead to the null device, so that no file that is
    opened later gets their numbers, and with them what libraries print.
    """

    def __init__(self) -> None:
        for number in range(3):
            try:
                os.fstat(number)
            except OSError:
                os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        self._stdout = _Descriptor(1)
        sys.stdout = _text(self._stdout, sys.stdout, io.DEFAULT_BUFFER_SIZE)
        sys.stderr = _text(_Descriptor(2), sys.stderr, 0)

    def close(self, status: int) -> int:
        """Write what is left of the output, and return the exit status: ``status``, or 1 instead of 0 if it was lost.

        A closed pipe is no error: its reader (``head``) has seen enough.
        """
        sys.stdout.flush()
        error = self._stdout.error
        if error is None or error.errno == errno.EPIPE:
            return status
        print(f"Error: stdout: the output cannot be written ({error.strerror})", file=sys.stderr)
        return status or 1


def _text(raw: _Descriptor, replaced: TextIO | None, buffer_bytes: int) -> io.TextIOWrapper:
    """Return a text stream like the one it replaces; ``None``: its descriptor was closed."""
    binary: Any = io.BufferedWriter(raw, buffer_bytes) if buffer_bytes else raw
    return io.TextIOWrapper(binary, getattr(replaced, "encoding", None) or "utf-8", "backslashreplace",
                            line_buffering=bool(buffer_bytes) and raw.isatty(), write_through=not buffer_bytes)

"""Reads files that may be compressed with gzip or bzip2, which is detected from their first bytes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cubragg.errors import FormatError

_GZIP, _BZIP2 = b"\x1f\x8b", b"BZh"
#: Bytes of a compressed file that are read to decompress its start.
_ENOUGH_BYTES = 2**16
#: The value of zlib's ``wbits`` for a gzip header and any window size.
_GZIP_WINDOW = 31
#: Bytes that any file may decompress to, bytes for each byte of the file, and bytes that none may exceed. Text and
#: counts decompress to 3 to 20 times their size, empty images to more, but those have less than 64 MiB.
_SURELY_ACCEPTED, _MOST_RATIO, _MOST_BYTES = 2**26, 50, 2**30


def is_stream(path: Path | str) -> bool:
    """Whether a path is a pipe, a socket or a device."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):  # reported by what opens it
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def unpacked(path: Path | str) -> bytes:
    """The bytes of a file, decompressed if it is compressed.

    Raises
    ------
    FormatError
        If a compressed file is damaged or truncated, or decompresses to more than `_most` bytes.
    OSError
        If it cannot be read.
    """
    data = Path(path).read_bytes()
    if data.startswith(_GZIP):
        return _decompressed(path, data, "gzip")
    if data.startswith(_BZIP2):
        return _decompressed(path, data, "bzip2")
    return data


def _most(packed: int) -> int:
    """Largest size of the decompressed bytes of a file of ``packed`` bytes; a few bytes can decompress to gigabytes."""
    return min(max(_SURELY_ACCEPTED, _MOST_RATIO * packed), _MOST_BYTES)


def _decompressed(path: Path | str, data: bytes, name: str) -> bytes:
    import bz2
    import gzip
    import io

    most = _most(len(data))
    try:
        with (gzip.GzipFile(fileobj=io.BytesIO(data)) if name == "gzip" else bz2.BZ2File(io.BytesIO(data))) as file:
            plain = file.read(most + 1)
    except Exception as error:  # zlib.error, EOFError, OSError or ValueError, depending on the damage
        raise FormatError(f"{path}: damaged or truncated {name} file: {error}") from None
    if len(plain) > most:
        raise FormatError(f"{path}: got a {name} file of {len(data)} bytes that decompresses to more than {most}; "
                          "decompress it first")
    return plain


def is_packed(path: Path | str) -> bool:
    """Whether a file is compressed with gzip or bzip2.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with open(path, "rb") as file:
        return file.read(len(_BZIP2)).startswith((_GZIP, _BZIP2))


def start_of(path: Path | str, count: int) -> bytes:
    """The first ``count`` bytes of a file, decompressed if it is compressed and not damaged.

    Raises
    ------
    FormatError
        For a pipe or device, of which nothing would be left for the reader that this finds.
    OSError
        If it cannot be read.
    """
    if is_stream(path):
        raise FormatError(f"{path}: got a pipe or device, which can be read only once; a file is accepted")
    with open(path, "rb") as file:
        start = file.read(count)
        if start.startswith(_GZIP):
            start += file.read(_ENOUGH_BYTES)
            import zlib

            try:
                return zlib.decompressobj(_GZIP_WINDOW).decompress(start, count)
            except zlib.error:
                return start
        if start.startswith(_BZIP2):
            import bz2

            file.seek(0)
            try:
                return bz2.open(file).read(count)
            except (OSError, EOFError):
                return start
    return start

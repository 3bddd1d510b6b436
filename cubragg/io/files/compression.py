"""Reads files that may be compressed with gzip or bzip2, which is detected from their first bytes."""

from __future__ import annotations

from pathlib import Path

from cubragg.errors import FormatError

_GZIP, _BZIP2 = b"\x1f\x8b", b"BZh"
#: Bytes of a compressed file that are read to decompress its start.
_ENOUGH_BYTES = 2**16
#: The value of zlib's ``wbits`` for a gzip header and any window size.
_GZIP_WINDOW = 31


def unpacked(path: Path | str) -> bytes:
    """The bytes of a file, decompressed if it is compressed.

    Raises
    ------
    FormatError
        If a compressed file is damaged or truncated.
    OSError
        If it cannot be read.
    """
    data = Path(path).read_bytes()
    try:
        if data.startswith(_GZIP):
            import gzip

            return gzip.decompress(data)
        if data.startswith(_BZIP2):
            import bz2

            return bz2.decompress(data)
    except Exception as error:  # zlib.error, EOFError, OSError or ValueError, depending on the damage
        name = "gzip" if data.startswith(_GZIP) else "bzip2"
        raise FormatError(f"{path}: damaged or truncated {name} file: {error}") from None
    return data


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
    OSError
        If it cannot be read.
    """
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

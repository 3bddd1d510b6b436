"""Files that may be packed with gzip or bzip2, told by their first bytes."""

from __future__ import annotations

from pathlib import Path

from cubragg.errors import FormatError

_GZIP, _BZIP2 = b"\x1f\x8b", b"BZh"
#: So much of a packed file surely holds the start that is asked for.
_ENOUGH_BYTES = 2**16
#: zlib's word for a gzip wrapper around any window.
_GZIP_WINDOW = 31


def unpacked(path: Path | str) -> bytes:
    """The bytes of a file, packed or not.

    Raises
    ------
    FormatError
        If it begins as a packed one and is none, or is cut short.
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
    except Exception as error:  # zlib.error, EOFError, OSError and ValueError, whatever is wrong with it
        name = "gzip" if data.startswith(_GZIP) else "bzip2"
        raise FormatError(f"{path}: not a whole {name} file: {error}") from None
    return data


def is_packed(path: Path | str) -> bool:
    """Whether a file is packed.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with open(path, "rb") as file:
        return file.read(len(_BZIP2)).startswith((_GZIP, _BZIP2))


def start_of(path: Path | str, count: int) -> bytes:
    """The first bytes, of what is inside where the file is packed; as they stand where that is damaged.

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

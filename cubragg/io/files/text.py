"""Reads text files of numbers; errors give file and line."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from pathlib import Path

from cubragg.bounds import LARGEST
from cubragg.errors import FormatError

_COMMENT = re.compile("[#!]")
#: Numbers as accepted by C's strtod and numpy.loadtxt; Python's float accepts more (1_000, non-ASCII digits).
_NUMBER = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|inf|infinity|nan)", re.ASCII | re.IGNORECASE)


def quoted(data: bytes) -> str:
    """The first bytes of a file in quotes, for a message."""
    return repr(data.decode("latin-1"))


def read_text(path: Path | str, others: str | None = None) -> str:
    r"""The text of a file, decoded as UTF-8 or else as ``others``, with line ends converted to ``\n``.

    Raises
    ------
    FormatError
        If the file is not text.
    OSError
        If it cannot be read.
    """
    return text_of(path, Path(path).read_bytes(), others)


def text_of(path: Path | str, data: bytes, others: str | None = None) -> str:
    r"""The text of the bytes ``data`` of a file, decoded as by `read_text`.

    Raises
    ------
    FormatError
        If they are not text.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if others is not None:
            return text_of(path, data.decode(others).encode("utf-8"))
        raise FormatError(f"{path}: got byte 0x{error.object[error.start]:02x} at {error.start}; "
                          "a text file in UTF-8 is accepted") from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        raise FormatError(f"{path}: got byte 0x00 at {text.index(chr(0))}; a text file in UTF-8 is accepted")
    return text


def as_utf8(data: bytes) -> bytes:
    """Bytes in UTF-8, for parsers that need them; others are taken as Latin-1, which has a character for each byte."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1").encode("utf-8")
    return data


def data_lines(text: str, first_line: int = 1) -> Iterator[tuple[int, list[str]]]:
    """Line number and columns of every line that has columns.

    Columns are separated by blanks or commas; ``#`` and ``!`` start a comment.
    """
    for line_number, line in enumerate(io.StringIO(text), start=first_line):
        columns = _COMMENT.split(line, maxsplit=1)[0].replace(",", " ").split()
        if columns:
            yield line_number, columns


def number(where: str, name: str, token: str) -> float:
    """The finite number that ``token`` represents, of a magnitude up to `bounds.LARGEST`.

    Raises
    ------
    FormatError
        If it is not such a number: ``where: got 'abc'; name must be a number``.
    """
    if not _NUMBER.fullmatch(token):
        raise FormatError(f"{where}: got {token!r}; {name} must be a number")
    value = float(token)
    if not math.isfinite(value):
        raise FormatError(f"{where}: got {token}; {name} must be a finite number")
    if abs(value) > LARGEST:
        raise FormatError(f"{where}: got {token}; {name} must be of a magnitude up to {LARGEST:g}")
    return value

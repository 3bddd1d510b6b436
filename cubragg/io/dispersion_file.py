"""Reads measured f' and f'' of elements from a text file."""

from __future__ import annotations

from pathlib import Path

import gemmi

from cubragg.errors import ConfigError, FormatError
from cubragg.io.files.text import data_lines, number, read_text


def element_symbol(where: str, word: str) -> str:
    """Return the symbol of an element, with a capital letter.

    Raises
    ------
    ConfigError
        If there is no such element.
    """
    element = gemmi.Element(word)
    if element.atomic_number == 0:
        raise ConfigError(where, f"got {word!r}; the symbol of an element, as Fe, is accepted")
    return str(element.name)


def read_dispersion(path: Path | str) -> dict[str, tuple[float, float]]:
    """Return f' and f'' [electrons] by element, from lines of an element's symbol, f' and f''.

    Raises
    ------
    FormatError
        If a line is not such, or there is none.
    OSError
        If the file cannot be read.
    """
    values = {}
    for line, words in data_lines(read_text(path)):
        where = f"{path}:{line}"
        if len(words) != 3:
            raise FormatError(f"{where}: got {len(words)} columns; an element, f' and f'' are accepted")
        try:
            name = element_symbol(where, words[0])
        except ConfigError as error:
            raise FormatError(str(error)) from None
        first, second = number(where, "f'", words[1]), number(where, "f''", words[2])
        values[name] = (first, second)
    if not values:
        raise FormatError(f"{path}: there is no element; lines of an element, f' and f'' are accepted")
    return values

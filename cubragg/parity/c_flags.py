"""Translates a command line of cubragg to arguments of nanoBragg.c, and checks its input files for differences."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cubragg.errors import ConfigError
from cubragg.io.files.compression import is_packed
from cubragg.io.reflections.read import list_kind

#: The C program reads four numbers at a time: a comment ends its list, and a fifth column shifts the numbers.
_PLAIN_REFLECTION = re.compile(rb"\s*([+-]?\d+\s+){3}[-+.\deE]+\s*")


class CFlag(NamedTuple):
    """A flag that the C program also has.

    Attributes
    ----------
    name
        Its spelling in cubragg's help.
    spelling, values
        Spelling and values on the command line.
    is_file
        Whether the value is the path of a file to read.
    """

    name: str
    spelling: str
    values: tuple[float | int | str, ...]
    is_file: bool


def typed(spelling: str, values: Sequence[float | int | str]) -> list[str]:
    """A flag as words of a command line, numbers with all digits."""
    return [spelling, *(value if isinstance(value, str) else repr(value) for value in values)]


def c_arguments(flags: Sequence[CFlag], misset_seed: int | None, dump: str | None) -> list[str]:
    """Arguments for the C program, with absolute paths, since it runs in another folder.

    Parameters
    ----------
    flags
        The flags in the order of the command line.
    misset_seed
        Seed of a random orientation. It is put last, because elsewhere the C program reads ``-misset_seed`` as
        ``-misset`` with three numbers.
    dump
        The dump of structure factors that cubragg read instead of a list.

    Raises
    ------
    ConfigError
        For a file that the C program reads differently or not at all.
    """
    arguments: list[str] = []
    for name, spelling, values, is_file in flags:
        if name in ("-dump", "-misset_seed"):
            continue
        if is_file:
            path = str(values[0])
            _check_file(name, spelling, path)
            values = (os.path.abspath(path),)
        arguments += typed(f"-{spelling.lstrip('-')}", values)
    if dump is not None:
        arguments += ["-dump", os.path.abspath(dump)]
    if misset_seed is not None:
        arguments += ["-misset_seed", str(misset_seed)]
    return arguments


def _check_file(name: str, spelling: str, path: str) -> None:
    if is_packed(path):
        raise ConfigError(spelling, f"got {path!r}; the C program reads uncompressed files only: decompress it first")
    if name == "-hkl" and not (list_kind(path) == "text" and _is_plain_list(path)):
        raise ConfigError(spelling, f"got {path!r}; the C program reads lines of h k l F only: render once with "
                          f"-hkl {path} -dump F.bin, then type -dump F.bin and the -cell instead")


def _is_plain_list(path: str) -> bool:
    """Whether every line consists of three indices and F."""
    lines = Path(path).read_bytes().splitlines()
    return all(_PLAIN_REFLECTION.fullmatch(line) for line in lines if line.strip())

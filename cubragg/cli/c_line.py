"""Translate a command line for the C program, and refuse flags that it cannot reproduce."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cubragg.cli.flag_kinds import HANDED_ON, LEFT_OUT
from cubragg.cli.flags import DEFAULT_NAMES, FLAGS
from cubragg.cli.parser import Given
from cubragg.errors import ConfigError

if TYPE_CHECKING:
    from cubragg.cli.build import Job

#: Flags that change the experiment and that the C program does not have.
REFUSED = tuple(flag for flag in FLAGS if flag.c_program not in (HANDED_ON, LEFT_OUT))


def check(line: Sequence[Given]) -> None:
    """Refuse a line for which the C program would simulate another experiment than cubragg.

    Raises
    ------
    ConfigError
        For one of `REFUSED`, with what to type instead.
    """
    for flag, spelling, values in line:
        if flag in REFUSED:
            got = " ".join(repr(value) if isinstance(value, str) else f"{value:g}" for value in values) or "it"
            instead = f"type {flag.c_program} instead" if flag.c_program else "leave it out"
            raise ConfigError(spelling, f"got {got}; the C program has no such setting; {instead}")


def c_arguments(line: Sequence[Given], job: Job) -> list[str]:
    """Return the arguments for the C program: the flags passed on, then a dump found and a seed drawn by cubragg.

    Raises
    ------
    ConfigError
        See `check` and `cubragg.parity.c_flags.c_arguments`.
    """
    from cubragg.parity import c_flags

    check(line)
    flags = [c_flags.CFlag(flag.name, spelling, values, flag.kind == "file") for flag, spelling, values in line
             if flag.c_program == HANDED_ON]
    dump = None
    if job.experiment.structure_factors.grid is not None and not job.from_hkl:
        named = job.settings.outputs.get("dump")
        dump = named.path if named else DEFAULT_NAMES["dump"]
    return c_flags.c_arguments(flags, job.experiment.crystal.misset_seed, dump)

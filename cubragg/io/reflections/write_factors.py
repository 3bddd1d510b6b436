"""Structure factors of a model as a file, by the ending of its name: .hkl or .mtz."""

from __future__ import annotations

from pathlib import Path

import cubragg
from cubragg.crystallography.atomic_factors import ModelFactors
from cubragg.errors import FormatError


def check_ending(path: Path | str) -> str:
    """The ending of a name, ``.hkl`` or ``.mtz``.

    Raises
    ------
    FormatError
        For another one.
    """
    ending = Path(path).suffix.lower()
    if ending not in (".hkl", ".mtz"):
        raise FormatError(f"got {str(path)!r}; a name ending in .hkl or .mtz is accepted")
    return ending


def write_factors(path: Path | str, factors: ModelFactors) -> int:
    """Write h k l F in P1, each Friedel mate by itself, or the unique reflections with phases; returns their number.

    Raises
    ------
    FormatError
        For a name of another ending.
    OSError
        If the file cannot be written.
    """
    if check_ending(path) == ".hkl":
        from cubragg.io.reflections.hkl import write_hkl

        hkl, amplitudes = factors.expanded().rows()
        # Four decimals are more than f0 is known to.
        write_hkl(path, hkl, amplitudes.round(4))
        return len(hkl)
    from cubragg.io.reflections.mtz import write_mtz

    write_mtz(path, factors.hkl, factors.columns(), factors.model.cell, factors.model.group, factors.wavelength_A,
              [f"cubragg {cubragg.__version__} sf {Path(factors.model.path).name} to {factors.dmin_A:g} A"])
    return len(factors.hkl)

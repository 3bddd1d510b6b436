"""Writes calculated structure factors as .hkl or .mtz, by the suffix of the file name."""

from __future__ import annotations

from pathlib import Path

from cubragg.crystallography.atomic_factors import ModelFactors
from cubragg.errors import FormatError
from cubragg.version import version


def check_ending(path: Path | str) -> str:
    """The suffix of a file name, ``.hkl`` or ``.mtz``.

    Raises
    ------
    FormatError
        For another suffix.
    """
    ending = Path(path).suffix.lower()
    if ending not in (".hkl", ".mtz"):
        raise FormatError(f"got {str(path)!r}; a name ending in .hkl or .mtz is accepted")
    return ending


def write_factors(path: Path | str, factors: ModelFactors) -> int:
    """Write structure factors and return the number of reflections in the file.

    ``.hkl`` lists h k l F in P1 with both Friedel mates, ``.mtz`` the unique reflections with phases.

    Raises
    ------
    FormatError
        For an unknown suffix.
    OSError
        If the file cannot be written.
    """
    if check_ending(path) == ".hkl":
        from cubragg.io.reflections.hkl import write_hkl

        hkl, amplitudes = factors.expanded().rows()
        # f0 is known less precisely than to four decimals.
        write_hkl(path, hkl, amplitudes.round(4))
        return len(hkl)
    from cubragg.io.reflections.mtz import write_mtz

    write_mtz(path, factors.hkl, factors.columns(), factors.model.cell, factors.model.group, factors.wavelength_A,
              [f"cubragg {version()} sf {Path(factors.model.path).name} to {factors.dmin_A:g} A"])
    return len(factors.hkl)

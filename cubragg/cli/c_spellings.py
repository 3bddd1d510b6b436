"""Spellings that nanoBragg.c accepts because they contain one of its options: ``-adcoffset`` is its ``-adc``."""

from __future__ import annotations

from collections.abc import Mapping

from cubragg.cli.flags import FLAGS, Flag

#: What the C program looks for in a word (strstr), where that is not a flag's spelling itself, and the flag.
_STEMS = {"-sample_heigh": "-sample_z", "-xtal_heigh": "-xtal_z", "-heigh": "-sample_z", "-mosaic_spr": "-mosaic",
          "-molec": "-MW", "-sample_den": "-density"}
#: Options of the C program that must be the whole word, and spellings that it does not have.
_WHOLE = {"-N", "-MW", "-detector_thick", "-detsize", "-detpixels", "-polar", "-mosaic", "-hdivstep", "-vdivstep",
          "-phi", "-phistep", "-stol", "-4stol", "-Q"}
_NOT_C = {"-trace_pixel", "-v", "-hdiv", "-vdiv", "-detsize_x", "-detsize_y", "-xdet_vector", "-ydet_vector",
          "-zdet_vector"}
#: After these the C program looks for no others in the word.
_FINAL = ("-oversample_thick", "-oversample_polar", "-oversample_omega")


def _options() -> dict[str, Flag]:
    by_name = {name: flag for flag in FLAGS for name in flag.names if not name.startswith("--")}
    options = {name: flag for name, flag in by_name.items() if name not in _WHOLE | _NOT_C}
    return options | {stem: by_name[name] for stem, name in _STEMS.items()}


_OPTIONS: Mapping[str, Flag] = _options()


def flag_within(word: str) -> Flag | None:
    """Return the flag that the C program finds in a word that is no flag's spelling.

    ``None``: it finds none, or several, or would take the value after ``=`` from the next word.
    """
    if word.startswith("--") or "=" in word:
        return None
    final = next((option for option in _FINAL if option in word), None)
    if final is not None:
        return _OPTIONS[final]
    found = {flag.name: flag for option, flag in _OPTIONS.items() if option in word}
    return next(iter(found.values())) if len(found) == 1 else None

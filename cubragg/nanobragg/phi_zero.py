"""What a spindle angle of exactly 0 means in nanoBragg.c."""

from __future__ import annotations


def carried_rotations(angles: list[float]) -> tuple[list[float], list[float]]:
    """The spindle angle that nanoBragg.c really uses at each step: later passes, and the first pass.

    In C a phi of exactly 0 means "keep the vectors"; they are those of the last step that
    turned them, in the previous pass through the phi loop if need be. Only a leading 0 of
    the very first pass finds them unturned.
    """
    turned = [angle for angle in angles if angle != 0.0]
    passes = []
    for last in (turned[-1] if turned else 0.0, 0.0):
        used = []
        for angle in angles:
            last = angle if angle != 0.0 else last
            used.append(last)
        passes.append(used)
    return passes[0], passes[1]

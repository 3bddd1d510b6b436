"""The special case of a spindle angle of exactly 0 in nanoBragg.c."""

from __future__ import annotations


def carried_rotations(angles: list[float]) -> tuple[list[float], list[float]]:
    """Spindle angles that nanoBragg.c effectively uses at each step, in later passes and in the first pass.

    The C program does not recompute the cell axes for a phi of exactly 0: they remain those of
    the last step with another phi, if necessary in the previous pass through the phi loop. Only
    in the first pass do the axes of a leading 0 belong to phi = 0.
    """
    nonzero = [angle for angle in angles if angle != 0.0]
    passes = []
    for last in (nonzero[-1] if nonzero else 0.0, 0.0):
        used = []
        for angle in angles:
            last = angle if angle != 0.0 else last
            used.append(last)
        passes.append(used)
    return passes[0], passes[1]

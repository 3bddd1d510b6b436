"""Sums by reflection: the numbering of reflections, and what a pass over a panel leaves. `specs/truth.md`"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

#: Columns of `ReflectionSums`.
SUMS = 8


class ReflectionCodes:
    """Codes of reflections: integers that represent h, k, l and whether the reflection enters the Ewald sphere.

    Attributes
    ----------
    reach
        int64 [3], largest index along each axis.
    size
        Number of codes.
    """

    def __init__(self, reach: np.ndarray) -> None:
        self.reach = reach
        self._sides = 2 * reach + 1
        self.size = int(np.prod(self._sides)) * 2

    def pack(self, hkl: np.ndarray, entering: np.ndarray | bool) -> np.ndarray:
        """Return the codes, float64 [n], of integer indices [3, n] and bool [n]; the indices are clipped in place."""
        h, k, l = np.clip(hkl, -self.reach[:, None], self.reach[:, None], out=hkl)  # noqa: E741
        _, nk, nl = self._sides.tolist()
        return (((h + self.reach[0]) * nk + k + self.reach[1]) * nl + l + self.reach[2]) * 2.0 + entering

    def unpack(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the indices int64 [n, 3] and entering bool [n] of codes."""
        rest, entering = np.divmod(codes, 2)
        hkl = np.stack(np.unravel_index(rest, tuple(self._sides)), axis=1) - self.reach
        return hkl, entering.astype(bool)


class ReflectionSums(NamedTuple):
    """Sums over pixels for each reflection, in ascending order of ``code`` [n].

    Columns of ``values`` [n, SUMS]: photons; photons times fast, slow [pixel], phi [rad]; photons times the centres of
    the pixels, fast, slow; photons in pixels next to one that is not rendered; photons times the fraction of their
    pixel's photons that belong to other reflections.
    """

    code: np.ndarray
    values: np.ndarray


class PixelPhotons(NamedTuple):
    """Code of a reflection int64 [n], flat pixel of the panel int64 [n], and photons float64 [n]."""

    code: np.ndarray
    pixel: np.ndarray
    photons: np.ndarray


class PanelSums(NamedTuple):
    """Sums of a panel by reflection.

    Attributes
    ----------
    number
        Number of the panel.
    codes, sums
        Numbering of its reflections, and their sums.
    least, kept
        Photons of reflections in pixels where they are at least ``least``; infinite: none are kept.
    """

    number: int
    codes: ReflectionCodes
    sums: ReflectionSums
    least: float
    kept: PixelPhotons

    @property
    def by_code(self) -> tuple[ReflectionCodes, ReflectionSums]:
        """The numbering and the sums."""
        return self.codes, self.sums


@dataclass(frozen=True)
class ImageSums:
    """Sums of an image by reflection.

    Attributes
    ----------
    min_photons
        Reflections with fewer photons may lack some of them.
    panels
        The sums of each panel, by its number.
    """

    min_photons: float
    panels: dict[int, PanelSums]


def all_of(parts: list[PixelPhotons]) -> PixelPhotons:
    """Return the photons of several parts of an image one after the other."""
    none = PixelPhotons(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0))
    return PixelPhotons(*(np.concatenate(columns) for columns in zip(none, *parts, strict=True)))


def sums_by_key(key: np.ndarray, columns: Sequence[np.ndarray] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the unique keys, ascending, and the sums of their rows [n, columns]."""
    start = np.flatnonzero(np.diff(key, prepend=key[:1] - 1))
    if 0 < 4 * len(start) < len(key):  # long runs of a key are added first
        key, columns = key[start], [np.add.reduceat(column, start) for column in columns]
    key, inverse = np.unique(key, return_inverse=True)
    sums = np.empty((len(key), len(columns)))
    for number, column in enumerate(columns):
        sums[:, number] = np.bincount(inverse, column, len(key))
    return key, sums


def add_up(sums: list[ReflectionSums]) -> ReflectionSums:
    """Return the total of the sums of several parts of an image."""
    if not sums:
        return ReflectionSums(np.zeros(0, dtype=np.int64), np.zeros((0, SUMS)))
    if len(sums) == 1:
        return sums[0]
    return ReflectionSums(*sums_by_key(np.concatenate([part.code for part in sums]),
                                       np.concatenate([part.values for part in sums]).T))

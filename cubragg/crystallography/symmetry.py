"""Space-group symmetry of reflections, on arrays of indices.

F(h R) = F(h) exp(-2 pi i h t) for an operation x' = R x + t, so |F| is the same along an orbit h R, and 0 where an
operation keeps h but h t is not whole (International Tables for Crystallography B, section 1.4.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import gemmi

#: Translations are kept in whole 24ths of an axis.
TRANSLATION_UNIT = 24
#: Rows whose keys under all operations stay in the cache.
_CHUNK_ROWS = 1 << 12


def reciprocal_metric(cell: tuple[float, ...]) -> np.ndarray:
    """G* float64 [3, 3] [1/A^2] of a cell a, b, c [A], alpha, beta, gamma [deg]: 1 / d^2 = h G* h."""
    lengths, cosines = np.array(cell[:3]), np.cos(np.radians(cell[3:]))
    direct = np.outer(lengths, lengths) * np.array([[1.0, cosines[2], cosines[1]], [cosines[2], 1.0, cosines[0]],
                                                    [cosines[1], cosines[0], 1.0]])
    return np.linalg.inv(direct)


def inverse_d_squared(hkl: np.ndarray, metric: np.ndarray) -> np.ndarray:
    """1 / d^2 float64 [n] [1/A^2] of indices [n, 3]."""
    indices = hkl.astype(np.float64)
    return np.einsum("ni,ni->n", indices @ metric, indices)


@dataclass(frozen=True, eq=False)
class Symmetry:
    """A space group: its name and all its operations, centring included.

    Attributes
    ----------
    name
        Hermann-Mauguin symbol, or what a file calls it.
    rotations
        int64 [n, 3, 3], x' = R x + t on fractional coordinates.
    translations
        int64 [n, 3] in 24ths of an axis.
    """

    name: str
    rotations: np.ndarray
    translations: np.ndarray

    @cached_property
    def point_group(self) -> np.ndarray:
        """The different rotations, int64 [m, 3, 3]."""
        return np.unique(self.rotations.reshape(-1, 9), axis=0).reshape(-1, 3, 3)

    @cached_property
    def centrings(self) -> np.ndarray:
        """The translations of the identity other than 0, int64 [c, 3] in 24ths."""
        identity = (self.rotations == np.eye(3, dtype=np.int64)).all(axis=(1, 2))
        return self.translations[identity & self.translations.any(axis=1)]

    @cached_property
    def _screws_and_glides(self) -> tuple[np.ndarray, np.ndarray]:
        """Of each rotation one operation, if it cannot be had without translation."""
        order = np.lexsort(self.translations.T[::-1])
        rotations, translations = self.rotations[order], self.translations[order]
        _, first = np.unique(rotations.reshape(-1, 9), axis=0, return_index=True)
        shifted = first[translations[first].any(axis=1)]
        return rotations[shifted], translations[shifted]

    def metric(self, cell: tuple[float, ...]) -> np.ndarray:
        """G* float64 [3, 3] of a cell, freed of what rounding or error takes from its symmetry."""
        return (self.point_group @ reciprocal_metric(cell) @ self.point_group.transpose(0, 2, 1)).mean(axis=0)

    def misfit(self, cell: tuple[float, ...]) -> float:
        """How far the operations change the metric of a cell, as a share of its largest element."""
        metric = reciprocal_metric(cell)
        return float(np.abs(self.metric(cell) - metric).max() / np.abs(metric).max())

    def absent(self, hkl: np.ndarray) -> np.ndarray:
        """Whether each of the indices [n, 3] is systematically absent, bool [n]."""
        result = np.zeros(len(hkl), dtype=bool)
        rotations, translations = self._screws_and_glides
        if not len(hkl) or not len(rotations) + len(self.centrings):
            return result
        # One number for h R - h, 0 only where all three differences are; products of floats are quicker, and exact.
        span = 16.0 * np.abs(hkl).max() + 1.0
        changes = ((rotations - np.eye(3)) @ [span * span, span, 1.0]).T
        for start in range(0, len(hkl), _CHUNK_ROWS):
            rows = slice(start, start + _CHUNK_ROWS)
            indices = hkl[rows].astype(np.float64)
            result[rows] = ((indices @ self.centrings.T) % TRANSLATION_UNIT).any(axis=1)
            shifted = (indices @ translations.T) % TRANSLATION_UNIT != 0.0
            result[rows] |= ((indices @ changes == 0.0) & shifted).any(axis=1)
        return result


@dataclass(frozen=True, eq=False)
class IndexBox:
    """All indices up to ``reach`` int64 [3] on either side, and a whole number for each: its key, l fastest."""

    reach: np.ndarray

    @classmethod
    def around(cls, hkl: np.ndarray, symmetry: Symmetry) -> IndexBox:
        """The box that holds the orbits of indices [n, 3] and of their Friedel mates."""
        corner = np.abs(hkl).max(axis=0).astype(np.float64)
        # Most groups permute axes and turn signs, so that the corner alone tells; oblique ones need every index.
        if (np.abs(symmetry.point_group).sum(axis=1) == 1).all():
            return cls((np.abs(symmetry.point_group).transpose(0, 2, 1) @ corner).max(axis=0).astype(np.int64))
        reach = corner
        for rotation in symmetry.point_group:
            reach = np.maximum(reach, np.abs(hkl @ rotation).max(axis=0))
        return cls(reach.astype(np.int64))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Points along h, k, l."""
        a, b, c = (2 * int(n) + 1 for n in self.reach)
        return a, b, c

    @property
    def size(self) -> int:
        """Points in all."""
        a, b, c = self.shape
        return a * b * c

    @property
    def weights(self) -> np.ndarray:
        """What a step of h, k, l adds to the key, float64 [3]: exact, and quicker to multiply than integers."""
        return np.array([self.shape[1] * self.shape[2], self.shape[2], 1], dtype=np.float64)

    def keys(self, hkl: np.ndarray, rotation: np.ndarray | None = None) -> np.ndarray:
        """Keys int64 [n] of indices [n, 3], or of what a rotation makes of them."""
        weights = self.weights if rotation is None else rotation @ self.weights
        return (hkl @ weights).astype(np.int64) + self.size // 2

    def hkl(self, keys: np.ndarray) -> np.ndarray:
        """Indices int32 [n, 3] of keys [n]."""
        indices = np.empty((len(keys), 3), dtype=np.int32)
        # 32-bit division is twice as quick.
        rest = keys.astype(np.uint32)
        for column in (2, 1):
            rest, indices[:, column] = np.divmod(rest, np.uint32(self.shape[column]))
        indices[:, 0] = rest
        indices -= self.reach.astype(np.int32)
        return indices

    def first_of_orbit(self, hkl: np.ndarray, symmetry: Symmetry, *, friedel: bool) -> np.ndarray:
        """Largest key int64 [n] among the mates of each of the indices [n, 3]: the same for all of an orbit."""
        steps = (symmetry.point_group @ self.weights).T
        largest = np.empty(len(hkl), dtype=np.int64)
        for start in range(0, len(hkl), _CHUNK_ROWS):
            keys = hkl[start:start + _CHUNK_ROWS].astype(np.float64) @ steps
            best = np.abs(keys).max(axis=1) if friedel else keys.max(axis=1)
            largest[start:start + _CHUNK_ROWS] = best
        return largest + self.size // 2


def symmetry_of(operations: gemmi.GroupOps, name: str) -> Symmetry:
    """Symmetry on arrays from gemmi's operations, whose unit is the same 24th."""
    listed = list(operations)
    return Symmetry(name, np.array([op.rot for op in listed], dtype=np.int64) // TRANSLATION_UNIT,
                    np.array([op.tran for op in listed], dtype=np.int64) % TRANSLATION_UNIT)

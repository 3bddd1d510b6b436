"""Space-group symmetry of arrays of reflection indices.

F(h R) = F(h) exp(-2 pi i h t) for an operation x' = R x + t, so |F| is the same for all indices of an orbit h R, and 0
if an operation maps h to itself and h t is not an integer (International Tables for Crystallography B, section 1.4.4).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cubragg.errors import ConfigError

if TYPE_CHECKING:
    import gemmi

#: Rotations of the largest point group.
_MOST_ROTATIONS = 48
#: Rows that are processed at once; their keys under all operations fit into the CPU's cache.
_CHUNK_ROWS = 1 << 12


@dataclass(frozen=True, eq=False)
class Symmetry:
    """A space group, also in a setting that is not in gemmi's table.

    Attributes
    ----------
    name
        Hermann-Mauguin symbol, or the name in a file.
    operations
        gemmi's operations x' = R x + t on fractional coordinates, centring included.
    """

    name: str
    operations: gemmi.GroupOps

    @cached_property
    def point_group(self) -> np.ndarray:
        """The distinct rotations R, int64 [m, 3, 3], sorted.

        Sorting makes results independent of the order in a file: of mates that differ by rounding the last is kept.
        """
        import gemmi

        return np.unique(np.array([op.rot for op in self.operations.sym_ops], dtype=np.int64) // gemmi.Op.DEN, axis=0)

    def _metric(self, cell: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Reciprocal metric G* float64 [3, 3] [1/A^2], 1 / d^2 = h G* h, and its mean over the point group."""
        import gemmi

        metric = np.array(gemmi.UnitCell(*cell).reciprocal_metric_tensor().as_mat33().tolist())
        return metric, (self.point_group @ metric @ self.point_group.transpose(0, 2, 1)).mean(axis=0)

    def misfit(self, cell: tuple[float, ...]) -> float:
        """Largest change of a cell's reciprocal metric under the operations, relative to its largest element.

        ``cell`` is a, b, c [A], alpha, beta, gamma [deg].
        """
        metric, mean = self._metric(cell)
        return float(np.abs(mean - metric).max() / np.abs(metric).max())

    def fitted(self, cell: tuple[float, ...]) -> gemmi.UnitCell:
        """The cell with the exact symmetry of the group, by averaging its reciprocal metric over the point group."""
        import gemmi

        direct = np.linalg.inv(self._metric(cell)[1])
        lengths = np.sqrt(np.diag(direct))
        cosines = (direct / np.outer(lengths, lengths))[[1, 0, 0], [2, 2, 1]]
        return gemmi.UnitCell(*lengths.tolist(), *np.degrees(np.arccos(cosines)).tolist())


@dataclass(frozen=True, eq=False)
class IndexBox:
    """The box of indices from -``reach`` to ``reach``, int64 [3], and a number for each, its key (l fastest)."""

    reach: np.ndarray

    @classmethod
    def of(cls, hkl: np.ndarray) -> IndexBox:
        """The smallest box that contains indices [n, 3] and their Friedel mates."""
        return cls(np.array([np.abs(column).max() for column in hkl.T], dtype=np.int64))

    @classmethod
    def around(cls, hkl: np.ndarray, symmetry: Symmetry) -> IndexBox:
        """The smallest box that contains the orbits of indices [n, 3] and of their Friedel mates."""
        corner = cls.of(hkl).reach
        # Operations that only permute axes and change signs map the corner to the new corner; for others (hexagonal
        # axes) all indices are needed.
        if (np.abs(symmetry.point_group).sum(axis=1) == 1).all():
            return cls((np.abs(symmetry.point_group).transpose(0, 2, 1) @ corner).max(axis=0))
        reaches = [cls.of(hkl @ rotation).reach for rotation in symmetry.point_group]
        return cls(np.max(reaches, axis=0))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of points along h, k, l."""
        a, b, c = (2 * int(n) + 1 for n in self.reach)
        return a, b, c

    @property
    def size(self) -> int:
        """Total number of points."""
        a, b, c = self.shape
        return a * b * c

    @property
    def weights(self) -> np.ndarray:
        """Increments of the key for h, k, l, float64 [3], which is exact here and faster to multiply than integers."""
        return np.array([self.shape[1] * self.shape[2], self.shape[2], 1], dtype=np.float64)

    def contains(self, hkl: np.ndarray) -> np.ndarray:
        """Whether each of the indices [n, 3] is in the box, bool [n]."""
        return np.logical_and.reduce([np.abs(column) <= n for column, n in zip(hkl.T, self.reach, strict=True)])

    def keys(self, hkl: np.ndarray, rotation: np.ndarray | None = None) -> np.ndarray:
        """Keys int64 [n] of indices [n, 3], or of the rotated indices."""
        weights = self.weights if rotation is None else rotation @ self.weights
        return np.einsum("ni,i->n", hkl, weights.astype(np.int64)) + self.size // 2

    def hkl(self, keys: np.ndarray) -> np.ndarray:
        """Indices int32 [n, 3] of keys [n]."""
        axes = np.unravel_index(keys, self.shape)
        return np.stack([(offset - n).astype(np.int32) for offset, n in zip(axes, self.reach, strict=True)], axis=1)

    def first_of_orbit(self, hkl: np.ndarray, symmetry: Symmetry, *, friedel: bool) -> np.ndarray:
        """Largest key int64 [n] among the mates of each of the indices [n, 3], which identifies the orbit."""
        rotated_weights = (symmetry.point_group @ self.weights).T
        largest = np.empty(len(hkl), dtype=np.int64)
        for start in range(0, len(hkl), _CHUNK_ROWS):
            keys = hkl[start:start + _CHUNK_ROWS].astype(np.float64) @ rotated_weights
            best = np.abs(keys).max(axis=1) if friedel else keys.max(axis=1)
            largest[start:start + _CHUNK_ROWS] = best
        return largest + self.size // 2


def named_group(name: str, alpha: float = 0.0, gamma: float = 0.0) -> Symmetry:
    """The space group of a Hermann-Mauguin symbol, as ``P 21 21 21``, ``p212121`` or ``P2(1)2(1)2(1)``, or of a number.

    Angles of the cell [deg] select between rhombohedral and hexagonal axes where a symbol does not; the default is
    hexagonal.

    Raises
    ------
    ConfigError
        If there is no such group.
    """
    import gemmi

    symbol = re.sub("[()]", "", name).strip()
    if symbol.isascii() and symbol.isdigit():
        numbered = gemmi.find_spacegroup_by_number(int(symbol[:4]))
        symbol = numbered.hm if numbered is not None and numbered.ext in "HR" else symbol
    group = gemmi.find_spacegroup_by_name(symbol, alpha, gamma)
    if group is None:
        raise ConfigError("space_group", f"got unknown space group {name!r}; a Hermann-Mauguin symbol such as P 21 21 "
                          "21, or a number from 1 to 230, is accepted")
    return Symmetry(group.xhm(), group.operations())


def check_operations(operations: gemmi.GroupOps) -> None:
    """Refuse operations that form no space group.

    Raises
    ------
    ValueError
        If a rotation is no 3 x 3 matrix of -1, 0, 1 with a determinant of 1 or -1, or the product of two is missing.
    """
    import gemmi

    if not len(list(operations.cen_ops)):
        raise ValueError("the identity x, y, z is missing")
    matrices = np.array([op.rot for op in operations.sym_ops], dtype=np.int64)
    rotations = matrices // gemmi.Op.DEN
    if (matrices % gemmi.Op.DEN).any() or np.abs(rotations).max() > 1 or not np.isclose(
            np.abs(np.linalg.det(rotations)), 1.0).all():
        raise ValueError("a rotation is not one of a lattice")
    present = {rotation.tobytes() for rotation in rotations}
    if len(present) > _MOST_ROTATIONS or any((one @ other).tobytes() not in present
                                             for one in rotations for other in rotations):
        raise ValueError("the product of two operations is missing")


def group_name(operations: gemmi.GroupOps) -> str:
    """The extended Hermann-Mauguin symbol of operations that are in gemmi's table, else an empty string."""
    import gemmi

    group = gemmi.find_spacegroup_by_ops(operations)
    return group.xhm() if group else ""

"""What is asked of a shape: the lattice amplitude of a coherent block of Na x Nb x Nc cells, and what follows from it.

Offsets dh are fractional indices less the nearest whole ones. Away from square blocks the amplitude is a function
of x = fudge dh^T M dh with a quadratic form M, the metric of the shape. `specs/core-physics.md`
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

_PER_M_FROM_PER_A = 1e10
#: exp(-x) is 0 in double precision for x above this.
_EXPONENTIAL_IS_0 = 745.2


class Buffers(Protocol):
    """Arrays that a thread reuses; see `cubragg.plan.workspace`."""

    def take(self, name: str, rows: int, count: int) -> np.ndarray:
        """A float64 array [rows, count]; [count] if ``rows`` is 0."""


class FreshBuffers:
    """New arrays each time."""

    def take(self, name: str, rows: int, count: int) -> np.ndarray:
        """A float64 array [rows, count]; [count] if ``rows`` is 0."""
        return np.empty((rows, count) if rows else count)


@dataclass(frozen=True, eq=False)
class CoherentBlock:
    """The cells that interfere.

    Attributes
    ----------
    cells
        Na, Nb, Nc; of a separable shape those of some axes only.
    stars
        float64 [3, 3], rows a*, b*, c* [1/A] at phi = 0.
    fudge
        Factor on the squared spot radius.
    """

    cells: tuple[float, ...]
    stars: np.ndarray
    fudge: float

    @property
    def count(self) -> float:
        """Na Nb Nc."""
        return math.prod(self.cells)

    @property
    def volume(self) -> float:
        """Volume of the cell [A^3]."""
        return 1.0 / abs(float(np.linalg.det(self.stars)))


class CrystalShape(ABC):
    """A shape.

    Attributes
    ----------
    name
        Its name in a plan and in the kernels: `shape_<name>.cuh`.
    setting, semantics
        The value of ``Crystal.shape`` that means it, and in which semantics.
    words
        What a run prints.
    peak
        Amplitude at a node, as a fraction of Na Nb Nc.
    separable
        The amplitude is a product over the axes, 1 along an axis of one cell. In single precision the kernels leave
        Na Nb Nc out of the amplitude of every other shape.
    fringes
        The amplitude oscillates between two nodes, N times along an axis.
    compact
        In floating point the amplitude is 0 beyond a radius.
    term_ns
        Precision -> time of a term on the CPU [ns] (Zen 4, one thread).
    term_instructions
        Precision -> instructions of a term on a GPU, and those of them in double precision (sm_90,
        `scripts/sass_report.py`).
    """

    name: ClassVar[str]
    setting: ClassVar[str]
    semantics: ClassVar[tuple[str, ...]] = ("nanobragg", "physical")
    words: ClassVar[str]
    peak: ClassVar[float] = 1.0
    separable: ClassVar[bool] = False
    fringes: ClassVar[bool] = False
    compact: ClassVar[bool] = False
    term_ns: ClassVar[Mapping[str, float]]
    term_instructions: ClassVar[Mapping[str, tuple[int, int]]]

    @abstractmethod
    def amplitude(self, index: np.ndarray, whole: np.ndarray, block: CoherentBlock, work: Buffers) -> np.ndarray:
        """Lattice amplitude [n] at indices [3, n] with their nearest whole indices; of square blocks its size.

        The array may be one of ``work``.
        """

    def factors_along(self, hkl: tuple[float, ...], block: CoherentBlock) -> tuple[float, ...]:
        """Factors of the amplitude along a, b, c at one place, with their signs; empty where it is no product."""
        return ()

    @abstractmethod
    def metric(self, block: CoherentBlock) -> np.ndarray:
        """The quadratic form M, float64 [3, 3], of offsets of indices."""

    @abstractmethod
    def width_sqr(self, block: CoherentBlock, share: float) -> float:
        """dh^T M dh beyond which a reflection's profile, the squared amplitude, is about below a share of its peak."""

    @abstractmethod
    def integral(self, block: CoherentBlock) -> float:
        """Integral of the squared amplitude over index space, of one reflection."""

    @abstractmethod
    def weakening(self, gap: np.ndarray, block: CoherentBlock) -> np.ndarray | float:
        """Return the factor by which the squared amplitude is below its peak, at least, where |dh| >= gap [3, ...]."""

    def cutoff(self, decay: float) -> float:
        """x beyond which the amplitude is below exp(-decay) of its peak; inf where culling does not use it."""
        return math.inf

    def cull_metric(self, block: CoherentBlock) -> np.ndarray:
        """The quadratic form of offsets that the kernels compare with ``cull_radius_sqr`` of `cull_radius`."""
        return self.metric(block)

    def cull_radius(self, block: CoherentBlock, radius_sqr: float, cells_m: np.ndarray) -> dict[str, Any]:
        """Fields of the kernels' struct for terms that are negligible where dh^T M dh exceeds ``radius_sqr``.

        ``cells_m`` [orientation, 3, 3]: a, b, c [m] of each orientation.
        """
        return {"cull_radius_sqr": radius_sqr * (1.0 + 1e-5)}

    def kernel_numbers(self, block: CoherentBlock) -> tuple[float, ...]:
        """Return at most two numbers for its .cuh (``Params::shape``), besides cells, reciprocal vectors and fudge."""
        return ()

    def warning(self, block: CoherentBlock) -> str:
        """Return a warning about the image of this block, or an empty string."""
        return ""


class RadialShape(CrystalShape):
    """A shape whose amplitude is Na Nb Nc times a function g(x) of x = fudge dh^T M dh.

    Attributes
    ----------
    unit_integral
        Integral of g(r^2)^2 over space.
    """

    unit_integral: ClassVar[float]

    def metric(self, block: CoherentBlock) -> np.ndarray:
        """Return diag(Na^2, Nb^2, Nc^2), in index space."""
        return np.diag(np.square(block.cells))

    def width_sqr(self, block: CoherentBlock, share: float) -> float:
        """Return that of `cutoff`, where the amplitude is the root of the share."""
        return self.cutoff(-0.5 * math.log(share)) / max(block.fudge, 1e-30)

    def weakening(self, gap: np.ndarray, block: CoherentBlock) -> np.ndarray | float:
        """1: compact shapes have a radius instead."""
        return 1.0

    def integral(self, block: CoherentBlock) -> float:
        """(Na Nb Nc)^2 times the unit integral over sqrt(det fudge M)."""
        root = math.sqrt(float(np.linalg.det(self.metric(block))))
        return block.count ** 2 * self.unit_integral / (root * max(block.fudge, 1e-30) ** 1.5)


class ReciprocalShape(RadialShape):
    """A radial shape that is round in reciprocal space: M = length^2 times the metric of the reciprocal lattice."""

    @abstractmethod
    def length(self, block: CoherentBlock) -> float:
        """Return the length [A] by which distances in reciprocal space are multiplied."""

    def metric(self, block: CoherentBlock) -> np.ndarray:
        """length^2 a*_i . a*_j."""
        return block.stars @ block.stars.T * self.length(block) ** 2

    def cull_metric(self, block: CoherentBlock) -> np.ndarray:
        """Squared distance from the node [1/m^2]."""
        return block.stars @ block.stars.T * _PER_M_FROM_PER_A ** 2

    def cull_radius(self, block: CoherentBlock, radius_sqr: float, cells_m: np.ndarray) -> dict[str, Any]:
        """The radius [1/m^2] for distances in the laboratory, and what makes a distance of an index.

        The radius is one of the lattice's reciprocal vectors, which nanobragg semantics may leave not quite dual
        to its cell; a distance of theirs is at least the smallest singular value times one of the cell's duals.
        """
        stars = block.stars * _PER_M_FROM_PER_A
        try:
            shrink = float(np.linalg.svd(stars.T @ cells_m, compute_uv=False).min())
            duals = np.linalg.norm(np.linalg.inv(stars), axis=0)
        except np.linalg.LinAlgError:
            return {}
        if not shrink > 0.0:
            return {}
        radius = math.sqrt(radius_sqr) / self.length(block) * _PER_M_FROM_PER_A / shrink * (1.0 + 1e-5)
        return {"cull_radius_sqr": radius * radius, "per_dual": (1.0 - 1e-5) / (duals * shrink)}


def index_radius_sqr(index: np.ndarray, whole: np.ndarray, cells: tuple[float, ...], work: Buffers) -> np.ndarray:
    """(dh Na)^2 + (dk Nb)^2 + (dl Nc)^2 [n], in the C program's order."""
    terms = np.subtract(index, whole, out=work.take("offset", *index.shape))
    np.multiply(terms, terms, out=terms)
    for _ in range(2):
        np.multiply(terms, np.array(cells)[:, None], out=terms)
    np.add(terms[0], terms[1], out=terms[0])
    return np.add(terms[0], terms[2], out=terms[0])


def star_radius_sqr(index: np.ndarray, whole: np.ndarray, stars: np.ndarray, work: Buffers) -> np.ndarray:
    """|dh a* + dk b* + dl c*|^2 [n] for ``stars`` [3, 3] with rows a*, b*, c*, in the unit of their squares."""
    offset = np.subtract(index, whole, out=work.take("offset", *index.shape))
    star, part = work.take("star", *index.shape), work.take("term", *index.shape)
    np.multiply(stars[0][:, None], offset[0], out=star)
    for row in (1, 2):
        np.add(star, np.multiply(stars[row][:, None], offset[row], out=part), out=star)
    np.multiply(star, star, out=star)
    np.add(star[0], star[1], out=star[0])
    return np.add(star[0], star[2], out=star[0])


def falling_exponential(height: float, exponent: np.ndarray, work: Buffers) -> np.ndarray:
    """height exp(-exponent) [n], in place of ``exponent``; computed only where it is not 0: most samples are far."""
    near, = (~(exponent > _EXPONENTIAL_IS_0)).nonzero()
    values = exponent.take(near, out=work.take("near", 0, len(exponent))[:len(near)], mode="clip")
    np.exp(np.negative(values, out=values), out=values)
    exponent[:] = 0.0
    exponent[near] = np.multiply(values, height, out=values)
    return exponent

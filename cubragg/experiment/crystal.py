"""The crystal: unit cell, orientation, size and shape of the coherent block, mosaic domains.

Source of the formulas: nanoBragg.c, restated in `specs/crystal.md`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, get_args

from cubragg import checks, units
from cubragg.bounds import ANGLE_DEG, CELL_EDGE_A, Range
from cubragg.crystallography.cell import cell_of_axes, dual_axes
from cubragg.crystallography.shapes import DEFAULT_SHAPE, SETTINGS
from cubragg.crystallography.vectors import Matrix, Vector, cross, dot, norm, rescale, rotate_xyz, scale, unit
from cubragg.errors import ConfigError
from cubragg.experiment.one_or_several import checked, several
from cubragg.experiment.settings_repr import settings_repr
from cubragg.nanobragg.fill_range import MAX_STEPS
from cubragg.nanobragg.random_stream import MAX_SEED, ReferenceStream, random_misset, rotation_matrix

DEFAULT_MOSAIC_SEED = 12345678
#: Largest number of unit cells along an axis, an int of the C program.
_MAX_CELLS = 2**31 - 1
Habit = Literal["box", "sphere", "cylinder"]
HABITS: tuple[Habit, ...] = get_args(Habit)
#: Largest relative spread of cell lengths; beyond, a spread given in percent is more likely.
_MAX_STRAIN = 0.1
#: Largest edge of a crystal, and largest mosaicity; beyond, other units are more likely.
_MAX_SIZE_MM, _MAX_MOSAICITY_DEG = 1000.0, 30.0
#: Largest number of cycles of a wobble in a turn; faster motion than one of a degree is a vibration.
_MAX_CYCLES = 360
#: Lengths of reciprocal axes [1/A], also of a matrix whose cell is given, and the volume that three unit vectors span.
_RECIPROCAL, _FLAT = Range(1e-8, 1e8), 1e-7
_IDENTITY: Matrix = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


class Lattice(NamedTuple):
    """The oriented lattice at phi = 0.

    ``a, b, c`` real-space vectors [A], ``a_star, b_star, c_star`` reciprocal
    vectors [1/A], ``volume`` [A^3], ``misset_rad`` the rotation applied about
    x, y, z [rad] (``None``: none was given).
    """

    a: Vector
    b: Vector
    c: Vector
    a_star: Vector
    b_star: Vector
    c_star: Vector
    volume: float
    misset_rad: Vector | None


class Mosaic(NamedTuple):
    """The mosaic domains: rotation of each [row-major 3x3], and the mosaic spread.

    ``defaulted``: a spread was given without a number of domains. ``collapsed``: several domains were given without a
    spread, so that one is used.
    """

    rotations: tuple[Matrix, ...]
    spread_rad: float
    defaulted: bool
    collapsed: bool


@dataclass(frozen=True)
class Crystal:
    """The crystal in the beam.

    The crystal consists of coherent blocks; size, mosaicity and strain of the whole crystal are modelled in physical
    semantics only. Lengths along three axes are along a, in the a-b plane, and along c*, and turn with the crystal.

    Attributes
    ----------
    cell
        a, b, c [A], alpha, beta, gamma [deg]. A b or c <= 0 is replaced by a, an angle <= 0 by 90.
    a_matrix
        3 x 3 [1/A], rows x, y, z of the laboratory; columns a*, b*, c* (A = U B; a MOSFLM matrix divided by the
        wavelength). If ``cell`` is given too, the matrix gives the directions and the cell the lengths.
    misset_deg
        Rotation about x, then y, then z [deg], applied after ``a_matrix`` or the standard setting.
    misset_seed
        Seed of a random orientation, in place of ``misset_deg``.
    cells
        Unit cells of the coherent block along a, b, c; values below 1 count as 1.
    sample_size_mm
        Size of the coherent block along a, b, c [mm]; a value > 0 replaces that of ``cells``.
    block_size_um
        The same [um], one number or along a, b, c, rounded to whole cells; replaces ``cells``, and is an alternative
        to ``sample_size_mm``.
    size_mm, habit
        Size of the whole crystal [mm]: edges of a ``box``, diameters of a ``sphere`` (ellipsoid), diameters and length
        of a ``cylinder`` along c*; one number: all three. ``None``: the crystal is a single coherent block.
    offset_mm
        Its centre relative to the spindle axis and the beam [mm], in the laboratory at phi = 0; it turns with phi.
    wobble_mm, wobble_cycles, wobble_phase_deg
        Displacement of the crystal by an imperfect spindle, which does not turn with it: ``wobble_mm`` times
        cos(``wobble_cycles`` phi + ``wobble_phase_deg``), in the laboratory [mm]. Oval bearings make two cycles in a
        turn.
    shape, fudge
        ``square`` (parallelepiped), ``round``, ``gauss``, ``tophat``, in physical semantics also ``gauss_star``; and
        the factor on the spot radius squared. `specs/core-physics.md` has the formulas.
    mosaic_spread_deg, mosaic_domains, mosaic_seed
        Largest misorientation of a domain [deg], number of domains, and the seed of their orientations. Without a
        number there are 10, in physical semantics as many as spots need. With a size, divergence or bandwidth, domains
        also differ in place and ray, and there are more.
    mosaicity_deg
        Standard deviation [deg] of the rotation of the blocks about each of the three axes, one number or three: a
        Gaussian distribution, in place of ``mosaic_spread_deg``.
    strain
        Standard deviation of the relative length of the cell axes, the same along all directions.
    """

    cell: tuple[float, float, float, float, float, float] | None = None
    a_matrix: tuple[Vector, Vector, Vector] | None = None
    misset_deg: Vector | None = None
    misset_seed: int | None = None
    cells: tuple[int, int, int] = (1, 1, 1)
    sample_size_mm: Vector = (0.0, 0.0, 0.0)
    shape: str = DEFAULT_SHAPE
    fudge: float = 1.0
    mosaic_spread_deg: float | None = None
    mosaic_domains: int | None = None
    mosaic_seed: int = DEFAULT_MOSAIC_SEED
    block_size_um: float | Vector | None = None
    size_mm: float | Vector | None = None
    habit: Habit = "box"
    offset_mm: Vector = (0.0, 0.0, 0.0)
    wobble_mm: Vector = (0.0, 0.0, 0.0)
    wobble_cycles: int = 2
    wobble_phase_deg: float = 0.0
    mosaicity_deg: float | Vector | None = None
    strain: float = 0.0

    __repr__ = settings_repr

    def __post_init__(self) -> None:
        checks.plain_fields(self)
        if self.cell is None and self.a_matrix is None:
            raise ConfigError("crystal.cell", "no unit cell; give a cell (-cell) or an orientation matrix (-mat)")
        checks.vector("crystal.cell", "the cell", self.cell, length=6, optional=True)
        for edge in (self.cell or ())[:3]:
            if edge > 0.0:
                checks.number("crystal.cell", "a cell edge", edge, "A", within=CELL_EDGE_A)
        if self.a_matrix is not None:
            rows = checks.matrix("crystal.a_matrix", "the A matrix", self.a_matrix, "1/A")
            object.__setattr__(self, "a_matrix", rows)
            self._check_matrix(rows)
        checks.vector("crystal.misset_deg", "misset", self.misset_deg, "deg", optional=True)
        if self.misset_deg is not None and self.misset_seed is not None:
            raise ConfigError("crystal.misset_seed", "got misset angles and a seed for random ones; give one of them")
        checks.integer("crystal.misset_seed", "the misset seed", self.misset_seed, optional=True,
                       at_least=0, at_most=MAX_SEED)
        checks.vector("crystal.cells", "the coherent block", self.cells)
        for count in self.cells:
            checks.integer("crystal.cells", "the number of unit cells", count, at_least=0, at_most=_MAX_CELLS)
        checks.vector("crystal.sample_size_mm", "the sample size", self.sample_size_mm, "mm")
        for edge in self.sample_size_mm:
            checks.number("crystal.sample_size_mm", "the sample size", edge, "mm", at_least=0.0)
        checks.choice("crystal.shape", "the crystal shape", self.shape, SETTINGS)
        checks.number("crystal.fudge", "the fudge factor", self.fudge, at_least=0.0)
        checks.number("crystal.mosaic_spread_deg", "the mosaic spread", self.mosaic_spread_deg, "deg",
                      optional=True, at_least=0.0)
        checks.integer("crystal.mosaic_domains", "the number of mosaic domains", self.mosaic_domains,
                       optional=True, at_least=0, at_most=MAX_STEPS)
        checks.integer("crystal.mosaic_seed", "the mosaic seed", self.mosaic_seed, at_least=0, at_most=MAX_SEED)
        self._check_whole_crystal()
        if self.cell is not None:
            self._reciprocal_cell("physical")

    def _check_whole_crystal(self) -> None:
        checked("crystal.block_size_um", "the block size", self.block_size_um, "um", above=0.0)
        if self.block_size_um is not None and any(self.sample_size_mm):
            raise ConfigError("crystal.block_size_um", f"got {self.block_size_um} um and a size in mm as well; give "
                              "one of them")
        checked("crystal.size_mm", "the crystal size", self.size_mm, "mm", above=0.0, below=_MAX_SIZE_MM)
        checks.choice("crystal.habit", "the habit", self.habit, HABITS)
        checks.vector("crystal.offset_mm", "the offset", self.offset_mm, "mm")
        checks.vector("crystal.wobble_mm", "the wobble", self.wobble_mm, "mm")
        checks.integer("crystal.wobble_cycles", "the number of cycles", self.wobble_cycles, at_least=1,
                       at_most=_MAX_CYCLES)
        checks.number("crystal.wobble_phase_deg", "the phase of the wobble", self.wobble_phase_deg, "deg",
                      within=ANGLE_DEG)
        checked("crystal.mosaicity_deg", "the mosaicity", self.mosaicity_deg, "deg", at_least=0.0,
                below=_MAX_MOSAICITY_DEG)
        if self.mosaicity_deg is not None and self.mosaic_spread_deg:
            raise ConfigError("crystal.mosaicity_deg", f"got {self.mosaicity_deg} deg and a mosaic spread of "
                              f"{self.mosaic_spread_deg:g} deg; give one of them")
        checks.number("crystal.strain", "the strain", self.strain, at_least=0.0, below=_MAX_STRAIN)

    def _check_matrix(self, rows: tuple[Vector, Vector, Vector]) -> None:
        """Refuse reciprocal axes in one plane, and of a cell that no crystal has."""
        a_star, b_star, c_star = zip(*rows, strict=True)
        lengths = [norm(axis) for axis in (a_star, b_star, c_star)]
        if not min(lengths) > 0.0 or not abs(dot(unit(a_star), cross(unit(b_star), unit(c_star)))) > _FLAT:
            raise ConfigError("crystal.a_matrix", "got three reciprocal vectors in one plane; they must span a volume")
        for length in lengths:
            checks.number("crystal.a_matrix", "the length of a reciprocal axis", length, "1/A", within=_RECIPROCAL)
        for axis in dual_axes(a_star, b_star, c_star) if self.cell is None else ():
            checks.number("crystal.a_matrix", "an edge of its cell", norm(axis), "A", within=CELL_EDGE_A)

    def full_cell(self) -> tuple[float, float, float, float, float, float]:
        """Return the cell [A, rad], with omitted lengths and angles filled in."""
        if self.cell is None:
            raise ConfigError("crystal.cell", "no unit cell; give a cell (-cell)")
        a, *rest = self.cell
        b, c = (length if length > 0.0 else a for length in rest[:2])
        angles = (units.rad_from_deg(angle) if angle > 0.0 else math.pi / 2 for angle in rest[2:])
        return (a, b, c, *angles)  # type: ignore[return-value]

    def _reciprocal_cell(self, semantics: str) -> tuple[Vector, Vector, Vector, float]:
        """Return a*, b*, c* [1/A] in the standard setting (a* along x, b* in the xy plane), and the volume.

        nanoBragg.c uses c* V / (a b c sin gamma*) as the z component of c*. That is correct only
        if sin gamma = sin gamma*: cells with three oblique angles get wrong angles (60 60 60 70 70 70
        becomes 69.47, 69.47, 69.73 deg). Physical semantics uses 1/c.
        """
        a, b, c, alpha, beta, gamma = self.full_cell()
        if not a > 0.0:
            raise ConfigError("crystal.cell", f"got a = {a:g} A; cell lengths must be > 0 A")
        half = (alpha + beta + gamma) / 2
        skew = math.sin(half) * math.sin(half - alpha) * math.sin(half - beta) * math.sin(half - gamma)
        degrees = ", ".join(f"{units.deg_from_rad(angle):g}" for angle in (alpha, beta, gamma))
        # Angles that form no parallelepiped give skew <= 0; the limit allows for rounding.
        if not skew > 1e-15 or max(alpha, beta, gamma) >= math.pi:
            raise ConfigError("crystal.cell", f"got angles {degrees} deg; no cell has such angles (each must be "
                              "< 180 deg and less than the sum of the other two, and their sum < 360 deg)")
        volume = 2.0 * a * b * c * math.sqrt(abs(skew))
        v_star = 1.0 / volume
        a_star = b * c * math.sin(alpha) * v_star
        b_star = c * a * math.sin(beta) * v_star
        c_star = a * b * math.sin(gamma) * v_star
        cos_alpha_star = ((math.cos(beta) * math.cos(gamma) - math.cos(alpha))
                          / (math.sin(beta) * math.sin(gamma)))
        cos_beta_star = ((math.cos(gamma) * math.cos(alpha) - math.cos(beta))
                         / (math.sin(gamma) * math.sin(alpha)))
        cos_gamma_star = ((math.cos(alpha) * math.cos(beta) - math.cos(gamma))
                          / (math.sin(alpha) * math.sin(beta)))
        sin_gamma_star = min(c * v_star / a_star / b_star, 1.0)
        return (
            (a_star, 0.0, 0.0),
            (b_star * cos_gamma_star, b_star * sin_gamma_star, 0.0),
            (c_star * cos_beta_star,
             c_star * (cos_alpha_star - cos_beta_star * cos_gamma_star) / sin_gamma_star,
             1.0 / c if semantics == "physical" else c_star * volume / (a * b * c * sin_gamma_star)),
            volume,
        )

    def turned(self, rotate: Callable[[Vector], Vector], semantics: str = "physical") -> Crystal:
        """Return the crystal with its lattice at phi = 0 and its offset turned by a rotation, as an A matrix."""
        lattice = self.lattice(semantics)
        x, y, z = zip(*(rotate(star) for star in (lattice.a_star, lattice.b_star, lattice.c_star)), strict=True)
        return replace(self, a_matrix=(x, y, z), cell=None, misset_deg=None, misset_seed=None,
                       offset_mm=rotate(self.offset_mm))

    def lattice(self, semantics: str = "physical") -> Lattice:
        """Return the oriented lattice at phi = 0."""
        volume = 0.0
        if self.cell is not None:
            a_star, b_star, c_star, volume = self._reciprocal_cell(semantics)
        if self.a_matrix is not None:
            a_star, b_star, c_star = zip(*self.a_matrix, strict=True)

        misset = self._misset_rad()
        if misset is not None:
            a_star, b_star, c_star = (rotate_xyz(x, misset) for x in (a_star, b_star, c_star))

        b_cross_c, c_cross_a, a_cross_b = cross(b_star, c_star), cross(c_star, a_star), cross(a_star, b_star)
        v_star = dot(a_star, b_cross_c)
        if not abs(v_star) > 0.0:
            raise ConfigError("crystal.a_matrix", "got three reciprocal vectors in one plane; they must span a volume")
        if self.cell is not None:
            lengths = self.full_cell()
            b_cross_c = rescale(b_cross_c, lengths[0] / volume)
            c_cross_a = rescale(c_cross_a, lengths[1] / volume)
            a_cross_b = rescale(a_cross_b, lengths[2] / volume)
            v_star = 1.0 / volume
        volume = 1.0 / v_star
        a, b, c = scale(b_cross_c, volume), scale(c_cross_a, volume), scale(a_cross_b, volume)
        return Lattice(a, b, c, scale(cross(b, c), v_star), scale(cross(c, a), v_star), scale(cross(a, b), v_star),
                       volume, misset)

    def angle_error_deg(self, lattice: Lattice) -> float:
        """Return the largest difference between the angles of the lattice and those of the given cell [deg]."""
        angles_deg = cell_of_axes(lattice.a, lattice.b, lattice.c)[3:]
        return max(abs(angle - units.deg_from_rad(given))
                   for angle, given in zip(angles_deg, self.full_cell()[3:], strict=True))

    def _misset_rad(self) -> Vector | None:
        if self.misset_seed is not None:
            return random_misset(self.misset_seed)
        if self.misset_deg is None:
            return None
        return tuple(units.rad_from_deg(angle) for angle in self.misset_deg)  # type: ignore[return-value]

    def cell_counts(self, lattice: Lattice, clipped_size_m: Vector) -> Vector:
        """Return the unit cells along a, b, c, from the sample size if it is given; whole numbers >= 1."""
        if self.block_size_um is not None:
            return tuple(max(float(round(units.m_from_um(size) / norm(scale(axis, units.ANGSTROM_M)))), 1.0)
                         for size, axis in zip(several(self.block_size_um), (lattice.a, lattice.b, lattice.c),
                                               strict=True))  # type: ignore[return-value]
        counts = []
        for count, size, axis in zip(self.cells, clipped_size_m, (lattice.a, lattice.b, lattice.c), strict=True):
            if size > 0.0:
                count = math.ceil(size / norm(scale(axis, units.ANGSTROM_M)))
            counts.append(float(max(count, 1)))
        return tuple(counts)  # type: ignore[return-value]

    def mosaic(self) -> Mosaic:
        """Return the domains. Domain 0 is not rotated, but consumes three random numbers as in nanoBragg.c."""
        spread = units.rad_from_deg(self.mosaic_spread_deg or 0.0)
        given = self.mosaic_domains or 0
        defaulted = given <= 0 and spread > 0.0
        collapsed = given > 1 and not spread > 0.0
        count = 10 if defaulted else given if spread > 0.0 else 1
        stream = ReferenceStream(self.mosaic_seed)
        rotations = [rotation_matrix(stream, spread) for _ in range(count)]
        return Mosaic((_IDENTITY, *rotations[1:]), spread, defaulted, collapsed)

    def unsampled_mosaic(self) -> Mosaic:
        """Return a single domain that is not rotated, with the mosaic spread."""
        return Mosaic((_IDENTITY,), units.rad_from_deg(self.mosaic_spread_deg or 0.0), False, False)

"""Compile-time options of the kernels, and their values for a plan."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cubragg.engine.kernel_params import PARAMS
from cubragg.plan.plan import Plan

PRECISIONS = ("double", "mixed", "single")
_FACTORS = ("constant", "nearest", "tricubic")
_INT32_MAX = 2**31 - 1

#: Default tile size (fast, slow) [pixel], a block of threads on the GPU; errors in single precision grow with it.
TILE = (16, 8)


@dataclass(frozen=True)
class Variant:
    """Compile-time options of a kernel.

    Attributes
    ----------
    precision, shape, factors
        ``double``, ``mixed`` or ``single``; name of the crystal's shape, as in `kernels/shape_<name>.cuh`; lookup of
        structure factors: ``constant``, ``nearest`` or ``tricubic``.
    two_floats
        In mixed and single precision, whether offsets of Miller indices are sums of two floats; see
        `cubragg.engine.accuracy`.
    wide_grid
        Whether the padded F2 grid has 2^31 points or more.
    tile
        Tile size (fast, slow) [pixel].
    culled
        Whether terms that are negligible on a tile are skipped; see `cubragg.engine.culling`.
    counted
        Whether the photons of a pixel become its count in the kernel, which is named ``count`` then; on a GPU.
    physical, running
        Whether the semantics is physical, and whether factors multiply the running sum; ``None``: read from the struct
        at run time.
    """

    precision: str
    shape: str
    factors: str
    wide_grid: bool = False
    two_floats: bool = False
    tile: tuple[int, int] = TILE
    culled: bool = False
    counted: bool = False
    physical: bool | None = None
    running: bool | None = None

    @property
    def block(self) -> int:
        """Number of threads of a block, and of pixels of a tile."""
        return self.tile[0] * self.tile[1]

    @property
    def entry(self) -> str:
        """Name of the entry point."""
        return "count" if self.counted else "render"

    @property
    def bound_pad(self) -> int:
        """Points that the F2 upper bound extends beyond the padded grid on each side; 0 without culling."""
        return 0 if not self.culled else 4 if self.factors == "tricubic" else 1

    def defines(self) -> tuple[str, ...]:
        """Return the ``-D`` options for the compiler."""
        values = {
            "PRECISION": PRECISIONS.index(self.precision), "SHAPE": self.shape,
            "FACTORS": _FACTORS.index(self.factors), "WIDE_GRID": int(self.wide_grid),
            "TWO_FLOATS": int(self.two_floats),
            "TILE_FAST": self.tile[0], "TILE_SLOW": self.tile[1], "CULLED": int(self.culled),
            "PARAMS_SIZE": PARAMS.itemsize,
        }
        values |= {name: int(value) for name, value in (("PHYSICAL", self.physical), ("RUNNING", self.running))
                   if value is not None}
        values |= {"COUNTED": 1} if self.counted else {}
        return tuple(f"-D{name}={value}" for name, value in values.items())


def host_variant(plan: Plan, precision: str) -> Variant:
    """Return the variant of a plan for the CPU; there are few, since each is compiled on the user's machine."""
    grid = plan.factors.grid
    factors = "constant" if grid is None else "tricubic" if plan.interpolate else "nearest"
    points = 1
    for size in () if grid is None else grid.shape:
        points *= size + 2
    return Variant(precision, plan.crystal_shape, factors, points > _INT32_MAX)


def cuda_variant(plan: Plan, precision: str) -> Variant:
    """Return the variant of a plan for the GPU; semantics is fixed at compile time, which saves registers."""
    return replace(host_variant(plan, precision), physical=plan.rules.per_sample, running=plan.rules.running)

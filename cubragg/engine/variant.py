"""The choices that are compiled into a kernel, and which of them a plan needs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cubragg.engine.kernel_params import PARAMS
from cubragg.plan.plan import Plan

PRECISIONS = ("double", "mixed", "single")
_FACTORS = ("constant", "nearest", "tricubic")
_INT32_MAX = 2**31 - 1

#: Pixels of a tile (fast, slow): a block of threads on the GPU; small, as errors in single precision grow with it.
TILE = (16, 8)


@dataclass(frozen=True)
class Variant:
    """The choices that are compiled in.

    Attributes
    ----------
    precision, shape, factors
        ``double``, ``mixed``, ``single``; name of the crystal's shape, of `kernels/shape_<name>.cuh`; ``constant``,
        ``nearest``, ``tricubic``.
    wide_grid
        The padded grid has 2^31 points or more.
    tile
        Pixels of a tile (fast, slow).
    culled
        Terms that cannot matter to a tile are left out; see `cubragg.engine.culling`.
    physical, running
        Semantics, and whether factors are multiplied into the running sum; ``None``: read at run time.
    """

    precision: str
    shape: str
    factors: str
    wide_grid: bool = False
    tile: tuple[int, int] = TILE
    culled: bool = False
    physical: bool | None = None
    running: bool | None = None

    @property
    def block(self) -> int:
        """Threads of a block, pixels of a tile."""
        return self.tile[0] * self.tile[1]

    @property
    def bound_pad(self) -> int:
        """Layers of the limits of structure factors beyond the padded grid; 0: there are no limits."""
        return 0 if not self.culled else 4 if self.factors == "tricubic" else 1

    def defines(self) -> tuple[str, ...]:
        """The ``-D`` options."""
        values = {
            "PRECISION": PRECISIONS.index(self.precision), "SHAPE": self.shape,
            "FACTORS": _FACTORS.index(self.factors), "WIDE_GRID": int(self.wide_grid),
            "TILE_FAST": self.tile[0], "TILE_SLOW": self.tile[1], "CULLED": int(self.culled),
            "PARAMS_SIZE": PARAMS.itemsize,
        }
        values |= {name: int(value) for name, value in (("PHYSICAL", self.physical), ("RUNNING", self.running))
                   if value is not None}
        return tuple(f"-D{name}={value}" for name, value in values.items())


def host_variant(plan: Plan, precision: str) -> Variant:
    """What the CPU needs for a plan: few variants, as each is compiled once on the user's machine."""
    grid = plan.factors.grid
    factors = "constant" if grid is None else "tricubic" if plan.interpolate else "nearest"
    points = 1
    for size in () if grid is None else grid.shape:
        points *= size + 2
    return Variant(precision, plan.crystal_shape, factors, points > _INT32_MAX)


def cuda_variant(plan: Plan, precision: str) -> Variant:
    """What the GPU needs for a plan: everything fixed that saves registers."""
    return replace(host_variant(plan, precision), physical=plan.rules.per_sample, running=plan.rules.running)

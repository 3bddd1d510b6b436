// Structure factors on a dense grid with one layer of default_F around it: a lookup is a clamp.
//
// NEAREST: the grid holds F^2 at [h, k, l]. TRICUBIC: it holds F; a Lagrange cubic on
// floor - 1 .. floor + 2 along l, then k, then h. specs/core-physics.md
// `low` is the Miller index of the padded grid's first point, in single precision relative to the tile's centre.
#ifndef CUBRAGG_STRUCTURE_FACTOR_CUH
#define CUBRAGG_STRUCTURE_FACTOR_CUH

#include "portable.cuh"
#include "params.cuh"
#include "mathematics.cuh"

#if FACTORS != CONSTANT

// A whole number plus SHIFT, clamped to 0 .. last. As integers and in this order: a GPU has one instruction for it.
DEVICE int clamped(INDEX whole, int last)
{
    const int index = integer_of(whole), below = index > last ? last : index;
    return below < 0 ? 0 : below;
}

// The grid's entry at whole indices, counted from its first point.
DEVICE REAL entry(const Params &p, const REAL *RESTRICT f2_grid, INDEX h, INDEX k, INDEX l)
{
    const GRID_INDEX row = clamped(h, p.grid_size[0] - 1) * (GRID_INDEX)p.grid_size[1]
                           + clamped(k, p.grid_size[1] - 1);
    const GRID_INDEX index = row * p.grid_size[2] + clamped(l, p.grid_size[2] - 1);
    return f2_grid[index];
}

#endif
#if FACTORS == TRICUBIC

// Whether any of the 4 nodes around an index is outside the grid, padding excluded. In double, NumPy's operations: an
// index that is a whole number but for rounding counts as one. So it does in single precision.
DEVICE bool leaves_axis(INDEX index, INDEX low, int size)
{
#if PRECISION == SINGLE
    return index - (low + (float)(size - 4)) > 1e-6f || index - (low + 3.0f) < -1e-6f;
#else
    const double first = low + 1.0;
    return (index - first + 3.0 > (double)(size - 2)) | (index - 2.0 < first);
#endif
}

// Weights of the nodes -1, 0, 1, 2 at x in [0, 1).
struct Weights { REAL w[4]; };

DEVICE Weights lagrange(REAL x)
{
    const REAL a = x + REAL(1), b = x, c = x - REAL(1), d = x - REAL(2);
    return {{by_constant(b * c * d, -6.0), by_constant(a * c * d, 2.0), by_constant(a * b * d, -2.0),
             by_constant(a * b * c, 6.0)}};
}

// The whole number below an index, and the distance from it.
struct Cell {
    INDEX floor;
    REAL fraction;
};

#if PRECISION == SINGLE && TWO_FLOATS
DEVICE bool leaves_axis(Pair index, float low, int size) { return leaves_axis(index.value, low, size); }
DEVICE Cell cell_of(Pair index)
{
    const float floor = floor_(index.value);
    return {floor, (index.value - floor) + index.rest};
}
#else
DEVICE Cell cell_of(INDEX index)
{
    const INDEX floor = floor_(index);
    return {floor, real_offset(index - floor)};
}
#endif

// F at fractional indices, on a grid of 4 points or more along each axis. Outside the grid the corner is clamped, and
// the value is meaningless.
DEVICE REAL interpolated(const Params &p, const REAL *RESTRICT f_grid, Cell h, Cell k, Cell l,
                         INDEX low_h, INDEX low_k, INDEX low_l)
{
    const Weights along_h = lagrange(h.fraction), along_k = lagrange(k.fraction), along_l = lagrange(l.fraction);
    const GRID_INDEX row = p.grid_size[2], sheet = row * p.grid_size[1];
    const REAL *corner = f_grid + clamped(h.floor - low_h - INDEX(1), p.grid_size[0] - 4) * sheet
                         + clamped(k.floor - low_k - INDEX(1), p.grid_size[1] - 4) * row
                         + clamped(l.floor - low_l - INDEX(1), p.grid_size[2] - 4);
    REAL sum_h = REAL(0);
    UNROLL
    for (int i = 0; i < 4; ++i) {
        REAL sum_k = REAL(0);
        UNROLL
        for (int j = 0; j < 4; ++j) {
            const REAL *line = corner + i * sheet + j * row;
            const REAL sum_l = plus_product(sum_of_products(along_l.w[0], line[0], along_l.w[1], line[1], along_l.w[2],
                                                            line[2]), along_l.w[3], line[3]);
            sum_k = plus_product(sum_k, along_k.w[j], sum_l);
        }
        sum_h = plus_product(sum_h, along_h.w[i], sum_k);
    }
    return sum_h;
}

#endif
#endif

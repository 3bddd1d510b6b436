// Structure factors on a dense grid with one layer of default_F around it: a lookup is a clamp.
//
// NEAREST: the table holds F^2 at [h, k, l]. TRICUBIC: it holds F; a Lagrange cubic on
// floor - 1 .. floor + 2 along l, then k, then h. specs/core-physics.md
// `low` is the Miller index of the padded grid's first point, seen from the tile's centre in single precision.
#ifndef CUBRAGG_STRUCTURE_FACTOR_CUH
#define CUBRAGG_STRUCTURE_FACTOR_CUH

#include "portable.cuh"
#include "params.cuh"

#if FACTORS != CONSTANT

// A whole number of grid steps, brought to 0 .. last. As integers: their minimum is one instruction.
DEVICE int clamped(INDEX steps, int last)
{
    const int place = (int)steps;
    const int above = place < 0 ? 0 : place;
    return above > last ? last : above;
}

// The table's entry at whole indices.
DEVICE REAL entry(const Params &p, const REAL *RESTRICT table, INDEX h, INDEX k, INDEX l)
{
    const GRID_INDEX row = clamped(h, p.grid_size[0] - 1) * (GRID_INDEX)p.grid_size[1]
                           + clamped(k, p.grid_size[1] - 1);
    const GRID_INDEX place = row * p.grid_size[2] + clamped(l, p.grid_size[2] - 1);
    return table[place];
}

#endif
#if FACTORS == TRICUBIC

// The 4 neighbours of an index leave the grid, the padding not counted. In double, NumPy's operations.
DEVICE bool leaves_axis(INDEX index, INDEX low, int size)
{
#if PRECISION == SINGLE
    return ceil_(index) - low + 2.0f > (float)(size - 2) || floor_(index) - 3.0f < low;
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
    return {{b * c * d / REAL(-6), a * c * d / REAL(2), a * b * d / REAL(-2), a * b * c / REAL(6)}};
}

// F at fractional indices. Outside the grid the corner is moved inside, and the value means nothing.
DEVICE REAL interpolated(const Params &p, const REAL *RESTRICT table, INDEX h, INDEX k, INDEX l,
                         INDEX low_h, INDEX low_k, INDEX low_l)
{
    const INDEX floor_h = floor_(h), floor_k = floor_(k), floor_l = floor_(l);
    const Weights along_h = lagrange((REAL)(h - floor_h)), along_k = lagrange((REAL)(k - floor_k)),
                  along_l = lagrange((REAL)(l - floor_l));
    const GRID_INDEX row = p.grid_size[2], sheet = row * p.grid_size[1];
    const int last_h = p.grid_size[0] > 4 ? p.grid_size[0] - 4 : 0;
    const int last_k = p.grid_size[1] > 4 ? p.grid_size[1] - 4 : 0;
    const int last_l = p.grid_size[2] > 4 ? p.grid_size[2] - 4 : 0;
    const REAL *corner = table + clamped(floor_h - low_h - INDEX(1), last_h) * sheet
                         + clamped(floor_k - low_k - INDEX(1), last_k) * row
                         + clamped(floor_l - low_l - INDEX(1), last_l);
    // A grid smaller than four points is never inside; its nodes are read again instead of beyond its end.
    const int step_h = p.grid_size[0] >= 4, step_k = p.grid_size[1] >= 4, step_l = p.grid_size[2] >= 4;
    REAL sum_h = REAL(0);
    UNROLL
    for (int i = 0; i < 4; ++i) {
        REAL sum_k = REAL(0);
        UNROLL
        for (int j = 0; j < 4; ++j) {
            const REAL *line = corner + (i * step_h) * sheet + (j * step_k) * row;
            const REAL sum_l = along_l.w[0] * line[0] + along_l.w[1] * line[step_l] + along_l.w[2] * line[2 * step_l]
                               + along_l.w[3] * line[3 * step_l];
            sum_k += along_k.w[j] * sum_l;
        }
        sum_h += along_h.w[i] * sum_k;
    }
    return sum_h;
}

#endif
#endif

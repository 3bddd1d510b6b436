// A parallelepiped: prod sin(pi N dh) / sin(pi dh), without its sign. specs/core-physics.md
//
// Terms are at most M prod min(N, 1 / sin pi g)^2 on a tile, M the largest F^2 there, g the least |dh|.
// specs/culling.md
#ifndef CUBRAGG_SHAPE_SQUARE_CUH
#define CUBRAGG_SHAPE_SQUARE_CUH

#include "lattice.cuh"
#include "shape_bounds.cuh"

// Replaces an exact 0 in a quotient of sines.
#if PRECISION == DOUBLE
#define TINY 1e-100
#else
#define TINY 1e-9f
#endif

// Numerator and denominator of one axis.
DEVICE void sines(REAL fraction, REAL cells, REAL &above, REAL &below)
{
    const REAL d = fraction + TINY;
    const REAL turns = d * cells;
#if PRECISION == DOUBLE
    above = sinpi_(turns - rint_(turns));
#else
    above = sinpi_(fma_(d, cells, -rint_(turns)));  // recovers the rounding error of the product
#endif
    below = sinpi_(d);
}

// TINY of the second one: negligible beside 1 / N for N up to 1e6, and three sines of it multiply without underflow.
DEVICE void sines(Pair fraction, float cells, float &above, float &below)
{
    const float d = fraction.value + 1e-12f;
    const Pair turns = product_of(d, cells);
    above = sinpi_((turns.value - rint_(turns.value)) + fma_(fraction.rest, cells, turns.rest));
    below = sinpi_(d);
}

// Lattice amplitude at offsets dh, dk, dl of Miller indices.
#define FRINGES
DEVICE Amplitude lattice_amplitude(const Params &p, OFFSET h, OFFSET k, OFFSET l)
{
    const REAL na = (REAL)p.cells[0], nb = (REAL)p.cells[1], nc = (REAL)p.cells[2];
    REAL above_h, above_k, above_l, below_h, below_k, below_l;
    sines(h, na, above_h, below_h);
    sines(k, nb, above_k, below_k);
    sines(l, nc, above_l, below_l);
    const REAL value = quotient(above_h * above_k * above_l, below_h * below_k * below_l);
#if PRECISION == DOUBLE
    return {value, value != 0.0};
#else
    return {value, true};
#endif
}

// Factor by which an axis reduces the peak: max(1, N^2 sin(pi g)^2), the sine too small by at most 1.7e-3 of itself.
DEVICE float weakening(Interval i, float cells)
{
    const float g = distance_from_node(i), u = g * g;
    const float sine = cells * g * fma_(u, fma_(u, 2.4f, -5.16771278f), 3.14159265f);
    return sine * sine > 1.0f ? sine * sine : 1.0f;
}

// Whether a term of orientation i can exceed the floor on a tile; true if any number is NaN.
DEVICE bool shape_contributes(const Params &p, Largest largest, const float *RESTRICT cull_axes, int n, int i,
                              const Region &t, Interval h, Interval k, Interval l)
{
    const float far_floor = (float)p.cull_floor;
    const float floor = spot_beside(p, largest.beside, cull_axes, n, i, t, h, k, l) ? (float)p.spot_floor : far_floor;
    const float weaker = far_floor > 0.0f ? weakening(h, (float)p.cells[0]) * weakening(k, (float)p.cells[1])
                                            * weakening(l, (float)p.cells[2]) : 1.0f;
    return !(largest.here <= floor * weaker);
}

#endif

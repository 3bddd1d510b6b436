// An ellipsoid: Na Nb Nc sqrt(pi / 6) 3 (sin x / x - cos x) / x^2, x = pi sqrt(fudge sum (dh N)^2).
// specs/core-physics.md
//
// Near a node sin x / x - cos x cancels and its series is summed: sum of (-1)^k 6 (k + 1) / (2 k + 3)! x^(2 k).
// With CLOSED_AT_NODES double precision has the closed form everywhere else than at x = 0, as nanoBragg.c.
//
// Terms are at most M (Na Nb Nc)^2 pi / 6 min(1, 3 sqrt(1 + x^2) / x^3)^2 on a tile, with M the largest F^2 there and x
// that of the least |dh|. specs/culling.md
#ifndef CUBRAGG_SHAPE_ROUND_CUH
#define CUBRAGG_SHAPE_ROUND_CUH

#include "lattice.cuh"
#include "shape_bounds.cuh"

#define ROUND_PEAK 0.723601254558268
#define ROUND_SERIES_BELOW 0.0625

// Amplitude at x = pi y, with y less its whole quarters of turns.
DEVICE Amplitude amplitude_of(const Params &p, REAL y, REAL quarters, REAL reduced)
{
    const REAL x = REAL(PI) * y;
    REAL sine, cosine;
    sine_cosine(quarters == REAL(0) ? x : REAL(PI) * reduced, quarters, sine, cosine);
#if PRECISION == DOUBLE
#ifdef CLOSED_AT_NODES
    const bool at_node = x == 0.0;
    const double series = 1.0;
#else
    const double u = x * x;
    const bool at_node = u < ROUND_SERIES_BELOW;
    double series = u * (-1.0 / 172972800.0) + 1.0 / 1330560.0;
    series = u * series + -1.0 / 15120.0;
    series = u * series + 1.0 / 280.0;
    series = u * series + -1.0 / 10.0;
    series = u * series + 1.0;
#endif
    const double safe = at_node ? 1.0 : x;
    const double closed = 3.0 * (sine / safe - cosine) / (safe * safe);
    const double sinc3 = at_node ? series : closed;
    const double value = volume(p) * ROUND_PEAK * sinc3;
    return {value, value != 0.0};
#else
    const float u = x * x, safe = u < 2.25f ? 1.0f : x;
    const float closed = quotient(3.0f * fma_(-safe, cosine, sine), safe * safe * safe);
    float series = fma_(u, -1.0f / 172972800.0f, 1.0f / 1330560.0f);
    series = fma_(u, series, -1.0f / 15120.0f);
    series = fma_(u, series, 1.0f / 280.0f);
    series = fma_(u, series, -1.0f / 10.0f);
    series = fma_(u, series, 1.0f);
    return {(float)ROUND_PEAK * (u < 2.25f ? series : closed), true};
#endif
}

// Lattice amplitude at offsets dh, dk, dl of Miller indices.
DEVICE Amplitude lattice_amplitude(const Params &p, REAL h, REAL k, REAL l)
{
    const REAL y = root(index_radius_sqr(p, h, k, l) * (REAL)p.fudge);
    const REAL quarters = rint_(REAL(2) * y);
    return amplitude_of(p, y, quarters, y - REAL(0.5) * quarters);
}

#define FRINGES
#if TWO_FLOATS

DEVICE Pair squared_turns(Pair fraction, float cells)
{
    const Pair turns = product_of(fraction, {cells, 0.0f});
    return product_of(turns, turns);
}

DEVICE Amplitude lattice_amplitude(const Params &p, Pair h, Pair k, Pair l)
{
    const Pair sum = sum_of(sum_of(squared_turns(h, (float)p.cells[0]), squared_turns(k, (float)p.cells[1])),
                            squared_turns(l, (float)p.cells[2]));
    const Pair square = product_of(sum, pair_of(p.fudge));
    const float y = root(square.value), quarters = rint_(2.0f * y);
    const Pair back = product_of(y, y);
    const float missing = ((square.value - back.value) - back.rest) + square.rest;
    const float rest = quotient(missing, 2.0f * y + 1e-30f);
    return amplitude_of(p, y, quarters, y - 0.5f * quarters + rest);
}

#endif

// Whether a term of orientation i can exceed the floor on a tile; true if any number is NaN.
DEVICE bool shape_contributes(const Params &p, Largest largest, const float *RESTRICT cull_axes, int n, int i,
                              const Region &t, Interval h, Interval k, Interval l)
{
    const float far_floor = (float)p.cull_floor;
    const float floor = spot_beside(p, largest.beside, cull_axes, n, i, t, h, k, l) ? (float)p.spot_floor : far_floor;
    const float u = distance_from_node(h) * (float)p.cells[0], v = distance_from_node(k) * (float)p.cells[1],
                w = distance_from_node(l) * (float)p.cells[2];
    const float x = (float)(PI * PI * p.fudge) * (u * u + v * v + w * w);
    const float decay = x * x * (x / (9.0f * (1.0f + x)));
    // Near a node the closed form of nanobragg semantics cancels in double precision: the result can be arbitrary.
    const float weaker = x < 1e-4f ? 1e-30f : decay > 1.0f ? decay : 1.0f;
    return !(largest.here <= floor * weaker);
}

#endif

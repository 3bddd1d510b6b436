// Which orientations can contribute to a tile of pixels at all: a bound from above on each term. specs/culling.md
//
// tile_bounds.cuh bounds the indices of a tile's samples, and here is M, the largest F^2 among the nearest whole ones
// (`limits`, a share of the largest of all). How far below its peak the amplitude is there is in the shape's header.
#ifndef CUBRAGG_CULLING_CUH
#define CUBRAGG_CULLING_CUH

#include "portable.cuh"
#include "params.cuh"
#include "tile_bounds.cuh"
#include "shape.cuh"

// Layers that `limits` has beyond the padded grid: as far as a sample's nodes are from the middle one.
#define LIMIT_PAD (FACTORS == TRICUBIC ? 4 : 1)

#if FACTORS != CONSTANT

// A place on an axis of `limits`, the middle's nearest whole number brought inside. NaN ends up inside.
DEVICE int limit_place(Interval i, int origin, int size)
{
    const float steps = i.nearest - (float)(origin - LIMIT_PAD), last = (float)(size - 1 + 2 * LIMIT_PAD);
    const float above = steps > 0.0f ? steps : 0.0f;
    return (int)(above < last ? above : last);
}
DEVICE int grid_place(int limit_place, int size)
{
    const int above = limit_place < LIMIT_PAD ? 0 : limit_place - LIMIT_PAD;
    return above < size ? above : size - 1;
}

#endif

DEVICE Largest largest_factors(const Params &p, const REAL *RESTRICT table, const float *RESTRICT limits, Interval h,
                               Interval k, Interval l)
{
#if FACTORS == CONSTANT
    (void)table, (void)limits, (void)h, (void)k, (void)l;
    return {(float)p.largest, (float)p.largest};
#else
    const int size_h = p.grid_size[0], size_k = p.grid_size[1], size_l = p.grid_size[2];
    const int at_h = limit_place(h, p.grid_origin[0], size_h), at_k = limit_place(k, p.grid_origin[1], size_k),
              at_l = limit_place(l, p.grid_origin[2], size_l);
    const GRID_INDEX row = (GRID_INDEX)at_h * (size_k + 2 * LIMIT_PAD) + at_k;
    const float around = limits[row * (size_l + 2 * LIMIT_PAD) + at_l];
    const bool near = h.reach < 0.99f && k.reach < 0.99f && l.reach < 0.99f;
    const float found = near ? around : (float)p.largest;
#if FACTORS == TRICUBIC
    (void)table;
    return {found, found};
#else
    const GRID_INDEX grid_row = grid_place(at_h, size_h) * (GRID_INDEX)size_k + grid_place(at_k, size_k);
    const REAL entry = table[grid_row * size_l + grid_place(at_l, size_l)];
    const float alone = (float)(entry * (REAL)p.share) + (entry > REAL(0) ? SMALLEST : 0.0f);
    return {one_node(h) && one_node(k) && one_node(l) ? alone : found,
            one_node_beside(h) && one_node_beside(k) && one_node_beside(l) ? alone : around};
#endif
#endif
}

// Whether a term of orientation i can pass the floor on a tile; NaN anywhere keeps it.
DEVICE bool contributes(const Params &p, const REAL *RESTRICT table, const float *RESTRICT limits,
                        const float *RESTRICT axes, int i, const Region &t)
{
    const int n = (p.orientations + CHUNK - 1) / CHUNK * CHUNK;
    const Interval h = interval(p, t, {axes[i], axes[n + i], axes[2 * n + i]}, t.spread[0]);
    const Interval k = interval(p, t, {axes[3 * n + i], axes[4 * n + i], axes[5 * n + i]}, t.spread[1]);
    const Interval l = interval(p, t, {axes[6 * n + i], axes[7 * n + i], axes[8 * n + i]}, t.spread[2]);
    const Largest largest = largest_factors(p, table, limits, h, k, l);
    return shape_contributes(p, largest, axes, n, i, t, h, k, l);
}

#endif

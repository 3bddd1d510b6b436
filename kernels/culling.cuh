// Which orientations can contribute to a tile of pixels, by an upper bound of each term. specs/culling.md
//
// tile_bounds.cuh bounds the indices of a tile's samples. This header gives M, the largest F^2 among the whole indices
// nearest to them (from `f2_bounds`, as a fraction of the largest of all); the shape's header bounds the amplitude.
#ifndef CUBRAGG_CULLING_CUH
#define CUBRAGG_CULLING_CUH

#include "portable.cuh"
#include "params.cuh"
#include "tile_bounds.cuh"
#include "shape.cuh"

// Points that `f2_bounds` extends beyond the padded grid: the largest distance of a sample's nodes from the middle one.
#define BOUND_PAD (FACTORS == TRICUBIC ? 4 : 1)

#if FACTORS != CONSTANT

// Index on an axis of `f2_bounds` of the whole number nearest to the middle, clamped; NaN gives a valid index.
DEVICE int bound_index(Interval i, int origin, int size)
{
    const float steps = i.nearest - (float)(origin - BOUND_PAD), last = (float)(size - 1 + 2 * BOUND_PAD);
    const float above = steps > 0.0f ? steps : 0.0f;
    return (int)(above < last ? above : last);
}
// The same on an axis of the padded grid.
DEVICE int grid_index(int at, int size)
{
    const int above = at < BOUND_PAD ? 0 : at - BOUND_PAD;
    return above < size ? above : size - 1;
}

#endif

// The largest F^2 on a tile, and on the tile with its surroundings.
DEVICE Largest largest_f2(const Params &p, const REAL *RESTRICT f2_grid, const float *RESTRICT f2_bounds, Interval h,
                          Interval k, Interval l)
{
#if FACTORS == CONSTANT
    (void)f2_grid, (void)f2_bounds, (void)h, (void)k, (void)l;
    return {(float)p.largest_f2, (float)p.largest_f2};
#else
    const int size_h = p.grid_size[0], size_k = p.grid_size[1], size_l = p.grid_size[2];
    const int at_h = bound_index(h, p.grid_origin[0], size_h), at_k = bound_index(k, p.grid_origin[1], size_k),
              at_l = bound_index(l, p.grid_origin[2], size_l);
    const GRID_INDEX row = (GRID_INDEX)at_h * (size_k + 2 * BOUND_PAD) + at_k;
    const float around = f2_bounds[row * (size_l + 2 * BOUND_PAD) + at_l];
    const bool near = h.reach < 0.99f && k.reach < 0.99f && l.reach < 0.99f;
    const float found = near ? around : (float)p.largest_f2;
#if FACTORS == TRICUBIC
    (void)f2_grid;
    return {found, found};
#else
    const GRID_INDEX grid_row = grid_index(at_h, size_h) * (GRID_INDEX)size_k + grid_index(at_k, size_k);
    const REAL entry = f2_grid[grid_row * size_l + grid_index(at_l, size_l)];
    const float exact = (float)(entry * (REAL)p.f2_fraction) + (entry > REAL(0) ? SMALLEST : 0.0f);
    return {one_node(h) && one_node(k) && one_node(l) ? exact : found,
            one_node_beside(h) && one_node_beside(k) && one_node_beside(l) ? exact : around};
#endif
#endif
}

// Whether a term of orientation i can exceed the floor on a tile; true if any number is NaN.
DEVICE bool contributes(const Params &p, const REAL *RESTRICT f2_grid, const float *RESTRICT f2_bounds,
                        const float *RESTRICT cull_axes, int i, const Region &t)
{
    const int n = (p.orientations + CHUNK - 1) / CHUNK * CHUNK;
    const Interval h = interval(p, t, {cull_axes[i], cull_axes[n + i], cull_axes[2 * n + i]}, t.spread[0]);
    const Interval k = interval(p, t, {cull_axes[3 * n + i], cull_axes[4 * n + i], cull_axes[5 * n + i]}, t.spread[1]);
    const Interval l = interval(p, t, {cull_axes[6 * n + i], cull_axes[7 * n + i], cull_axes[8 * n + i]}, t.spread[2]);
    const Largest largest = largest_f2(p, f2_grid, f2_bounds, h, k, l);
    return shape_contributes(p, largest, cull_axes, n, i, t, h, k, l);
}

#endif

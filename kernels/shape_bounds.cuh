// Bounds common to several shapes: whether terms of an orientation are negligible on a tile. specs/culling.md
//
// g: least |dh| on the tile, from tile_bounds.cuh. A radius in index space:
//   sum (dh N)^2 >= sum (g N)^2, and >= (u.d)^2 / sum (u.a*_j / N_j)^2 for any u, with d the vector from the node
// A radius in reciprocal space: |dh a* + dk b* + dl c*| is at least g_h / |dual of a*|, likewise k and l, and where no
// index can round to another whole number the distance of q's box from the node.
#ifndef CUBRAGG_SHAPE_BOUNDS_CUH
#define CUBRAGG_SHAPE_BOUNDS_CUH

#include "tile_bounds.cuh"

// The largest F^2 on a tile, and on the tile with its surroundings, as fractions of the largest of all and rounded up.
struct Largest { float here, beside; };

// Components along a unit vector of the duals of a, b, c of orientation i; `cull_axes` has n orientations.
DEVICE Arrow duals_along(const float *RESTRICT cull_axes, int n, int i, Arrow unit)
{
    return {dot({cull_axes[9 * n + i], cull_axes[10 * n + i], cull_axes[11 * n + i]}, unit),
            dot({cull_axes[12 * n + i], cull_axes[13 * n + i], cull_axes[14 * n + i]}, unit),
            dot({cull_axes[15 * n + i], cull_axes[16 * n + i], cull_axes[17 * n + i]}, unit)};
}

// Whether the streak along an axis through the nearest node makes a spot on a tile or beside it. The Ewald sphere,
// at s from the node along its normal, cuts the streak at an index of s / along: the term there is about
// F^2 / (1 + (pi N s / along)^2). `enough` is F^2 over the smallest that counts.
DEVICE bool streak_beside(Interval on, float along, float s, float cells, float enough)
{
    const float n = (float)PI * cells * s;
    return fabs_(fma_(on.offset, along, -s)) <= on.wider * fabs_(along)
           && enough * along * along > fma_(n, n, along * along);
}

// Whether any of the three streaks does: an estimate, not a bound. Beside spots the floor is lower.
DEVICE bool spot_beside(const Params &p, float largest, const float *RESTRICT cull_axes, int n, int i, const Region &t,
                        Interval h, Interval k, Interval l)
{
    const Arrow along = duals_along(cull_axes, n, i, t.along[2]);
    const float s = fma_(h.offset, along.x, fma_(k.offset, along.y, l.offset * along.z));
    const float enough = largest * SPOT;
    const bool at_h = fabs_(h.offset) <= h.wider, at_k = fabs_(k.offset) <= k.wider, at_l = fabs_(l.offset) <= l.wider;
    return (at_k && at_l && streak_beside(h, along.x, s, (float)p.cells[0], enough))
           || (at_h && at_l && streak_beside(k, along.y, s, (float)p.cells[1], enough))
           || (at_h && at_k && streak_beside(l, along.z, s, (float)p.cells[2], enough));
}

// Lower bound of the squared distance [1/m^2] of a tile from the nearest node: that of the enclosing box, where no
// index can round to another whole number, or that of each index by itself.
DEVICE float node_distance_sqr(const Params &p, const float *RESTRICT cull_axes, int n, int i, const Region &t,
                               Interval h, Interval k, Interval l)
{
    const Arrow from = {h.offset * cull_axes[9 * n + i] + k.offset * cull_axes[12 * n + i]
                            + l.offset * cull_axes[15 * n + i],
                        h.offset * cull_axes[10 * n + i] + k.offset * cull_axes[13 * n + i]
                            + l.offset * cull_axes[16 * n + i],
                        h.offset * cull_axes[11 * n + i] + k.offset * cull_axes[14 * n + i]
                            + l.offset * cull_axes[17 * n + i]};
    float boxes = 0.0f;
    UNROLL
    for (int axis = 0; axis < 3; ++axis) {
        const float gap = fabs_(dot(from, t.along[axis])) - t.box[axis];
        boxes += gap > 0.0f ? gap * gap : 0.0f;
    }
    const float by_h = distance_from_node(h) * (float)p.per_dual[0];
    const float by_k = distance_from_node(k) * (float)p.per_dual[1];
    const float by_l = distance_from_node(l) * (float)p.per_dual[2];
    const float by_hk = by_h > by_k ? by_h : by_k, by_index = by_hk > by_l ? by_hk : by_l;
    const float squared = by_index * by_index;
    return one_node(h) && one_node(k) && one_node(l) && boxes > squared ? boxes : squared;
}

// Whether all terms are beyond Params.cull_radius_sqr in reciprocal space [1/m^2].
DEVICE bool beyond_star_radius(const Params &p, const float *RESTRICT cull_axes, int n, int i, const Region &t,
                               Interval h, Interval k, Interval l)
{
    return node_distance_sqr(p, cull_axes, n, i, t, h, k, l) > (float)p.cull_radius_sqr;
}

// Rounding error of a dual, relative to star_lengths.
#define DUAL_ROUNDING 3e-7f

// Whether sum (dh N)^2 of all terms is beyond Params.cull_radius_sqr; u is the unit vector along the diffracted beam,
// across which the tile is thin.
DEVICE bool beyond_index_radius(const Params &p, const float *RESTRICT cull_axes, int n, int i, const Region &t,
                                Interval h, Interval k, Interval l)
{
    const float radius = (float)p.cull_radius_sqr;
    const float na = (float)p.cells[0], nb = (float)p.cells[1], nc = (float)p.cells[2];
    const float u = distance_from_node(h) * na, v = distance_from_node(k) * nb, w = distance_from_node(l) * nc;
    const Arrow along = duals_along(cull_axes, n, i, t.along[2]);
    const float s = fma_(h.offset, along.x, fma_(k.offset, along.y, l.offset * along.z));
    const float gap = fabs_(s) - t.box[2];
    const float x = (fabs_(along.x) + DUAL_ROUNDING * (float)p.star_lengths[0]) / na,
                y = (fabs_(along.y) + DUAL_ROUNDING * (float)p.star_lengths[1]) / nb,
                z = (fabs_(along.z) + DUAL_ROUNDING * (float)p.star_lengths[2]) / nc;
    return u * u + v * v + w * w > radius
           || (one_node(h) && one_node(k) && one_node(l) && gap > 0.0f && gap * gap > radius * (x * x + y * y + z * z));
}

#endif

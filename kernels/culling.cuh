// Which orientations can contribute to a tile of pixels at all: a bound from above on each term. specs/culling.md
//
// The scattering vectors of all samples of a tile (pixels, sub-pixels, layers) and one source lie in
//   q = q_c + u e1 + v e2 + w e3 + r,  |u|, |v|, |w| <= 1, |r| <= eps
// e1, e2, e3 from half the tile's edges and half the sensor's depth, r what a direction bends over them. So
//   |h - h_c| <= R_h = |a.e1| + |a.e2| + |a.e3| + |a| eps + rounding
//   |dh| >= g_h = max(|h_c - rint(h_c)| - R_h, 0), since the distance to the nearest whole number changes by no
//   more than its argument; and whole indices are within 1 of rint(h_c) where R_h < 1.
// With M the largest F^2 among those indices (`limits`, a share of the largest of all), terms are at most
//   SQUARE  M prod min(N, 1 / sin pi g)^2
//   ROUND   M (Na Nb Nc 0.7236)^2 min(1, 3 sqrt(1 + x^2) / x^3)^2, x = pi sqrt(fudge sum (g N)^2)
//   GAUSS, TOPHAT  0 beyond a radius |dh a* + dk b* + dl c*|, which is at least g_h / |dual of a*|, likewise k and
//           l, and where no index can round to another whole number the distance of q's box from the node.
#ifndef CUBRAGG_CULLING_CUH
#define CUBRAGG_CULLING_CUH

#include "portable.cuh"
#include "params.cuh"
#include "mathematics.cuh"
#include "geometry.cuh"

// Layers that `limits` has beyond the padded grid: as far as a sample's nodes are from the middle one.
#define LIMIT_PAD (FACTORS == TRICUBIC ? 4 : 1)
// Rounding, in units of what is rounded: of directions in double; of indices, here and in the sum, in single.
#define ROUNDING 3.6e-15
#define INDEX_ROUNDING 1.5e-6
// Pixels around a tile in which a spot counts as near.
#define BESIDE 4.0f
// One over the share of the peak that makes a spot.
#define SPOT 1e6f
// Added to what must not become 0 in single precision.
#define SMALLEST 1.2e-38f

// Directions of a tile's samples.
struct Patch {
    Vector middle, edge[3];
    double bend;  // |r|
};

struct Arrow { float x, y, z; };

// Scattering vectors of a tile's samples and one source [1/m].
struct Region {
    Arrow middle, edge[3];
    float spread[3];  // of indices: what bend and rounding add to the edges
    Arrow along[3];   // perpendicular unit vectors, the last one through the middle of the directions
    float box[3];     // the samples' reach from the middle along them
};

DEVICE Vector cross(Vector a, Vector b)
{
    return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}
DEVICE Vector times(double factor, Vector a) { return {factor * a.x, factor * a.y, factor * a.z}; }

// Half the edges of the flat box that holds the centres of a tile's samples, along F, S and N.
DEVICE void half_edges(const Params &p, Vector (&half)[3])
{
    half[0] = times(0.5 * (p.pixel_size[0] * TILE_FAST - p.sub_pixel_size[0]), vector(p.fast));
    half[1] = times(0.5 * (p.pixel_size[1] * TILE_SLOW - p.sub_pixel_size[1]), vector(p.slow));
    half[2] = times(0.5 * (p.layers - 1) * p.layer_step, vector(p.normal));
}

// On a plane. Second derivatives of r / |r| are at most 2 / sqrt(3) / |r|^2.
// Positions are sums of vectors up to `longest`.
DEVICE void flat_edges(Patch &t, const Vector (&half)[3], Vector position, double longest)
{
    const double path = norm(position), inverse = 1.0 / path;
    double square = 0.0;
    t.middle = times(inverse, position);
    for (int i = 0; i < 3; ++i) {
        const double radial = inverse * dot(half[i], t.middle);
        t.edge[i] = {inverse * half[i].x - radial * t.middle.x, inverse * half[i].y - radial * t.middle.y,
                     inverse * half[i].z - radial * t.middle.z};
        for (int j = 0; j < 3; ++j) square += fabs_(dot(half[i], half[j]));
    }
    const double reach = sqrt_(square), nearest = path - reach;
    // Directions differ by 2 at most.
    t.bend = nearest > 0.0 ? 0.5774 * square / (nearest * nearest) + ROUNDING * (1.0 + longest / nearest) : 4.0;
}

// On the cylinder: angles y / distance about the slow and z / distance about the fast axis.
DEVICE void curved_edges(const Params &p, Patch &t, const Vector (&half)[3], Vector flat, double longest)
{
    const Vector position = curved_position(p, flat);
    t.middle = times(1.0 / norm(position), position);
    const Vector turned = rotate_axis(vector(p.beam), vector(p.slow), flat.y / p.distance);
    const Vector about_slow = rotate_axis(cross(vector(p.slow), turned), vector(p.fast), flat.z / p.distance);
    const Vector about_fast = cross(vector(p.fast), t.middle);
    double turn = 0.0;
    for (int i = 0; i < 3; ++i) {
        const double y = half[i].y / p.distance, z = half[i].z / p.distance;
        t.edge[i] = {y * about_slow.x + z * about_fast.x, y * about_slow.y + z * about_fast.y,
                     y * about_slow.z + z * about_fast.z};
        turn += fabs_(y) + fabs_(z);
    }
    t.bend = 0.5 * turn * turn + ROUNDING * (1.0 + longest / p.distance);
}

DEVICE Patch tile_directions(const Params &p, int first_fast, int first_slow)
{
    Patch t;
    Vector half[3];
    half_edges(p, half);
    const double f = p.pixel_size[0] * (p.first_pixel[0] + first_fast + 0.5 * TILE_FAST);
    const double s = p.pixel_size[1] * (p.first_pixel[1] + first_slow + 0.5 * TILE_SLOW);
    const Vector flat = flat_position(p, f, s, p.first_depth + 0.5 * (p.layers - 1) * p.layer_step);
    const double longest = norm(vector(p.pix0)) + fabs_(f) + fabs_(s);
    if (p.curved) {
        curved_edges(p, t, half, flat, longest);
    } else {
        flat_edges(t, half, flat, longest);
    }
    return t;
}

DEVICE Arrow arrow(Vector a) { return {(float)a.x, (float)a.y, (float)a.z}; }
DEVICE float dot(Arrow a, Arrow b) { return fma_(a.x, b.x, fma_(a.y, b.y, a.z * b.z)); }

// Perpendicular unit vectors, the last one along a direction.
DEVICE void frame(const Params &p, Vector radial, Vector (&along)[3])
{
    const double along_fast = dot(radial, vector(p.fast)), along_slow = dot(radial, vector(p.slow));
    const Vector edge = along_fast * along_fast < 0.75 ? vector(p.fast) : vector(p.slow);
    const double part = along_fast * along_fast < 0.75 ? along_fast : along_slow;
    const Vector across = {edge.x - part * radial.x, edge.y - part * radial.y, edge.z - part * radial.z};
    along[0] = times(1.0 / norm(across), across);
    along[1] = cross(radial, along[0]);
    along[2] = radial;
}

DEVICE Region tile_scattering(const Params &p, const Patch &directions, const double *source)
{
    const double inverse = 1.0 / source[WAVELENGTH], bend = directions.bend * inverse;
    const Vector middle = {inverse * (directions.middle.x - source[INCIDENT]),
                           inverse * (directions.middle.y - source[INCIDENT + 1]),
                           inverse * (directions.middle.z - source[INCIDENT + 2])};
    Region t;
    Vector edge[3], along[3];
    double farthest = norm(middle) + bend, rounding = 0.0;
    for (int i = 0; i < 3; ++i) {
        edge[i] = times(inverse, directions.edge[i]);
        farthest += norm(edge[i]);
    }
    for (int i = 0; i < 3; ++i) {
        const double lost = INDEX_ROUNDING * (1.0 + p.lengths[i] * farthest) + ROUNDING * p.lengths[i] * inverse;
        t.spread[i] = (float)(p.lengths[i] * bend + lost);
        rounding += lost * p.star_lengths[i];
    }
    frame(p, directions.middle, along);
    for (int i = 0; i < 3; ++i) {
        t.box[i] = (float)(fabs_(dot(along[i], edge[0])) + fabs_(dot(along[i], edge[1]))
                           + fabs_(dot(along[i], edge[2])) + bend + rounding);
        t.edge[i] = arrow(edge[i]), t.along[i] = arrow(along[i]);
    }
    t.middle = arrow(middle);
    return t;
}

// One index over a tile: its middle, the middle's distance from the nearest whole number, how far it goes, and how
// far with BESIDE pixels around the tile.
struct Interval { float nearest, offset, reach, wider; };

DEVICE Interval interval(const Params &p, const Region &t, Arrow axis, float spread)
{
    const float middle = dot(axis, t.middle), nearest = rint_(middle);
    const float depth = p.layers > 1 ? fabs_(dot(axis, t.edge[2])) : 0.0f;
    const float fast = fabs_(dot(axis, t.edge[0])), slow = fabs_(dot(axis, t.edge[1]));
    const float reach = fast + slow + depth + spread;
    return {nearest, middle - nearest, reach,
            fma_(fast, 2.0f * BESIDE / TILE_FAST, fma_(slow, 2.0f * BESIDE / TILE_SLOW, reach))};
}
// |dh| is at least this.
DEVICE float distance_from_node(Interval i)
{
    const float gap = fabs_(i.offset) - i.reach;
    return gap > 0.0f ? gap : 0.0f;
}
// All samples have the middle's nearest whole number.
DEVICE bool one_node(Interval i) { return fabs_(i.offset) + i.reach < 0.5f; }
DEVICE bool one_node_beside(Interval i) { return fabs_(i.offset) + i.wider < 0.5f; }

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

// The largest F^2 that a tile can meet, and a tile with what is beside it, as a share of the largest of all and
// rounded up.
struct Largest { float here, beside; };

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

#if SHAPE == SQUARE

// What an axis takes off the peak: N^2 sin(pi g)^2, all but rounded down (sine by at most 1.7e-3 of it), and 1.
DEVICE float weakening(Interval i, float cells)
{
    const float g = distance_from_node(i), u = g * g;
    const float sine = cells * g * fma_(u, fma_(u, 2.4f, -5.16771278f), 3.14159265f);
    return sine * sine > 1.0f ? sine * sine : 1.0f;
}

#endif

#if SHAPE == SQUARE || SHAPE == ROUND

// Whether the streak along an axis through the nearest node makes a spot on a tile or beside it. The Ewald sphere,
// at s from the node along its normal, cuts the streak at an index of s / along: the term there is about
// F^2 / (1 + (pi N s / along)^2). `enough` is F^2 over the smallest that counts.
DEVICE bool streak_beside(Interval on, float along, float s, float cells, float enough)
{
    const float n = (float)PI * cells * s;
    return fabs_(fma_(on.offset, along, -s)) <= on.wider * fabs_(along)
           && enough * along * along > fma_(n, n, along * along);
}

// Likewise of any of the three streaks: an estimate, not a bound. Beside spots the floor is lower.
DEVICE bool spot_beside(const Params &p, float largest, const float *RESTRICT axes, int n, int i, const Region &t,
                        Interval h, Interval k, Interval l)
{
    const float along_h = dot({axes[9 * n + i], axes[10 * n + i], axes[11 * n + i]}, t.along[2]);
    const float along_k = dot({axes[12 * n + i], axes[13 * n + i], axes[14 * n + i]}, t.along[2]);
    const float along_l = dot({axes[15 * n + i], axes[16 * n + i], axes[17 * n + i]}, t.along[2]);
    const float s = fma_(h.offset, along_h, fma_(k.offset, along_k, l.offset * along_l));
    const float enough = largest * SPOT;
    const bool at_h = fabs_(h.offset) <= h.wider, at_k = fabs_(k.offset) <= k.wider, at_l = fabs_(l.offset) <= l.wider;
    return (at_k && at_l && streak_beside(h, along_h, s, (float)p.cells[0], enough))
           || (at_h && at_l && streak_beside(k, along_k, s, (float)p.cells[1], enough))
           || (at_h && at_k && streak_beside(l, along_l, s, (float)p.cells[2], enough));
}

#else

// At least the squared distance [1/m^2] of a tile from the nearest node: of the box that holds it, where no index
// can round to another whole number, and of each index by itself.
DEVICE float node_distance_sqr(const Params &p, const float *RESTRICT axes, int n, int i, const Region &t, Interval h,
                               Interval k, Interval l)
{
    const Arrow from = {h.offset * axes[9 * n + i] + k.offset * axes[12 * n + i] + l.offset * axes[15 * n + i],
                        h.offset * axes[10 * n + i] + k.offset * axes[13 * n + i] + l.offset * axes[16 * n + i],
                        h.offset * axes[11 * n + i] + k.offset * axes[14 * n + i] + l.offset * axes[17 * n + i]};
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

#endif

// Whether a term of orientation i can pass the floor on a tile; NaN anywhere keeps it.
DEVICE bool contributes(const Params &p, const REAL *RESTRICT table, const float *RESTRICT limits,
                        const float *RESTRICT axes, int i, const Region &t)
{
    const int n = (p.orientations + CHUNK - 1) / CHUNK * CHUNK;
    const Interval h = interval(p, t, {axes[i], axes[n + i], axes[2 * n + i]}, t.spread[0]);
    const Interval k = interval(p, t, {axes[3 * n + i], axes[4 * n + i], axes[5 * n + i]}, t.spread[1]);
    const Interval l = interval(p, t, {axes[6 * n + i], axes[7 * n + i], axes[8 * n + i]}, t.spread[2]);
    const Largest largest = largest_factors(p, table, limits, h, k, l);
    const float far_floor = (float)p.cull_floor;
#if SHAPE == SQUARE || SHAPE == ROUND
    const float floor = spot_beside(p, largest.beside, axes, n, i, t, h, k, l) ? (float)p.spot_floor : far_floor;
#if SHAPE == SQUARE
    const float weaker = far_floor > 0.0f ? weakening(h, (float)p.cells[0]) * weakening(k, (float)p.cells[1])
                                            * weakening(l, (float)p.cells[2]) : 1.0f;
#else
    const float u = distance_from_node(h) * (float)p.cells[0], v = distance_from_node(k) * (float)p.cells[1],
                w = distance_from_node(l) * (float)p.cells[2];
    const float x = (float)(PI * PI * p.fudge) * (u * u + v * v + w * w);
    const float decay = x * x * (x / (9.0f * (1.0f + x)));
    // At a node the closed form of double precision cancels, and can be anything.
    const float weaker = x < 1e-4f ? 1e-30f : decay > 1.0f ? decay : 1.0f;
#endif
    return !(largest.here <= floor * weaker);
#else
    return !(largest.here <= far_floor || node_distance_sqr(p, axes, n, i, t, h, k, l) > (float)p.cull_radius_sqr);
#endif
}

#endif

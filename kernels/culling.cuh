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
// Rounding, in units of what is rounded: of directions and indices in double; of indices in single.
#define ROUNDING 3.6e-15
#define INDEX_ROUNDING (PRECISION == DOUBLE ? 3.6e-15 : 4.8e-7)

// Directions, or scattering vectors of one source, of a tile's samples.
struct Patch {
    Vector middle, edge[3];
    double bend;       // |r|
    double spread[3];  // of indices: what bend and rounding add to the edges
    Vector along[3];   // perpendicular unit vectors, the last one through the middle
    double box[3];     // the samples' reach from the middle along them
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

// Of a tile's directions.
DEVICE Patch tile_directions(const Params &p, int first_fast, int first_slow)
{
    Patch t;
    Vector half[3];
    half_edges(p, half);
    const double f = p.pixel_size[0] * (p.first_pixel[0] + first_fast + 0.5 * TILE_FAST);
    const double s = p.pixel_size[1] * (p.first_pixel[1] + first_slow + 0.5 * TILE_SLOW);
    const Vector flat = flat_position(p, f, s, 0.5 * (p.layers - 1) * p.layer_step);
    const double longest = norm(vector(p.pix0)) + fabs_(f) + fabs_(s);
    if (p.curved) {
        curved_edges(p, t, half, flat, longest);
    } else {
        flat_edges(t, half, flat, longest);
    }
    const Vector radial = t.middle;
    const double along_fast = dot(radial, vector(p.fast)), along_slow = dot(radial, vector(p.slow));
    const Vector edge = along_fast * along_fast < 0.75 ? vector(p.fast) : vector(p.slow);
    const double part = along_fast * along_fast < 0.75 ? along_fast : along_slow;
    const Vector across = {edge.x - part * radial.x, edge.y - part * radial.y, edge.z - part * radial.z};
    t.along[0] = times(1.0 / norm(across), across);
    t.along[1] = cross(radial, t.along[0]);
    t.along[2] = radial;
    return t;
}

// Scattering vectors of a source [1/m], from directions.
DEVICE Patch tile_scattering(const Params &p, const Patch &directions, const double *source)
{
    Patch t = directions;
    const double inverse = 1.0 / source[WAVELENGTH];
    t.middle = {inverse * (t.middle.x - source[INCIDENT]), inverse * (t.middle.y - source[INCIDENT + 1]),
                inverse * (t.middle.z - source[INCIDENT + 2])};
    t.bend *= inverse;
    double reach = t.bend, rounding = 0.0;
    for (int i = 0; i < 3; ++i) {
        t.edge[i] = times(inverse, t.edge[i]);
        reach += norm(t.edge[i]);
    }
    for (int i = 0; i < 3; ++i) {
        const double lost = INDEX_ROUNDING * (1.0 + p.lengths[i] * reach) + ROUNDING * p.lengths[i] * inverse;
        t.spread[i] = p.lengths[i] * t.bend + lost;
        rounding += lost * p.star_lengths[i];
    }
    for (int i = 0; i < 3; ++i) {
        t.box[i] = fabs_(dot(t.along[i], t.edge[0])) + fabs_(dot(t.along[i], t.edge[1]))
                   + fabs_(dot(t.along[i], t.edge[2])) + t.bend + rounding;
    }
    return t;
}

// One index over a tile: its middle, the middle's distance from the nearest whole number, and how far it goes.
struct Interval { double nearest, offset, reach; };

DEVICE double fused_dot(Vector a, Vector b) { return fma_(a.x, b.x, fma_(a.y, b.y, a.z * b.z)); }

DEVICE Interval interval(const Params &p, const Patch &t, Vector axis, double spread)
{
    const double middle = fused_dot(axis, t.middle), nearest = rint_(middle);
    const double depth = p.layers > 1 ? fabs_(fused_dot(axis, t.edge[2])) : 0.0;
    return {nearest, middle - nearest, fabs_(fused_dot(axis, t.edge[0])) + fabs_(fused_dot(axis, t.edge[1])) + depth
                                       + spread};
}
// |dh| is at least this.
DEVICE double distance_from_node(Interval i)
{
    const double gap = fabs_(i.offset) - i.reach;
    return gap > 0.0 ? gap : 0.0;
}
// All samples have the middle's nearest whole number.
DEVICE bool one_node(Interval i) { return fabs_(i.offset) + i.reach < 0.5; }

#if FACTORS != CONSTANT

// A place on an axis of `limits`, the middle's nearest whole number brought inside. NaN ends up inside.
DEVICE int limit_place(Interval i, int origin, int size)
{
    const double steps = i.nearest - (double)(origin - LIMIT_PAD), last = (double)(size - 1 + 2 * LIMIT_PAD);
    const double above = steps > 0.0 ? steps : 0.0;
    return (int)(above < last ? above : last);
}
DEVICE int grid_place(int limit_place, int size)
{
    const int above = limit_place < LIMIT_PAD ? 0 : limit_place - LIMIT_PAD;
    return above < size ? above : size - 1;
}

#endif

// The largest F^2 that a tile can meet, as a share of the largest of all and rounded up.
DEVICE double largest_factor(const Params &p, const REAL *RESTRICT table, const float *RESTRICT limits, Interval h,
                             Interval k, Interval l)
{
#if FACTORS == CONSTANT
    (void)table, (void)limits, (void)h, (void)k, (void)l;
    return p.largest;
#else
    const int size_h = p.grid_size[0], size_k = p.grid_size[1], size_l = p.grid_size[2];
    const int at_h = limit_place(h, p.grid_origin[0], size_h), at_k = limit_place(k, p.grid_origin[1], size_k),
              at_l = limit_place(l, p.grid_origin[2], size_l);
    const GRID_INDEX row = (GRID_INDEX)at_h * (size_k + 2 * LIMIT_PAD) + at_k;
    const double around = (double)limits[row * (size_l + 2 * LIMIT_PAD) + at_l];
    const bool near = h.reach < 0.99 && k.reach < 0.99 && l.reach < 0.99;
    const double found = near ? around : p.largest;
#if FACTORS == TRICUBIC
    (void)table;
    return found;
#else
    const GRID_INDEX grid_row = grid_place(at_h, size_h) * (GRID_INDEX)size_k + grid_place(at_k, size_k);
    const double alone = (double)table[grid_row * size_l + grid_place(at_l, size_l)] * p.share;
    return one_node(h) && one_node(k) && one_node(l) ? alone : found;
#endif
#endif
}

#if SHAPE == SQUARE

// What an axis takes off the peak: N^2 sin(pi g)^2, all but rounded down (sine by at most 1.7e-3 of it), and 1.
DEVICE double weakening(Interval i, double cells)
{
    const double g = distance_from_node(i), u = g * g;
    const double sine = cells * g * fma_(u, fma_(u, 2.4, -5.16771278), 3.14159265);
    return sine * sine > 1.0 ? sine * sine : 1.0;
}

#elif SHAPE != ROUND

// At least the squared distance [1/m^2] of a tile from the nearest node: of the box that holds it, where no index
// can round to another whole number, and of each index by itself.
DEVICE double node_distance_sqr(const Params &p, const double *RESTRICT axes, int n, int i, const Patch &t, Interval h,
                                Interval k, Interval l)
{
    const Vector from = {h.offset * axes[9 * n + i] + k.offset * axes[12 * n + i] + l.offset * axes[15 * n + i],
                         h.offset * axes[10 * n + i] + k.offset * axes[13 * n + i] + l.offset * axes[16 * n + i],
                         h.offset * axes[11 * n + i] + k.offset * axes[14 * n + i] + l.offset * axes[17 * n + i]};
    double boxes = 0.0;
    UNROLL
    for (int axis = 0; axis < 3; ++axis) {
        const double gap = fabs_(dot(from, t.along[axis])) - t.box[axis];
        boxes += gap > 0.0 ? gap * gap : 0.0;
    }
    const double by_h = distance_from_node(h) / p.dual_lengths[0], by_k = distance_from_node(k) / p.dual_lengths[1],
                 by_l = distance_from_node(l) / p.dual_lengths[2];
    const double by_hk = by_h > by_k ? by_h : by_k, by_index = by_hk > by_l ? by_hk : by_l;
    const double squared = by_index * by_index;
    return one_node(h) && one_node(k) && one_node(l) && boxes > squared ? boxes : squared;
}

#endif

// Whether a term of orientation i can pass the floor on a tile; NaN anywhere keeps it.
DEVICE bool contributes(const Params &p, const REAL *RESTRICT table, const float *RESTRICT limits,
                        const double *RESTRICT axes, int i, const Patch &t)
{
    const int n = p.orientations;
    const Interval h = interval(p, t, {axes[i], axes[n + i], axes[2 * n + i]}, t.spread[0]);
    const Interval k = interval(p, t, {axes[3 * n + i], axes[4 * n + i], axes[5 * n + i]}, t.spread[1]);
    const Interval l = interval(p, t, {axes[6 * n + i], axes[7 * n + i], axes[8 * n + i]}, t.spread[2]);
    const double largest = largest_factor(p, table, limits, h, k, l);
#if SHAPE == SQUARE
    const double weaker = p.cull_floor > 0.0 ? weakening(h, p.cells[0]) * weakening(k, p.cells[1])
                                               * weakening(l, p.cells[2]) : 1.0;
    return !(largest <= p.cull_floor * weaker);
#elif SHAPE == ROUND
    const double u = distance_from_node(h) * p.cells[0], v = distance_from_node(k) * p.cells[1],
                 w = distance_from_node(l) * p.cells[2];
    const double x = PI * PI * p.fudge * (u * u + v * v + w * w);
    const double decay = x * x * x / (9.0 * (1.0 + x));
    // At a node the closed form of double precision cancels, and can be anything.
    const double weaker = x < 1e-4 ? 1e-300 : decay > 1.0 ? decay : 1.0;
    return !(largest <= p.cull_floor * weaker);
#else
    return !(largest <= p.cull_floor || node_distance_sqr(p, axes, n, i, t, h, k, l) > p.cull_radius_sqr);
#endif
}

#endif

// Boxes that enclose the scattering vectors and Miller indices of all samples of a tile. specs/culling.md
//
// The scattering vectors of all samples of a tile (pixels, sub-pixels, layers) and one source lie in
//   q = q_c + u e1 + v e2 + w e3 + r,  |u|, |v|, |w| <= 1, |r| <= eps
// with e1, e2, e3 from half the tile's edges and half the sensor's depth, and r the nonlinear remainder. So
//   |h - h_c| <= R_h = |a.e1| + |a.e2| + |a.e3| + |a| eps + rounding
//   |dh| >= g_h = max(|h_c - rint(h_c)| - R_h, 0), since the distance to the nearest whole number changes by no
//   more than its argument; and whole indices are within 1 of rint(h_c) where R_h < 1.
#ifndef CUBRAGG_TILE_BOUNDS_CUH
#define CUBRAGG_TILE_BOUNDS_CUH

#include "portable.cuh"
#include "params.cuh"
#include "mathematics.cuh"
#include "geometry.cuh"

// Relative rounding error: of directions in double; of indices, here and in the sum, in single.
#define ROUNDING 3.6e-15
#define INDEX_ROUNDING 1.5e-6
// Margin around a tile in which a spot counts as beside it [pixel].
#define BESIDE 4.0f
// Reciprocal of the fraction of the peak from which a term counts as a spot.
#define SPOT 1e6f
// Added to numbers that must not underflow to 0 in single precision.
#define SMALLEST 1.2e-38f

// Directions of a tile's samples.
struct Patch {
    Vector middle, edge[3];
    double bend;  // |r|, the remainder
};

struct Arrow { float x, y, z; };

// Scattering vectors of a tile's samples and one source [1/m].
struct Region {
    Arrow middle, edge[3];
    float spread[3];  // of indices: what the remainder and rounding add to the edges
    Arrow along[3];   // perpendicular unit vectors, the last one through the middle of the directions
    float box[3];     // largest distance of a sample from the middle along them
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

// Set the directions of a tile on a plane. Second derivatives of r / |r| are at most 2 / sqrt(3) / |r|^2.
// Positions are sums of vectors of length up to `longest`.
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

// Set the directions of a tile on the cylinder: angles y / distance about the slow and z / distance about the fast
// axis.
DEVICE void curved_edges(const Params &p, Patch &t, const Vector (&half)[3], Vector flat, double longest)
{
    const Vector position = curved_position(p, flat);
    t.middle = times(1.0 / norm(position), position);
    const Vector turned = rotate_axis(vector(p.beam), vector(p.slow), flat.y / p.distance);
    const Vector about_slow = rotate_axis(cross(vector(p.slow), turned), vector(p.fast), flat.z / p.distance);
    const Vector about_fast = cross(vector(p.fast), t.middle);
    double angle = 0.0;
    for (int i = 0; i < 3; ++i) {
        const double y = half[i].y / p.distance, z = half[i].z / p.distance;
        t.edge[i] = {y * about_slow.x + z * about_fast.x, y * about_slow.y + z * about_fast.y,
                     y * about_slow.z + z * about_fast.z};
        angle += fabs_(y) + fabs_(z);
    }
    t.bend = 0.5 * angle * angle + ROUNDING * (1.0 + longest / p.distance);
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

// Set perpendicular unit vectors, the last one along a direction.
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

// Range of one index over a tile: the whole number nearest to its middle, the middle's offset from that, the half
// width, and the half width with BESIDE pixels around the tile.
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
// Lower bound of |dh|.
DEVICE float distance_from_node(Interval i)
{
    const float gap = fabs_(i.offset) - i.reach;
    return gap > 0.0f ? gap : 0.0f;
}
// Whether all samples round to the same whole number as the middle.
DEVICE bool one_node(Interval i) { return fabs_(i.offset) + i.reach < 0.5f; }
DEVICE bool one_node_beside(Interval i) { return fabs_(i.offset) + i.wider < 0.5f; }

#endif

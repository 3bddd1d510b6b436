// Position of a sub-pixel, and the quantities that depend on it alone. specs/geometry.md
//
//   r = f F + s S + depth N + pix0 [m]      F, S, N: unit vectors along fast, slow and the normal
//   d = r / |r|,  q = (d - i) / lambda [1/m] i: unit vector of the incident beam
//   omega = area / |r|^2 * close / |r| [sr], or 1 / |r|^2 for a point pixel
//   depth = first + layer step            first: 0, or in physical semantics the mean depth of absorption in a layer
//   capture = exp(-layer step mu / (d.N)) - exp(-(layer + 1) step mu / (d.N))
//
// In double and mixed precision these are NumPy's operations in NumPy's order. In single precision
// a sub-pixel is given by its offset delta = r - r_c from the centre of its tile; only r_c is computed
// in double. With i, j the offset in sub-pixels (multiples of 1/2), p = d_c.delta and L = |r| - |r_c|,
//   d - d_c = i U + j V - (delta L + d_c (|r_c| (L - p) - p L)) / (|r_c| |r|)
//   U = edge (F - d_c (d_c.F)) / |r_c|, V likewise with S
//   L = (2 |r_c| p + delta^2) / (|r| + |r_c|), L - p = (delta^2 - L p) / (|r| + |r_c|)
// The part linear in i and j is rounded once; the rest is smaller by the ratio of tile size to distance.
// With two floats d - d_c is computed in double and split.
#ifndef CUBRAGG_GEOMETRY_CUH
#define CUBRAGG_GEOMETRY_CUH

#include "portable.cuh"
#include "params.cuh"
#include "mathematics.cuh"

struct Vector { double x, y, z; };

DEVICE Vector vector(const double *components) { return {components[0], components[1], components[2]}; }
DEVICE double dot(Vector a, Vector b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
DEVICE double norm(Vector a) { return sqrt_(a.x * a.x + a.y * a.y + a.z * a.z); }

// Rotate a vector about a unit axis, right-handed (Rodrigues).
DEVICE Vector rotate_axis(Vector v, Vector axis, double angle)
{
    double s, c;
    sine_cosine_of(angle, s, c);
    const double along = (axis.x * v.x + axis.y * v.y + axis.z * v.z) * (1.0 - c);
    return {axis.x * along + v.x * c + (-axis.z * v.y + axis.y * v.z) * s,
            axis.y * along + v.y * c + (axis.z * v.x - axis.x * v.z) * s,
            axis.z * along + v.z * c + (-axis.y * v.x + axis.x * v.y) * s};
}

// Depth along the normal at which a layer absorbs [m]: its front in nanobragg semantics, else the mean depth.
DEVICE double layer_depth(const Params &p, int layer) { return p.first_depth + layer * p.layer_step; }

// Position relative to the crystal [m]; f, s along fast and slow from the panel's corner, depth along the normal [m].
DEVICE Vector flat_position(const Params &p, double f, double s, double depth)
{
    return {f * p.fast[0] + s * p.slow[0] + depth * p.normal[0] + p.pix0[0],
            f * p.fast[1] + s * p.slow[1] + depth * p.normal[1] + p.pix0[1],
            f * p.fast[2] + s * p.slow[2] + depth * p.normal[2] + p.pix0[2]};
}

// Position on the cylinder: flat y and z become angles about the slow and fast axes.
DEVICE Vector curved_position(const Params &p, Vector flat)
{
    const Vector start = {p.distance * p.beam[0], p.distance * p.beam[1], p.distance * p.beam[2]};
    return rotate_axis(rotate_axis(start, vector(p.slow), flat.y / p.distance), vector(p.fast), flat.z / p.distance);
}

// Distance of the middle of a sub-pixel from the panel's corner, along fast (0) or slow (1) [m].
DEVICE double along_edge(const Params &p, int axis, int pixel, int sub_pixel)
{
    const double edge = p.sub_pixel_size[axis];
    const long long number = (long long)pixel + p.first_pixel[axis];
    return edge * (double)(number * p.oversample + sub_pixel) + edge / 2.0;
}

// Origin of the offsets of a tile's sub-pixels; used in single precision only, else 0.
struct Centre {
    Vector position, direction;  // [m]; unit vector
    double path;                 // [m]
#if PRECISION == SINGLE && !TWO_FLOATS
    float u[3], v[3], u_rest[3], v_rest[3];  // U and V, each as the sum of two floats
#endif
};

DEVICE Centre tile_centre(const Params &p, int first_fast, int first_slow, int layer)
{
    Centre centre;
#if PRECISION == SINGLE
    const double f = p.pixel_size[0] * (p.first_pixel[0] + first_fast + 0.5 * TILE_FAST);
    const double s = p.pixel_size[1] * (p.first_pixel[1] + first_slow + 0.5 * TILE_SLOW);
    centre.position = flat_position(p, f, s, layer_depth(p, layer));
    if (p.curved) centre.position = curved_position(p, centre.position);
    centre.path = norm(centre.position);
    const double inverse = 1.0 / centre.path;
    centre.direction = {centre.position.x * inverse, centre.position.y * inverse, centre.position.z * inverse};
#if !TWO_FLOATS
    const double edge[2] = {p.sub_pixel_size[0] * inverse, p.sub_pixel_size[1] * inverse};
    const double d[3] = {centre.direction.x, centre.direction.y, centre.direction.z};
    const double along_f = dot(centre.direction, vector(p.fast)), along_s = dot(centre.direction, vector(p.slow));
    UNROLL
    for (int axis = 0; axis < 3; ++axis) {
        const double u = edge[0] * (p.fast[axis] - d[axis] * along_f);
        const double v = edge[1] * (p.slow[axis] - d[axis] * along_s);
        centre.u[axis] = (float)u, centre.u_rest[axis] = (float)(u - (double)centre.u[axis]);
        centre.v[axis] = (float)v, centre.v_rest[axis] = (float)(v - (double)centre.v[axis]);
    }
#endif
#else
    (void)p, (void)first_fast, (void)first_slow, (void)layer;
    centre.position = centre.direction = {0.0, 0.0, 0.0};
    centre.path = 0.0;
#endif
    return centre;
}

// A sub-pixel: distance from the crystal [m], and direction minus that of the centre.
struct SubPixel {
    INDEX path;
    FINE_INDEX x, y, z;
};

#if PRECISION == SINGLE && TWO_FLOATS

DEVICE SubPixel from_position(const Centre &c, Vector r)
{
    const double path = norm(r), inverse = 1.0 / path;
    return {(float)path, pair_of(r.x * inverse - c.direction.x), pair_of(r.y * inverse - c.direction.y),
            pair_of(r.z * inverse - c.direction.z)};
}

DEVICE SubPixel sub_pixel(const Params &p, const Centre &c, int, int, int fast, int slow, int layer, int sub_fast,
                          int sub_slow)
{
    return from_position(c, flat_position(p, along_edge(p, 0, fast, sub_fast), along_edge(p, 1, slow, sub_slow),
                                          layer_depth(p, layer)));
}

DEVICE SubPixel curved_sub_pixel(const Params &p, const Centre &c, int fast, int slow, int layer, int sub_fast,
                                 int sub_slow)
{
    const Vector flat = flat_position(p, along_edge(p, 0, fast, sub_fast), along_edge(p, 1, slow, sub_slow),
                                      layer_depth(p, layer));
    return from_position(c, curved_position(p, flat));
}

#elif PRECISION == SINGLE

DEVICE float linear(const Centre &c, int axis, float i, float j, float rest)
{
    return fma_(i, c.u[axis], fma_(j, c.v[axis], fma_(i, c.u_rest[axis], fma_(j, c.v_rest[axis], rest))));
}

DEVICE SubPixel sub_pixel(const Params &p, const Centre &c, int first_fast, int first_slow, int fast, int slow,
                          int, int sub_fast, int sub_slow)
{
    const float n = (float)p.oversample;
    const float i = (float)(fast - first_fast) * n + (float)sub_fast + 0.5f - 0.5f * TILE_FAST * n;
    const float j = (float)(slow - first_slow) * n + (float)sub_slow + 0.5f - 0.5f * TILE_SLOW * n;
    const float f = (float)p.sub_pixel_size[0] * i, s = (float)p.sub_pixel_size[1] * j;
    const float x = f * (float)p.fast[0] + s * (float)p.slow[0];
    const float y = f * (float)p.fast[1] + s * (float)p.slow[1];
    const float z = f * (float)p.fast[2] + s * (float)p.slow[2];
    const float cx = (float)c.direction.x, cy = (float)c.direction.y, cz = (float)c.direction.z;
    const float inner = (float)c.path;
    const float along = cx * x + cy * y + cz * z, square = x * x + y * y + z * z;
    const float step = 2.0f * inner * along + square;
    const float outer = sqrt_(inner * inner + step);
    const float inverse_sum = 1.0f / (outer + inner);
    const float longer = step * inverse_sum;
    const float bend = inner * ((square - longer * along) * inverse_sum) - along * longer;
    const float scale = -1.0f / (inner * outer);
    return {outer, linear(c, 0, i, j, scale * (x * longer + cx * bend)),
            linear(c, 1, i, j, scale * (y * longer + cy * bend)), linear(c, 2, i, j, scale * (z * longer + cz * bend))};
}

DEVICE SubPixel curved_sub_pixel(const Params &p, const Centre &c, int fast, int slow, int layer, int sub_fast,
                                 int sub_slow)
{
    const Vector flat = flat_position(p, along_edge(p, 0, fast, sub_fast), along_edge(p, 1, slow, sub_slow),
                                      layer_depth(p, layer));
    const Vector r = curved_position(p, flat);
    const double path = norm(r);
    return {(float)path, (float)(r.x / path - c.direction.x), (float)(r.y / path - c.direction.y),
            (float)(r.z / path - c.direction.z)};
}

#else

DEVICE SubPixel from_position(Vector r)
{
    const double path = norm(r);
    return {path, r.x / path, r.y / path, r.z / path};
}

DEVICE SubPixel sub_pixel(const Params &p, const Centre &, int, int, int fast, int slow, int layer, int sub_fast,
                          int sub_slow)
{
    return from_position(flat_position(p, along_edge(p, 0, fast, sub_fast), along_edge(p, 1, slow, sub_slow),
                                       layer_depth(p, layer)));
}

DEVICE SubPixel curved_sub_pixel(const Params &p, const Centre &, int fast, int slow, int layer, int sub_fast,
                                 int sub_slow)
{
    const Vector flat = flat_position(p, along_edge(p, 0, fast, sub_fast), along_edge(p, 1, slow, sub_slow),
                                      layer_depth(p, layer));
    return from_position(curved_position(p, flat));
}

#endif

// Solid angle of the whole pixel at distance `path` [m], in sr.
DEVICE REAL solid_angle(const Params &p, INDEX path)
{
    const INDEX inverse = INDEX(1) / path;
    const INDEX flat = inverse * inverse;
    return (REAL)(p.point_pixel ? flat : (INDEX)(p.area * p.close_distance) * flat * inverse);
}

// Fraction of the photons that a layer absorbs, for the cosine between direction and normal. In physical semantics the
// last layer extends to the back of the sensor.
DEVICE REAL capture_fraction(const Params &p, int layer, INDEX parallax)
{
    const INDEX depth = (INDEX)(p.layer_step * p.mu);
    const INDEX back = PHYSICAL && layer + 1 == p.layers ? (INDEX)(p.sensor_end * p.mu) : (INDEX)(layer + 1) * depth;
    return (REAL)(exponential((INDEX)-layer * depth / parallax) - exponential(-back / parallax));
}

// Whether a scattering vector [1/m] is at a resolution finer than dmin [m]; the direct beam is never cut.
DEVICE bool resolution_cut(double dmin, double x, double y, double z)
{
    const double stol = 0.5 * sqrt_(x * x + y * y + z * z);
    return dmin > 0.5 / stol;
}

#endif

// Miller indices of a sample and the lattice amplitude there. specs/core-physics.md
//
//   h = a.q, k = b.q, l = c.q; h0 = ceil(h - 1/2); dh = h - h0 in (-1/2, 1/2]
//   SQUARE  prod sin(pi N dh) / sin(pi dh)       without its sign
//   ROUND   Na Nb Nc 0.7236 * 3 (sin x / x - cos x) / x^2, x = pi sqrt(fudge sum (dh N)^2)
//   GAUSS   Na Nb Nc exp(-R / 0.63 * fudge)      R = |dh a* + dk b* + dl c*|^2 (Na Nb Nc)^2 [A^-2]
//   TOPHAT  Na Nb Nc where R * fudge < 0.3969
//   a, b, c: cell vectors [m] of an orientation; q: scattering vector [1/m]; N: cells along an axis
//
// In double the amplitude is that of the formula. In single, compact shapes leave out Na Nb Nc, and SQUARE's
// structure factors are divided by its square: squares stay inside the range of single precision, and
// Params.term_scale puts it back into the sum.
#ifndef CUBRAGG_LATTICE_CUH
#define CUBRAGG_LATTICE_CUH

#include "portable.cuh"
#include "params.cuh"
#include "mathematics.cuh"

// Stands in for an exact 0 in a quotient of sines.
#if PRECISION == DOUBLE
#define TINY 1e-100
#else
#define TINY 1e-9f
#endif

// An orientation: cell vectors; in single precision the indices of the tile's centre, split in a fraction
// (start) and a whole number, which is taken off `low`, the index of the padded grid's first point.
struct Orientation {
    INDEX ax, ay, az, bx, by, bz, cx, cy, cz;
    INDEX start_h, start_k, start_l;
    INDEX low_h, low_k, low_l;
};

#if PRECISION == SINGLE

DEVICE void split(double index, int origin, float &start, float &low)
{
    const double whole = rint_(index);
    start = (float)(index - whole);
    low = (float)((double)origin - whole);
}

// For the scattering vector q [1/m] of the tile's centre. Those of its sub-pixels are less that of the centre and
// in units of q_unit = 1 / lambda [1/m]: it goes into the cell vectors, which are rounded here anyway.
DEVICE Orientation orientation_at(const Params &p, const double *v, Vector q, double q_unit)
{
    Orientation o;
    o.ax = (float)(v[0] * q_unit), o.ay = (float)(v[1] * q_unit), o.az = (float)(v[2] * q_unit);
    o.bx = (float)(v[3] * q_unit), o.by = (float)(v[4] * q_unit), o.bz = (float)(v[5] * q_unit);
    o.cx = (float)(v[6] * q_unit), o.cy = (float)(v[7] * q_unit), o.cz = (float)(v[8] * q_unit);
    split(v[0] * q.x + v[1] * q.y + v[2] * q.z, p.grid_origin[0], o.start_h, o.low_h);
    split(v[3] * q.x + v[4] * q.y + v[5] * q.z, p.grid_origin[1], o.start_k, o.low_k);
    split(v[6] * q.x + v[7] * q.y + v[8] * q.z, p.grid_origin[2], o.start_l, o.low_l);
    return o;
}

DEVICE float miller_index(float x, float y, float z, float start, float qx, float qy, float qz)
{
    return fma_(x, qx, fma_(y, qy, fma_(z, qz, start)));
}

#else

DEVICE Orientation orientation_at(const Params &p, const double *v)
{
    return {v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], 0.0, 0.0, 0.0,
            (double)p.grid_origin[0], (double)p.grid_origin[1], (double)p.grid_origin[2]};
}

// Summed x, y, z in this order, without fused steps: NumPy's bits.
DEVICE double miller_index(double x, double y, double z, double, double qx, double qy, double qz)
{
    return x * qx + y * qy + z * qz;
}

#endif

// Numerator and denominator of one axis of SQUARE.
DEVICE void sines(REAL fraction, REAL cells, REAL &above, REAL &below)
{
    const REAL d = fraction + TINY;
    const REAL turns = d * cells;
#if PRECISION == DOUBLE
    above = sinpi_(turns - rint_(turns));
#else
    above = sinpi_(fma_(d, cells, -rint_(turns)));  // what rounding took off the product comes back
#endif
    below = sinpi_(d);
}

struct Amplitude {
    REAL value;
    bool alive;  // the C program does not skip the term
};

DEVICE Amplitude square(REAL h, REAL k, REAL l, REAL na, REAL nb, REAL nc)
{
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

// (dh Na)^2 + (dk Nb)^2 + (dl Nc)^2
DEVICE REAL hkl_radius_sqr(REAL h, REAL k, REAL l, REAL na, REAL nb, REAL nc)
{
    return h * h * na * na + k * k * nb * nb + l * l * nc * nc;
}

DEVICE Amplitude round_(REAL h, REAL k, REAL l, REAL na, REAL nb, REAL nc, REAL fudge)
{
    const REAL y = sqrt_(hkl_radius_sqr(h, k, l, na, nb, nc) * fudge);
    const REAL x = REAL(PI) * y;
    const REAL quarters = rint_(REAL(2) * y);
    REAL sine, cosine;
    sine_cosine(quarters == REAL(0) ? x : REAL(PI) * (y - REAL(0.5) * quarters), quarters, sine, cosine);
    const bool at_node = x == REAL(0);
    const REAL safe = at_node ? REAL(1) : x;
    const REAL closed = REAL(3) * (sine / safe - cosine) / (safe * safe);
#if PRECISION == DOUBLE
    const double sinc3 = at_node ? 1.0 : closed;
    const double value = na * nb * nc * 0.723601254558268 * sinc3;
    return {value, value != 0.0};
#else
    // Near a node sin x / x - cos x cancels: its series, sum of (-1)^k 6 (k + 1) / (2 k + 3)! x^(2k).
    const float u = x * x;
    float series = fma_(u, -1.0f / 172972800.0f, 1.0f / 1330560.0f);
    series = fma_(u, series, -1.0f / 15120.0f);
    series = fma_(u, series, 1.0f / 280.0f);
    series = fma_(u, series, -1.0f / 10.0f);
    series = fma_(u, series, 1.0f);
    return {0.723601254558268f * (u < 2.25f ? series : closed), true};
#endif
}

// |dh a* + dk b* + dl c*|^2 (Na Nb Nc)^2 [A^-2]
DEVICE REAL reciprocal_radius_sqr(const Params &p, REAL h, REAL k, REAL l)
{
#if PRECISION == DOUBLE
    const REAL by = REAL(1);
#else
    const REAL by = (REAL)(p.cells[0] * p.cells[1] * p.cells[2]);
#endif
    const REAL x = h * ((REAL)p.reciprocal[0][0] * by) + k * ((REAL)p.reciprocal[1][0] * by)
                   + l * ((REAL)p.reciprocal[2][0] * by);
    const REAL y = h * ((REAL)p.reciprocal[0][1] * by) + k * ((REAL)p.reciprocal[1][1] * by)
                   + l * ((REAL)p.reciprocal[2][1] * by);
    const REAL z = h * ((REAL)p.reciprocal[0][2] * by) + k * ((REAL)p.reciprocal[1][2] * by)
                   + l * ((REAL)p.reciprocal[2][2] * by);
    const REAL radius = x * x + y * y + z * z;
#if PRECISION == DOUBLE
    return radius * p.cells[0] * p.cells[0] * p.cells[1] * p.cells[1] * p.cells[2] * p.cells[2];
#else
    return radius;
#endif
}

DEVICE REAL volume(const Params &p)
{
#if PRECISION == DOUBLE
    return p.cells[0] * p.cells[1] * p.cells[2];
#else
    (void)p;
    return 1.0f;
#endif
}

DEVICE Amplitude gauss(const Params &p, REAL h, REAL k, REAL l)
{
    const REAL exponent = reciprocal_radius_sqr(p, h, k, l) / REAL(0.63) * (REAL)p.fudge;
    const REAL value = volume(p) * exponential(-exponent);
    // In double the C program's amplitude is 0 from here on.
    return {value, exponent < REAL(745.1332191019412)};
}

DEVICE Amplitude tophat(const Params &p, REAL h, REAL k, REAL l)
{
    const bool inside = reciprocal_radius_sqr(p, h, k, l) * (REAL)p.fudge < REAL(0.3969);
    return {inside ? volume(p) : REAL(0), inside};
}

// Of the crystal's shape, at fractions of Miller indices.
DEVICE Amplitude lattice_amplitude(const Params &p, REAL h, REAL k, REAL l)
{
#if SHAPE == SQUARE
    return square(h, k, l, (REAL)p.cells[0], (REAL)p.cells[1], (REAL)p.cells[2]);
#elif SHAPE == ROUND
    return round_(h, k, l, (REAL)p.cells[0], (REAL)p.cells[1], (REAL)p.cells[2], (REAL)p.fudge);
#elif SHAPE == GAUSS
    return gauss(p, h, k, l);
#else
    return tophat(p, h, k, l);
#endif
}

#endif

// Miller indices of a sample, and functions common to the lattice amplitudes of all shapes. specs/core-physics.md
//
//   h = a.q, k = b.q, l = c.q; h0 = ceil(h - 1/2); dh = h - h0 in (-1/2, 1/2]
//   a, b, c: cell axes [m] of an orientation; q: scattering vector [1/m]; N: cells along an axis
//
// The amplitude of a shape is `lattice_amplitude` of its header, shape_<name>.cuh. In double it is that of the formula.
// A shape with fringes has a second one, of offsets that are sums of two floats, and defines FRINGES: the number of
// fringes between two nodes is N, and their phase needs more digits than dh. Beside it only digits of dh itself count.
// With REAL float, non-separable shapes omit the factor Na Nb Nc, and for separable ones F is divided by it: terms stay
// inside the range of single precision, and Params.term_scale = (Na Nb Nc)^2 is applied to the sum.
#ifndef CUBRAGG_LATTICE_CUH
#define CUBRAGG_LATTICE_CUH

#include "portable.cuh"
#include "params.cuh"
#include "mathematics.cuh"

// Added to a whole number that becomes an index of the grid. A GPU finds the integer in the last bits of the sum, for
// whole numbers below 2^22 (float) and 2^31, and needs no conversion, which is slower than an addition.
#if defined(__CUDACC__) && FACTORS == NEAREST
#if PRECISION == SINGLE
#define SHIFT 12582912.0f  // 1.5 2^23
DEVICE int integer_of(float shifted) { return bits_of_float(shifted) - bits_of_float(SHIFT); }
#else
#define SHIFT 6755399441055744.0  // 1.5 2^52
DEVICE int integer_of(double shifted) { return low_word(shifted); }
#endif
#else
#define SHIFT INDEX(0)
DEVICE int integer_of(INDEX whole) { return (int)whole; }
#endif

// An orientation: cell axes, and in single precision the indices of the tile's centre, split into a fraction (start)
// and a whole number, which is subtracted from `low`, the index of the padded grid's first point less SHIFT.
struct alignas(16) Orientation {
    FINE_INDEX ax, ay, az, bx, by, bz, cx, cy, cz;
    FINE_INDEX start_h, start_k, start_l;
    INDEX low_h, low_k, low_l;
#if PRECISION == SINGLE
    float unused;  // fills the last of the words of 16 bytes in which shared memory is read
#endif
};

#if PRECISION == SINGLE

#if TWO_FLOATS
DEVICE Pair rounded(double x) { return pair_of(x); }
#else
DEVICE float rounded(double x) { return (float)x; }
#endif

DEVICE void split(double index, int origin, FINE_INDEX &start, float &low)
{
    const double whole = rint_(index);
    start = rounded(index - whole);
    low = (float)((double)origin - whole - (double)SHIFT);
}

// An orientation for the scattering vector q [1/m] of the tile's centre. Scattering vectors of sub-pixels are
// differences from it in units of q_unit = 1 / lambda [1/m], which is multiplied into the cell axes: these are rounded
// here anyway.
DEVICE Orientation orientation_at(const Params &p, const double *v, Vector q, double q_unit)
{
    Orientation o;
    o.ax = rounded(v[0] * q_unit), o.ay = rounded(v[1] * q_unit), o.az = rounded(v[2] * q_unit);
    o.bx = rounded(v[3] * q_unit), o.by = rounded(v[4] * q_unit), o.bz = rounded(v[5] * q_unit);
    o.cx = rounded(v[6] * q_unit), o.cy = rounded(v[7] * q_unit), o.cz = rounded(v[8] * q_unit);
    split(v[0] * q.x + v[1] * q.y + v[2] * q.z, p.grid_origin[0], o.start_h, o.low_h);
    split(v[3] * q.x + v[4] * q.y + v[5] * q.z, p.grid_origin[1], o.start_k, o.low_k);
    split(v[6] * q.x + v[7] * q.y + v[8] * q.z, p.grid_origin[2], o.start_l, o.low_l);
    o.unused = 0.0f;
    return o;
}

#if TWO_FLOATS
DEVICE Pair miller_index(Pair x, Pair y, Pair z, Pair start, Pair qx, Pair qy, Pair qz)
{
    const Pair sum = sum_of(sum_of(sum_of(start, product_of(x, qx)), product_of(y, qy)), product_of(z, qz));
    return sum_of_ordered(sum.value, sum.rest);
}
#else
DEVICE float miller_index(float x, float y, float z, float start, float qx, float qy, float qz)
{
    return fma_(x, qx, fma_(y, qy, fma_(z, qz, start)));
}
#endif

#else

// Cell axes of an orientation, in words of 16 bytes in which shared memory is read.
struct alignas(16) CellAxes {
    double of[10];  // the last one is not used
};

DEVICE CellAxes cell_axes_at(const double *v)
{
    return {{v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], 0.0}};
}

DEVICE Orientation orientation_at(const Params &p, const double *v)
{
    return {v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], 0.0, 0.0, 0.0,
            p.grid_origin[0] - SHIFT, p.grid_origin[1] - SHIFT, p.grid_origin[2] - SHIFT};
}

// Summed x, y, z in this order, without fused steps: NumPy's bits.
DEVICE double miller_index(double x, double y, double z, double, double qx, double qy, double qz)
{
    return x * qx + y * qy + z * qz;
}

#endif

// A Miller index split into the nearest whole number and the offset from it.
struct NearestNode {
    INDEX whole;
    OFFSET offset;
};

// The distance from a whole number, as REAL.
DEVICE REAL real_offset(INDEX distance)
{
#if PRECISION == MIXED
    return nearest_float(distance);
#else
    return distance;
#endif
}

#if !TWO_FLOATS

DEVICE NearestNode nearest_node(INDEX index)
{
    const INDEX whole = ceil_(index - INDEX(0.5));
    return {whole, real_offset(index - whole)};
}

#elif PRECISION == SINGLE

DEVICE NearestNode nearest_node(Pair index)
{
    const float near = rint_(index.value);
    const Pair from = sum_of_ordered(index.value - near, index.rest);
    // The value alone does not decide where it is 1/2.
    const float above = (from.value - 0.5f) + from.rest > 0.0f ? 1.0f : 0.0f;
    const float below = (from.value + 0.5f) + from.rest <= 0.0f ? 1.0f : 0.0f;
    return {near + (above - below), {from.value - (above - below), from.rest}};
}

#else

DEVICE NearestNode nearest_node(double index)
{
    const double whole = ceil_(index - 0.5);
    return {whole, pair_of(index - whole)};
}

#endif

// Lattice amplitude of a sample.
struct Amplitude {
    REAL value;
    bool nonzero;  // the C program does not skip the term as 0
};

// Na Nb Nc in double; 1 where the amplitude omits it.
DEVICE REAL volume(const Params &p)
{
#if PRECISION == DOUBLE
    return p.cells[0] * p.cells[1] * p.cells[2];
#else
    (void)p;
    return 1.0f;
#endif
}

// (dh Na)^2 + (dk Nb)^2 + (dl Nc)^2
DEVICE REAL index_radius_sqr(const Params &p, REAL h, REAL k, REAL l)
{
    const REAL na = (REAL)p.cells[0], nb = (REAL)p.cells[1], nc = (REAL)p.cells[2];
#if PRECISION == DOUBLE
    return h * h * na * na + k * k * nb * nb + l * l * nc * nc;
#else
    const REAL x = h * na, y = k * nb, z = l * nc;
    return sum_of_products(x, x, y, y, z, z);
#endif
}

// |dh a* + dk b* + dl c*|^2 length^2; length [A]
DEVICE REAL star_radius_sqr(const Params &p, REAL h, REAL k, REAL l, REAL length)
{
    REAL r[3];
    UNROLL
    for (int axis = 0; axis < 3; ++axis) {
        r[axis] = sum_of_products(h, (REAL)p.reciprocal[0][axis] * length, k, (REAL)p.reciprocal[1][axis] * length,
                                  l, (REAL)p.reciprocal[2][axis] * length);
    }
    return sum_of_products(r[0], r[0], r[1], r[1], r[2], r[2]);
}

// |dh a* + dk b* + dl c*|^2 (Na Nb Nc)^2: the squared radius that nanoBragg uses since December 2023.
DEVICE REAL nanobragg_radius_sqr(const Params &p, REAL h, REAL k, REAL l)
{
#if PRECISION == DOUBLE
    return star_radius_sqr(p, h, k, l, 1.0) * p.cells[0] * p.cells[0] * p.cells[1] * p.cells[1] * p.cells[2]
           * p.cells[2];
#else
    return star_radius_sqr(p, h, k, l, (REAL)(p.cells[0] * p.cells[1] * p.cells[2]));
#endif
}

// Constants of Gaussian and flat spots, as in cubragg/crystallography/shapes.
#define GAUSS_WIDTH 0.63
#define TOPHAT_RADIUS_SQR 0.3969

// Na Nb Nc exp(-exponent)
DEVICE Amplitude falling_exponential(const Params &p, REAL exponent)
{
    const REAL value = volume(p) * exponential_of_term(-exponent);
    // For larger exponents the C program's amplitude underflows to 0.
    return {value, exponent < REAL(745.1332191019412)};
}

// Na Nb Nc, or 0
DEVICE Amplitude flat_spot(const Params &p, bool inside) { return {inside ? volume(p) : REAL(0), inside}; }

#endif

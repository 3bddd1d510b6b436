// Entry points that call one device function per element, for the tests under tests/kernels.
// Thread t of block b computes element b BLOCK + t; arrays are double [n] or [columns, n], row after row.
#include "portable.cuh"
#include "params.cuh"
#include "mathematics.cuh"
#include "geometry.cuh"
#include "polarization.cuh"
#include "lattice.cuh"
#include "shape.cuh"
#include "sample.cuh"
#include "culling.cuh"
#include "host_launch.hpp"

#define PAIRED (PRECISION == SINGLE && TWO_FLOATS)
#define FOR_ELEMENTS \
    for (int t = 0, i = (int)blockIdx.x * BLOCK; t < BLOCK && i < n; ++t, ++i)

ENTRY(mathematics)(const int n, const double *x, double *out)
{
    FOR_ELEMENTS
    {
        double sine, cosine;
        sine_cosine_of(x[i], sine, cosine);
        out[i] = (double)sinpi_((REAL)(x[i] - rint_(x[i])));
        out[n + i] = sine;
        out[2 * n + i] = cosine;
        out[3 * n + i] = (double)exponential((REAL)x[i]);
    }
}
HOST_ENTRY(mathematics)

#if TWO_FLOATS
DEVICE Pair offset_of(double x) { return pair_of(x); }
#else
DEVICE REAL offset_of(double x) { return (REAL)x; }
#endif

// Fractions of h, k, l -> amplitude, nonzero.
ENTRY(amplitudes)(const Params p, const int n, const double *fractions, double *out)
{
    FOR_ELEMENTS
    {
        const Amplitude a = amplitude_at(p, offset_of(fractions[i]), offset_of(fractions[n + i]),
                                         offset_of(fractions[2 * n + i]));
        out[i] = (double)a.value;
        out[n + i] = a.nonzero ? 1.0 : 0.0;
    }
}
HOST_ENTRY(amplitudes)

#if !PAIRED

// fast, slow, layer, sub_fast, sub_slow -> path, x, y, z of the direction, solid angle, capture, polarization.
ENTRY(geometry)(const Params p, const int n, const double *pixels, const double *source, double *out)
{
    FOR_ELEMENTS
    {
        const int fast = (int)pixels[i], slow = (int)pixels[n + i], layer = (int)pixels[2 * n + i];
        const int sub_fast = (int)pixels[3 * n + i], sub_slow = (int)pixels[4 * n + i];
        const int first_fast = fast - fast % TILE_FAST, first_slow = slow - slow % TILE_SLOW;
        const Centre c = tile_centre(p, first_fast, first_slow, layer);
        const SubPixel s = p.curved
            ? curved_sub_pixel(p, c, fast, slow, layer, sub_fast, sub_slow)
            : sub_pixel(p, c, first_fast, first_slow, fast, slow, layer, sub_fast, sub_slow);
        const double x = c.direction.x + (double)s.x, y = c.direction.y + (double)s.y, z = c.direction.z + (double)s.z;
        out[i] = (double)s.path;
        out[n + i] = x;
        out[2 * n + i] = y;
        out[3 * n + i] = z;
        out[4 * n + i] = (double)solid_angle(p, s.path);
        const double parallax = x * p.normal[0] + y * p.normal[1] + z * p.normal[2];
        out[5 * n + i] = (double)capture_fraction(p, layer, (INDEX)parallax);
        out[6 * n + i] = (double)polarization(p, source, (INDEX)x, (INDEX)y, (INDEX)z);
    }
}
HOST_ENTRY(geometry)

#endif

// first_fast, first_slow of a tile -> whether each orientation contributes to it.
ENTRY(contributions)(const Params p, const int n, const double *tile, const double *source, const REAL *f2_grid,
                     const float *f2_bounds, const float *cull_axes, double *out)
{
    const Region region = tile_scattering(p, tile_directions(p, (int)tile[0], (int)tile[1]), source);
    FOR_ELEMENTS out[i] = contributes(p, f2_grid, f2_bounds, cull_axes, i, region) ? 1.0 : 0.0;
}
HOST_ENTRY(contributions)

#if FACTORS == TRICUBIC && PAIRED

// Index as the sum of two floats -> nearest whole number, offset, whole number below, distance from that.
ENTRY(nodes)(const int n, const double *index, double *out)
{
    FOR_ELEMENTS
    {
        const Pair pair = pair_of(index[i]);
        const NearestNode node = nearest_node(pair);
        const Cell cell = cell_of(pair);
        out[i] = (double)node.whole;
        out[n + i] = (double)node.offset.value + (double)node.offset.rest;
        out[2 * n + i] = (double)cell.floor;
        out[3 * n + i] = (double)cell.fraction;
    }
}
HOST_ENTRY(nodes)

#elif FACTORS == TRICUBIC

// h, k, l -> entry at the nearest whole indices, interpolated value, whether the neighbourhood leaves the grid.
ENTRY(factors)(const Params p, const int n, const double *hkl, const REAL *f2_grid, double *out)
{
    FOR_ELEMENTS
    {
        const INDEX h = (INDEX)hkl[i], k = (INDEX)hkl[n + i], l = (INDEX)hkl[2 * n + i];
        const INDEX low_h = (INDEX)p.grid_origin[0], low_k = (INDEX)p.grid_origin[1], low_l = (INDEX)p.grid_origin[2];
        out[i] = (double)entry(p, f2_grid, ceil_(h - INDEX(0.5)) - low_h, ceil_(k - INDEX(0.5)) - low_k,
                               ceil_(l - INDEX(0.5)) - low_l);
        out[n + i] = (double)interpolated(p, f2_grid, cell_of(h), cell_of(k), cell_of(l), low_h, low_k,
                                       low_l);
        out[2 * n + i] = leaves_axis(h, low_h, p.grid_size[0]) || leaves_axis(k, low_k, p.grid_size[1])
                         || leaves_axis(l, low_l, p.grid_size[2]);
    }
}
HOST_ENTRY(factors)

#endif

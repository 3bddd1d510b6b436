// The current sample of each pixel of a tile: its direction, its scattering vector, and the factors common to all
// orientations. specs/core-physics.md, specs/physical.md, specs/geometry.md
//
//   nanobragg  solid angle omega [sr], capture and polarization P of the pixel's first sub-pixel, layer and source;
//              a factor that multiplies the running sum (running_*) is computed at each of these
//   physical   each at its own sub-pixel, layer and source
//   d: direction of the diffracted beam; q = (d - i) / lambda [1/m], i: unit vector of the incident beam
//
// In single precision d and q are differences from those of the tile's centre, q in units of 1 / lambda.
// Thread mapping: tile.cuh.
#ifndef CUBRAGG_PIXEL_FACTORS_CUH
#define CUBRAGG_PIXEL_FACTORS_CUH

#include "portable.cuh"
#include "params.cuh"
#include "geometry.cuh"
#include "polarization.cuh"
#include "tile.cuh"

struct PixelFactors {
    PRIV(INDEX, path);  // distance from the crystal [m]
    PRIV3(INDEX, d);
    PRIV3(INDEX, q);
#if PRECISION == SINGLE && TWO_FLOATS
    PRIV3(float, q_rest);
#endif
    PRIV(REAL, omega);
    PRIV(REAL, capture);
    PRIV(REAL, polar);
    PRIV(FLAG, keep);  // not cut by dmin
};

// Component of q of a pixel.
#if PRECISION == SINGLE && TWO_FLOATS
#define FINE_Q(s, axis) Pair{L3(s.q, axis), L3(s.q_rest, axis)}
#else
#define FINE_Q(s, axis) L3(s.q, axis)
#endif

// Set path and direction of a pixel.
#if PRECISION == SINGLE && TWO_FLOATS
#define SET_DIRECTION(s, at) \
    L(s.path) = at.path; \
    L3(s.d, 0) = at.x.value, L3(s.d, 1) = at.y.value, L3(s.d, 2) = at.z.value; \
    L3(s.q_rest, 0) = at.x.rest, L3(s.q_rest, 1) = at.y.rest, L3(s.q_rest, 2) = at.z.rest
#else
#define SET_DIRECTION(s, at) L(s.path) = at.path, L3(s.d, 0) = at.x, L3(s.d, 1) = at.y, L3(s.d, 2) = at.z
#endif

// Scattering vector [1/m] that q is measured from, and the unit [1/m] of q: in single precision those of the tile's
// centre, else 0 and 1.
struct Origin {
    Vector q;
    double unit;
};

DEVICE void begin(const Params &p, PixelFactors &s)
{
    FOR_T
    {
        L(s.polar) = p.polarized && !PHYSICAL ? REAL(0) : REAL(1);
        L(s.capture) = REAL(1);
        L(s.keep) = 1;
    }
}

// Set path and direction of a sub-pixel of a layer.
DEVICE void set_directions(const Params &p, const Tile &tile, const Centre &centre, int layer, int sub_fast,
                           int sub_slow, PixelFactors &s)
{
    if (p.curved) {
        FOR_T
        {
            const SubPixel at = curved_sub_pixel(p, centre, L(tile.fast), L(tile.slow), layer, sub_fast, sub_slow);
            SET_DIRECTION(s, at);
        }
    } else {
        FOR_T
        {
            const SubPixel at = sub_pixel(p, centre, tile.first_fast, tile.first_slow, L(tile.fast), L(tile.slow),
                                          layer, sub_fast, sub_slow);
            SET_DIRECTION(s, at);
        }
    }
}

// Set solid angle and capture fraction of a sub-pixel of a layer, where the semantics evaluates them.
DEVICE void set_pixel_factors(const Params &p, const Centre &centre, int layer, int sub, PixelFactors &s)
{
    if (PHYSICAL || p.running_omega || (layer == 0 && sub == 0)) {
        FOR_T L(s.omega) = solid_angle(p, L(s.path));
    }
    if (p.absorbing || p.running_thick) {
        const INDEX x = (INDEX)centre.direction.x, y = (INDEX)centre.direction.y, z = (INDEX)centre.direction.z;
        const bool anew = PHYSICAL || p.running_thick;
        FOR_T
        {
            const INDEX parallax = (x + L3(s.d, 0)) * (INDEX)p.normal[0] + (y + L3(s.d, 1)) * (INDEX)p.normal[1]
                                   + (z + L3(s.d, 2)) * (INDEX)p.normal[2];
            const REAL old = p.absorbing && sub == 0 ? REAL(0) : L(s.capture);
            // As in the C program, a fraction of 0 means not computed yet.
            L(s.capture) = anew || old == REAL(0) ? capture_fraction(p, layer, parallax) : old;
        }
    }
}

// Normalize the directions again, of every pixel or of some.
template <bool EVERY> DEVICE void normalize_directions(PRIV_ARGUMENT(FLAG, some), PixelFactors &s)
{
    FOR_T
    {
        const INDEX length = EVERY || L(some) ? sqrt_(L3(s.d, 0) * L3(s.d, 0) + L3(s.d, 1) * L3(s.d, 1)
                                                      + L3(s.d, 2) * L3(s.d, 2)) : INDEX(1);
        L3(s.d, 0) /= length, L3(s.d, 1) /= length, L3(s.d, 2) /= length;
    }
}

// Set the polarization factor for a source, of every pixel or of some.
template <bool EVERY>
DEVICE void polarize(const Params &p, const Centre &centre, const double *source, PRIV_ARGUMENT(FLAG, some),
                     PixelFactors &s)
{
    const INDEX x = (INDEX)centre.direction.x, y = (INDEX)centre.direction.y, z = (INDEX)centre.direction.z;
    if (p.kahn == 0.0) {
        FOR_T
        {
            const REAL factor = unpolarized(source, x + L3(s.d, 0), y + L3(s.d, 1), z + L3(s.d, 2));
            L(s.polar) = EVERY || L(some) ? factor : L(s.polar);
        }
    } else {
        FOR_T
        {
            const REAL factor = polarization(p, source, x + L3(s.d, 0), y + L3(s.d, 1), z + L3(s.d, 2));
            L(s.polar) = EVERY || L(some) ? factor : L(s.polar);
        }
    }
}

// Set the polarization factor for a source in physical semantics.
DEVICE void set_polarization(const Params &p, const Centre &centre, const double *source, PixelFactors &s)
{
    if (!p.polarized) return;
#if PRECISION != SINGLE
    normalize_directions<true>(s.keep, s);
#endif
    polarize<true>(p, centre, source, s.keep, s);
}

// Set the polarization factor in nanobragg semantics: of pixels that dmin does not cut and that have none yet.
DEVICE void set_missing_polarization(const Params &p, const Centre &centre, const double *source, PixelFactors &s)
{
    PRIV(FLAG, missing);
    FOR_T L(missing) = L(s.keep) && (p.running_polar || L(s.polar) == REAL(0));
    if (!ANY(missing)) return;
    polarize<false>(p, centre, source, missing, s);
#if PRECISION != SINGLE
    // The C program normalizes the direction again here and uses the result for the following sources.
    if (p.sources > 1) normalize_directions<false>(missing, s);
#endif
}

// Set the centre of the tile for a layer. Reads of the one before must have ended: see sample_loop.cuh.
DEVICE void set_centre(const Params &p, const Tile &tile, int layer, Centre &centre)
{
#if PRECISION == SINGLE
    ONE_THREAD centre = tile_centre(p, tile.first_fast, tile.first_slow, layer);
    SYNC();
#else
    centre = tile_centre(p, tile.first_fast, tile.first_slow, layer);
#endif
}

// Set the scattering vectors for a source, and the origin that they are measured from, likewise.
DEVICE void set_scattering(const Centre &centre, const double *source, PixelFactors &s, Origin &origin)
{
#if PRECISION == SINGLE
    ONE_THREAD
    {
        const double wavelength = source[WAVELENGTH];
        origin.q = {(centre.direction.x - source[INCIDENT]) / wavelength,
                    (centre.direction.y - source[INCIDENT + 1]) / wavelength,
                    (centre.direction.z - source[INCIDENT + 2]) / wavelength};
        origin.unit = 1.0 / wavelength;
    }
    SYNC();
    FOR_T L3(s.q, 0) = L3(s.d, 0), L3(s.q, 1) = L3(s.d, 1), L3(s.q, 2) = L3(s.d, 2);
#else
    const double wavelength = source[WAVELENGTH];
    const Vector outside = {centre.direction.x - source[INCIDENT], centre.direction.y - source[INCIDENT + 1],
                            centre.direction.z - source[INCIDENT + 2]};
    FOR_T
    {
        L3(s.q, 0) = (L3(s.d, 0) + outside.x) / wavelength;
        L3(s.q, 1) = (L3(s.d, 1) + outside.y) / wavelength;
        L3(s.q, 2) = (L3(s.d, 2) + outside.z) / wavelength;
    }
    origin = {{0.0, 0.0, 0.0}, 1.0};
#endif
}

// Exclude pixels at a resolution finer than dmin; returns whether any is left.
DEVICE bool within_resolution(const Params &p, const Origin &origin, PixelFactors &s)
{
    if (!(p.dmin > 0.0)) return true;
    FOR_T
    {
        L(s.keep) = !resolution_cut(p.dmin, origin.q.x + origin.unit * (double)L3(s.q, 0),
                                    origin.q.y + origin.unit * (double)L3(s.q, 1),
                                    origin.q.z + origin.unit * (double)L3(s.q, 2));
    }
    return ANY(s.keep);
}

#endif

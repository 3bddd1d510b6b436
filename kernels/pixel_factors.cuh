// Of each pixel of a tile the sample in turn: its direction, its scattering vector, and the factors that all its
// orientations share. specs/core-physics.md, specs/physical.md, specs/geometry.md
//
//   nanobragg  solid angle omega [sr], capture and polarization P of the pixel's first sub-pixel, layer and source;
//              where the running sum is multiplied by one of them (running_*), anew for each of these
//   physical   each at its own sub-pixel, layer and source
//   d: direction of the diffracted beam; q = (d - i) / lambda [1/m], i: unit vector of the incident beam
//
// In single precision d is less that of the tile's centre, and q likewise, in units of 1 / lambda.
// Thread mapping: tile.cuh.
#ifndef CUBRAGG_PIXEL_FACTORS_CUH
#define CUBRAGG_PIXEL_FACTORS_CUH

#include "portable.cuh"
#include "params.cuh"
#include "geometry.cuh"
#include "polarization.cuh"
#include "tile.cuh"

struct PixelFactors {
    PRIV(INDEX, path);  // from the crystal [m]
    PRIV3(INDEX, d);
    PRIV3(INDEX, q);
    PRIV(REAL, omega);
    PRIV(REAL, capture);
    PRIV(REAL, polar);
    PRIV(FLAG, keep);  // not cut by dmin
};

// Scattering vector of a tile's centre [1/m], and the unit of those that are measured from it.
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

// Path and direction of a sub-pixel of a layer.
DEVICE void set_directions(const Params &p, const Tile &tile, const Centre &centre, int layer, int sub_fast,
                           int sub_slow, PixelFactors &s)
{
    if (p.curved) {
        FOR_T
        {
            const SubPixel at = curved_sub_pixel(p, centre, L(tile.fast), L(tile.slow), layer, sub_fast, sub_slow);
            L(s.path) = at.path, L3(s.d, 0) = at.x, L3(s.d, 1) = at.y, L3(s.d, 2) = at.z;
        }
    } else {
        FOR_T
        {
            const SubPixel at = sub_pixel(p, centre, tile.first_fast, tile.first_slow, L(tile.fast), L(tile.slow),
                                          layer, sub_fast, sub_slow);
            L(s.path) = at.path, L3(s.d, 0) = at.x, L3(s.d, 1) = at.y, L3(s.d, 2) = at.z;
        }
    }
}

// Solid angle and capture of a sub-pixel of a layer, where they are due.
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
            const REAL known = p.absorbing && sub == 0 ? REAL(0) : L(s.capture);
            // A fraction of 0 counts as not yet known.
            L(s.capture) = anew || known == REAL(0) ? capture_fraction(p, layer, parallax) : known;
        }
    }
}

// Make directions unit vectors once more, of every pixel or of some.
template <bool EVERY> DEVICE void normalize_directions(PRIV_ARGUMENT(FLAG, some), PixelFactors &s)
{
    FOR_T
    {
        const INDEX length = EVERY || L(some) ? sqrt_(L3(s.d, 0) * L3(s.d, 0) + L3(s.d, 1) * L3(s.d, 1)
                                                      + L3(s.d, 2) * L3(s.d, 2)) : INDEX(1);
        L3(s.d, 0) /= length, L3(s.d, 1) /= length, L3(s.d, 2) /= length;
    }
}

// Polarization factor for a source, of every pixel or of some.
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

// Physical semantics: the polarization factor for a source.
DEVICE void set_polarization(const Params &p, const Centre &centre, const double *source, PixelFactors &s)
{
    if (!p.polarized) return;
#if PRECISION != SINGLE
    normalize_directions<true>(s.keep, s);
#endif
    polarize<true>(p, centre, source, s.keep, s);
}

// Nanobragg semantics: the polarization factor of pixels that are not cut and have none yet.
DEVICE void set_missing_polarization(const Params &p, const Centre &centre, const double *source, PixelFactors &s)
{
    PRIV(FLAG, missing);
    FOR_T L(missing) = L(s.keep) && (p.running_polar || L(s.polar) == REAL(0));
    if (!ANY(missing)) return;
    polarize<false>(p, centre, source, missing, s);
#if PRECISION != SINGLE
    // The C program makes the direction a unit vector once more here and goes on with it.
    if (p.sources > 1) normalize_directions<false>(missing, s);
#endif
}

// Scattering vectors for a source, from the returned origin.
DEVICE Origin set_scattering(const Centre &centre, const double *source, PixelFactors &s)
{
    const double wavelength = source[WAVELENGTH];
    const Vector outside = {centre.direction.x - source[INCIDENT], centre.direction.y - source[INCIDENT + 1],
                            centre.direction.z - source[INCIDENT + 2]};
#if PRECISION == SINGLE
    FOR_T L3(s.q, 0) = L3(s.d, 0), L3(s.q, 1) = L3(s.d, 1), L3(s.q, 2) = L3(s.d, 2);
    return {{outside.x / wavelength, outside.y / wavelength, outside.z / wavelength}, 1.0 / wavelength};
#else
    FOR_T
    {
        L3(s.q, 0) = (L3(s.d, 0) + outside.x) / wavelength;
        L3(s.q, 1) = (L3(s.d, 1) + outside.y) / wavelength;
        L3(s.q, 2) = (L3(s.d, 2) + outside.z) / wavelength;
    }
    return {{0.0, 0.0, 0.0}, 1.0};
#endif
}

// Cut pixels finer than dmin; whether any is left.
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

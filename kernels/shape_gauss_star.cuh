// Gaussian spots, spheres in reciprocal space: Na Nb Nc exp(-1.9 fudge |dh a* + dk b* + dl c*|^2 L^2), with
// L^3 = Na Nb Nc V; L [A] is Params.shape[0]. specs/core-physics.md
//
// Terms are negligible beyond a radius. specs/culling.md
#ifndef CUBRAGG_SHAPE_GAUSS_STAR_CUH
#define CUBRAGG_SHAPE_GAUSS_STAR_CUH

#include "lattice.cuh"
#include "shape_bounds.cuh"

#define GAUSS_STAR_FALL 1.9

// Lattice amplitude at fractions dh, dk, dl of Miller indices.
DEVICE Amplitude lattice_amplitude(const Params &p, REAL h, REAL k, REAL l)
{
    const REAL radius_sqr = star_radius_sqr(p, h, k, l, (REAL)p.shape[0]);
    return falling_exponential(p, radius_sqr * REAL(GAUSS_STAR_FALL) * (REAL)p.fudge);
}

// Whether a term of orientation i can exceed the floor on a tile; true if any number is NaN.
DEVICE bool shape_contributes(const Params &p, Largest largest, const float *RESTRICT cull_axes, int n, int i,
                              const Region &t, Interval h, Interval k, Interval l)
{
    return !(largest.here <= (float)p.cull_floor || beyond_star_radius(p, cull_axes, n, i, t, h, k, l));
}

#endif

// nanoBragg's Gaussian spots: Na Nb Nc exp(-fudge R / 0.63), R = |dh a* + dk b* + dl c*|^2 (Na Nb Nc)^2 [A^-2].
// specs/core-physics.md
//
// Terms are negligible beyond a radius. specs/culling.md
#ifndef CUBRAGG_SHAPE_NANOBRAGG_GAUSS_CUH
#define CUBRAGG_SHAPE_NANOBRAGG_GAUSS_CUH

#include "lattice.cuh"
#include "shape_bounds.cuh"

// Lattice amplitude at fractions dh, dk, dl of Miller indices.
DEVICE Amplitude lattice_amplitude(const Params &p, REAL h, REAL k, REAL l)
{
    return falling_exponential(p, by_constant(nanobragg_radius_sqr(p, h, k, l), GAUSS_WIDTH) * (REAL)p.fudge);
}

// Whether a term of orientation i can exceed the floor on a tile; true if any number is NaN.
DEVICE bool shape_contributes(const Params &p, Largest largest, const float *RESTRICT cull_axes, int n, int i,
                              const Region &t, Interval h, Interval k, Interval l)
{
    return !(largest.here <= (float)p.cull_floor || beyond_star_radius(p, cull_axes, n, i, t, h, k, l));
}

#endif

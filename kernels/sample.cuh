// One sample of the sum over layers, sub-pixels, sources and orientations. specs/core-physics.md
#ifndef CUBRAGG_SAMPLE_CUH
#define CUBRAGG_SAMPLE_CUH

#include "portable.cuh"
#include "params.cuh"
#include "lattice.cuh"
#include "shape.cuh"
#include "structure_factor.cuh"

// F^2 of the reflection nearest to a sample (TRICUBIC: outside interpolation), from its whole indices.
DEVICE REAL f2_at(const Params &p, const REAL *RESTRICT f2_grid, const Orientation &o, INDEX whole_h, INDEX whole_k,
                    INDEX whole_l)
{
#if FACTORS == CONSTANT
    (void)f2_grid, (void)o, (void)whole_h, (void)whole_k, (void)whole_l;
    return (REAL)p.constant;
#else
    const REAL found = entry(p, f2_grid, whole_h - o.low_h, whole_k - o.low_k, whole_l - o.low_l);
#if FACTORS == TRICUBIC
    return found * found;
#else
    return found;
#endif
#endif
}

// F^2, lattice amplitude, and nearest whole indices of a sample.
struct Sample {
    REAL f2;
    Amplitude amplitude;
    INDEX h, k, l;
};

DEVICE Sample sample(const Params &p, const REAL *RESTRICT f2_grid, const Orientation &o, INDEX qx, INDEX qy, INDEX qz,
                     bool any_interpolates, bool interpolates)
{
    const INDEX h = miller_index(o.ax, o.ay, o.az, o.start_h, qx, qy, qz);
    const INDEX k = miller_index(o.bx, o.by, o.bz, o.start_k, qx, qy, qz);
    const INDEX l = miller_index(o.cx, o.cy, o.cz, o.start_l, qx, qy, qz);
    const INDEX whole_h = ceil_(h - INDEX(0.5)), whole_k = ceil_(k - INDEX(0.5)), whole_l = ceil_(l - INDEX(0.5));
    Sample s;
    s.h = whole_h, s.k = whole_k, s.l = whole_l;
    s.amplitude = lattice_amplitude(p, (REAL)(h - whole_h), (REAL)(k - whole_k), (REAL)(l - whole_l));
    s.f2 = f2_at(p, f2_grid, o, whole_h, whole_k, whole_l);
#if FACTORS == TRICUBIC
    if (any_interpolates) {
        const bool outside = leaves_axis(h, o.low_h, p.grid_size[0]) || leaves_axis(k, o.low_k, p.grid_size[1])
                             || leaves_axis(l, o.low_l, p.grid_size[2]);
        const REAL f = interpolated(p, f2_grid, h, k, l, o.low_h, o.low_k, o.low_l);
        s.f2 = interpolates && !(PHYSICAL && outside) ? f * f : s.f2;
    }
#else
    (void)any_interpolates, (void)interpolates;
#endif
    return s;
}

#endif

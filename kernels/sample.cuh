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

DEVICE Amplitude amplitude_at(const Params &p, OFFSET h, OFFSET k, OFFSET l)
{
#if TWO_FLOATS && !defined(FRINGES)
    return lattice_amplitude(p, h.value, k.value, l.value);
#else
    return lattice_amplitude(p, h, k, l);
#endif
}

DEVICE Sample sample(const Params &p, const REAL *RESTRICT f2_grid, const Orientation &o, FINE_INDEX qx, FINE_INDEX qy,
                     FINE_INDEX qz, bool any_interpolates, bool interpolates)
{
    const FINE_INDEX h = miller_index(o.ax, o.ay, o.az, o.start_h, qx, qy, qz);
    const FINE_INDEX k = miller_index(o.bx, o.by, o.bz, o.start_k, qx, qy, qz);
    const FINE_INDEX l = miller_index(o.cx, o.cy, o.cz, o.start_l, qx, qy, qz);
    const NearestNode node_h = nearest_node(h), node_k = nearest_node(k), node_l = nearest_node(l);
    Sample s;
    s.h = node_h.whole, s.k = node_k.whole, s.l = node_l.whole;
    s.amplitude = amplitude_at(p, node_h.offset, node_k.offset, node_l.offset);
    s.f2 = f2_at(p, f2_grid, o, s.h, s.k, s.l);
#if FACTORS == TRICUBIC
    if (any_interpolates) {
        const bool outside = leaves_axis(h, o.low_h, p.grid_size[0]) || leaves_axis(k, o.low_k, p.grid_size[1])
                             || leaves_axis(l, o.low_l, p.grid_size[2]);
        const REAL f = interpolated(p, f2_grid, cell_of(h), cell_of(k), cell_of(l), o.low_h, o.low_k, o.low_l);
        s.f2 = interpolates && !(PHYSICAL && outside) ? f * f : s.f2;
    }
#else
    (void)any_interpolates, (void)interpolates;
#endif
    return s;
}

#endif

// The sum of terms of each pixel, and the expected photons computed from it. specs/core-physics.md, specs/physical.md
//
//   nanobragg  I = r_e^2 fluence / n * (W + sum F^2 latt^2) P omega capture
//              P, omega, capture of the first sub-pixel, or multiplied into the running sum after each term (running_*)
//   physical   I = r_e^2 fluence / n * sum w F^2 latt^2 P omega capture + W sum w P omega, each factor at its
//              own sub-pixel, layer and source
//   F [electrons] structure factor, latt lattice amplitude, P polarization factor, omega [sr] solid angle,
//   capture absorbed fraction, w weight of a source, W water, n number of samples
//
// Terms of a chunk of orientations are added in REAL, chunks in ACC.
// Thread mapping: tile.cuh.
#ifndef CUBRAGG_IMAGE_SUM_CUH
#define CUBRAGG_IMAGE_SUM_CUH

#include "portable.cuh"
#include "params.cuh"
#include "inputs.cuh"
#include "tile.cuh"
#include "sample.cuh"
#include "pixel_factors.cuh"
#include "sample_loop.cuh"

struct ImageSum {
    PRIV(REAL, inner);  // over a chunk of orientations
    PRIV(ACC, total);   // over everything
    PRIV(ACC, flat);    // sum of w P omega, for the water of physical semantics
};

DEVICE void begin(const Params &p, ImageSum &sum)
{
    FOR_T
    {
        L(sum.total) = PHYSICAL ? 0.0 : p.water;
        L(sum.flat) = 0.0;
    }
}

DEVICE void start_source(const Params &p, const SampleIndex &at, const PixelFactors &factors, ImageSum &sum)
{
    if (PHYSICAL && at.layer == 0) {
        FOR_T L(sum.flat) += at.source[WEIGHT] * (double)(L(factors.omega) * L(factors.polar));
    }
}

DEVICE void start_chunk(ImageSum &sum)
{
    FOR_T L(sum.inner) = REAL(0);
}

// A term of each pixel, with running products.
DEVICE void add_running(const Params &p, const Inputs &in, const Tile &tile, const PixelFactors &factors,
                        const Orientation &o, ImageSum &sum)
{
    FOR_T
    {
        const Sample s = sample(p, in.f2_grid, o, FINE_Q(factors, 0), FINE_Q(factors, 1), FINE_Q(factors, 2),
                                tile.any_interpolates, L(tile.interpolates));
        const ACC term = (ACC)(s.f2 * s.amplitude.value * s.amplitude.value) * p.term_scale;
        const bool nonzero = L(factors.keep) && (s.amplitude.nonzero || p.water != 0.0);
        ACC total = L(sum.total) + (L(factors.keep) ? term : 0.0);
        if (p.running_thick) total *= nonzero ? (ACC)L(factors.capture) : 1.0;
        if (p.running_polar) total *= nonzero ? (ACC)L(factors.polar) : 1.0;
        if (p.running_omega) total *= nonzero ? (ACC)L(factors.omega) : 1.0;
        L(sum.total) = total;
    }
}

DEVICE void add_terms(const Params &p, const Inputs &in, const Tile &tile, const PixelFactors &factors,
                      const Orientation &o, int, ImageSum &sum)
{
    if (RUNNING) {
        add_running(p, in, tile, factors, o, sum);
    } else {
        FOR_T
        {
            const Sample s = sample(p, in.f2_grid, o, FINE_Q(factors, 0), FINE_Q(factors, 1), FINE_Q(factors, 2),
                                    tile.any_interpolates, L(tile.interpolates));
            L(sum.inner) = fma_(s.f2 * s.amplitude.value, s.amplitude.value, L(sum.inner));
        }
    }
}

DEVICE void finish_chunk(const Params &p, const SampleIndex &at, const PixelFactors &factors, ImageSum &sum)
{
    if (RUNNING) return;
    if (PHYSICAL) {
        const double weight = p.term_scale * at.source[WEIGHT];
        FOR_T
        {
            L(sum.total) += L(factors.keep) ? weight * (ACC)L(sum.inner) * (ACC)(L(factors.omega) * L(factors.polar))
                                              * (ACC)L(factors.capture) : 0.0;
        }
    } else {
        FOR_T L(sum.total) += L(factors.keep) ? p.term_scale * (ACC)L(sum.inner) : 0.0;
    }
}

DEVICE void finish_source(ImageSum &) {}

// Expected photons of each pixel.
DEVICE void expected_photons(const Params &p, const PixelFactors &factors, const ImageSum &sum,
                             PRIV_ARGUMENT(float, photons))
{
    FOR_T
    {
        if (PHYSICAL) {
            L(photons) = (float)(L(sum.total) * p.scale + p.water * L(sum.flat));
        } else {
            L(photons) = (float)(L(sum.total) * p.scale * (p.running_thick ? 1.0 : (ACC)L(factors.capture))
                                 * (p.running_polar ? 1.0 : (ACC)L(factors.polar))
                                 * (p.running_omega ? 1.0 : (ACC)L(factors.omega)));
        }
    }
}

#endif

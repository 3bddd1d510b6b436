// The sum over layers, sub-pixels, sources, phi and domains, in this order, of each pixel of a tile.
// specs/core-physics.md, specs/physical.md
//
// The loop is shared by all entry points that add up terms F^2 latt^2. The template parameter `Sum` is the accumulator,
// with the functions below: image_sum.cuh for the image, cubragg/reflections/reflection_sums.cpp for per-reflection
// sums.
//   start_source(p, at, factors, sum)     before the first chunk of a sub-pixel and source, and before the cut by dmin
//   start_chunk(sum)                      before the first orientation of a chunk
//   add_terms(p, in, tile, factors, orientation, number, sum)   a term of each pixel, of the orientation `number`
//   finish_chunk(p, at, factors, sum)     after the last orientation of a chunk
//   finish_source(sum)                    after the last chunk
// Thread mapping: tile.cuh.
#ifndef CUBRAGG_SAMPLE_LOOP_CUH
#define CUBRAGG_SAMPLE_LOOP_CUH

#include "portable.cuh"
#include "params.cuh"
#include "inputs.cuh"
#include "tile.cuh"
#include "geometry.cuh"
#include "pixel_factors.cuh"
#include "selection.cuh"

// Current layer, sub-pixel (overall, along fast, along slow) and source.
struct SampleIndex {
    int layer, sub, sub_fast, sub_slow, number;
    const double *source;  // row of the table of sources
};

// Add the terms of all phi steps and mosaic domains for one source.
template <typename Sum>
DEVICE void add_orientations(const Params &p, const Inputs &in, const Tile &tile, const SampleIndex &at,
                             const Origin &origin, const PixelFactors &factors, Selection &selection, Sum &sum)
{
    for (int start = 0; start < p.orientations; start += CHUNK) {
        const int count = select_chunk(p, in, selection, at.number, start);
        prepare_chunk(p, in, selection, origin, at.sub, start, count);
        start_chunk(sum);
        UNROLL_TWICE
        for (int i = 0; i < count; ++i) {
            add_terms(p, in, tile, factors, selected_orientation(p, in, selection, start, i),
                      selected(selection, start, i), sum);
        }
        finish_chunk(p, at, factors, sum);
    }
}

// Add the terms of all samples.
template <typename Sum>
DEVICE void add_samples(const Params &p, const Inputs &in, const Tile &tile, Selection &selection,
                        PixelFactors &factors, Sum &sum)
{
    // In single precision one thread computes what a tile has once, in double. Threads read it before a barrier that all
    // reach before the next time: of `prepare_chunk`, or of the cut by dmin.
#if PRECISION == SINGLE
    SHARED(Centre, centres, 1);
    SHARED(Origin, origins, 1);
#else
    Centre centres[1];
    Origin origins[1];
#endif
    Centre &centre = centres[0];
    Origin &origin = origins[0];
    for (int layer = 0; layer < p.layers; ++layer) {
        set_centre(p, tile, layer, centre);
        for (int sub = 0; sub < p.oversample * p.oversample; ++sub) {
            const int sub_slow = sub / p.oversample, sub_fast = sub % p.oversample;
            start_sub_pixel(selection);
            set_directions(p, tile, centre, layer, sub_fast, sub_slow, factors);
            set_pixel_factors(p, centre, layer, sub, factors);
            for (int number = 0; number < p.sources; ++number) {
                const double *source = in.sources + number * SOURCE_COLUMNS;
                const SampleIndex at = {layer, sub, sub_fast, sub_slow, number, source};
                if (PHYSICAL) set_polarization(p, centre, source, factors);
                start_source(p, at, factors, sum);
                set_scattering(centre, source, factors, origin);
                if (!within_resolution(p, origin, factors)) continue;
                if (!PHYSICAL) set_missing_polarization(p, centre, source, factors);
                add_orientations(p, in, tile, at, origin, factors, selection, sum);
                finish_source(sum);
            }
        }
    }
}

#endif

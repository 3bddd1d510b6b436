// Entry point of the method analytic: expected photons of the spots of a panel. specs/analytic.md
//
//   photons(pixel) = sum over spots of amplitude * factor(pixel) * mean over sub-pixels of profile(sample)
//
// profile and factor: spot_profile.cuh. Arrays: spots [n]; first [tiles + 1] and order: the spots of a tile are order[i],
// first[tile] <= i < first[tile + 1], ascending; mask uint8 and image float [slow, fast] of the panel.
//
// Thread mapping: block (x, y) owns the tile in column x and row y of the region, TILE_FAST x TILE_SLOW pixels. It takes
// its spots one after another: samples of the part of the box that is in the tile are distributed over the threads, then
// its pixels, each of which adds its samples in their order. A pixel belongs to one block and adds its spots in the order
// of the list, so that its bits depend neither on tiles nor on threads. Pixels without a spot are not written: the caller
// fills the image with 0.
#include "portable.cuh"
#include "params.cuh"
#include "spot.cuh"
#include "spot_profile.cuh"

// Samples that are computed before they are added to pixels; at least the most sub-pixels of a pixel.
#define SAMPLES 1024

// The part of a spot's box that is in a tile.
struct Overlap { int fast, slow, width, pixels; };

DEVICE Overlap overlap_of(const Spot &spot, int first_fast, int first_slow)
{
    const int last_fast = first_fast + TILE_FAST - 1, last_slow = first_slow + TILE_SLOW - 1;
    const int fast = spot.fast_min > first_fast ? spot.fast_min : first_fast;
    const int slow = spot.slow_min > first_slow ? spot.slow_min : first_slow;
    const int width = (spot.fast_max < last_fast ? spot.fast_max : last_fast) - fast + 1;
    const int height = (spot.slow_max < last_slow ? spot.slow_max : last_slow) - slow + 1;
    Overlap part = {fast, slow, width, width * height};
    return part;
}

// Whole quotient of numbers below 2^22; in single precision, because vectors have no integer division.
DEVICE int whole_quotient(int number, float inverse) { return (int)((number + 0.5f) * inverse); }

template <bool BENT, int PATH>
DEVICE void add_spot(const SpotParams &p, const Spot &spot, const Overlap &part, int first_fast, int first_slow,
                     REAL *values, REAL *factors, ACC *sums)
{
    const int n = spot.subpixels, per_pixel = n * n, at_once = SAMPLES / per_pixel;
    const float per_n = 1.0f / n, per_samples = 1.0f / per_pixel, per_width = 1.0f / part.width;
    const REAL edge = REAL(1) / n;
    const REAL from_fast = part.fast - spot.fast_min - spot.offset[0];
    const REAL from_slow = part.slow - spot.slow_min - spot.offset[1];
    for (int start = 0; start < part.pixels; start += at_once) {
        const int pixels = part.pixels - start < at_once ? part.pixels - start : at_once;
        FOR_COUNT(i, pixels * per_pixel)
        {
            const int pixel = whole_quotient(i, per_samples), sample = i - pixel * per_pixel;
            const int row = whole_quotient(start + pixel, per_width), column = start + pixel - row * part.width;
            const int sub_slow = whole_quotient(sample, per_n), sub_fast = sample - sub_slow * n;
            REAL mean, square;
            values[i] = profile<BENT, PATH>(spot, column + from_fast + (sub_fast + REAL(0.5)) * edge,
                                              row + from_slow + (sub_slow + REAL(0.5)) * edge, mean, square);
        }
        SYNC();
        FOR_COUNT(pixel, pixels)
        {
            const int row = whole_quotient(start + pixel, per_width), column = start + pixel - row * part.width;
            factors[pixel] = pixel_factor(p, spot, column + from_fast + REAL(0.5), row + from_slow + REAL(0.5));
        }
        FOR_COUNT(pixel, pixels)
        {
            const int row = whole_quotient(start + pixel, per_width), column = start + pixel - row * part.width;
            ACC total = 0.0;
            for (int sample = 0; sample < per_pixel; ++sample) total += values[pixel * per_pixel + sample];
            sums[(part.slow + row - first_slow) * TILE_FAST + part.fast + column - first_fast]
                += spot.amplitude * factors[pixel] / per_pixel * total;
        }
        SYNC();
    }
}

template <bool BENT>
DEVICE void add_path(const SpotParams &p, const Spot &spot, const Overlap &part, int first_fast, int first_slow,
                     REAL *values, REAL *factors, ACC *sums)
{
    if (spot.path == NONE) add_spot<BENT, NONE>(p, spot, part, first_fast, first_slow, values, factors, sums);
    else if (spot.path == SHORT) add_spot<BENT, SHORT>(p, spot, part, first_fast, first_slow, values, factors, sums);
    else add_spot<BENT, LONG>(p, spot, part, first_fast, first_slow, values, factors, sums);
}

ENTRY(render_spots)(const SpotParams p, const Spot *RESTRICT spots, const int *RESTRICT first, const int *RESTRICT order,
                    const unsigned char *RESTRICT mask, float *RESTRICT image)
{
    const int columns = (p.fast_max - p.fast_min) / TILE_FAST + 1;
    const int tile = (int)blockIdx.y * columns + (int)blockIdx.x;
    const int begin = first[tile], end = first[tile + 1];
    if (begin == end) return;
    const int first_fast = p.fast_min + (int)blockIdx.x * TILE_FAST;
    const int first_slow = p.slow_min + (int)blockIdx.y * TILE_SLOW;
    SHARED(ACC, sums, BLOCK);
    SHARED(REAL, values, SAMPLES);
    SHARED(REAL, factors, SAMPLES);
    FOR_COUNT(i, BLOCK) sums[i] = 0.0;
    SYNC();
    for (int number = begin; number < end; ++number) {
        LOCAL(Spot) spot = spots[order[number]];
        const Overlap part = overlap_of(spot, first_fast, first_slow);
        if (spot.bent) add_path<true>(p, spot, part, first_fast, first_slow, values, factors, sums);
        else add_path<false>(p, spot, part, first_fast, first_slow, values, factors, sums);
    }
    FOR_COUNT(i, BLOCK)
    {
        const int fast = first_fast + i % TILE_FAST, slow = first_slow + i / TILE_FAST;
        const bool inside = fast <= p.fast_max && slow <= p.slow_max;
        const long long pixel = (long long)slow * p.fast_pixels + fast;
        if (inside && !(p.masked && mask[pixel] == 0)) image[pixel] = (float)sums[i];
    }
}

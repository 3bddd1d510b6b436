// Entry point of the method analytic: expected photons of the spots of a panel. specs/analytic.md
//
//   photons(pixel) = sum over spots of amplitude * factor(pixel) * mean over sub-pixels of profile(sample)
//
// profile and factor: spot_profile.cuh. Arrays: spots [n]; first [tiles + 1] and order: the spots of a tile are order[i],
// first[tile] <= i < first[tile + 1], ascending; mask uint8 and image float [slow - first_row, fast] of the panel.
//
// Thread mapping: block (x, y) owns the tile in column x and row y of the region, TILE_FAST x TILE_SLOW pixels. It takes
// its spots one after another: sub-pixels of the part of the box that is in the tile are distributed over the threads, then
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
struct Overlap { int fast, slow, width, height; };

DEVICE int larger(int a, int b) { return a > b ? a : b; }
DEVICE int smaller(int a, int b) { return a < b ? a : b; }

DEVICE Overlap overlap_of(const Spot &spot, int first_fast, int first_slow)
{
    const int last_fast = first_fast + TILE_FAST - 1, last_slow = first_slow + TILE_SLOW - 1;
    const int fast = larger(spot.fast_min, first_fast), slow = larger(spot.slow_min, first_slow);
    Overlap part = {fast, slow, smaller(spot.fast_max, last_fast) - fast + 1, smaller(spot.slow_max, last_slow) - slow + 1};
    return part;
}

// Whole quotient of numbers below 2^22; in single precision, because vectors have no integer division.
DEVICE int whole_quotient(int number, float inverse) { return (int)((number + 0.5f) * inverse); }

template <int ORDER, int PATH>
DEVICE void add_spot(const SpotParams &p, const Spot &spot, const Overlap &part, int first_fast, int first_slow,
                     REAL *values, REAL *factors, ACC *sums)
{
    const int n = spot.subpixels, at_once = SAMPLES / (n * n);
    const int columns = part.width < at_once ? part.width : at_once, rows = at_once / columns;
    const REAL edge = REAL(1) / n, weight = edge * edge;
    for (int top = 0; top < part.height; top += rows) {
        const int height = part.height - top < rows ? part.height - top : rows;
        for (int left = 0; left < part.width; left += columns) {
            const int width = part.width - left < columns ? part.width - left : columns;
            const int fast = part.fast + left - spot.fast_min, slow = part.slow + top - spot.slow_min;
            // The sub-pixels of these pixels that are in the box of the spot.
            const int fast_first = larger(spot.fast_first, fast * n), slow_first = larger(spot.slow_first, slow * n);
            const int fast_last = smaller(spot.fast_last, (fast + width) * n - 1);
            const int slow_last = smaller(spot.slow_last, (slow + height) * n - 1);
            const int across = fast_last - fast_first + 1, down = slow_last - slow_first + 1;
            const float per_across = 1.0f / across;
            FOR_COUNT(i, across * down)
            {
                READ_AGAIN();
                const int row = whole_quotient(i, per_across), column = i - row * across;
                Moments angle;
                values[i] = profile<ORDER, PATH>(spot, (fast_first + column + REAL(0.5)) * edge - spot.offset[0],
                                                  (slow_first + row + REAL(0.5)) * edge - spot.offset[1], angle);
            }
            SYNC();
            const float per_width = 1.0f / width;
            FOR_COUNT(pixel, width * height)
            {
                const int row = whole_quotient(pixel, per_width), column = pixel - row * width;
                factors[pixel] = pixel_factor(p, spot, fast + column + REAL(0.5) - spot.offset[0],
                                              slow + row + REAL(0.5) - spot.offset[1]);
            }
            FOR_COUNT(pixel, width * height)
            {
                const int row = whole_quotient(pixel, per_width), column = pixel - row * width;
                const int begin = larger((fast + column) * n, fast_first) - fast_first;
                const int end = smaller((fast + column + 1) * n - 1, fast_last) - fast_first;
                const int last = smaller((slow + row + 1) * n - 1, slow_last) - slow_first;
                ACC total = 0.0;
                for (int y = larger((slow + row) * n, slow_first) - slow_first; y <= last; ++y) {
                    for (int x = begin; x <= end; ++x) total += values[y * across + x];
                }
                sums[(slow + row + spot.slow_min - first_slow) * TILE_FAST + fast + column + spot.fast_min - first_fast]
                    += spot.amplitude * factors[pixel] * weight * total;
            }
            SYNC();
        }
    }
}

template <int ORDER>
DEVICE void add_path(const SpotParams &p, const Spot &spot, const Overlap &part, int first_fast, int first_slow,
                     REAL *values, REAL *factors, ACC *sums)
{
    if (spot.path == NONE) add_spot<ORDER, NONE>(p, spot, part, first_fast, first_slow, values, factors, sums);
    else if (spot.path == SHORT) add_spot<ORDER, SHORT>(p, spot, part, first_fast, first_slow, values, factors, sums);
    else add_spot<ORDER, LONG>(p, spot, part, first_fast, first_slow, values, factors, sums);
}

ENTRY(render_spots)(const SpotParams p, const Spot *spots, const int *RESTRICT first, const int *RESTRICT order,
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
        // Only a long path has an approximation for small changes.
        if (spot.bent == STRAIGHT) add_path<STRAIGHT>(p, spot, part, first_fast, first_slow, values, factors, sums);
        else if (spot.bent == BENT && spot.path == LONG)
            add_spot<BENT, LONG>(p, spot, part, first_fast, first_slow, values, factors, sums);
        else add_path<STRONGLY_BENT>(p, spot, part, first_fast, first_slow, values, factors, sums);
    }
    FOR_COUNT(i, BLOCK)
    {
        const int fast = first_fast + i % TILE_FAST, slow = first_slow + i / TILE_FAST;
        const bool inside = fast <= p.fast_max && slow <= p.slow_max;
        const long long pixel = (long long)(slow - p.first_row) * p.fast_pixels + fast;
        if (inside && !(p.masked && mask[pixel] == 0)) image[pixel] = (float)sums[i];
    }
}

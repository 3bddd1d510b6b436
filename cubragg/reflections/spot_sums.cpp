// Sums of each spot of the method analytic over the pixels of its box; for the CPU. specs/truth.md, specs/analytic.md
//
//   sums = sum over pixels and sub-pixels of photons * (1; fast, slow, their squares, from the corner of the box [pixel];
//          mean and mean square of the angle, times the pace and its square; fast, slow of the pixel's centre; pixel on
//          an edge; fraction of other photons in the pixel)
//
// Mapping: block x is a spot. Its box is summed in blocks of pixels with at most SAMPLES sub-pixels, whose values are
// computed together. Arrays: spots [n]; mask and edge uint8, photons float [slow, fast] of the panel; sums double
// [n, COLUMNS].
#include "portable.cuh"
#include "params.cuh"
#include "spot.cuh"
#include "spot_profile.cuh"
#include "spot_rows.cuh"
#include "host_launch.hpp"
#include <algorithm>

#define COLUMNS 11
// Sub-pixels of a block of pixels; at least the most sub-pixels of a pixel, and of a row of them.
#define SAMPLES 1024

struct Panel {
    const unsigned char *mask, *edge;
    const float *photons;
};

// A block of pixels of the box: its first pixel, and its size.
struct Block { int fast, slow, width, height; };

// Factors of the pixels of a block [photons per value of the profile]; 0 where the mask is.
static void factors_of(const SpotParams &p, const Spot &spot, const Block &block, const Panel &panel, double *factors)
{
    const float per_width = 1.0f / block.width;
    const double scale = spot.amplitude / (spot.subpixels * spot.subpixels);
    const Spot local = spot;
    FOR_COUNT(pixel, block.width * block.height)
    {
        const int row = (int)((pixel + 0.5f) * per_width), column = pixel - row * block.width;
        factors[pixel] = scale * pixel_factor(p, local, block.fast + column + REAL(0.5) - local.offset[0],
                                              block.slow + row + REAL(0.5) - local.offset[1]);
    }
    if (!p.masked) return;
    for (int row = 0; row < block.height; ++row) {
        const long long first = (long long)(block.slow + row + spot.slow_min) * p.fast_pixels + block.fast + spot.fast_min;
        for (int column = 0; column < block.width; ++column) {
            if (panel.mask[first + column] == 0) factors[row * block.width + column] = 0.0;
        }
    }
}

template <int ORDER, int PATH>
static void add_block(const SpotParams &p, const Spot &spot, const Block &block, const Panel &panel, double *sums)
{
    alignas(64) double factors[SAMPLES], photons[SAMPLES];
    factors_of(p, spot, block, panel, factors);
    const int n = spot.subpixels;
    // The sub-pixels of these pixels that are in the outline of the spot.
    const int left = block.fast * n, top = std::max(spot.slow_first, block.slow * n);
    const int across = std::min(spot.widest, block.width * n);
    const int down = std::min(spot.slow_last, (block.slow + block.height) * n - 1) - top + 1;
    int first[SAMPLES], last[SAMPLES];
    for (int row = 0; row < down; ++row) {
        const Row summed = summed_in_row(spot, top + row);
        first[row] = std::max(summed.first, left);
        last[row] = std::min(summed.last, left + block.width * n - 1);
    }
    const float per_across = 1.0f / across, per_pixel = 1.0f / n;
    const REAL edge = REAL(1) / n;
    const Spot local = spot;
    double total[7] = {};
    double &sum = total[0], &fast_sum = total[1], &slow_sum = total[2], &fast_square = total[3], &slow_square = total[4];
    double &angle_sum = total[5], &angle_square = total[6];
    _Pragma("omp simd reduction(+ : sum, fast_sum, slow_sum, fast_square, slow_square, angle_sum, angle_square)")
    for (int i = 0; i < across * down; ++i) {
        const int row = (int)((i + 0.5f) * per_across), in_fast = first[row] + i - row * across, in_slow = top + row;
        const bool inside = in_fast <= last[row];
        const int pixel = (int)((in_slow - block.slow * n + 0.5f) * per_pixel) * block.width
                          + (inside ? (int)((in_fast - left + 0.5f) * per_pixel) : 0);
        const REAL fast = (in_fast + REAL(0.5)) * edge, slow = (in_slow + REAL(0.5)) * edge;
        Moments angle;
        const double profile_value = profile<ORDER, PATH>(local, fast - local.offset[0], slow - local.offset[1], angle);
        const double value = inside ? factors[pixel] * profile_value : 0.0;
        photons[i] = value;
        sum += value;
        fast_sum += value * fast;
        slow_sum += value * slow;
        fast_square += value * fast * fast;
        slow_square += value * slow * slow;
        angle_sum += value * angle.mean;
        angle_square += value * (angle.mean * angle.mean + angle.variance);
    }
    for (int i = 0; i < 7; ++i) sums[i] += total[i];
    for (int row = 0; row < block.height; ++row) {
        const int begin = std::max((block.slow + row) * n, top) - top;
        const int end = std::min((block.slow + row + 1) * n - 1, top + down - 1) - top;
        double of_column[SAMPLES] = {};
        for (int y = begin; y <= end; ++y) {
            const int shift = first[y] - left;
            FOR_COUNT(x, last[y] - first[y] + 1) { of_column[shift + x] += photons[y * across + x]; }
        }
        const long long at = (long long)(block.slow + row + spot.slow_min) * p.fast_pixels + block.fast + spot.fast_min;
        for (int column = 0; column < block.width; ++column) {
            double value = 0.0;
            for (int x = column * n; x < (column + 1) * n; ++x) value += of_column[x];
            const double in_pixel = panel.photons[at + column];
            sums[7] += (block.fast + column + 0.5) * value;
            sums[8] += (block.slow + row + 0.5) * value;
            if (panel.edge[at + column]) sums[9] += value;
            if (in_pixel > value) sums[10] += (1.0 - value / in_pixel) * value;
        }
    }
}

template <int ORDER>
static void add_on_path(const SpotParams &p, const Spot &spot, const Block &block, const Panel &panel, double *sums)
{
    if (spot.path == NONE) add_block<ORDER, NONE>(p, spot, block, panel, sums);
    else if (spot.path == SHORT) add_block<ORDER, SHORT>(p, spot, block, panel, sums);
    else add_block<ORDER, LONG>(p, spot, block, panel, sums);
}

ENTRY(sum_spots)(const SpotParams p, const Spot *RESTRICT spots, const unsigned char *RESTRICT mask,
                 const unsigned char *RESTRICT on_edge, const float *RESTRICT photons, double *RESTRICT sums)
{
    const Spot &spot = spots[blockIdx.x];
    const Panel panel = {mask, on_edge, photons};
    double *total = sums + (long long)blockIdx.x * COLUMNS;
    const int width = spot.fast_max - spot.fast_min + 1, height = spot.slow_max - spot.slow_min + 1;
    const int n = spot.subpixels, at_once = SAMPLES / (n * n);
    // Rows of pixels at once, or part of one.
    const int fitting = std::min(SAMPLES / (n * spot.widest), SAMPLES / (n * width));
    const int columns = fitting > 0 ? width : std::min(width, at_once), rows = std::max(fitting, 1);
    for (int slow = 0; slow < height; slow += rows) {
        for (int fast = 0; fast < width; fast += columns) {
            const Block block = {fast, slow, std::min(columns, width - fast), std::min(rows, height - slow)};
            if (spot.bent == STRAIGHT) add_on_path<STRAIGHT>(p, spot, block, panel, total);
            else if (spot.bent == BENT && spot.path == LONG) add_block<BENT, LONG>(p, spot, block, panel, total);
            else add_on_path<STRONGLY_BENT>(p, spot, block, panel, total);
        }
    }
}

HOST_ENTRY(sum_spots)

// Sums of each spot of the method analytic over the pixels of its box; for the CPU. specs/truth.md, specs/analytic.md
//
//   sums = sum over pixels and sub-pixels of photons * (1; fast, slow, their squares, from the corner of the box [pixel];
//          mean and mean square of the angle, times the pace and its square; fast, slow of the pixel's centre; pixel on
//          an edge; fraction of other photons in the pixel)
//
// Mapping: block x is a spot; its pixels are summed row after row. Arrays: spots [n]; mask and edge uint8, photons float
// [slow, fast] of the panel; sums double [n, COLUMNS].
#include "portable.cuh"
#include "params.cuh"
#include "spot.cuh"
#include "spot_profile.cuh"
#include "host_launch.hpp"
#include <algorithm>

#define COLUMNS 11
#define PRODUCTS 7
// Samples of a pixel, at most.
#define SAMPLES 1024

// Sub-pixels of a pixel that are in the box of a spot: the first, from the pixel's corner, and their numbers.
struct Part { int fast, slow, width, height; };

// The part of the pixel at `fast`, `slow` of the box.
static Part part_of(const Spot &spot, int fast, int slow)
{
    const int n = spot.subpixels;
    const int left = std::max(spot.fast_first - fast * n, 0), top = std::max(spot.slow_first - slow * n, 0);
    return {left, top, std::min(spot.fast_last - fast * n, n - 1) - left + 1,
            std::min(spot.slow_last - slow * n, n - 1) - top + 1};
}

template <bool BENT, int PATH>
static void pixel_products(const Spot &spot, const Part &part, REAL f, REAL s, double *products)
{
    alignas(64) REAL values[PRODUCTS][SAMPLES];
    const int count = part.width * part.height;
    const float per_width = 1.0f / part.width;
    const REAL edge = REAL(1) / spot.subpixels;
    const Spot local = spot;
    FOR_COUNT(i, count)
    {
        const int row = (int)((i + 0.5f) * per_width), column = i - row * part.width;
        const REAL fast = (part.fast + column + REAL(0.5)) * edge, slow = (part.slow + row + REAL(0.5)) * edge;
        REAL mean, square;
        const REAL value = profile<BENT, PATH>(local, f + fast, s + slow, mean, square);
        values[0][i] = value;
        values[1][i] = value * fast;
        values[2][i] = value * slow;
        values[3][i] = value * fast * fast;
        values[4][i] = value * slow * slow;
        values[5][i] = value * mean;
        values[6][i] = value * square;
    }
    // All products of a sample together: their additions do not wait for one another.
    double total[PRODUCTS] = {};
    for (int i = 0; i < count; ++i) {
        for (int product = 0; product < PRODUCTS; ++product) total[product] += values[product][i];
    }
    std::copy(total, total + PRODUCTS, products);
}

template <bool BENT> static void products_on_path(const Spot &spot, const Part &part, REAL f, REAL s, double *products)
{
    if (spot.path == NONE) pixel_products<BENT, NONE>(spot, part, f, s, products);
    else if (spot.path == SHORT) pixel_products<BENT, SHORT>(spot, part, f, s, products);
    else pixel_products<BENT, LONG>(spot, part, f, s, products);
}

ENTRY(sum_spots)(const SpotParams p, const Spot *RESTRICT spots, const unsigned char *RESTRICT mask,
                 const unsigned char *RESTRICT on_edge, const float *RESTRICT photons, double *RESTRICT sums)
{
    const Spot &spot = spots[blockIdx.x];
    double *total = sums + (long long)blockIdx.x * COLUMNS;
    for (int slow = spot.slow_min; slow <= spot.slow_max; ++slow) {
        for (int fast = spot.fast_min; fast <= spot.fast_max; ++fast) {
            const long long pixel = (long long)slow * p.fast_pixels + fast;
            if (p.masked && mask[pixel] == 0) continue;
            const REAL f = fast - spot.fast_min - spot.offset[0], s = slow - spot.slow_min - spot.offset[1];
            double m[PRODUCTS];
            const Part part = part_of(spot, fast - spot.fast_min, slow - spot.slow_min);
            if (spot.bent) products_on_path<true>(spot, part, f, s, m);
            else products_on_path<false>(spot, part, f, s, m);
            const double factor = pixel_factor(p, spot, f + REAL(0.5), s + REAL(0.5));
            const double scale = spot.amplitude * factor / (spot.subpixels * spot.subpixels);
            for (int product = 0; product < PRODUCTS; ++product) m[product] *= scale;
            const double x = fast - spot.fast_min, y = slow - spot.slow_min;
            const double others = photons[pixel] > m[0] ? 1.0 - m[0] / photons[pixel] : 0.0;
            total[0] += m[0];
            total[1] += x * m[0] + m[1];
            total[2] += y * m[0] + m[2];
            total[3] += x * x * m[0] + 2.0 * x * m[1] + m[3];
            total[4] += y * y * m[0] + 2.0 * y * m[2] + m[4];
            total[5] += m[5];
            total[6] += m[6];
            total[7] += (x + 0.5) * m[0];
            total[8] += (y + 0.5) * m[0];
            total[9] += on_edge[pixel] ? m[0] : 0.0;
            total[10] += others * m[0];
        }
    }
}

HOST_ENTRY(sum_spots)
